// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"net/netip"
)

// route is an SDN route: in v1, a policy list with a ROUTE policy.
type route struct {
	base
	endpoints []*endpoint
	settings  []routeSetting
	// flat is the v1 policy when the client wrote that.
	flat json.RawMessage
}

type routeSetting struct {
	DestinationPrefix string `json:",omitempty"`
	NextHop           string `json:",omitempty"`
	NeedEncap         bool   `json:",omitempty"`
}

// sdnRouteDoc is a route in the v2 schema. The documentation calls the list
// Routes and hcsshim Setting (hns.md section 2.6): both are read and written.
type sdnRouteDoc struct {
	ID                   string         `json:",omitempty"`
	HostComputeEndpoints []string       `json:",omitempty"`
	Setting              []routeSetting `json:",omitempty"`
	Routes               []routeSetting `json:",omitempty"`
	SchemaVersion        schemaVersion
}

// property returns the v1 property that a query filter names.
func (r *route) property(string) (string, bool) { return "", false }

// createRoute is HcnCreateSdnRoute.
func createRoute(h *Host, id, settings string) (object, error) {
	var doc sdnRouteDoc
	if err := decode(settings, &doc); err != nil {
		return nil, err
	}
	if err := checkID(doc.ID); err != nil {
		return nil, err
	}
	common, err := h.chooseID(routeClass, id, doc.ID)
	if err != nil {
		return nil, err
	}
	r := &route{base: common, settings: doc.Setting}
	if len(r.settings) == 0 {
		r.settings = doc.Routes
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.endpoints, err = h.referredEndpoints(doc.HostComputeEndpoints); err != nil {
		return nil, err
	}
	h.store.add(routeClass, r)
	return r, nil
}

// check accepts prefixes with host bits: TestCreateDeleteRoute has one.
func (r *route) check() error {
	for _, s := range r.settings {
		if _, err := netip.ParsePrefix(s.DestinationPrefix); err != nil || s.NextHop != "" && !isAddr(s.NextHop) {
			return refuse(codeInvalidPolicy, "route to %q via %q", s.DestinationPrefix, s.NextHop)
		}
	}
	return nil
}

// modifyRoute is HcnModifySdnRoute, which does nothing yet: hcsshim makes routes
// anew instead (hcn/hcnroute.go, AddEndpoint).
func modifyRoute(*Host, object, string) error {
	return refuse(codeNotImplemented, "routes cannot be modified")
}

// removeRoute is HcnDeleteSdnRoute.
func removeRoute(h *Host, o object) error {
	h.store.remove(routeClass, o)
	return nil
}

// v2 returns the route in the v2 schema.
func (r *route) v2(*Host) any {
	return sdnRouteDoc{
		ID: r.id, HostComputeEndpoints: endpointIDs(r.endpoints),
		Setting: r.settings, Routes: r.settings, SchemaVersion: schemaV2,
	}
}

// routePolicyDoc is a ROUTE policy of the v1 schema.
type routePolicyDoc struct {
	Type string
	routeSetting
}

// v1 returns the policy list that the route is in the v1 schema.
func (r *route) v1(*Host) any {
	doc := policyListDoc{ID: r.upperID(), References: references(r.endpoints)}
	if r.flat != nil {
		doc.Policies = []json.RawMessage{r.flat}
		return doc
	}
	for _, s := range r.settings {
		doc.Policies = append(doc.Policies, json.RawMessage(marshal(routePolicyDoc{"ROUTE", s})))
	}
	return doc
}
