// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// anyProtocol is a number that stands for all protocols, as the empty string does
// (Calico's cni-plugin and felix send it).
const anyProtocol = 256

// aclDoc is the settings of an ACL as clients write them.
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

// ACL is the settings of an ACL policy or a NetworkACL policy, parsed.
type ACL struct {
	ID            string
	Block         bool
	Direction     hns.Direction
	RuleType      hns.RuleType // empty when the client leaves it to HNS
	Protocols     []int        // empty for any
	Local, Remote AddrList
	LocalPorts    []hns.PortRange
	RemotePorts   []hns.PortRange
	Priority      uint16
}

// AddrList holds prefixes and ids of sets. An empty list stands for any address.
type AddrList struct {
	Prefixes []netip.Prefix
	Sets     []string
}

// IsAny reports whether the list is empty.
func (l AddrList) IsAny() bool { return len(l.Prefixes) == 0 && len(l.Sets) == 0 }

// checkACL checks an ACL. The type of the network does not matter: HNS accepts
// a Switch rule on a nat network (TestApplyPolicyOnEndpoint) and does not
// enforce it.
func checkACL(c PolicyContext, p Policy) error {
	// "HNS is not happy with ID" (Azure/azure-container-networking,
	// npm/pkg/dataplane/policies/policy_windows.go).
	if _, ok := p.Members()["ID"]; ok {
		return Errorf(CodeInvalidPolicy, "ACL with a member ID")
	}
	if p.Settings == nil {
		return Errorf(CodeInvalidPolicy, "ACL without settings")
	}
	a, err := ParseACL(p, c.Sets)
	if err != nil {
		return err
	}
	// 252 stands for VXLAN, since 11.0 (hcsshim, hcn/hcnglobals.go).
	if slices.Contains(a.Protocols, 252) && !c.Version.AtLeast(11, 0) {
		return Errorf(CodeInvalidPolicy, "HNS %s has no protocol 252", c.Version)
	}
	return a.checkPriority(c.Version)
}

// checkPriority checks the priority. A Switch rule has one in the range that
// Calico found to work; a Host rule has none since 1803
// (microsoft/hcsshim#164).
func (a ACL) checkPriority(v hns.Version) error {
	inRange := a.Priority >= hns.PriorityMin && a.Priority <= hns.PriorityMax
	switch {
	case a.RuleType == hns.Host && v.AtLeast(7, 2):
		if a.Priority != 0 {
			return Errorf(CodeInvalidParameter, "Host rule with priority %d", a.Priority)
		}
	case a.RuleType == "" && a.Priority == 0:
	case !inRange:
		return Errorf(CodeInvalidParameter, "priority %d is not in %d-%d", a.Priority, hns.PriorityMin, hns.PriorityMax)
	}
	return nil
}

// ParseACL reads an ACL. The addresses may refer to the sets with those ids.
func ParseACL(p Policy, sets []string) (ACL, error) {
	var doc aclDoc
	if err := p.Read(&doc); err != nil {
		return ACL{}, err
	}
	a := ACL{
		ID: doc.ID, Block: doc.Action == string(hns.Block), Priority: doc.Priority,
		Direction: hns.Direction(doc.Direction), RuleType: hns.RuleType(doc.RuleType),
	}
	switch {
	case doc.Action != string(hns.Allow) && doc.Action != string(hns.Block):
		return ACL{}, Errorf(CodeInvalidPolicy, "ACL action %q", doc.Action)
	case a.Direction != hns.In && a.Direction != hns.Out:
		return ACL{}, Errorf(CodeInvalidPolicy, "ACL direction %q", doc.Direction)
	case a.RuleType != "" && a.RuleType != hns.Host && a.RuleType != hns.Switch:
		return ACL{}, Errorf(CodeInvalidPolicy, "ACL rule type %q", doc.RuleType)
	}
	return a, a.readTuple(doc, sets)
}

// readTuple reads the part of a rule that is compared with packets.
func (a *ACL) readTuple(doc aclDoc, sets []string) (err error) {
	if a.Protocols, err = parseProtocols(doc.Protocols); err != nil {
		return err
	}
	if a.Local, err = ParseAddrList(doc.LocalAddresses, sets); err != nil {
		return err
	}
	if a.Remote, err = ParseAddrList(doc.RemoteAddresses, sets); err != nil {
		return err
	}
	if a.LocalPorts, err = parsePorts(doc.LocalPorts); err != nil {
		return err
	}
	if a.RemotePorts, err = parsePorts(doc.RemotePorts); err != nil {
		return err
	}
	hasPorts := len(a.LocalPorts)+len(a.RemotePorts) > 0
	if i := slices.IndexFunc(a.Protocols, func(p int) bool { return !HasPorts(p) }); hasPorts && i >= 0 {
		return Errorf(CodeInvalidPolicy, "ports with protocol %d", a.Protocols[i])
	}
	return nil
}

