// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// wireSpec is what the acl section and a pod's annotation share.
type wireSpec struct {
	Inbound   wireDirection   `json:"inbound"`
	Outbound  wireDirection   `json:"outbound"`
	Rules     []wireRule      `json:"rules"`
	AllowHost json.RawMessage `json:"allowHost"`
}

type wireService struct {
	Protocol json.RawMessage `json:"protocol"`
	Ports    json.RawMessage `json:"ports"`
}

type wireDirection struct {
	Default *string `json:"default"`
}

type wireRule struct {
	Direction string          `json:"direction"`
	Action    string          `json:"action"`
	Protocol  json.RawMessage `json:"protocol"`
	Ports     json.RawMessage `json:"ports"`
	Remote    []string        `json:"remote"`
	Priority  *int64          `json:"priority"`
}

// maxRules is more than anybody writes, and few enough for HNS.
const maxRules = 500

// spec reads the rules. Path is that of the section, with a dot, or empty.
func (w wireSpec) spec(path string) (acl.Spec, error) {
	var s acl.Spec
	var err error
	if s.DenyInbound, err = w.Inbound.denies(path + "inbound.default"); err != nil {
		return acl.Spec{}, err
	}
	if s.DenyOutbound, err = w.Outbound.denies(path + "outbound.default"); err != nil {
		return acl.Spec{}, err
	}
	if s.DenyHost, s.HostTo, err = w.host(path + "allowHost"); err != nil {
		return acl.Spec{}, err
	}
	if len(w.Rules) > maxRules {
		return acl.Spec{}, invalid(path+"rules", "%d rules; the most is %d", len(w.Rules), maxRules)
	}
	for i, r := range w.Rules {
		rule, err := r.rule(index(path+"rules", i))
		if err != nil {
			return acl.Spec{}, err
		}
		s.Rules = append(s.Rules, rule)
	}
	return s, nil
}

// host reads allowHost: a bool, or the list of what of the pod the node reaches.
func (w wireSpec) host(path string) (deny bool, to []acl.Service, err error) {
	if isNull(w.AllowHost) {
		return false, nil, nil
	}
	var all bool
	if json.Unmarshal(w.AllowHost, &all) == nil {
		return !all, nil, nil
	}
	var list []wireService
	if w.AllowHost[0] != '[' {
		return false, nil, wrongType(path, `true, false or a list such as [{"protocol": "tcp", "ports": "8080"}]`, w.AllowHost)
	}
	if err := decodeFull(path, w.AllowHost, &list); err != nil {
		return false, nil, err
	}
	if len(list) == 0 {
		return false, nil, invalid(path, "an empty list lets nothing in; write false")
	}
	if len(list) > maxRules {
		return false, nil, invalid(path, "%d entries; the most is %d", len(list), maxRules)
	}
	for i, e := range list {
		var s acl.Service
		if s.Protocols, err = parseProtocols(index(path, i)+".protocol", e.Protocol); err != nil {
			return false, nil, err
		}
		if s.Ports, err = parsePorts(index(path, i)+".ports", e.Ports, s.Protocols); err != nil {
			return false, nil, err
		}
		to = append(to, s)
	}
	return false, to, nil
}

func (w wireDirection) denies(path string) (bool, error) {
	switch {
	case w.Default == nil || *w.Default == "allow":
		return false, nil
	case *w.Default == "deny":
		return true, nil
	default:
		return false, invalid(path, "%q is not one of allow, deny", *w.Default)
	}
}

func (w wireRule) rule(path string) (acl.Rule, error) {
	r := acl.Rule{Name: path}
	var err error
	if r.Direction, err = oneOf(path+".direction", w.Direction, "in", hns.In, "out", hns.Out); err != nil {
		return acl.Rule{}, err
	}
	if r.Action, err = oneOf(path+".action", w.Action, "allow", hns.Allow, "deny", hns.Block); err != nil {
		return acl.Rule{}, err
	}
	if r.Protocols, err = parseProtocols(path+".protocol", w.Protocol); err != nil {
		return acl.Rule{}, err
	}
	if r.Ports, err = parsePorts(path+".ports", w.Ports, r.Protocols); err != nil {
		return acl.Rule{}, err
	}
	if w.Remote != nil && len(w.Remote) == 0 {
		return acl.Rule{}, invalid(path+".remote", "an empty list matches nothing; remove the key for any address")
	}
	if r.Remote, err = parsePrefixes(path+".remote", w.Remote); err != nil {
		return acl.Rule{}, err
	}
	if w.Priority == nil {
		return r, nil
	}
	r.Priority = uint16(*w.Priority)
	return r, inRange(path+".priority", *w.Priority, hns.PriorityMin, hns.PriorityMax)
}

