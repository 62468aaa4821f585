// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Packet is a packet of a pod.
type Packet struct {
	Direction hns.Direction
	// Protocol is an IP protocol number.
	Protocol int
	// Remote is the other side's address.
	Remote netip.Addr
	// Local is the pod's side; zero is one of the addresses that it has.
	Local netip.Addr
	// Port is the destination's, From the source's; they mean something for TCP and
	// UDP only.
	Port, From uint16
	// Reply: the packet answers one that went the other way.
	Reply bool
}

// Verdict is what becomes of a packet.
type Verdict struct {
	Allowed bool
	// At is the enforcement point that decided: the first that drops the packet,
	// or the last that it passes. It is empty where none can be reconfigured.
	At hns.RuleType
	// Rule is the id of the rule that decided, empty when none did.
	Rule string
	// Why is a sentence.
	Why string
}

// Verdict says what becomes of a packet under the set's rules, as HNS evaluates
// them. A reply passes when what it answers does: both enforcement points track
// connections. A pod whose ACLs cannot be reconfigured has Windows' own default,
// which allows all, and one that no rule is sent for has the default table.
func (s Set) Verdict(p Packet) Verdict {
	if p.Reply {
		return s.reply(p)
	}
	if len(s.Rules) == 0 && len(EnforcedBy(s.Target.Driver, s.Target.Isolation)) > 0 {
		return s.unsent(p)
	}
	v := Verdict{Allowed: true, Why: fmt.Sprintf("it passes: Windows allows a %s pod on a %s network everything, and lets nobody change that",
		s.Target.Isolation, s.Target.Driver)}
	for _, point := range EnforcedBy(s.Target.Driver, s.Target.Isolation) {
		next := s.at(point, p)
		if !next.Allowed && p.Direction == hns.Out {
			return next
		}
		if !next.Allowed || v.Allowed { // VFP is the last one, and sees what comes in first
			v = next
		}
	}
	return v
}

// unsent judges a packet of a pod whose rules are left to others.
func (s Set) unsent(p Packet) Verdict {
	table, err := Compile(Target{Driver: s.Target.Driver, Isolation: s.Target.Isolation}, Spec{})
	if err != nil {
		return Verdict{Why: err.Error()}
	}
	v, what := table.Verdict(p), "it is dropped"
	if v.Allowed {
		what = "it passes"
	}
	return Verdict{Allowed: v.Allowed, At: v.At, Why: what + ": bulkhead sends no rule, and Windows' own default says so unless another agent sends some"}
}

// reply judges the packet that a reply answers.
func (s Set) reply(p Packet) Verdict {
	p.Reply = false
	p.Port, p.From = p.From, p.Port
	if p.Direction == hns.In {
		p.Direction = hns.Out
	} else {
		p.Direction = hns.In
	}
	v := s.Verdict(p)
	if v.Allowed {
		v.Why = "it answers a packet that passes: " + v.Why
	} else {
		v.Why = "it answers a packet that never passed: " + v.Why
	}
	return v
}

// at judges at one point. The Windows Firewall lets a block beat every allow,
// VFP lets the lowest priority decide; both drop what no rule matches.
func (s Set) at(point hns.RuleType, p Packet) Verdict {
	var matching []hns.ACL
	for _, r := range s.Rules {
		if r.RuleType == point && r.Direction == p.Direction && concerns(r, p) {
			matching = append(matching, r)
		}
	}
	if len(matching) == 0 {
		return Verdict{At: point, Why: fmt.Sprintf("it is dropped: no rule of the %s is about it", enforcer(point))}
	}
	first := slices.MinFunc(matching, func(a, b hns.ACL) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(precedence(a.Action), precedence(b.Action)))
	})
	verb := "it is dropped"
	if first.Action == hns.Allow {
		verb = "it passes"
	}
	return Verdict{
		Allowed: first.Action == hns.Allow, At: point, Rule: first.ID,
		Why: fmt.Sprintf("%s: %s says so, which is rule %s of the %s", verb, s.Origins[first.ID], first.ID, enforcer(point)),
	}
}

// precedence puts a block before an allow of the same priority.
func precedence(a hns.Action) int {
	if a == hns.Block {
		return 0
	}
	return 1
}

// concerns reports whether a rule is about a packet of its direction.
func concerns(r hns.ACL, p Packet) bool {
	own, other := p.Port, p.From
	if r.Direction == hns.Out {
		own, other = other, own
	}
	return (r.Protocol == hns.ProtocolAny || r.Protocol == p.Protocol) &&
		among(r.Remote, p.Remote) && (!p.Local.IsValid() || among(r.Local, p.Local)) &&
		onPort(r.LocalPorts, own) && onPort(r.RemotePorts, other)
}

func among(list []netip.Prefix, a netip.Addr) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(x netip.Prefix) bool { return x.Contains(a) })
}

func onPort(ranges []hns.PortRange, port uint16) bool {
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r hns.PortRange) bool { return r.First <= port && port <= r.Last })
}

// enforcer is what an enforcement point is called in a sentence.
func enforcer(point hns.RuleType) string {
	if point == hns.Host {
		return "Windows Firewall"
	}
	return "switch port (VFP)"
}
