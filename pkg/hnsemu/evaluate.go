// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// Evaluate says what would become of a packet: it must pass every enforcement
// point that there is for the network's driver and the isolation (hns.md section
// 5.3). Replies are not looked at: both firewalls are stateful.
func (h *Host) Evaluate(p Packet) (Verdict, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.findEndpoint(p.EndpointID)
	if err != nil {
		return Verdict{}, &hns.Error{Op: "evaluate", Object: p.EndpointID, Code: schema.CodeOf(err), Err: err}
	}
	if err := p.complete(e); err != nil {
		return Verdict{}, fmt.Errorf("evaluate a packet of endpoint %q: %w", e.name, err)
	}
	verdict := Verdict{Allowed: true, Rule: "default allow", Why: "no enforcement point can be configured for hyperv isolation on this driver"}
	for i, point := range h.points(e, p.Isolation) {
		v := point.judge(p, e, h.unknowns.DenyPerDirection)
		if !v.Allowed {
			return v, nil
		}
		if i == 0 || v.At != "" {
			verdict = v
		}
	}
	return verdict, nil
}

// complete checks a packet and fills in the isolation.
func (p *Packet) complete(e *endpoint) error {
	switch {
	case e.Remote():
		return schema.Errorf(schema.CodeNotLocal, "the endpoint is remote")
	case p.Direction != hns.In && p.Direction != hns.Out:
		return schema.Errorf(schema.CodeInvalidParameter, "direction %q is not In or Out", p.Direction)
	case p.Protocol < 0 || p.Protocol > 255:
		return schema.Errorf(schema.CodeInvalidParameter, "protocol %d is not in 0-255", p.Protocol)
	case !p.Remote.IsValid():
		return schema.Errorf(schema.CodeInvalidParameter, "the packet has no remote address")
	}
	p.Remote = p.Remote.Unmap()
	if p.Isolation == "" {
		p.Isolation = hns.Process
		if e.namespace != nil && len(e.namespace.containers) > 0 {
			p.Isolation = e.namespace.containers[0].isolation
		}
	}
	if p.Isolation != hns.Process && p.Isolation != hns.HyperV {
		return schema.Errorf(schema.CodeInvalidParameter, "isolation %q is not process or hyperv", p.Isolation)
	}
	return nil
}

// point is an enforcement point with the rules that reached it.
type point struct {
	at    hns.RuleType
	rules []schema.ACL
	tiers []schema.TierACL
}

// points returns the enforcement points of an endpoint, in the order that the
// table of section 5.3 names them. The firewall of a utility VM is not among
// them: no ACL reaches it, and it allows everything.
func (h *Host) points(e *endpoint, isolation hns.Isolation) []point {
	driver := hns.Driver(strings.ToLower(e.network.Type))
	native := hns.Host
	if driver.HasVFP() || driver == hns.NAT && h.unknowns.NATBySwitch {
		native = hns.Switch
	}
	firewall, vfp := point{at: hns.Host}, point{at: hns.Switch}
	for _, p := range slices.Concat(e.network.Policies, e.Policies) {
		firewall.take(p, e.network, native)
		vfp.take(p, e.network, native)
	}
	switch {
	case isolation == hns.HyperV && driver.HasVFP():
		return []point{vfp}
	case isolation == hns.HyperV:
		return nil
	case driver.HasVFP():
		return []point{firewall, vfp}
	case native == hns.Switch:
		// The firewall is still there, but no rule reaches it.
		return []point{{at: hns.Host}, vfp}
	}
	return []point{firewall}
}

// take adds a policy to the point that enforces it: the one it names, else the
// driver's native one (hns.md section 5.2).
func (p *point) take(policy schema.Policy, n *network, native hns.RuleType) {
	switch policy.Type {
	case schema.PolicyACL, schema.PolicyNetworkACL:
		a, err := schema.ParseACL(policy, n.SetIDs())
		if err != nil {
			return
		}
		if a.RuleType == "" {
			a.RuleType = native
		}
		if a.RuleType == p.at {
			p.rules = append(p.rules, a)
		}
	case schema.PolicyTierACL:
		t, err := schema.ParseTierACL(policy, n.SetIDs())
		if err == nil && p.at == hns.Switch {
			p.tiers = append(p.tiers, t)
		}
	}
}

// judge applies the point's rules, or its default when there are none. Once
// there are, what none of them allows is dropped (Windows-Containers#616).
func (p point) judge(packet Packet, e *endpoint, perDirection bool) Verdict {
	counts := func(d hns.Direction) bool { return !perDirection || d == packet.Direction }
	ruled := slices.ContainsFunc(p.rules, func(a schema.ACL) bool { return counts(a.Direction) }) ||
		slices.ContainsFunc(p.tiers, func(t schema.TierACL) bool { return counts(t.Direction) })
	if !ruled {
		return p.byDefault(packet)
	}
	matches := func(a schema.ACL) bool { return matches(a, packet, e) }
	if p.at == hns.Host {
		return p.firewall(matches)
	}
	return p.vfp(packet.Direction, matches)
}

