// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Types of policies that the emulator reads.
const (
	PolicyACL            = "ACL"
	PolicyNetworkACL     = "NetworkACL"
	PolicyTierACL        = "TierAcl"
	PolicySet            = "SetPolicy"
	PolicyPortMapping    = "PortMapping"
	PolicyOutboundNAT    = "OutBoundNAT"
	PolicyQOS            = "QOS"
	PolicyNetAdapterName = "NetAdapterName"
	PolicyVLAN           = "VLAN"
	PolicyVSID           = "VSID"
)

// Policy is a policy of an endpoint, a network or a subnet.
type Policy struct {
	// Type is the type's name in the v2 schema, whichever schema it came in.
	Type string
	// Settings is the v2 Settings object as the client wrote it, nil for none.
	Settings json.RawMessage
	// Flat is the whole v1 object when the client wrote that.
	Flat json.RawMessage
	// Generated is true when HNS added the policy.
	Generated bool
}

// PolicyV2 is a policy in the v2 schema.
type PolicyV2 struct {
	Type     string
	Settings json.RawMessage `json:",omitempty"`
}

// NewPolicy returns a policy with those settings.
func NewPolicy(policyType string, settings map[string]any) Policy {
	return Policy{Type: policyType, Settings: json.RawMessage(Marshal(settings))}
}

// parsePolicies reads policies of the v2 schema. It refuses a policy of the v1
// schema, which has its settings beside the type (microsoft/hcsshim#1059).
func parsePolicies(raws []json.RawMessage) ([]Policy, error) {
	list := []Policy{}
	for _, raw := range raws {
		members, err := PolicyMembers(raw)
		if err != nil {
			return nil, err
		}
		var doc PolicyV2
		if err := Decode(string(raw), &doc); err != nil {
			return nil, err
		}
		if doc.Settings == nil && len(members) > 1 {
			return nil, Errorf(CodeInvalidPolicy, "policy %s is of the v1 form", raw)
		}
		if bytes.Equal(doc.Settings, []byte("null")) {
			doc.Settings = nil
		}
		list = append(list, Policy{Type: doc.Type, Settings: doc.Settings})
	}
	return list, nil
}

// PolicyMembers returns the members of a policy, which must be an object with a
// type.
func PolicyMembers(raw json.RawMessage) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := Decode(string(raw), &members); err != nil {
		return nil, err
	}
	if len(members["Type"]) == 0 {
		return nil, Errorf(CodeInvalidPolicy, "policy %s has no Type", raw)
	}
	return members, nil
}

// PoliciesV2 returns policies in the v2 schema, the settings as they were
// written.
func PoliciesV2(list []Policy) []PolicyV2 {
	var docs []PolicyV2
	for _, p := range list {
		docs = append(docs, PolicyV2{p.Type, p.Settings})
	}
	return docs
}

// Read decodes the settings. A member of the wrong type makes the policy
// invalid, not the document.
func (p Policy) Read(settings any) error {
	if p.Settings == nil {
		return nil
	}
	if err := json.Unmarshal(p.Settings, settings); err != nil {
		return Errorf(CodeInvalidPolicy, "%s: %v", p.Type, err)
	}
	return nil
}

// Members returns the settings member by member.
func (p Policy) Members() map[string]any {
	var m map[string]any
	if json.Unmarshal(p.Settings, &m) != nil || m == nil {
		m = map[string]any{}
	}
	return m
}

// Equal reports whether two policies have the same type and the same settings.
// The order of members does not matter, letter case does.
func (p Policy) Equal(other Policy) bool {
	return p.Type == other.Type && reflect.DeepEqual(p.Members(), other.Members())
}

// Canonical returns the settings with sorted members.
func (p Policy) Canonical() string {
	if len(p.Members()) == 0 {
		return "{}"
	}
	return Marshal(p.Members())
}

// ParsePolicyRequest reads the Settings of a policy request.
func ParsePolicyRequest(settings json.RawMessage) ([]Policy, error) {
	var doc struct{ Policies []json.RawMessage }
	if err := Decode(string(settings), &doc); err != nil {
		return nil, err
	}
	return parsePolicies(doc.Policies)
}
