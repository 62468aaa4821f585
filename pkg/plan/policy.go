// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// policies returns the endpoint's policies: what leads traffic first, the ACLs
// last, in the order of the configuration.
func policies(f Facts) ([]hns.Policy, error) {
	if asked := f.Config.LoopbackDSR; asked != nil && *asked || gated(f.Config) {
		if err := CheckFeatures(f.Config, f.Features); err != nil {
			return nil, err
		}
	}
	out, err := portMappings(f)
	if err != nil {
		return nil, err
	}
	out = append(out, outboundNAT(f)...)
	dsr, err := loopbackDSR(f)
	if err != nil {
		return nil, err
	}
	out = append(out, dsr...)
	for _, r := range f.Config.Routes {
		out = append(out, r)
	}
	routes, err := ipamRoutes(f)
	if err != nil {
		return nil, err
	}
	out = append(out, routes...)
	given := slices.ContainsFunc(f.Config.Policies, func(p hns.Opaque) bool { return p.Type == "ProviderAddress" })
	if f.Config.Driver == hns.Overlay && f.Network.ProviderAddress.IsValid() && !given {
		out = append(out, hns.ProviderAddress{Address: f.Network.ProviderAddress})
	}
	if f.Config.EncapOverhead > 0 {
		out = append(out, hns.Opaque{Type: "EncapOverhead", Settings: fmt.Appendf(nil, `{"Overhead":%d}`, f.Config.EncapOverhead)})
	}
	if f.Config.EgressRate > 0 {
		out = append(out, hns.QOS{Egress: f.Config.EgressRate})
	}
	for _, p := range f.Config.Policies {
		out = append(out, passed(p, f.families())...)
	}
	out = append(out, openMapped(f)...)
	set, err := acls(f)
	if err != nil {
		return nil, err
	}
	for _, r := range set.Rules {
		out = append(out, r)
	}
	return out, nil
}

// families returns, of IPv4 and IPv6, those that the pod has: true is IPv6. HNS
// chooses IPv4 addresses only.
func (f Facts) families() []bool {
	var out []bool
	for _, six := range []bool{false, true} {
		if slices.ContainsFunc(f.Addresses, func(a Address) bool { return a.Addr.Is6() == six }) {
			out = append(out, six)
		}
	}
	if len(out) == 0 {
		return []bool{false}
	}
	return out
}

// portMappings makes a policy of each mapping and family: HNS maps IPv6 by a
// policy of its own. Outside of nat networks, which have WinNAT, VFP needs the
// local routed flag, without which the node does not reach its own port.
func portMappings(f Facts) ([]hns.Policy, error) {
	var out []hns.Policy
	for i, m := range f.Config.PortMappings {
		families := f.families()
		if m.HostIP.IsValid() {
			if !slices.Contains(families, m.HostIP.Is6()) {
				if f.Config.Covered(i) {
					continue
				}
				return nil, problem.New(ErrConflict, nil, "runtimeConfig.portMappings[%d].hostIP: %q is of a family that the pod has no address of; leave hostIP out", i, m.HostIP)
			}
			families = []bool{m.HostIP.Is6()}
		}
		for _, six := range families {
			out = append(out, portMapping(m, f.Config.Driver, six))
		}
	}
	return out, nil
}

func portMapping(m config.PortMapping, d hns.Driver, six bool) hns.PortMapping {
	p := hns.PortMapping{
		Protocol:     m.Protocol,
		InternalPort: m.ContainerPort,
		ExternalPort: m.HostPort,
	}
	if !m.HostIP.IsUnspecified() {
		p.VIP = m.HostIP
	}
	if d != hns.NAT {
		p.Flags |= hns.LocalRoutedVIP
	}
	if six {
		p.Flags |= hns.IPv6
	}
	return p
}

// outboundNAT makes a policy of each family that the pod has. Where the
// configuration excepts nothing of a family, the cluster's own ranges of it are
// excepted, as far as they are known: the network's subnets and what routes lead
// to. Nothing else is: hosts that do not know the way to a pod's own address must
// see the node's.
func outboundNAT(f Facts) []hns.Policy {
	if f.Config.OutboundNAT == nil {
		return nil
	}
	var own []netip.Prefix
	for _, s := range f.Network.Subnets {
		own = append(own, s.Prefix)
	}
	for _, r := range f.Config.Routes {
		if !slices.Contains(own, r.Destination) {
			own = append(own, r.Destination)
		}
	}
	asked := f.Config.OutboundNAT.Exceptions
	if f.Config.OutboundNAT.ExceptNetwork {
		asked = slices.Clone(asked)
		for _, s := range f.Network.Subnets {
			if !slices.Contains(asked, s.Prefix) {
				asked = append(asked, s.Prefix)
			}
		}
	}
	var out []hns.Policy
	for _, six := range f.families() {
		exceptions := ofFamily(asked, six)
		if len(exceptions) == 0 {
			exceptions = ofFamily(own, six)
		}
		out = append(out, hns.OutboundNAT{Exceptions: exceptions})
	}
	return out
}

// openMapped lets in what a port of the node leads to, where the configuration's policies
// hold ACLs: with any, HNS drops what none lets in. The priority is that of the rules of a
// configuration.
func openMapped(f Facts) []hns.Policy {
	const priority = 1000
	acls := slices.ContainsFunc(f.Config.Policies, func(p hns.Opaque) bool { return p.Type == "ACL" })
	if !acls || !f.Config.ACL.OpenMapped {
		return nil
	}
	var out []hns.Policy
	for _, m := range f.Config.PortMappings {
		rule := hns.ACL{
			Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: m.Protocol,
			LocalPorts: []hns.PortRange{{First: m.ContainerPort, Last: m.ContainerPort}}, Priority: priority,
		}
		if !slices.ContainsFunc(out, func(p hns.Policy) bool { return reflect.DeepEqual(p, rule) }) {
			out = append(out, rule)
		}
	}
	return out
}

func ofFamily(prefixes []netip.Prefix, six bool) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is6() == six {
			out = append(out, p)
		}
	}
	return out
}

// loopbackDSR lets a pod reach itself through its own service: outbound NAT
// towards each of its own addresses (containernetworking/plugins, pkg/hns). Where
// the configuration does not say, it is there when HNS has it and IPAM knows the
// addresses before HNS is asked.
func loopbackDSR(f Facts) ([]hns.Policy, error) {
	asked := f.Config.LoopbackDSR
	switch {
	case asked == nil:
		if !f.Config.Driver.HasVFP() || !f.Features.DSR() || !f.Config.HasAddresses() {
			return nil, nil
		}
	case !*asked:
		return nil, nil
	case len(f.Addresses) == 0:
		return nil, problem.New(ErrConflict, nil, "loopbackDSR needs an address from IPAM, and ipam gave none")
	}
	var out []hns.Policy
	for _, a := range f.Addresses {
		out = append(out, hns.OutboundNAT{Destinations: []string{a.Addr.String()}})
	}
	return out, nil
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
		HostRoute:       c.Network.HostRoute,
		RemoteSubnets:   c.Network.RemoteSubnets,
	}, true
}
