// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// filter is what an enforcement point does with an endpoint's packets of a direction.
// What neither a tier nor a rule decides is dropped.
type filter struct {
	at        hns.RuleType
	direction hns.Direction
	tiers     [][]rule
	rules     []rule
}

// action is what becomes of a packet that a rule matches.
type action string

const (
	allow action = "allow"
	block action = "block"
	// pass hands it to the next tier.
	pass action = "pass"
)

// rule matches packets of one family, or of both when no address matters.
type rule struct {
	id     string
	action action
	family int // 4, 6, or 0 for both
	// source and destination each hold lists, in all of which the packet's address must be.
	source, destination [][]netip.Prefix
	protocols           []int // empty for any
	sourcePorts         []hns.PortRange
	destinationPorts    []hns.PortRange
}

// filtersOf returns the filters that may drop packets of an endpoint.
func filtersOf(e packet.Endpoint) []filter {
	var out []filter
	for _, point := range e.Points(cmp.Or(e.Isolation, hns.Process)) {
		for _, d := range []hns.Direction{hns.In, hns.Out} {
			f := filter{at: point.At, direction: d}
			switch {
			case point.Ruled(e, d):
				for _, t := range point.Tiers {
					if t.Direction == d {
						f.tiers = append(f.tiers, tierRules(e, t))
					}
				}
				for _, a := range point.Rules {
					if a.Direction == d {
						f.rules = append(f.rules, rulesOf(e, a, actionOf(a))...)
					}
				}
			case point.At == hns.Host && d == hns.In:
				f.rules = []rule{{id: "default allow", action: allow, protocols: packet.DefaultInbound()}}
			default:
				continue // everything passes
			}
			out = append(out, f)
		}
	}
	return out
}

func tierRules(e packet.Endpoint, t schema.TierACL) []rule {
	var out []rule
	for _, r := range t.Rules {
		do := actionOf(r.ACL)
		if r.Pass {
			do = pass
		}
		out = append(out, rulesOf(e, r.ACL, do)...)
	}
	return out
}

func actionOf(a schema.ACL) action {
	if a.Block {
		return block
	}
	return allow
}

// condition says that one end of a packet must be in a list.
type condition struct {
	source bool
	in     []netip.Prefix
}

// rulesOf returns the rules that together match what an ACL is about. Its addresses are
// the pod's and the peer's, and those of sets are the packet's source and destination
// (see package packet).
func rulesOf(e packet.Endpoint, a schema.ACL, do action) []rule {
	in := a.Direction == hns.In
	base := rule{id: a.ID, action: do, protocols: a.Protocols, sourcePorts: a.LocalPorts, destinationPorts: a.RemotePorts}
	if in {
		base.sourcePorts, base.destinationPorts = a.RemotePorts, a.LocalPorts
	}
	if len(a.LocalPorts)+len(a.RemotePorts) > 0 {
		base.protocols = e.WithPorts()
		if len(a.Protocols) > 0 {
			base.protocols = slices.DeleteFunc(base.protocols, func(p int) bool { return !slices.Contains(a.Protocols, p) })
		}
		if len(base.protocols) == 0 {
			return nil
		}
	}
	local := alternatives(e, a.Local, !in, true)
	remote := alternatives(e, a.Remote, in, false)
	var out []rule
	for _, l := range local {
		for _, r := range remote {
			out = append(out, base.with(l, r)...)
		}
	}
	return out
}

// alternatives returns the conditions one of which an address list asks for. The list's
// own prefixes are about one end of the packet, its sets about another. Nil is no condition.
func alternatives(e packet.Endpoint, l schema.AddrList, source, setsAreSources bool) []*condition {
	if l.IsAny() {
		return []*condition{nil}
	}
	var out []*condition
	if len(l.Prefixes) > 0 {
		out = append(out, &condition{source, l.Prefixes})
	}
	for _, id := range l.Sets {
		out = append(out, &condition{setsAreSources, e.Sets[id]})
	}
	return out
}

// with returns the rule with conditions, for each family in which they can hold.
func (r rule) with(conditions ...*condition) []rule {
	conditions = slices.DeleteFunc(conditions, func(c *condition) bool { return c == nil })
	if len(conditions) == 0 {
		return []rule{r}
	}
	var out []rule
	for _, family := range []int{4, 6} {
		own, possible := r, true
		own.family, own.source, own.destination = family, nil, nil
		for _, c := range conditions {
			in := slices.DeleteFunc(slices.Clone(c.in), func(p netip.Prefix) bool { return p.Addr().Is4() != (family == 4) })
			possible = possible && len(in) > 0
			if c.source {
				own.source = append(own.source, in)
			} else {
				own.destination = append(own.destination, in)
			}
		}
		if possible {
			out = append(out, own)
		}
	}
	return out
}
