// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Set is what a Spec becomes for a target: rules for HNS.
type Set struct {
	Target Target
	// Rules holds the Host rules before the Switch rules, always in the same
	// order. It is empty where ACLs cannot be reconfigured.
	Rules []hns.ACL
	// Origins tells by a rule's id which part of the Spec it is of.
	Origins map[string]string
}

// Compile returns the rules that mean for the target what spec says. The packets
// that pass are those that spec and every one of tighter allow. It fails with
// ErrUnenforceable when what enforces ACLs there cannot be told so: ACLs of any
// kind for a hyperv pod on a network without VFP; for the Windows Firewall alone,
// in which a block beats every allow, an allow before a block of the same packets,
// and allows beside an outbound default of deny; for any of them, specs whose product is
// more than HNS should be told. An unknown driver or isolation is an error.
func Compile(t Target, spec Spec, tighter ...Spec) (Set, error) {
	tighter = slices.Clone(tighter)
	if err := known(t.Driver, t.Isolation); err != nil {
		return Set{}, err
	}
	set := Set{Target: t, Origins: map[string]string{}}
	points := EnforcedBy(t.Driver, t.Isolation)
	if len(points) == 0 {
		return set, unreachable(t, append(tighter, spec))
	}
	for i := range tighter {
		// What the file leaves to rules the annotation's rules must let in, too.
		tighter[i].MappedByRules = tighter[i].MappedByRules || spec.MappedByRules
		if err := spec.narrowHost(tighter[i]); err != nil {
			return Set{}, err
		}
	}
	directions := []hns.Direction{hns.In, hns.Out}
	clauses := map[hns.Direction][]clause{}
	for _, d := range directions {
		clauses[d] = spec.meaning(t, d)
		for _, s := range tighter {
			var err error
			if clauses[d], err = within(s.meaning(t, d), clauses[d]); err != nil {
				return Set{}, err
			}
		}
	}
	for _, point := range points {
		for _, d := range directions {
			work := unbounded
			if len(tighter) > 0 {
				work = 0
			}
			if err := set.add(point, points, d, clauses[d], work); err != nil {
				return Set{}, err
			}
		}
	}
	return set, nil
}

// unreachable refuses a wish where Windows lets nobody reconfigure ACLs.
func unreachable(t Target, specs []Spec) error {
	for _, s := range specs {
		if len(s.Rules) > 0 || s.DenyInbound || s.DenyOutbound || s.DenyHost || len(s.HostTo) > 0 {
			return fmt.Errorf("%w: Windows cannot reconfigure the port ACLs of a %s pod on a %s network", ErrUnenforceable, t.Isolation, t.Driver)
		}
	}
	return nil
}

// add translates the clauses of a direction for one of the points that enforce
// ACLs.
func (s *Set) add(point hns.RuleType, points []hns.RuleType, d hns.Direction, clauses []clause, work budget) error {
	if point == hns.Switch {
		return s.addSwitch(d, clauses)
	}
	if len(points) > 1 {
		// VFP enforces the blocks.
		clauses = slices.DeleteFunc(slices.Clone(clauses), func(c clause) bool { return !c.allow })
	} else if err := checkFirewall(s.Target, d, clauses, work); err != nil {
		return err
	}
	s.addHost(d, clauses)
	return nil
}

// checkFirewall refuses what means something else in the Windows Firewall, where
// a block beats every allow and the order says nothing. Whether it drops what no
// outbound rule matches is not settled, so an outbound deny needs a block of all.
func checkFirewall(t Target, d hns.Direction, clauses []clause, work budget) error {
	for i, c := range clauses {
		for _, before := range clauses[:i] {
			if c.allow || !before.allow {
				continue
			}
			if err := work.spend(c.match, before.match); err != nil {
				return err
			}
			if c.overlaps(before.match) {
				return fmt.Errorf("%w: the Windows Firewall, which alone enforces the ACLs of a %s pod on a %s network, lets a deny beat every allow: "+
					"%s allows packets that %s, which comes later, denies; write them so that they share none",
					ErrUnenforceable, t.Isolation, t.Driver, before.name, c.name)
			}
		}
	}
	if d == hns.In || len(clauses) > 0 && clauses[len(clauses)-1].isAny() {
		return nil
	}
	for _, c := range clauses {
		if c.allow {
			return fmt.Errorf("%w: the Windows Firewall, which alone enforces the ACLs of a %s pod on a %s network, cannot deny outbound by default "+
				"and allow what %s does: a deny of all beats it; deny what is unwanted and leave the default at allow",
				ErrUnenforceable, t.Isolation, t.Driver, c.name)
		}
	}
	return nil
}

