// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"net/netip"
	"slices"
)

// Set is the settings of a SetPolicy. ACLs and nested sets refer to it by its id.
type Set struct {
	ID         string `json:"Id"`
	Name       string
	PolicyType string
	// Values is a list of addresses, or of ids of sets.
	Values string
}

// Types of sets.
const (
	setOfAddrs = "IPSET"
	setOfSets  = "NESTEDIPSET"
)

// Set returns the settings of a SetPolicy, the zero Set when they cannot be read.
func (p Policy) Set() Set {
	var s Set
	if p.Read(&s) != nil {
		return Set{}
	}
	return s
}

// Members returns the ids of the sets that a nested set consists of.
func (s Set) Members() []string {
	if s.PolicyType != setOfSets {
		return nil
	}
	return splitList(s.Values)
}

// prefixes returns the addresses of a set that is not nested.
func (s Set) prefixes() []netip.Prefix {
	list, err := ParseAddrList(s.Values, nil)
	if err != nil {
		return nil
	}
	return list.Prefixes
}

// SetIDs returns the ids of the network's sets, which ACLs may use for addresses.
func (n Network) SetIDs() []string {
	var ids []string
	for _, p := range n.Policies {
		if p.Type == PolicySet {
			ids = append(ids, p.Set().ID)
		}
	}
	return ids
}

// Sets returns the addresses of the network's sets by id. A nested set has
// those of its members that are not nested themselves.
func (n Network) Sets() map[string][]netip.Prefix {
	sets := map[string][]netip.Prefix{}
	for _, p := range n.Policies {
		if p.Type != PolicySet {
			continue
		}
		s := p.Set()
		if _, ok := sets[s.ID]; ok {
			continue
		}
		sets[s.ID] = s.prefixes()
		if s.PolicyType == setOfSets {
			sets[s.ID] = n.membersOf(s)
		}
	}
	return sets
}

// membersOf returns the addresses of the members of a nested set.
func (n Network) membersOf(nested Set) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, p := range n.Policies {
		if s := p.Set(); p.Type == PolicySet && s.PolicyType != setOfSets && slices.Contains(nested.Members(), s.ID) {
			prefixes = append(prefixes, s.prefixes()...)
		}
	}
	return prefixes
}

// checkSetPolicy refuses sets of anything but addresses, and nested sets of
// unknown members. The fake HNS of Azure's NPM does so too
// (azure-container-networking, network/hnswrapper/hnsv2wrapperfake.go).
func checkSetPolicy(c PolicyContext, p Policy) error {
	var s Set
	if err := p.Read(&s); err != nil {
		return err
	}
	if s.ID == "" {
		return Errorf(CodeInvalidPolicy, "set without an Id")
	}
	switch s.PolicyType {
	case setOfAddrs:
		_, err := ParseAddrList(s.Values, nil)
		return err
	case setOfSets:
		if !c.Version.AtLeast(15, 0) {
			return Errorf(CodeInvalidPolicy, "nested sets came with HNS 15.0")
		}
		for _, member := range s.Members() {
			if !slices.Contains(c.Sets, member) {
				return Errorf(CodeInvalidPolicy, "set %q has no member %q", s.ID, member)
			}
		}
		return nil
	}
	return Errorf(CodeInvalidPolicy, "set of type %q", s.PolicyType)
}