// oneOf returns what one of two words stands for.
func oneOf[T any](path, word, first string, a T, second string, b T) (T, error) {
	var none T
	switch word {
	case first:
		return a, nil
	case second:
		return b, nil
	case "":
		return none, invalid(path, "missing; want %s or %s", first, second)
	default:
		return none, invalid(path, "%q is not one of %s, %s", word, first, second)
	}
}

// protocols are the names of IP protocols (IANA, in part). icmp is that of both
// families.
var protocols = map[string][]int{
	"icmp": {1, 58}, "icmpv4": {1}, "icmpv6": {58}, "igmp": {2}, "ipip": {4}, "tcp": {6}, "udp": {17}, "dccp": {33},
	"ipv6": {41}, "gre": {47}, "esp": {50}, "ah": {51}, "ospf": {89}, "pim": {103}, "vrrp": {112}, "l2tp": {115},
	"sctp": {132}, "udplite": {136},
}

// protocolNames lists the names in the alphabet's order.
func protocolNames() string { return strings.Join(slices.Sorted(maps.Keys(protocols)), ", ") }

// ParseProtocol returns the numbers of an IP protocol given by name or number;
// "icmp" is two, IPv4's before IPv6's. The error names path.
func ParseProtocol(path, s string) ([]int, error) {
	text, _ := json.Marshal(s) // a string always can be
	return parseProtocols(path, text)
}

// ProtocolName returns the name of an IP protocol, "any" for hns.ProtocolAny, and
// the number itself where it has no name here.
func ProtocolName(number int) string {
	if number == hns.ProtocolAny {
		return "any"
	}
	for _, name := range slices.Sorted(maps.Keys(protocols)) {
		if slices.Equal(protocols[name], []int{number}) {
			return name
		}
	}
	return strconv.Itoa(number)
}

// parseProtocols takes a name or a number, the number also as a string. Absent is
// any.
func parseProtocols(path string, raw json.RawMessage) ([]int, error) {
	const most = 255
	if isNull(raw) {
		return nil, nil
	}
	text := strings.Trim(string(raw), `"`)
	if known, ok := protocols[strings.ToLower(text)]; ok {
		return known, nil
	}
	if text == "any" {
		return nil, invalid(path, `remove the key for any protocol`)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, invalid(path, "%s is neither a number nor one of the names that bulkhead knows: %s", show(raw), protocolNames())
	}
	return []int{n}, inRange(path, int64(n), 1, most)
}

// parsePorts reads "80,8000-8080", or a single number.
func parsePorts(path string, raw json.RawMessage, protocols []int) ([]hns.PortRange, error) {
	const tcp, udp = 6, 17
	if isNull(raw) {
		return nil, nil
	}
	if len(protocols) != 1 || protocols[0] != tcp && protocols[0] != udp {
		return nil, invalid(path, `only TCP and UDP have ports; write "protocol": "tcp" or "udp", and a rule for each`)
	}
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, wrongType(path, "a string", raw)
		}
	}
	var out []hns.PortRange
	for _, part := range strings.Split(text, ",") {
		r, err := parsePortRange(path, strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func parsePortRange(path, s string) (hns.PortRange, error) {
	const base, bits = 10, 16
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	first, err := strconv.ParseUint(low, base, bits)
	last, errLast := strconv.ParseUint(high, base, bits)
	if err != nil || errLast != nil || first == 0 || last < first {
		return hns.PortRange{}, invalid(path, `%q is not a port or a range of ports such as "8000-8080", in 1 to 65535`, s)
	}
	return hns.PortRange{First: uint16(first), Last: uint16(last)}, nil
}
