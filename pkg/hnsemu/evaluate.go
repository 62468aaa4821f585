// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Evaluate says what would become of a packet: it must pass every enforcement
// point that there is for the network's driver and the isolation (hns.md section
// 5.3). Replies are not looked at: both firewalls are stateful.
func (h *Host) Evaluate(p Packet) (Verdict, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.findEndpoint(p.EndpointID)
	if err != nil {
		return Verdict{}, &hns.Error{Op: "evaluate", Object: p.EndpointID, Code: codeOf(err), Err: err}
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
	case e.remote():
		return refuse(codeNotLocal, "the endpoint is remote")
	case p.Direction != hns.In && p.Direction != hns.Out:
		return refuse(codeInvalidParameter, "direction %q is not In or Out", p.Direction)
	case p.Protocol < 0 || p.Protocol > 255:
		return refuse(codeInvalidParameter, "protocol %d is not in 0-255", p.Protocol)
	case !p.Remote.IsValid():
		return refuse(codeInvalidParameter, "the packet has no remote address")
	}
	p.Remote = p.Remote.Unmap()
	if p.Isolation == "" {
		p.Isolation = hns.Process
		if e.namespace != nil && len(e.namespace.containers) > 0 {
			p.Isolation = e.namespace.containers[0].isolation
		}
	}
	if p.Isolation != hns.Process && p.Isolation != hns.HyperV {
		return refuse(codeInvalidParameter, "isolation %q is not process or hyperv", p.Isolation)
	}
	return nil
}

// point is an enforcement point with the rules that reached it.
type point struct {
	at    hns.RuleType
	rules []acl
	tiers []tier
}

// points returns the enforcement points of an endpoint, in the order that the
// table of section 5.3 names them. The firewall of a utility VM is not among
// them: no ACL reaches it, and it allows everything.
func (h *Host) points(e *endpoint, isolation hns.Isolation) []point {
	driver := hns.Driver(strings.ToLower(e.network.kind))
	native := hns.Host
	if driver.HasVFP() || driver == hns.NAT && h.unknowns.NATBySwitch {
		native = hns.Switch
	}
	firewall, vfp := point{at: hns.Host}, point{at: hns.Switch}
	for _, p := range slices.Concat(e.network.policies, e.policies) {
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
func (p *point) take(policy policy, n *network, native hns.RuleType) {
	switch policy.kind {
	case kindACL, kindNetworkACL:
		a, err := parseACL(policy, n.setNames())
		if err != nil {
			return
		}
		if a.ruleType == "" {
			a.ruleType = native
		}
		if a.ruleType == p.at {
			p.rules = append(p.rules, a)
		}
	case kindTierACL:
		t, err := parseTier(policy, n.setNames())
		if err == nil && p.at == hns.Switch {
			p.tiers = append(p.tiers, t)
		}
	}
}

// judge applies the point's rules, or its default when there are none. Once
// there are, what none of them allows is dropped (Windows-Containers#616).
func (p point) judge(packet Packet, e *endpoint, perDirection bool) Verdict {
	counts := func(d hns.Direction) bool { return !perDirection || d == packet.Direction }
	ruled := slices.ContainsFunc(p.rules, func(a acl) bool { return counts(a.direction) }) ||
		slices.ContainsFunc(p.tiers, func(t tier) bool { return counts(t.direction) })
	if !ruled {
		return p.byDefault(packet)
	}
	matches := func(a acl) bool { return a.matches(packet, e) }
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
func (p point) firewall(matches func(acl) bool) Verdict {
	for _, block := range []bool{true, false} {
		for _, a := range p.rules {
			if a.block == block && matches(a) {
				return p.decided(a)
			}
		}
	}
	return p.unmatched()
}

// vfp judges as the switch port does: tiers by ascending order, and in them and
// in the plain list rules by ascending priority. Where priorities are equal HNS
// has no defined order, so the emulator takes the one that hurts: Block first.
func (p point) vfp(direction hns.Direction, matches func(acl) bool) Verdict {
	tiers := slices.DeleteFunc(slices.Clone(p.tiers), func(t tier) bool { return t.direction != direction })
	slices.SortStableFunc(tiers, func(a, b tier) int { return int(a.order) - int(b.order) })
	for _, t := range tiers {
		rules := slices.Clone(t.rules)
		slices.SortStableFunc(rules, func(a, b tierRule) int { return byPriority(a.acl, b.acl) })
		i := slices.IndexFunc(rules, func(r tierRule) bool { return matches(r.acl) })
		if i >= 0 && !rules[i].pass {
			return p.decided(rules[i].acl)
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
func byPriority(a, b acl) int {
	if a.priority != b.priority {
		return int(a.priority) - int(b.priority)
	}
	switch {
	case a.block == b.block:
		return 0
	case a.block:
		return -1
	}
	return 1
}

// decided is the verdict of a rule that matched.
func (p point) decided(a acl) Verdict {
	v := Verdict{Allowed: !a.block, At: p.at, Rule: a.id}
	verb := "allows"
	if a.block {
		verb = "blocks"
	}
	v.Why = fmt.Sprintf("%s rule %q %s it", p.at, a.id, verb)
	if p.at == hns.Switch {
		v.Why = fmt.Sprintf("%s rule %q of priority %d %s it", p.at, a.id, a.priority, verb)
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
func (a acl) matches(p Packet, e *endpoint) bool {
	if a.direction != p.Direction || len(a.protocols) > 0 && !slices.Contains(a.protocols, p.Protocol) {
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
	return a.local.matches(local, localSet, e.network) &&
		a.remote.matches(p.Remote, remoteSet, e.network) &&
		portsMatch(a.localPorts, p.Protocol, p.LocalPort) &&
		portsMatch(a.remotePorts, p.Protocol, p.RemotePort)
}

// matches compares addr with the prefixes and inSet with the sets.
func (l addrList) matches(addr, inSet netip.Addr, n *network) bool {
	if l.isAny() {
		return true
	}
	if slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return true
	}
	return slices.ContainsFunc(l.sets, func(id string) bool { return n.setContains(id, inSet) })
}

// setContains reports whether an address is in a set, or in one of the plain
// sets that a nested set consists of.
func (n *network) setContains(id string, a netip.Addr) bool {
	i := slices.IndexFunc(n.policies, func(p policy) bool { return p.kind == kindSetPolicy && setID(p) == id })
	if i < 0 {
		return false
	}
	values := []string{readSet(n.policies[i]).Values}
	if members := setMembers(n.policies[i]); members != nil {
		values = n.plainValues(members)
	}
	return slices.ContainsFunc(values, func(text string) bool {
		list, err := parseAddrList(text, nil)
		return err == nil && slices.ContainsFunc(list.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// plainValues returns the values of those of the sets that are not nested.
func (n *network) plainValues(ids []string) []string {
	var values []string
	for _, p := range n.policies {
		if p.kind == kindSetPolicy && slices.Contains(ids, setID(p)) && setMembers(p) == nil {
			values = append(values, readSet(p).Values)
		}
	}
	return values
}

// portsMatch: a rule with ports is about protocols that have them.
func portsMatch(ranges []portRange, protocol int, port uint16) bool {
	if len(ranges) == 0 {
		return true
	}
	return portful(protocol) && slices.ContainsFunc(ranges, func(r portRange) bool {
		return r.first <= port && port <= r.last
	})
}
