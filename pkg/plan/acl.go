// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// NeedsHost reports whether the plan of an endpoint depends on the node's
// addresses, so that a caller without need is spared the question.
func NeedsHost(c config.Config) bool {
	return c.ACL.Program && slices.ContainsFunc(append([]acl.Spec{c.ACL.Spec}, c.ACL.Tighter...), func(s acl.Spec) bool {
		return s.DenyInbound && !s.DenyHost
	})
}

// ACLs returns the rules that the configuration's ACLs become on the facts'
// network, with what they come from. Without programmed ACLs the set has no
// rules. What cannot be enforced there is an ErrConflict.
func ACLs(f Facts) (acl.Set, error) {
	f, err := f.forDriver()
	if err != nil {
		return acl.Set{}, err
	}
	return acls(f)
}

// acls is ACLs of facts that are for the network's driver already.
func acls(f Facts) (acl.Set, error) {
	c := f.Config
	t := acl.Target{Driver: c.Driver, Isolation: c.Isolation, Owner: owner(c)}
	if !c.ACL.Program {
		return acl.Set{Target: t}, nil
	}
	if NeedsHost(c) {
		if t.Host = f.host(); len(t.Host) == 0 {
			return acl.Set{}, problem.New(ErrConflict, nil, "acl.allowHost: the node has no address that it reaches the pod from; set it to false, or let in what probes the pod by a rule")
		}
	}
	if c.ACL.SpoofGuard {
		if t.Source = f.own(); len(t.Source) == 0 {
			return acl.Set{}, problem.New(ErrConflict, nil, "acl.spoofGuard: HNS chooses the pod's addresses, so no rule can name them; add an ipam section, or remove the key")
		}
	}
	for _, m := range c.PortMappings {
		p := acl.Port{Protocol: m.Protocol, Number: m.ContainerPort}
		if m.HostIP.IsValid() {
			p.From = netip.PrefixFrom(unspecified(m.HostIP), 0) // it maps one family
		}
		t.Mapped = append(t.Mapped, p)
	}
	set, err := acl.Compile(t, c.ACL.Spec, c.ACL.Tighter...)
	if err != nil {
		return acl.Set{}, problem.New(ErrConflict, err, "acl")
	}
	return set, nil
}

// owner returns whose the rules of a configuration are.
func owner(c config.Config) acl.Owner {
	if c.Type == config.TypeACL {
		return acl.Chained
	}
	return acl.Pod
}

// Reached returns what the node reaches pods of a network by: their addresses, or where
// HNS chooses them the network's, and of each family an address that is on no link
// (RFC 5737, RFC 3849), as a service's is.
func Reached(n hns.Network, pod []Address) []netip.Addr {
	out := []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1})}
	for _, a := range pod {
		out = append(out, a.Addr)
	}
	for _, s := range n.Subnets {
		if len(pod) == 0 && s.Prefix.IsValid() {
			out = append(out, s.Prefix.Masked().Addr().Next())
		}
	}
	return out
}

// own returns the addresses that the pod sends from: its own and, in IPv6, what every
// interface sends from to find its neighbours (RFC 4861, sections 4.3 and 7.2.2).
func (f Facts) own() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range f.Addresses {
		out = append(out, netip.PrefixFrom(a.Addr, a.Addr.BitLen()))
		if a.Addr.Is6() {
			out = append(out, netip.PrefixFrom(netip.IPv6Unspecified(), a.Addr.BitLen()), netip.MustParsePrefix("fe80::/10"))
		}
	}
	// Whoever tells the addresses has an order of its own.
	slices.SortFunc(out, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(out)
}

// SeenAsNode returns the subnets of the network whose pods other pods take for the node:
// outbound NAT does not except them, and allowHost lets in whoever has the node's address.
func SeenAsNode(c config.Config, n hns.Network) []netip.Prefix {
	exceptions, own, asked := c.NATExceptions()
	if !asked || !NeedsHost(c) {
		return nil
	}
	var out []netip.Prefix
	for _, s := range n.Subnets {
		of := ofFamily(exceptions, s.Prefix.Addr().Is6())
		if own && len(of) == 0 || covers(of, s.Prefix) {
			continue
		}
		out = append(out, s.Prefix)
	}
	return out
}

// covers reports whether prefixes hold every address of p.
func covers(prefixes []netip.Prefix, p netip.Prefix) bool {
	inside := false
	for _, x := range prefixes {
		if x.Overlaps(p) && x.Bits() <= p.Bits() {
			return true
		}
		inside = inside || x.Overlaps(p)
	}
	if !inside {
		return false
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	return covers(prefixes, low) && covers(prefixes, netip.PrefixFrom(hns.Subnet{Prefix: p}.Last(), p.Bits()+1).Masked())
}

// host returns the addresses that the node may reach the pod from, sorted: those of the
// facts, and those that HNS makes the node have for the network, on which they may not be
// seen yet: the gateway of a nat network, the node's own endpoint, and the address under
// an overlay.
func (f Facts) host() []netip.Addr {
	all := append(slices.Clone(f.Host), f.Network.ProviderAddress)
	if f.Network.Driver == hns.NAT {
		for _, s := range f.Network.Subnets {
			all = append(all, s.Gateway)
		}
	}
	if own, asked := NodeEndpoint(f.Config, f.Network); asked {
		all = append(all, own.Addrs()...)
	}
	families := f.families()
	var out []netip.Addr
	for _, a := range all {
		if a = a.Unmap().WithZone(""); a.IsGlobalUnicast() && slices.Contains(families, a.Is6()) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
