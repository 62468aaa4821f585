// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// clause is a line of a set's plain meaning in one direction: the first that
// matches decides, and what none matches is denied.
type clause struct {
	match
	allow bool
	// name tells an admin where the clause comes from, id tells rules apart.
	name, id string
	// level is the priority of a clause that is not the user's, 0 for one that is.
	level uint16
}

// Levels of the clauses that are not the user's, and the first of those that are.
// Switch rules of one priority have no defined order in HNS, so no allow shares
// one with a block.
const (
	firstLevel    = 1000
	hostLevel     = 64000
	mappedLevel   = 64500
	protocolLevel = 65000
	tailLevel     = hns.PriorityMax
)

// meaning returns the clauses of a set in one direction.
func (s Spec) meaning(t Target, d hns.Direction) []clause {
	out := s.ruled(d)
	if d == hns.Out {
		if !s.DenyOutbound {
			out = append(out, anything(d))
		}
		return out
	}
	if s.DenyInbound && !s.DenyHost && len(t.Host) > 0 {
		out = append(out, s.theHost(t.Host)...)
	}
	switch {
	case s.DenyInbound && s.MappedByRules:
		return out
	case s.DenyInbound:
		return append(out, mapped(t.Mapped)...)
	case t.Isolation == hns.HyperV:
		return append(out, anything(d))
	default:
		return append(out, usual()...)
	}
}

// ruled returns the clauses of the user's rules, in the order in which they count.
func (s Spec) ruled(d hns.Direction) []clause {
	type numbered struct {
		Rule
		n int
	}
	var rules []numbered
	for n, r := range s.Rules {
		if r.Direction == d {
			rules = append(rules, numbered{r, n})
		}
	}
	slices.SortStableFunc(rules, func(a, b numbered) int { return cmp.Compare(a.rank(), b.rank()) })
	var out []clause
	seen := map[string]bool{}
	for _, r := range rules {
		m := match{r.Protocols, merged(r.Ports), minimal(r.Remote)}
		key := fmt.Sprint(m)
		if seen[key] {
			continue // the first of them decides
		}
		seen[key] = true
		out = append(out, clause{
			match: m,
			allow: r.Action == hns.Allow,
			name:  r.Name,
			id:    fmt.Sprintf("rule%d", r.n),
		})
	}
	return out
}

// rank puts rules without a priority last.
func (r Rule) rank() int {
	if r.Priority == 0 {
		return hns.PriorityMax + 1
	}
	return int(r.Priority)
}

// protocol is an IP protocol with its name in ids and in documents.
type protocol struct {
	number      int
	name, title string
}

// inbound lists what may enter a process-isolated pod (Microsoft, "Network
// isolation and security": TCP, UDP, ICMP, IGMP).
var inbound = []protocol{
	{tcp, "tcp", "TCP"},
	{udp, "udp", "UDP"},
	{1, "icmpv4", "ICMPv4"},
	{58, "icmpv6", "ICMPv6"},
	{2, "igmp", "IGMP"},
}

// usual is the inbound default of a process-isolated pod.
func usual() []clause {
	var out []clause
	for _, p := range inbound {
		out = append(out, clause{
			match: match{protocols: []int{p.number}}, allow: true,
			name: defaultOf(hns.In) + " for " + p.title, level: protocolLevel,
		})
	}
	return out
}

// anything is a default that allows all.
func anything(d hns.Direction) clause {
	return clause{allow: true, name: defaultOf(d), level: tailLevel}
}

// defaultOf is what a direction's default is called.
func defaultOf(d hns.Direction) string {
	return "the " + strings.ToLower(string(d)) + "bound default"
}

// theHost lets the node itself in, to what it may reach.
func (s Spec) theHost(addrs []netip.Addr) []clause {
	var from []netip.Prefix
	for _, a := range addrs {
		from = append(from, netip.PrefixFrom(a, a.BitLen()))
	}
	if len(s.HostTo) == 0 {
		return []clause{{match: match{remote: from}, allow: true, name: "allowHost", id: "host", level: hostLevel}}
	}
	var out []clause
	for i, to := range distinct(s.HostTo) {
		out = append(out, clause{
			match: match{to.Protocols, to.Ports, from}, allow: true,
			name: fmt.Sprintf("allowHost[%d]", i), id: fmt.Sprintf("host%d", i), level: hostLevel,
		})
	}
	return out
}