// addHost says clauses to the Windows Firewall. Unmatched inbound traffic is
// dropped there when there is any rule. Where nothing is allowed, a block of all
// says so and has no allow to beat. Host rules carry no priority since Windows
// 1803 (Calico, policysets.go, NewHostRule).
func (s *Set) addHost(d hns.Direction, clauses []clause) {
	allowed := false
	for _, c := range clauses {
		allowed = allowed || c.allow
		s.addClause(hns.Host, d, c, 0)
	}
	if !allowed {
		s.addClause(hns.Host, d, clause{name: defaultOf(d), id: "none"}, 0)
	}
}

// addSwitch says clauses to VFP, with an explicit tail: VFP drops what no rule
// matches as soon as an endpoint has any rule (microsoft/Windows-Containers#616),
// and whether that holds for one direction or both is not settled.
func (s *Set) addSwitch(d hns.Direction, clauses []clause) error {
	tail := clause{name: defaultOf(d)}
	if n := len(clauses); n > 0 && clauses[n-1].isAny() && clauses[n-1].level == tailLevel {
		tail, clauses = clauses[n-1], clauses[:n-1]
	}
	bound := tail
	if d == hns.Out && tail.allow && len(s.Target.Source) > 0 {
		tail = clause{name: "the pod's own addresses"}
	}
	tail.id = "tail"
	next := firstLevel
	for _, c := range clauses {
		level := int(c.level)
		if level == 0 {
			level, next = next, next+1
		}
		if next > hostLevel {
			return fmt.Errorf("%w: %d rules are more than the priorities of VFP can order", ErrUnenforceable, len(clauses))
		}
		s.addClause(hns.Switch, d, c, uint16(level))
	}
	if bound.allow && !tail.allow {
		bound.id = "own"
		s.addClause(hns.Switch, d, bound, protocolLevel)
	}
	s.addClause(hns.Switch, d, tail, tailLevel)
	return nil
}

// addClause adds the rules that a clause needs: one a protocol, and more when its
// lists are longer than HNS bears. They do the same, so their order is no matter.
func (s *Set) addClause(point hns.RuleType, d hns.Direction, c clause, priority uint16) {
	id := string(cmp.Or(s.Target.Owner, Pod))
	if point == hns.Switch {
		id += "switch-"
	}
	id += strings.ToLower(string(d))
	if c.id != "" {
		id += "-" + c.id
	}
	action := hns.Block
	if c.allow {
		action = hns.Allow
	}
	for _, p := range c.perProtocol() {
		n := 0
		for _, remote := range chunks(c.remote) {
			for _, ports := range chunks(c.ports) {
				r := hns.ACL{
					ID: id + suffix(p, n), Direction: d, Action: action, RuleType: point,
					Protocol: p, Remote: remote, Priority: priority,
				}
				if d == hns.In {
					r.LocalPorts = ports
				} else {
					r.RemotePorts = ports
				}
				if d == hns.Out && c.allow && point == hns.Switch {
					r.Local = s.Target.Source
				}
				s.Rules, s.Origins[r.ID] = append(s.Rules, r), c.name
				n++
			}
		}
	}
}

// suffix tells the rules of one clause apart: by protocol, and by number from
// the second on.
func suffix(number, n int) string {
	out := ""
	if number != hns.ProtocolAny {
		out = "-" + protocolID(number)
	}
	if n > 0 {
		out += fmt.Sprintf("-%d", n+1)
	}
	return out
}

func protocolID(number int) string {
	for _, p := range inbound {
		if p.number == number {
			return p.name
		}
	}
	return fmt.Sprintf("protocol%d", number)
}
