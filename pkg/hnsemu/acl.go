// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// anyProtocol is the number that stands for all protocols beside the empty
// string (hns.md section 5.1).
const anyProtocol = 256

// aclDoc holds the settings of an ACL (hns.md section 5.1).
type aclDoc struct {
	ID              string `json:"Id"`
	Protocols       string
	Action          string
	Direction       string
	LocalAddresses  string
	RemoteAddresses string
	LocalPorts      string
	RemotePorts     string
	RuleType        string
	Priority        uint16
}

// acl is an ACL that passed the checks.
type acl struct {
	id            string
	block         bool
	direction     hns.Direction
	ruleType      hns.RuleType // empty when the client left it to HNS
	protocols     []int        // empty for any
	local, remote addrList
	localPorts    []portRange
	remotePorts   []portRange
	priority      uint16
}

// portRange is a range of ports, both ends included.
type portRange struct {
	first, last uint16
}

// addrList holds prefixes and names of sets; it matches any address when it is
// empty.
type addrList struct {
	prefixes []netip.Prefix
	sets     []string
}

// isAny reports whether the rule left the member out, or empty: any address.
func (l addrList) isAny() bool { return len(l.prefixes) == 0 && len(l.sets) == 0 }

// checkACL refuses what HNS refuses of an ACL. It looks the same on every
// network type: a Switch rule on a nat network is accepted
// (TestApplyPolicyOnEndpoint) and just not enforced.
func checkACL(h *Host, n *network, p policy) error {
	// The member must be spelled Id (hns.md section 5.1).
	if _, ok := p.members()["ID"]; ok {
		return refuse(codeInvalidPolicy, "ACL with a member ID")
	}
	if p.settings == nil {
		return refuse(codeInvalidPolicy, "ACL without settings")
	}
	a, err := parseACL(p, n.setNames())
	if err != nil {
		return err
	}
	// VXLAN's pseudo protocol came with 11.0 (hns.md section 2.10).
	if slices.Contains(a.protocols, 252) && !h.profile.Version.AtLeast(11, 0) {
		return refuse(codeInvalidPolicy, "HNS %s has no protocol 252", h.profile.Version)
	}
	return a.checkPriority(h)
}

// checkPriority: a Switch rule has one of 100 to 65500, a Host rule none since
// 1803 (hns.md section 5.2; hcsshim#164).
func (a acl) checkPriority(h *Host) error {
	inRange := a.priority >= hns.PriorityMin && a.priority <= hns.PriorityMax
	switch {
	case a.ruleType == hns.Host && h.profile.Version.AtLeast(7, 2):
		if a.priority != 0 {
			return refuse(codeInvalidParameter, "Host rule with priority %d", a.priority)
		}
	case a.ruleType == "" && a.priority == 0:
	case !inRange:
		return refuse(codeInvalidParameter, "priority %d is not in %d-%d", a.priority, hns.PriorityMin, hns.PriorityMax)
	}
	return nil
}

// parseACL reads an ACL; sets are the names of sets that addresses may refer to.
func parseACL(p policy, sets []string) (acl, error) {
	var doc aclDoc
	if err := p.read(&doc); err != nil {
		return acl{}, err
	}
	a := acl{
		id: doc.ID, block: doc.Action == string(hns.Block), priority: doc.Priority,
		direction: hns.Direction(doc.Direction), ruleType: hns.RuleType(doc.RuleType),
	}
	switch {
	case doc.Action != string(hns.Allow) && doc.Action != string(hns.Block):
		return acl{}, refuse(codeInvalidPolicy, "ACL action %q", doc.Action)
	case a.direction != hns.In && a.direction != hns.Out:
		return acl{}, refuse(codeInvalidPolicy, "ACL direction %q", doc.Direction)
	case a.ruleType != "" && a.ruleType != hns.Host && a.ruleType != hns.Switch:
		return acl{}, refuse(codeInvalidPolicy, "ACL rule type %q", doc.RuleType)
	}
	return a, a.readTuple(doc, sets)
}

