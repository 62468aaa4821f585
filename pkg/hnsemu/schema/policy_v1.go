// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// dialect is how the two schemas spell a type of policy (hcsshim,
// internal/hns/hnspolicy.go and hcn/hcnpolicy.go).
type dialect struct {
	v1, v2 string
	// members maps v1 names to v2 names; the others are the same in both.
	members map[string]string
}

var dialects = []dialect{
	{"NAT", PolicyPortMapping, nil},
	{"OutBoundNAT", "OutBoundNAT", map[string]string{"ExceptionList": "Exceptions", "VIP": "VirtualIP"}},
	{"ROUTE", "SDNRoute", nil},
	{"PA", "ProviderAddress", map[string]string{"PA": "ProviderAddress"}},
	{"VLAN", "VLAN", map[string]string{"VLAN": "IsolationId"}},
	{"VSID", "VSID", map[string]string{"VSID": "IsolationId"}},
	{"PROXY", "L4Proxy", map[string]string{"ExceptionList": "Exceptions"}},
	{"ACL", PolicyACL, nil},
	{"QOS", "QOS", nil},
	{"L2Driver", "L2Driver", nil},
}

// parsePoliciesV1 reads policies of the v1 schema.
func parsePoliciesV1(raws []json.RawMessage) ([]Policy, error) {
	list := []Policy{}
	for _, raw := range raws {
		p, err := ParsePolicyV1(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// ParsePolicyV1 reads a policy of the v1 schema, which has its settings beside
// the type. It refuses the v2 name of a type that v1 calls otherwise.
func ParsePolicyV1(raw json.RawMessage) (Policy, error) {
	if _, err := PolicyMembers(raw); err != nil {
		return Policy{}, err
	}
	var members map[string]any
	if err := Decode(string(raw), &members); err != nil {
		return Policy{}, err
	}
	kind, _ := members["Type"].(string)
	delete(members, "Type")
	d := dialect{v1: kind, v2: kind}
	if i := slices.IndexFunc(dialects, func(d dialect) bool { return d.v1 == kind }); i >= 0 {
		d = dialects[i]
	} else if slices.ContainsFunc(dialects, func(d dialect) bool { return d.v2 == kind }) {
		return Policy{}, Errorf(CodeInvalidPolicyType, "%q is no type of the v1 schema", kind)
	}
	for from, to := range d.members {
		rename(members, from, to)
	}
	switch d.v2 {
	case PolicyPortMapping:
		members["Protocol"] = protocolNumber(members["Protocol"])
		if reserved, _ := members["ExternalPortReserved"].(bool); reserved {
			members["Flags"] = natPortReserved
		}
		delete(members, "ExternalPortReserved")
	case PolicyACL:
		aclFromV1(members)
	}
	return Policy{Type: d.v2, Settings: json.RawMessage(Marshal(members)), Flat: raw}, nil
}

// rename moves a member to another name.
func rename(members map[string]any, from, to string) {
	if v, ok := members[from]; ok && from != to {
		delete(members, from)
		members[to] = v
	}
}

// protocolNumber turns "TCP" into 6. It returns what it does not know, which the
// check of the policy refuses.
func protocolNumber(v any) any {
	switch name, _ := v.(string); strings.ToUpper(name) {
	case "TCP":
		return 6
	case "UDP":
		return 17
	}
	return v
}

// aclFromV1 turns the numbers that v1 has beside the lists into lists (hcsshim,
// internal/hns/hnspolicy.go).
func aclFromV1(members map[string]any) {
	for from, to := range map[string]string{
		"Protocol": "Protocols", "LocalPort": "LocalPorts", "RemotePort": "RemotePorts", "InternalPort": "LocalPorts",
	} {
		n, ok := members[from].(float64)
		delete(members, from)
		if list, _ := members[to].(string); ok && n != 0 && list == "" {
			members[to] = fmt.Sprint(n)
		}
	}
	delete(members, "ServiceName")
	delete(members, "Scope")
}

// PoliciesV1 returns policies in the v1 schema.
func PoliciesV1(list []Policy) []json.RawMessage {
	docs := []json.RawMessage{}
	for _, p := range list {
		docs = append(docs, p.V1())
	}
	return docs
}

// V1 returns the policy in the v1 schema, as the client wrote it if it wrote
// that.
func (p Policy) V1() json.RawMessage {
	if p.Flat != nil {
		return p.Flat
	}
	d := dialect{v1: p.Type}
	if i := slices.IndexFunc(dialects, func(d dialect) bool { return d.v2 == p.Type }); i >= 0 {
		d = dialects[i]
	}
	members := p.Members()
	for to, from := range d.members {
		rename(members, from, to)
	}
	if p.Type == PolicyPortMapping {
		if n, _ := members["Protocol"].(float64); n == 6 || n == 17 {
			members["Protocol"] = map[float64]string{6: "TCP", 17: "UDP"}[n]
		}
	}
	members["Type"] = d.v1
	return json.RawMessage(Marshal(members))
}
