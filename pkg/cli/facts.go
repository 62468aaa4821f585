// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// newestHNS has every feature.
var newestHNS = hns.Features{Version: hns.Version{Major: 16}}

// factsOf puts together what a pod's endpoint is planned from, as far as the file tells, and
// notes what it does not.
func (s *session) factsOf(f set, c config.Config, out *pluginMeaning) (plan.Facts, error) {
	n, made := plan.Network(c)
	if n.Driver == "" {
		n.Driver = hns.L2Bridge
		if d, err := hns.ParseDriver(f.driver); err == nil {
			n.Driver = d
		}
		out.note("The type of the network is not in the file; for %s it means what follows. --driver tries another.", n.Driver)
	}
	pod := examples(c)
	if pod.stands {
		out.note("The IPAM plugin %s chooses the addresses; %s stands for one.", c.IPAM.Type, pod.addresses[0].Addr)
	}
	if len(n.Subnets) == 0 {
		n.Subnets = pod.subnets
	}
	given := slices.ContainsFunc(c.Policies, func(p hns.Opaque) bool { return p.Type == "ProviderAddress" })
	if n.Driver == hns.Overlay && !n.ProviderAddress.IsValid() && !given && c.Type != config.TypeACL {
		out.note("HNS tells the node's address under the overlay, which becomes a ProviderAddress policy.")
	}
	if !made && len(n.Subnets) > 0 && c.Type != config.TypeACL {
		out.note("The network's gateway is not in the file; its first address stands for it.")
	}
	c.ContainerID, c.IfName = "CONTAINER", plan.FirstInterface
	facts := plan.Facts{Config: c, Network: n, Addresses: pod.addresses, Routes: c.IPAM.Routes, Features: newestHNS}
	facts.Routes = slices.DeleteFunc(slices.Clone(facts.Routes), func(r hns.Route) bool { return r.Destination.Bits() == 0 })
	if c.Type == config.TypeACL {
		facts.Addresses = families(n.Driver)
	}
	var err error
	facts.Host, err = s.host(f, c, n)
	return facts, err
}

// exampleAddresses are those of one pod, with the subnets that they are of.
type exampleAddresses struct {
	addresses []plan.Address
	subnets   []hns.Subnet
	// stands is true for one that is not the file's.
	stands bool
}

// examples returns the addresses that the first pod could get. None are HNS's choice.
func examples(c config.Config) exampleAddresses {
	var out exampleAddresses
	add := func(a netip.Addr, subnet netip.Prefix, gateway netip.Addr) {
		for _, r := range c.IPAM.Routes {
			if !gateway.IsValid() && r.Destination.Bits() == 0 && r.NextHop.Is4() == a.Is4() {
				gateway = r.NextHop
			}
		}
		out.addresses = append(out.addresses, plan.Address{Addr: a, Gateway: gateway})
		out.subnets = append(out.subnets, hns.Subnet{Prefix: subnet, Gateway: subnet.Addr().Next()})
	}
	for _, set := range c.IPAM.RangeSets {
		r := set.Ranges[0]
		taken := append([]netip.Addr{r.Gateway, r.Subnet.Addr().Next()}, plan.GatewaysOf(c, hns.Network{Subnets: []hns.Subnet{{Prefix: r.Subnet}}})...)
		a := r.First
		for a.Less(r.Last) && (slices.Contains(taken, a) || c.NamedAt(a) != "") {
			a = a.Next()
		}
		add(a, r.Subnet, r.Gateway)
	}
	for _, a := range c.IPAM.Addresses {
		add(a.Prefix.Addr(), a.Prefix.Masked(), a.Gateway)
	}
	if c.IPAM.Type != "" && len(out.addresses) == 0 {
		out.stands = true
		subnet := netip.MustParsePrefix("192.0.2.0/24") // RFC 5737
		if c.Network != nil && len(c.Network.Subnets) > 0 {
			subnet = c.Network.Subnets[0].Prefix
		}
		add(subnet.Addr().Next().Next().Next(), subnet, netip.Addr{})
	}
	return out
}
