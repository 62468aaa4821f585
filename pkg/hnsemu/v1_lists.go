// SPDX-License-Identifier: Apache-2.0

package hnsemu

import "github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"

// namespacesV1 serves /namespaces. hcsshim turns the text "Element not found."
// of an unknown namespace into os.ErrNotExist.
func (h *Host) namespacesV1(r requestV1) (any, error) {
	if r.id == "" {
		switch r.method {
		case "GET":
			return h.listV1(namespaceClass), nil
		case "POST":
			return h.madeV1(namespaceClass.create(h, "", r.body))
		}
		return nil, r.unknown()
	}
	o, err := h.lookUpV1(namespaceClass, r)
	if err != nil {
		return nil, err
	}
	s := o.(*namespace)
	switch r.method + " " + r.verb {
	case "GET ":
		return s.v1(h), nil
	case "DELETE ":
		return nil, removeNamespace(h, s)
	case "POST addresource":
		return h.resourceV1(s, "Add", r.body)
	case "POST removeresource":
		return h.resourceV1(s, "Remove", r.body)
	}
	return nil, r.unknown()
}

// resourceV1 serves addresource and removeresource, which are the v1 form of
// HcnModifyNamespace.
func (h *Host) resourceV1(s *namespace, request, body string) (any, error) {
	var doc struct {
		Type schema.Word
		Data struct{ ID string }
	}
	if err := schema.Decode(body, &doc); err != nil {
		return nil, err
	}
	kind, ok := doc.Type.OneOf("Container", "Endpoint")
	if !ok {
		return nil, schema.Errorf(schema.CodeUnsupported, "resource type %q", doc.Type)
	}
	if err := s.modify(h, kind, request, doc.Data.ID); err != nil {
		return nil, err
	}
	return s.v1(h), nil
}

// references returns endpoints as v1 refers to them: "/endpoints/" and the id.
func references(list []*endpoint) []string {
	refs := []string{}
	for _, e := range list {
		refs = append(refs, "/endpoints/"+e.upperID())
	}
	return refs
}

// policyListsV1 serves /policylists.
func (h *Host) policyListsV1(r requestV1) (any, error) {
	if r.id == "" {
		switch r.method {
		case "GET":
			return h.listV1(balancerClass, routeClass), nil
		case "POST":
			return h.madeV1(h.createPolicyList(r.body))
		}
		return nil, r.unknown()
	}
	c := balancerClass
	o, err := h.lookUpV1(c, r)
	if err != nil {
		c = routeClass
		if o, err = h.lookUpV1(c, r); err != nil {
			return nil, err
		}
	}
	switch r.method {
	case "GET":
		return o.v1(h), nil
	case "DELETE":
		return nil, c.remove(h, o)
	}
	return nil, r.unknown()
}

// createPolicyList makes a load balancer or a route of a list with one policy.
func (h *Host) createPolicyList(body string) (object, error) {
	var doc schema.PolicyList
	if err := schema.Decode(body, &doc); err != nil {
		return nil, err
	}
	if len(doc.Policies) != 1 {
		return nil, schema.Errorf(schema.CodeInvalidPolicy, "a policy list of %d policies", len(doc.Policies))
	}
	if _, err := schema.PolicyMembers(doc.Policies[0]); err != nil {
		return nil, err
	}
	var elb schema.ELBPolicy
	if err := schema.Decode(string(doc.Policies[0]), &elb); err != nil {
		return nil, err
	}
	switch elb.Type {
	case "ELB":
		b := elb.LoadBalancer(doc.References)
		b.ID = doc.ID
		o, err := createBalancer(h, "", schema.Marshal(b))
		if err != nil {
			return nil, err
		}
		o.(*balancer).flat = doc.Policies[0]
		return o, nil
	case "ROUTE":
		return h.createRouteV1(doc)
	}
	return nil, schema.Errorf(schema.CodeInvalidPolicyType, "policy list of type %q", elb.Type)
}

// createRouteV1 makes a route of a policy list.
func (h *Host) createRouteV1(doc schema.PolicyList) (object, error) {
	var policy schema.RoutePolicy
	if err := schema.Decode(string(doc.Policies[0]), &policy); err != nil {
		return nil, err
	}
	o, err := createRoute(h, "", schema.Marshal(schema.SDNRoute{
		ID: doc.ID, HostComputeEndpoints: doc.References, Setting: []schema.SDNRouteSetting{policy.SDNRouteSetting},
	}))
	if err != nil {
		return nil, err
	}
	o.(*route).flat = doc.Policies[0]
	return o, nil
}
