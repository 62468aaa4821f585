// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// policyContext returns what the checks of policies on a network depend on.
func (h *Host) policyContext(n *network) schema.PolicyContext {
	return schema.PolicyContext{
		Version: h.profile.Version, NetworkType: n.Type, Sets: n.SetIDs(),
		LaxExceptions: h.profile.LaxExceptions, LaxPortMapping: h.unknowns.LaxPortMapping,
	}
}

// checkPolicies checks the policies that a network is made with.
func (n *network) checkPolicies(h *Host) error {
	return h.checkNetworkPolicies(n, n.Policies)
}

// checkNetworkPolicies checks policies that a network is to have.
func (h *Host) checkNetworkPolicies(n *network, list []schema.Policy) error {
	c := h.policyContext(n)
	for _, p := range list {
		if err := c.CheckNetworkPolicy(p); err != nil {
			return err
		}
	}
	return nil
}

// checkEndpointPolicies checks policies that an endpoint of a network is to have.
func (h *Host) checkEndpointPolicies(n *network, list []schema.Policy) error {
	c := h.policyContext(n)
	for _, p := range list {
		if err := c.CheckEndpointPolicy(p); err != nil {
			return err
		}
		if err := h.checkBoundPorts(p); err != nil {
			return err
		}
	}
	return nil
}

// checkBoundPorts refuses a port mapping of a port that a process of the node
// listens on.
func (h *Host) checkBoundPorts(p schema.Policy) error {
	for _, m := range mappings([]schema.Policy{p}) {
		for _, b := range h.node.BoundPorts {
			if b.Protocol == int(m.Protocol) && b.Port == m.ExternalPort && m.ExternalPort != 0 {
				return schema.Errorf(schema.CodeSharingViolation, "a process listens on port %d", b.Port)
			}
		}
	}
	return nil
}

// modifyPolicies carries out a policy request on a network.
func (n *network) modifyPolicies(h *Host, request string, settings json.RawMessage) error {
	wanted, err := schema.ParsePolicyRequest(settings)
	if err != nil {
		return err
	}
	list := slices.Clone(n.Policies)
	switch request {
	case "Add", "Update":
		// Sets may refer to others of the same request.
		after := *n
		after.Policies = putPolicies(list, wanted, request == "Update")
		err = h.checkNetworkPolicies(&after, wanted)
		list = after.Policies
	case "Remove":
		list, err = takePolicies(list, wanted)
	default:
		err = schema.Errorf(schema.CodeUnsupported, "%s of policies", request)
	}
	if err != nil {
		return err
	}
	n.Policies = list
	return nil
}

// putPolicies adds policies, or with update replaces those of the types that it
// is given. A set takes the place of the one with its id. An update of a set
// that does not exist is ignored (Azure/azure-container-networking,
// network/hnswrapper/hnsv2wrapperfake.go).
func putPolicies(list, wanted []schema.Policy, update bool) []schema.Policy {
	list = without(list, func(old schema.Policy) bool {
		return update && old.Type != schema.PolicySet &&
			slices.ContainsFunc(wanted, func(p schema.Policy) bool { return p.Type == old.Type })
	})
	for _, p := range wanted {
		if p.Type != schema.PolicySet {
			list = append(list, p)
			continue
		}
		i := slices.IndexFunc(list, func(old schema.Policy) bool { return old.Type == p.Type && old.Set().ID == p.Set().ID })
		switch {
		case i >= 0:
			list[i] = p
		case !update:
			list = append(list, p)
		}
	}
	return list
}

// takePolicies removes policies: sets by their id, unless another set refers to
// them, and others by their content.
func takePolicies(list, gone []schema.Policy) ([]schema.Policy, error) {
	for _, p := range gone {
		if p.Type != schema.PolicySet {
			continue
		}
		for _, other := range list {
			if other.Type == schema.PolicySet && slices.Contains(other.Set().Members(), p.Set().ID) {
				return nil, schema.Errorf(schema.CodeHasReferences, "set %q refers to %q", other.Set().ID, p.Set().ID)
			}
		}
	}
	for _, p := range gone {
		if p.Type != schema.PolicySet {
			var err error
			if list, err = removePolicies(list, []schema.Policy{p}); err != nil {
				return nil, err
			}
			continue
		}
		kept := without(list, func(old schema.Policy) bool {
			return old.Type == schema.PolicySet && old.Set().ID == p.Set().ID
		})
		if len(kept) == len(list) {
			return nil, schema.Errorf(schema.CodeNoPolicy, "no set %q", p.Set().ID)
		}
		list = kept
	}
	return list, nil
}

// without returns the policies for which drop is false.
func without(list []schema.Policy, drop func(schema.Policy) bool) []schema.Policy {
	return slices.DeleteFunc(slices.Clone(list), drop)
}

// removePolicies removes policies by their content:
// TestAddRemoveHostRoutePolicy sends the same document to add and to remove
// one.
func removePolicies(list, gone []schema.Policy) ([]schema.Policy, error) {
	for _, p := range gone {
		kept := without(list, p.Equal)
		if len(kept) == len(list) {
			return nil, schema.Errorf(schema.CodeNoPolicy, "no policy %s %s", p.Type, p.Canonical())
		}
		list = kept
	}
	return list, nil
}

// replaceTypes replaces the policies of the types that wanted mentions, and the
// ACLs in any case: Azure's NPM removes ACLs by an Update without them. With
// everything it replaces all policies; which of the two HNS does is not
// documented.
func replaceTypes(list, wanted []schema.Policy, everything bool) []schema.Policy {
	kept := without(list, func(p schema.Policy) bool {
		mentioned := slices.ContainsFunc(wanted, func(w schema.Policy) bool { return w.Type == p.Type })
		return everything || mentioned || p.Type == schema.PolicyACL
	})
	return append(kept, wanted...)
}
