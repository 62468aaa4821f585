// SPDX-License-Identifier: Apache-2.0

// Package acltest makes random rules, targets and packets of a small world in which they
// meet, and says what a user means by rules. Whoever carries rules out can be held to it.
package acltest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Meant is the obvious reading of a set: walk the rules in the order that they
// count in, and take the first that is about the packet.
func Meant(t acl.Target, s acl.Spec, p acl.Packet) bool {
	if p.Direction == hns.Out && t.Driver.HasVFP() && len(t.Source) > 0 &&
		!slices.ContainsFunc(t.Source, func(x netip.Prefix) bool { return x.Contains(p.Local) }) {
		return false
	}
	rules := slices.Clone(s.Rules)
	slices.SortStableFunc(rules, func(a, b acl.Rule) int {
		switch {
		case a.Priority == b.Priority:
			return 0
		case a.Priority == 0:
			return 1
		case b.Priority == 0:
			return -1
		}
		return cmp.Compare(a.Priority, b.Priority)
	})
	for _, r := range rules {
		if about(r, p) {
			return r.Action == hns.Allow
		}
	}
	if p.Direction == hns.Out {
		return !s.DenyOutbound
	}
	opened := !s.MappedByRules && slices.Contains(t.Mapped, acl.Port{Protocol: p.Protocol, Number: p.Port})
	switch {
	case s.DenyInbound:
		return !s.DenyHost && slices.Contains(t.Host, p.Remote) && Serves(s.HostTo, p) || opened
	case t.Isolation == hns.HyperV:
		return true
	}
	return slices.Contains([]int{1, 2, 6, 17, 58}, p.Protocol)
}

// Serves reports whether a packet of the node is for one of the services, or for any when
// there is none.
func Serves(to []acl.Service, p acl.Packet) bool {
	return len(to) == 0 || slices.ContainsFunc(to, func(s acl.Service) bool {
		return about(acl.Rule{Direction: p.Direction, Protocols: s.Protocols, Ports: s.Ports}, p)
	})
}

func about(r acl.Rule, p acl.Packet) bool {
	if r.Direction != p.Direction || len(r.Protocols) > 0 && !slices.Contains(r.Protocols, p.Protocol) {
		return false
	}
	if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(x hns.PortRange) bool { return x.First <= p.Port && p.Port <= x.Last }) {
		return false
	}
	return len(r.Remote) == 0 || slices.ContainsFunc(r.Remote, func(x netip.Prefix) bool { return x.Contains(p.Remote) })
}

// Protocols, Ports and Remotes are those of the packets.
var (
	Protocols = []int{1, 2, 6, 17, 47, 58, 132}
	Ports     = []uint16{22, 80, 443, 8080}
	prefixes  = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.1.2.3/32"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fd00:1::/64"),
	}
	Remotes = []netip.Addr{
		netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("192.168.1.1"),
		netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("fd00:1::9"), netip.MustParseAddr("2001:db8::1"),
	}
)

// Own is an address of the pod, Stolen one of another's.
var (
	OwnPrefix = netip.MustParsePrefix("172.16.0.10/32")
	Own       = OwnPrefix.Addr()
	Stolen    = netip.MustParseAddr("172.16.0.11")
)

func some[T any](r *rand.Rand, list []T, most int) []T {
	var out []T
	for range r.IntN(most + 1) {
		out = append(out, list[r.IntN(len(list))])
	}
	return out
}

func one[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// Target returns a target that HNS can have.
func Target(r *rand.Rand) acl.Target {
	t := acl.Target{
		Driver:    one(r, hns.Drivers()...),
		Isolation: one(r, hns.Process, hns.Process, hns.HyperV),
		Host:      some(r, Remotes, 2),
	}
	if r.IntN(3) == 0 {
		t.Source = []netip.Prefix{OwnPrefix}
	}
	for _, port := range some(r, Ports, 2) {
		t.Mapped = append(t.Mapped, acl.Port{Protocol: one(r, 6, 17), Number: port})
	}
	return t
}

// Spec returns what a user may write.
func Spec(r *rand.Rand) acl.Spec {
	s := acl.Spec{DenyInbound: r.IntN(2) == 0, DenyOutbound: r.IntN(3) == 0, DenyHost: r.IntN(3) == 0, MappedByRules: r.IntN(4) == 0}
	for range r.IntN(3) {
		s.HostTo = append(s.HostTo, acl.Service{Protocols: some(r, Protocols, 2)})
		if r.IntN(2) == 0 {
			port := one(r, Ports...)
			s.HostTo[len(s.HostTo)-1] = acl.Service{Protocols: []int{one(r, 6, 17)}, Ports: []hns.PortRange{{First: port, Last: port}}}
		}
	}
	for i := range r.IntN(6) {
		rule := acl.Rule{
			Name:      fmt.Sprintf("acl.rules[%d]", i),
			Direction: one(r, hns.In, hns.Out),
			Action:    one(r, hns.Allow, hns.Block),
			Protocols: some(r, Protocols, 2),
			Remote:    some(r, prefixes, 2),
			Priority:  one(r, 0, 0, 100, 2000, uint16(hns.PriorityMax)),
		}
		if r.IntN(3) == 0 {
			rule.Protocols = []int{one(r, 6, 17)}
			for _, p := range some(r, Ports, 2) {
				rule.Ports = append(rule.Ports, hns.PortRange{First: p, Last: p + uint16(r.IntN(400))})
			}
		}
		s.Rules = append(s.Rules, rule)
	}
	return s
}

// Packet returns a packet of the pod with the address Own.
func Packet(r *rand.Rand) acl.Packet {
	p := acl.Packet{Direction: one(r, hns.In, hns.Out), Protocol: one(r, Protocols...), Remote: one(r, Remotes...), Local: one(r, Own, Own, Stolen)}
	if p.Protocol == 6 || p.Protocol == 17 {
		p.Port, p.From = one(r, Ports...), 40000
	}
	return p
}