// HasPorts reports whether a protocol has ports: TCP, UDP, SCTP.
func HasPorts(protocol int) bool { return protocol == 6 || protocol == 17 || protocol == 132 }

// parseProtocols returns nil for any protocol.
func parseProtocols(text string) ([]int, error) {
	var list []int
	for _, item := range splitList(text) {
		n, err := strconv.Atoi(item)
		if err != nil || n < 0 || n > anyProtocol {
			return nil, Errorf(CodeInvalidPolicy, "protocol %q", item)
		}
		if n == anyProtocol {
			return nil, nil
		}
		list = append(list, n)
	}
	return list, nil
}

// ParseAddrList reads addresses, prefixes without host bits and ids of sets. It
// refuses everything else, "Any" in particular (microsoft/hcsshim#1059).
func ParseAddrList(text string, sets []string) (AddrList, error) {
	var list AddrList
	for _, item := range splitList(text) {
		if slices.Contains(sets, item) {
			list.Sets = append(list.Sets, item)
			continue
		}
		p, err := parseAddrOrPrefix(item)
		if err != nil {
			return AddrList{}, Errorf(CodeInvalidPolicy, "address %q: %v", item, err)
		}
		list.Prefixes = append(list.Prefixes, p)
	}
	return list, nil
}

// parseAddrOrPrefix returns an address as a prefix of its full length.
func parseAddrOrPrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p != p.Masked() {
		return netip.Prefix{}, Errorf(CodeInvalidPolicy, "%s has host bits", p)
	}
	return p, nil
}

// parsePorts reads "80,8080-8090".
func parsePorts(text string) ([]hns.PortRange, error) {
	var list []hns.PortRange
	for _, item := range splitList(text) {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || first > last {
			return nil, Errorf(CodeInvalidPolicy, "ports %q", item)
		}
		list = append(list, hns.PortRange{First: uint16(first), Last: uint16(last)})
	}
	return list, nil
}

// tierDoc is the settings of a TierAcl as clients write them.
type tierDoc struct {
	Name      string
	Direction string
	Order     uint16
	Rules     []struct {
		aclDoc
		Verb string `json:"TierAclRuleAction"`
	} `json:"TierAclRules"`
}

// TierACL is the settings of a TierAcl policy, parsed.
type TierACL struct {
	Direction hns.Direction
	Order     uint16
	Rules     []TierRule
}

// TierRule is a rule of a tier: an ACL that may also pass the packet on to the
// next tier.
type TierRule struct {
	ACL
	Pass bool
}

// checkTierACL checks a TierAcl. The priorities of its rules have no known
// bounds; hcsshim's tests use 2000 to 3100.
func checkTierACL(c PolicyContext, p Policy) error {
	_, err := ParseTierACL(p, c.Sets)
	return err
}

// ParseTierACL reads a TierAcl. The addresses of its rules may refer to the sets
// with those ids.
func ParseTierACL(p Policy, sets []string) (TierACL, error) {
	var doc tierDoc
	if err := p.Read(&doc); err != nil {
		return TierACL{}, err
	}
	t := TierACL{Direction: hns.Direction(doc.Direction), Order: doc.Order}
	if t.Direction != hns.In && t.Direction != hns.Out {
		return TierACL{}, Errorf(CodeInvalidPolicy, "tier direction %q", doc.Direction)
	}
	for _, d := range doc.Rules {
		if !slices.Contains([]string{"Allow", "Block", "Pass"}, d.Verb) {
			return TierACL{}, Errorf(CodeInvalidPolicy, "tier action %q", d.Verb)
		}
		r := TierRule{Pass: d.Verb == "Pass"}
		r.ID, r.Priority, r.Direction = d.ID, d.Priority, t.Direction
		r.Block = d.Verb == string(hns.Block)
		if err := r.readTuple(d.aclDoc, sets); err != nil {
			return TierACL{}, err
		}
		t.Rules = append(t.Rules, r)
	}
	return t, nil
}