// narrowHost leaves of what the node reaches what the pod's own set lets it, too: a pod
// may cut off the node whatever else it says. It fails with ErrUnenforceable when the two
// lists are too long to be compared.
func (s *Spec) narrowHost(pod Spec) error {
	s.DenyHost = s.DenyHost || pod.DenyHost
	switch {
	case len(pod.HostTo) == 0:
		return nil
	case len(s.HostTo) == 0:
		s.HostTo = distinct(pod.HostTo)
		return nil
	}
	var both []Service
	var work budget
	own := distinct(s.HostTo)
	for _, a := range distinct(pod.HostTo) {
		for _, b := range own {
			x, y := match{a.Protocols, a.Ports, nil}, match{b.Protocols, b.Ports, nil}
			if err := work.spend(x, y); err != nil {
				return err
			}
			if m, some := x.and(y); some {
				both = append(both, Service{m.protocols, m.ports})
			}
		}
		if len(both) > maxProduct {
			return fmt.Errorf("%w: allowHost of the pod's annotation and of the file have more than %d entries together; merge some", ErrUnenforceable, maxProduct)
		}
	}
	s.HostTo = both
	s.DenyHost = s.DenyHost || len(both) == 0
	return nil
}

// distinct returns the services without repetitions, in their order.
func distinct(all []Service) []Service {
	var out []Service
	seen := map[string]bool{}
	for _, s := range all {
		s.Ports = merged(s.Ports)
		if key := fmt.Sprint(s); !seen[key] {
			seen[key] = true
			out = append(out, s)
		}
	}
	return out
}

// mapped opens the ports that ports of the node lead to.
func mapped(ports []Port) []clause {
	var out []clause
	for i, p := range ports {
		if slices.Contains(ports[:i], p) {
			continue
		}
		c := clause{
			match: match{protocols: []int{p.Protocol}, ports: []hns.PortRange{{First: p.Number, Last: p.Number}}},
			allow: true, name: fmt.Sprintf("the port mapping to port %d", p.Number), id: fmt.Sprintf("map%d", p.Number), level: mappedLevel,
		}
		if p.From.IsValid() {
			c.remote = []netip.Prefix{p.From}
			if p.From.Addr().Is4() {
				c.id += "-ipv4"
			} else {
				c.id += "-ipv6"
			}
		}
		out = append(out, c)
	}
	return out
}

// Bounds of what two sets together may cost: comparisons of addresses, and clauses that
// come of them. They keep the product of an annotation and a file, which nobody reads
// together before the pod starts, below a tenth of a second.
const (
	maxComparisons = 1_000_000
	maxProduct     = 2_000
	maxListed      = 20_000 // addresses and ports of all of them
)

// budget counts what comparing clauses costs. An admin's own file has no bound.
type budget int

const unbounded budget = -1

func (b *budget) spend(x, y match) error {
	if *b == unbounded {
		return nil
	}
	*b += budget(max(1, len(x.remote)) * max(1, len(y.remote)) * max(1, len(x.ports)) * max(1, len(y.ports)))
	if *b > maxComparisons {
		return fmt.Errorf("%w: its rules have too many addresses and ports to be compared with each other; merge some", ErrUnenforceable)
	}
	return nil
}

// within returns the clauses that allow what both sets allow. What a clause of
// the tighter set allows is what the wider set makes of it. It fails with
// ErrUnenforceable when that is more than the bounds.
func within(tighter, wider []clause) ([]clause, error) {
	var out []clause
	var work budget
	listed := 0
	for _, t := range tighter {
		if !t.allow {
			out = append(out, t)
			continue
		}
		for i, w := range wider {
			if err := work.spend(t.match, w.match); err != nil {
				return nil, err
			}
			m, some := t.and(w.match)
			if !some {
				continue
			}
			listed += max(1, len(m.protocols)) * (len(m.remote) + len(m.ports))
			out = append(out, clause{
				match: m, allow: w.allow, name: t.name + " within " + w.name,
				id: strings.TrimPrefix(fmt.Sprintf("%s-within%d", t.id, i), "-"),
			})
		}
		if len(out) > maxProduct || listed > maxListed {
			return nil, fmt.Errorf("%w: the pod's annotation and the file have more than %d rules, or %d addresses and ports, together; merge some", ErrUnenforceable, maxProduct, maxListed)
		}
	}
	return out, nil
}
