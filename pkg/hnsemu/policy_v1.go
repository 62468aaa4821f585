// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// dialect says how a policy is spelled in v1 (hns.md section 4.7).
type dialect struct {
	v1, v2 string
	// members maps v1 names to v2 names; the others are the same in both.
	members map[string]string
}

var dialects = []dialect{
	{"NAT", kindPortMapping, nil},
	{"OutBoundNAT", "OutBoundNAT", map[string]string{"ExceptionList": "Exceptions", "VIP": "VirtualIP"}},
	{"ROUTE", "SDNRoute", nil},
	{"PA", "ProviderAddress", map[string]string{"PA": "ProviderAddress"}},
	{"VLAN", "VLAN", map[string]string{"VLAN": "IsolationId"}},
	{"VSID", "VSID", map[string]string{"VSID": "IsolationId"}},
	{"PROXY", "L4Proxy", map[string]string{"ExceptionList": "Exceptions"}},
	{"ACL", kindACL, nil},
	{"QOS", "QOS", nil},
	{"L2Driver", "L2Driver", nil},
}

// parsePoliciesV1 reads policies of the v1 schema.
func parsePoliciesV1(raws []json.RawMessage) ([]policy, error) {
	list := []policy{}
	for _, raw := range raws {
		p, err := parsePolicyV1(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePolicyV1 reads a flat policy and turns it into the v2 form. A type of
// the v2 schema that v1 calls otherwise is refused.
func parsePolicyV1(raw json.RawMessage) (policy, error) {
	if _, err := policyMembers(raw); err != nil {
		return policy{}, err
	}
	var members map[string]any
	if err := decode(string(raw), &members); err != nil {
		return policy{}, err
	}
	kind, _ := members["Type"].(string)
	delete(members, "Type")
	d := dialect{v1: kind, v2: kind}
	if i := slices.IndexFunc(dialects, func(d dialect) bool { return d.v1 == kind }); i >= 0 {
		d = dialects[i]
	} else if slices.ContainsFunc(dialects, func(d dialect) bool { return d.v2 == kind }) {
		return policy{}, refuse(codeInvalidPolicyType, "%q is no type of the v1 schema", kind)
	}
	for from, to := range d.members {
		rename(members, from, to)
	}
	switch d.v2 {
	case kindPortMapping:
		members["Protocol"] = protocolNumber(members["Protocol"])
		if reserved, _ := members["ExternalPortReserved"].(bool); reserved {
			members["Flags"] = natPortReserved
		}
		delete(members, "ExternalPortReserved")
	case kindACL:
		aclFromV1(members)
	}
	return policy{kind: d.v2, settings: json.RawMessage(marshal(members)), flat: raw}, nil
}

// rename moves a member to another name.
func rename(members map[string]any, from, to string) {
	if v, ok := members[from]; ok && from != to {
		delete(members, from)
		members[to] = v
	}
}

// protocolNumber turns "TCP" into 6. What it does not know it leaves to the
// check of the policy.
func protocolNumber(v any) any {
	switch name, _ := v.(string); strings.ToUpper(name) {
	case "TCP":
		return 6
	case "UDP":
		return 17
	}
	return v
}

// aclFromV1 turns the numbers that v1 has beside the lists into lists (hns.md
// section 5.1).
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

// policiesV1 returns policies in the v1 schema.
func policiesV1(list []policy) []json.RawMessage {
	docs := []json.RawMessage{}
	for _, p := range list {
		docs = append(docs, p.v1())
	}
	return docs
}

// v1 returns the policy in the v1 schema: as it came when it came so.
func (p policy) v1() json.RawMessage {
	if p.flat != nil {
		return p.flat
	}
	d := dialect{v1: p.kind}
	if i := slices.IndexFunc(dialects, func(d dialect) bool { return d.v2 == p.kind }); i >= 0 {
		d = dialects[i]
	}
	members := p.members()
	for to, from := range d.members {
		rename(members, from, to)
	}
	if p.kind == kindPortMapping {
		if n, _ := members["Protocol"].(float64); n == 6 || n == 17 {
			members["Protocol"] = map[float64]string{6: "TCP", 17: "UDP"}[n]
		}
	}
	members["Type"] = d.v1
	return json.RawMessage(marshal(members))
}
