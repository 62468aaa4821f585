// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
)

// policy is a policy of an endpoint, a network or a subnet. Its kind is the
// type's name in the v2 schema, whichever schema it came in.
type policy struct {
	kind string
	// settings is the v2 Settings object as the client wrote it, nil for none.
	settings json.RawMessage
	// flat is the whole v1 object when the client wrote that.
	flat json.RawMessage
	// generated is true when HNS added the policy.
	generated bool
}

// policyDoc is a policy in the v2 schema.
type policyDoc struct {
	Type     string
	Settings json.RawMessage `json:",omitempty"`
}

// newPolicy returns a policy that no client wrote like that.
func newPolicy(kind string, settings map[string]any) policy {
	return policy{kind: kind, settings: json.RawMessage(marshal(settings))}
}

// parsePolicies reads policies of the v2 schema. A v1 policy, whose settings lie
// flat beside the type, is refused (hcsshim#1059).
func parsePolicies(raws []json.RawMessage) ([]policy, error) {
	list := []policy{}
	for _, raw := range raws {
		members, err := policyMembers(raw)
		if err != nil {
			return nil, err
		}
		var doc policyDoc
		if err := decode(string(raw), &doc); err != nil {
			return nil, err
		}
		if doc.Settings == nil && len(members) > 1 {
			return nil, refuse(codeInvalidPolicy, "policy %s is of the v1 form", raw)
		}
		if bytes.Equal(doc.Settings, []byte("null")) {
			doc.Settings = nil
		}
		list = append(list, policy{kind: doc.Type, settings: doc.Settings})
	}
	return list, nil
}

// policyMembers returns the members of a policy, which must be an object with a
// type.
func policyMembers(raw json.RawMessage) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := decode(string(raw), &members); err != nil {
		return nil, err
	}
	if len(members["Type"]) == 0 {
		return nil, refuse(codeInvalidPolicy, "policy %s has no Type", raw)
	}
	return members, nil
}

// policiesV2 returns policies with their settings as they were written.
func policiesV2(list []policy) []policyDoc {
	var docs []policyDoc
	for _, p := range list {
		docs = append(docs, policyDoc{p.kind, p.settings})
	}
	return docs
}

// read decodes the settings. A member of the wrong type makes the policy
// invalid, not the document.
func (p policy) read(settings any) error {
	if p.settings == nil {
		return nil
	}
	if err := json.Unmarshal(p.settings, settings); err != nil {
		return refuse(codeInvalidPolicy, "%s: %v", p.kind, err)
	}
	return nil
}

// members returns the settings member by member.
func (p policy) members() map[string]any {
	var m map[string]any
	if json.Unmarshal(p.settings, &m) != nil || m == nil {
		m = map[string]any{}
	}
	return m
}

// equal reports whether two policies say the same, letter for letter but for
// the order of members.
func (p policy) equal(other policy) bool {
	return p.kind == other.kind && reflect.DeepEqual(p.members(), other.members())
}

// canonical returns the settings with sorted members.
func (p policy) canonical() string {
	if len(p.members()) == 0 {
		return "{}"
	}
	return marshal(p.members())
}

// isolationID returns what a VLAN or VSID policy sets, 0 when it cannot be
// read.
func isolationID(p policy) uint32 {
	var s struct {
		ID uint32 `json:"IsolationId"`
	}
	if p.read(&s) != nil {
		return 0
	}
	return s.ID
}

// without returns the policies of which drop is false.
func without(list []policy, drop func(policy) bool) []policy {
	return slices.DeleteFunc(slices.Clone(list), drop)
}

// requestedPolicies reads the Settings of a policy request.
func requestedPolicies(settings json.RawMessage) ([]policy, error) {
	var doc struct{ Policies []json.RawMessage }
	if err := decode(string(settings), &doc); err != nil {
		return nil, err
	}
	return parsePolicies(doc.Policies)
}

// removePolicies takes policies off a list by their content (hns.md section
// 2.9).
func removePolicies(list, gone []policy) ([]policy, error) {
	for _, p := range gone {
		kept := without(list, p.equal)
		if len(kept) == len(list) {
			return nil, refuse(codeNoPolicy, "no policy %s %s", p.kind, p.canonical())
		}
		list = kept
	}
	return list, nil
}

// replaceKinds replaces the policies of every kind that wanted mentions, and the
// ACLs in any case; the rest stays. What HNS does with the rest is not known:
// unknown 6 of DESIGN.md section 12.
func replaceKinds(list, wanted []policy, everything bool) []policy {
	kept := without(list, func(p policy) bool {
		mentioned := slices.ContainsFunc(wanted, func(w policy) bool { return w.kind == p.kind })
		return everything || mentioned || p.kind == kindACL
	})
	return append(kept, wanted...)
}
