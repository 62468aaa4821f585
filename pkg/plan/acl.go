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
		t.Host = f.host()
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

// host returns the addresses that the node may reach the pod from, sorted: its
// own, and those that HNS makes it have for the network, on which they may not
// be seen yet: a nat network's gateway and the address under an overlay.
func (f Facts) host() []netip.Addr {
	all := append(slices.Clone(f.Host), f.Network.ProviderAddress)
	if f.Network.Driver == hns.NAT {
		for _, s := range f.Network.Subnets {
			all = append(all, s.Gateway)
		}
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
