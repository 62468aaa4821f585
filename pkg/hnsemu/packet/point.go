// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// Point is an enforcement point of an endpoint. The tiers come before the rules.
type Point struct {
	// At is Host for the Windows Firewall and Switch for VFP.
	At hns.RuleType
	// Tiers are in the order in which they are tried, and so are the rules of
	// each. That tiers go by ascending Order, and what Pass does, is not
	// documented.
	Tiers []schema.TierACL
	// Rules are in the order in which they are tried: the first that matches
	// decides.
	Rules []schema.ACL
}

// Points returns the enforcement points of the endpoint for a container of that
// isolation, in the order that a packet on its way out passes them. The firewall inside of a
// Hyper-V container is none of them: no ACL reaches it, and it allows everything.
func (e Endpoint) Points(isolation hns.Isolation) []Point {
	firewall, vfp := Point{At: hns.Host, Rules: e.rules(hns.Host)}, Point{At: hns.Switch, Rules: e.rules(hns.Switch)}
	slices.SortStableFunc(firewall.Rules, blockFirst)
	slices.SortStableFunc(vfp.Rules, byPriority)
	for _, t := range e.Tiers {
		t.Rules = slices.Clone(t.Rules)
		slices.SortStableFunc(t.Rules, func(a, b schema.TierRule) int { return byPriority(a.ACL, b.ACL) })
		vfp.Tiers = append(vfp.Tiers, t)
	}
	slices.SortStableFunc(vfp.Tiers, func(a, b schema.TierACL) int { return cmp.Compare(a.Order, b.Order) })
	switch {
	case isolation == hns.HyperV && e.Driver.HasVFP():
		return []Point{vfp}
	case isolation == hns.HyperV:
		return nil
	case e.Driver.HasVFP():
		return []Point{firewall, vfp}
	case e.native() == hns.Switch:
		// The firewall is still there, but no rule reaches it.
		return []Point{{At: hns.Host}, vfp}
	}
	return []Point{firewall}
}

// native returns the enforcement point of ACLs that name none. Azure's NPM and
// winc leave RuleType out and expect their rules to be enforced.
func (e Endpoint) native() hns.RuleType {
	if e.Driver.HasVFP() || e.Driver == hns.NAT && e.NATBySwitch {
		return hns.Switch
	}
	return hns.Host
}

// rules returns the ACLs of an enforcement point.
func (e Endpoint) rules(at hns.RuleType) []schema.ACL {
	return slices.DeleteFunc(slices.Clone(e.ACLs), func(a schema.ACL) bool { return cmp.Or(a.RuleType, e.native()) != at })
}

// blockFirst orders the rules of the Windows Firewall: a Block beats every Allow.
func blockFirst(a, b schema.ACL) int {
	switch {
	case a.Block == b.Block:
		return 0
	case a.Block:
		return -1
	}
	return 1
}

// byPriority orders the rules of VFP: the lower number wins
// (microsoft/Windows-Containers#616). The order of equal priorities is not
// defined (Calico, felix/dataplane/windows/policysets); the emulator takes the
// one that hurts, Block first.
func byPriority(a, b schema.ACL) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), blockFirst(a, b))
}

// Ruled reports whether the point drops what no rule allows in a direction: it has a rule
// or a tier that counts there.
func (p Point) Ruled(e Endpoint, d hns.Direction) bool {
	counts := func(of hns.Direction) bool { return !e.DenyPerDirection || of == d }
	return slices.ContainsFunc(p.Rules, func(a schema.ACL) bool { return counts(a.Direction) }) ||
		slices.ContainsFunc(p.Tiers, func(t schema.TierACL) bool { return counts(t.Direction) })
}

// judge applies the rules of the point, or its default when there are none. Once
// there are rules, what none of them allows is dropped
// (microsoft/Windows-Containers#616).
func (p Point) judge(e Endpoint, packet Packet) Verdict {
	if !p.Ruled(e, packet.Direction) {
		return p.byDefault(packet)
	}
	for _, t := range p.Tiers {
		i := slices.IndexFunc(t.Rules, func(r schema.TierRule) bool { return e.matches(r.ACL, packet) })
		if i >= 0 && !t.Rules[i].Pass {
			return p.decided(t.Rules[i].ACL)
		}
	}
	if i := slices.IndexFunc(p.Rules, func(a schema.ACL) bool { return e.matches(a, packet) }); i >= 0 {
		return p.decided(p.Rules[i])
	}
	return Verdict{
		At: p.At, Rule: "default deny",
		Why: fmt.Sprintf("no %s rule matches, and where there are any the unmatched is dropped", p.At),
	}
}

// DefaultInbound returns the protocols that the Windows Firewall allows inbound
// when it has no rule: ICMP, IGMP, TCP, UDP and ICMPv6 (Microsoft, "Network
// isolation and security").
func DefaultInbound() []int { return []int{1, 2, 6, 17, 58} }

// byDefault is the verdict of a point without rules. VFP lets everything pass.
func (p Point) byDefault(packet Packet) Verdict {
	v := Verdict{Allowed: true, Rule: "default allow"}
	switch {
	case p.At == hns.Switch:
		v.Why = "there is no Switch rule, and VFP allows everything by default"
	case packet.Direction == hns.Out:
		v.Why = "there is no Host rule, and the firewall allows everything outbound by default"
	case slices.Contains(DefaultInbound(), packet.Protocol):
		v.Why = "there is no Host rule, and the firewall allows inbound TCP, UDP, ICMP and IGMP by default"
	default:
		v.Allowed, v.Rule = false, "default deny"
		v.Why = fmt.Sprintf("there is no Host rule, and protocol %d is not among those that the firewall allows inbound by default", packet.Protocol)
	}
	return v
}

// decided is the verdict of a rule that matched.
func (p Point) decided(a schema.ACL) Verdict {
	v := Verdict{Allowed: !a.Block, At: p.At, Rule: a.ID}
	verb := "allows"
	if a.Block {
		verb = "blocks"
	}
	v.Why = fmt.Sprintf("%s rule %q %s it", p.At, a.ID, verb)
	if p.At == hns.Switch {
		v.Why = fmt.Sprintf("%s rule %q of priority %d %s it", p.At, a.ID, a.Priority, verb)
	}
	return v
}
