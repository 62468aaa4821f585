// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// policies returns the endpoint's policies: what leads traffic first, the ACLs
// last, in the order of the configuration.
func policies(f Facts) ([]hns.Policy, error) {
	out := portMappings(f.Config)
	if nat := f.Config.OutboundNAT; nat != nil {
		out = append(out, hns.OutboundNAT{Exceptions: nat.Exceptions})
	}
	dsr, err := loopbackDSR(f)
	if err != nil {
		return nil, err
	}
	out = append(out, dsr...)
	for _, r := range f.Config.Routes {
		out = append(out, r)
	}
	if f.Config.Driver == hns.Overlay && f.Network.ProviderAddress.IsValid() {
		out = append(out, hns.ProviderAddress{Address: f.Network.ProviderAddress})
	}
	for _, p := range f.Config.Policies {
		out = append(out, p)
	}
	rules, err := acls(f.Config)
	if err != nil {
		return nil, err
	}
	return append(out, rules...), nil
}

// portMappings makes a policy of each mapping. Outside of nat networks, which
// have WinNAT, VFP needs the local routed flag.
func portMappings(c config.Config) []hns.Policy {
	var out []hns.Policy
	for _, m := range c.PortMappings {
		p := hns.PortMapping{
			Protocol:     m.Protocol,
			InternalPort: m.ContainerPort,
			ExternalPort: m.HostPort,
			VIP:          m.HostIP,
		}
		if c.Driver != hns.NAT {
			p.Flags |= hns.LocalRoutedVIP
		}
		if m.HostIP.Is6() {
			p.Flags |= hns.IPv6
		}
		out = append(out, p)
	}
	return out
}

// loopbackDSR lets a pod reach itself through its own service: outbound NAT
// towards its own IPv4 address (containernetworking/plugins, pkg/hns).
func loopbackDSR(f Facts) ([]hns.Policy, error) {
	if !f.Config.LoopbackDSR {
		return nil, nil
	}
	if err := CheckFeatures(f.Config, f.Features); err != nil {
		return nil, err
	}
	for _, a := range f.Addresses {
		if a.Addr.Is4() {
			return []hns.Policy{hns.OutboundNAT{Destinations: []string{a.Addr.String()}}}, nil
		}
	}
	return nil, fmt.Errorf("%w: loopbackDSR needs an IPv4 address from IPAM, and ipam gave none", ErrConflict)
}

// Network returns the network that the configuration owns, and whether it owns
// one. A nat network needs no network section: HNS then picks its subnet. It has
// no DNS: the configuration's, which the runtime may have changed for one pod,
// is each endpoint's.
func Network(c config.Config) (hns.Network, bool) {
	if c.Network == nil {
		return hns.Network{Name: c.Name, Driver: c.Driver}, c.Driver == hns.NAT
	}
	return hns.Network{
		Name:            c.Name,
		Driver:          c.Driver,
		Subnets:         c.Network.Subnets,
		Adapter:         c.Network.Adapter,
		ProviderAddress: c.Network.ProviderAddress,
		VXLANPort:       c.Network.VXLANPort,
		MACPool:         c.Network.MACPool,
		NonPersistent:   c.Network.NonPersistent,
	}, true
}