// readTuple reads the part of a rule that packets are compared with.
func (a *acl) readTuple(doc aclDoc, sets []string) (err error) {
	if a.protocols, err = parseProtocols(doc.Protocols); err != nil {
		return err
	}
	if a.local, err = parseAddrList(doc.LocalAddresses, sets); err != nil {
		return err
	}
	if a.remote, err = parseAddrList(doc.RemoteAddresses, sets); err != nil {
		return err
	}
	if a.localPorts, err = parsePorts(doc.LocalPorts); err != nil {
		return err
	}
	if a.remotePorts, err = parsePorts(doc.RemotePorts); err != nil {
		return err
	}
	hasPorts := len(a.localPorts)+len(a.remotePorts) > 0
	if i := slices.IndexFunc(a.protocols, func(p int) bool { return !portful(p) }); hasPorts && i >= 0 {
		return refuse(codeInvalidPolicy, "ports with protocol %d", a.protocols[i])
	}
	return nil
}

// portful reports whether a protocol has ports: TCP, UDP, SCTP.
func portful(protocol int) bool { return protocol == 6 || protocol == 17 || protocol == 132 }

// parseProtocols returns nil for any protocol.
func parseProtocols(text string) ([]int, error) {
	var list []int
	for _, item := range splitList(text) {
		n, err := strconv.Atoi(item)
		if err != nil || n < 0 || n > anyProtocol {
			return nil, refuse(codeInvalidPolicy, "protocol %q", item)
		}
		if n == anyProtocol {
			return nil, nil
		}
		list = append(list, n)
	}
	return list, nil
}

// parseAddrList refuses everything but addresses, prefixes without host bits and
// names of sets; "Any" in particular (hcsshim#1059).
func parseAddrList(text string, sets []string) (addrList, error) {
	var list addrList
	for _, item := range splitList(text) {
		if slices.Contains(sets, item) {
			list.sets = append(list.sets, item)
			continue
		}
		p, err := parseAddrOrPrefix(item)
		if err != nil {
			return addrList{}, refuse(codeInvalidPolicy, "address %q: %v", item, err)
		}
		list.prefixes = append(list.prefixes, p)
	}
	return list, nil
}

// parseAddrOrPrefix returns an address as the prefix that holds it alone.
func parseAddrOrPrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p != p.Masked() {
		return netip.Prefix{}, refuse(codeInvalidPolicy, "%s has host bits", p)
	}
	return p, nil
}

// parsePorts reads "80,8080-8090".
func parsePorts(text string) ([]portRange, error) {
	var list []portRange
	for _, item := range splitList(text) {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || first > last {
			return nil, refuse(codeInvalidPolicy, "ports %q", item)
		}
		list = append(list, portRange{uint16(first), uint16(last)})
	}
	return list, nil
}

// tierDoc holds the settings of a TierAcl (hns.md section 2.7).
type tierDoc struct {
	Name      string
	Direction string
	Order     uint16
	Rules     []struct {
		aclDoc
		Verb string `json:"TierAclRuleAction"`
	} `json:"TierAclRules"`
}

// tier is a TierAcl that passed the checks.
type tier struct {
	direction hns.Direction
	order     uint16
	rules     []tierRule
}

// tierRule is a rule of a tier: an ACL that may also hand over to the next tier.
type tierRule struct {
	acl
	pass bool
}

// checkTierACL refuses what parseTier cannot read; the priorities of rules in
// tiers are not bounded, hcsshim's tests use 2000 to 3100.
func checkTierACL(_ *Host, n *network, p policy) error {
	_, err := parseTier(p, n.setNames())
	return err
}

// parseTier reads a TierAcl. That tiers go by ascending Order, and what Pass
// does, is inferred from the names and from hcsshim's tests (hns.md section
// 5.2).
func parseTier(p policy, sets []string) (tier, error) {
	var doc tierDoc
	if err := p.read(&doc); err != nil {
		return tier{}, err
	}
	t := tier{direction: hns.Direction(doc.Direction), order: doc.Order}
	if t.direction != hns.In && t.direction != hns.Out {
		return tier{}, refuse(codeInvalidPolicy, "tier direction %q", doc.Direction)
	}
	for _, d := range doc.Rules {
		if !slices.Contains([]string{"Allow", "Block", "Pass"}, d.Verb) {
			return tier{}, refuse(codeInvalidPolicy, "tier action %q", d.Verb)
		}
		r := tierRule{pass: d.Verb == "Pass"}
		r.id, r.priority, r.direction = d.ID, d.Priority, t.direction
		r.block = d.Verb == string(hns.Block)
		if err := r.readTuple(d.aclDoc, sets); err != nil {
			return tier{}, err
		}
		t.rules = append(t.rules, r)
	}
	return t, nil
}
