// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"slices"
)

// checkPolicies checks the policies that a network is made with.
func (n *network) checkPolicies(h *Host) error {
	return checkList(h, n, networkPolicies, n.policies)
}

// modifyPolicies carries out a policy request on a network.
func (n *network) modifyPolicies(h *Host, request string, settings json.RawMessage) error {
	wanted, err := requestedPolicies(settings)
	if err != nil {
		return err
	}
	list := slices.Clone(n.policies)
	switch request {
	case "Add", "Update":
		// Sets may refer to others of the same request.
		after := *n
		after.policies = putPolicies(list, wanted, request == "Update")
		err = checkList(h, &after, networkPolicies, wanted)
		list = after.policies
	case "Remove":
		list, err = takePolicies(list, wanted)
	default:
		err = refuse(codeUnsupported, "%s of policies", request)
	}
	if err != nil {
		return err
	}
	n.policies = list
	return nil
}

// putPolicies adds policies, or replaces those of the kinds that it is given. A
// set takes the place of the one with its id; an update of a set that does not
// exist is ignored (hns.md section 2.9).
func putPolicies(list, wanted []policy, update bool) []policy {
	list = without(list, func(old policy) bool {
		return update && old.kind != kindSetPolicy &&
			slices.ContainsFunc(wanted, func(p policy) bool { return p.kind == old.kind })
	})
	for _, p := range wanted {
		if p.kind != kindSetPolicy {
			list = append(list, p)
			continue
		}
		i := slices.IndexFunc(list, func(old policy) bool { return old.kind == p.kind && setID(old) == setID(p) })
		switch {
		case i >= 0:
			list[i] = p
		case !update:
			list = append(list, p)
		}
	}
	return list
}

// takePolicies removes policies: sets by their id, unless one refers to them,
// others by their content.
func takePolicies(list, gone []policy) ([]policy, error) {
	for _, p := range gone {
		if p.kind != kindSetPolicy {
			continue
		}
		for _, other := range list {
			if other.kind == kindSetPolicy && slices.Contains(setMembers(other), setID(p)) {
				return nil, refuse(codeHasReferences, "set %q refers to %q", setID(other), setID(p))
			}
		}
	}
	for _, p := range gone {
		if p.kind != kindSetPolicy {
			var err error
			if list, err = removePolicies(list, []policy{p}); err != nil {
				return nil, err
			}
			continue
		}
		kept := without(list, func(old policy) bool { return old.kind == kindSetPolicy && setID(old) == setID(p) })
		if len(kept) == len(list) {
			return nil, refuse(codeNoPolicy, "no set %q", setID(p))
		}
		list = kept
	}
	return list, nil
}

// setDoc holds the settings of a SetPolicy (hns.md section 2.8).
type setDoc struct {
	ID         string `json:"Id"`
	Name       string
	PolicyType string
	Values     string
}

// readSet returns the settings of a set, which were checked when it was added.
func readSet(p policy) setDoc {
	var s setDoc
	if p.read(&s) != nil {
		return setDoc{}
	}
	return s
}

// setID returns the id by which ACLs and other sets refer to a set.
func setID(p policy) string { return readSet(p).ID }

// setMembers returns the sets that a nested set consists of.
func setMembers(p policy) []string {
	if s := readSet(p); s.PolicyType == "NESTEDIPSET" {
		return splitList(s.Values)
	}
	return nil
}

// setNames returns the ids of the network's sets, which ACLs may use for
// addresses.
func (n *network) setNames() []string {
	var names []string
	for _, p := range n.policies {
		if p.kind == kindSetPolicy {
			names = append(names, setID(p))
		}
	}
	return names
}

// checkSetPolicy refuses sets of anything but addresses, and nested sets of
// unknown members (hns.md section 2.9).
func checkSetPolicy(h *Host, n *network, p policy) error {
	var s setDoc
	if err := p.read(&s); err != nil {
		return err
	}
	if s.ID == "" {
		return refuse(codeInvalidPolicy, "set without an Id")
	}
	switch s.PolicyType {
	case "IPSET":
		_, err := parseAddrList(s.Values, nil)
		return err
	case "NESTEDIPSET":
		if !h.profile.Version.AtLeast(15, 0) {
			return refuse(codeInvalidPolicy, "nested sets came with HNS 15.0")
		}
		for _, member := range splitList(s.Values) {
			if !slices.Contains(n.setNames(), member) {
				return refuse(codeInvalidPolicy, "set %q has no member %q", s.ID, member)
			}
		}
		return nil
	}
	return refuse(codeInvalidPolicy, "set of type %q", s.PolicyType)
}