// byDefault is the table of hns.md section 5.4. VFP lets everything pass.
func (p point) byDefault(packet Packet) Verdict {
	v := Verdict{Allowed: true, Rule: "default allow"}
	switch {
	case p.at == hns.Switch:
		v.Why = "there is no Switch rule, and VFP allows everything by default"
	case packet.Direction == hns.Out:
		v.Why = "there is no Host rule, and the firewall allows everything outbound by default"
	case slices.Contains([]int{1, 2, 6, 17, 58}, packet.Protocol):
		v.Why = "there is no Host rule, and the firewall allows inbound TCP, UDP, ICMP and IGMP by default"
	default:
		v.Allowed, v.Rule = false, "default deny"
		v.Why = fmt.Sprintf("there is no Host rule, and protocol %d is not among those that the firewall allows inbound by default", packet.Protocol)
	}
	return v
}

// firewall judges as the Windows Firewall does: a Block beats every Allow.
func (p point) firewall(matches func(schema.ACL) bool) Verdict {
	for _, block := range []bool{true, false} {
		for _, a := range p.rules {
			if a.Block == block && matches(a) {
				return p.decided(a)
			}
		}
	}
	return p.unmatched()
}

// vfp judges as the switch port does: tiers by ascending order, and in them and
// in the plain list rules by ascending priority. Where priorities are equal HNS
// has no defined order, so the emulator takes the one that hurts: Block first.
func (p point) vfp(direction hns.Direction, matches func(schema.ACL) bool) Verdict {
	tiers := slices.DeleteFunc(slices.Clone(p.tiers), func(t schema.TierACL) bool { return t.Direction != direction })
	slices.SortStableFunc(tiers, func(a, b schema.TierACL) int { return int(a.Order) - int(b.Order) })
	for _, t := range tiers {
		rules := slices.Clone(t.Rules)
		slices.SortStableFunc(rules, func(a, b schema.TierRule) int { return byPriority(a.ACL, b.ACL) })
		i := slices.IndexFunc(rules, func(r schema.TierRule) bool { return matches(r.ACL) })
		if i >= 0 && !rules[i].Pass {
			return p.decided(rules[i].ACL)
		}
	}
	rules := slices.Clone(p.rules)
	slices.SortStableFunc(rules, byPriority)
	if i := slices.IndexFunc(rules, matches); i >= 0 {
		return p.decided(rules[i])
	}
	return p.unmatched()
}

// byPriority orders rules: the lower number first, and Block first among
// equals.
func byPriority(a, b schema.ACL) int {
	if a.Priority != b.Priority {
		return int(a.Priority) - int(b.Priority)
	}
	switch {
	case a.Block == b.Block:
		return 0
	case a.Block:
		return -1
	}
	return 1
}

// decided is the verdict of a rule that matched.
func (p point) decided(a schema.ACL) Verdict {
	v := Verdict{Allowed: !a.Block, At: p.at, Rule: a.ID}
	verb := "allows"
	if a.Block {
		verb = "blocks"
	}
	v.Why = fmt.Sprintf("%s rule %q %s it", p.at, a.ID, verb)
	if p.at == hns.Switch {
		v.Why = fmt.Sprintf("%s rule %q of priority %d %s it", p.at, a.ID, a.Priority, verb)
	}
	return v
}

// unmatched is the verdict where there are rules and none matched.
func (p point) unmatched() Verdict {
	return Verdict{
		At: p.at, Rule: "default deny",
		Why: fmt.Sprintf("no %s rule matches, and where there are any the unmatched is dropped", p.at),
	}
}

// matches reports whether a rule is about a packet.
func matches(a schema.ACL, p Packet, e *endpoint) bool {
	if a.Direction != p.Direction || len(a.Protocols) > 0 && !slices.Contains(a.Protocols, p.Protocol) {
		return false
	}
	var local netip.Addr
	for _, own := range e.addresses {
		if own.Addr().Is4() == p.Remote.Is4() {
			local = own.Addr()
			break
		}
	}
	// Sets are the source's in LocalAddresses and the destination's in
	// RemoteAddresses, whatever the direction (hns.md section 5.1).
	localSet, remoteSet := local, p.Remote
	if p.Direction == hns.In {
		localSet, remoteSet = p.Remote, local
	}
	return listMatches(a.Local, local, localSet, e.network) &&
		listMatches(a.Remote, p.Remote, remoteSet, e.network) &&
		portsMatch(a.LocalPorts, p.Protocol, p.LocalPort) &&
		portsMatch(a.RemotePorts, p.Protocol, p.RemotePort)
}

// listMatches compares addr with the prefixes and inSet with the sets.
func listMatches(l schema.AddrList, addr, inSet netip.Addr, n *network) bool {
	if l.IsAny() {
		return true
	}
	if slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return true
	}
	sets := n.Sets()
	return slices.ContainsFunc(l.Sets, func(id string) bool {
		return slices.ContainsFunc(sets[id], func(p netip.Prefix) bool { return p.Contains(inSet) })
	})
}

// portsMatch: a rule with ports is about protocols that have them.
func portsMatch(ranges []hns.PortRange, protocol int, port uint16) bool {
	if len(ranges) == 0 {
		return true
	}
	return schema.HasPorts(protocol) && slices.ContainsFunc(ranges, func(r hns.PortRange) bool {
		return r.First <= port && port <= r.Last
	})
}
