// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// route is an SDN route. In v1 it is a policy list with a ROUTE policy.
type route struct {
	base
	endpoints []*endpoint
	settings  []schema.SDNRouteSetting
	// flat is the v1 policy, if the client wrote that.
	flat json.RawMessage
}

// property returns the v1 property that a query filter names.
func (r *route) property(string) (string, bool) { return "", false }

// createRoute is HcnCreateSdnRoute.
func createRoute(h *Host, id, settings string) (object, error) {
	var doc schema.SDNRoute
	if err := schema.Decode(settings, &doc); err != nil {
		return nil, err
	}
	if err := schema.CheckID(doc.ID); err != nil {
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

// check checks the addresses. A prefix may have host bits: in
// TestCreateDeleteRoute it does.
func (r *route) check() error {
	for _, s := range r.settings {
		if _, err := netip.ParsePrefix(s.DestinationPrefix); err != nil || s.NextHop != "" && !schema.IsAddr(s.NextHop) {
			return schema.Errorf(schema.CodeInvalidPolicy, "route to %q via %q", s.DestinationPrefix, s.NextHop)
		}
	}
	return nil
}

// modifyRoute is HcnModifySdnRoute. hcsshim does not call it: it deletes and
// creates routes instead (hcn/hcnroute.go, AddEndpoint).
func modifyRoute(*Host, object, string) error {
	return schema.Errorf(schema.CodeNotImplemented, "routes cannot be modified")
}

// removeRoute is HcnDeleteSdnRoute.
func removeRoute(h *Host, o object) error {
	h.store.remove(routeClass, o)
	return nil
}

// v2 returns the route in the v2 schema.
func (r *route) v2(*Host) any {
	return schema.SDNRoute{
		ID: r.id, HostComputeEndpoints: endpointIDs(r.endpoints),
		Setting: r.settings, Routes: r.settings, SchemaVersion: schema.V2,
	}
}

// v1 returns the route in the v1 schema: a policy list.
func (r *route) v1(*Host) any {
	doc := schema.PolicyList{ID: r.upperID(), References: references(r.endpoints)}
	if r.flat != nil {
		doc.Policies = []json.RawMessage{r.flat}
		return doc
	}
	for _, s := range r.settings {
		doc.Policies = append(doc.Policies, json.RawMessage(schema.Marshal(schema.RoutePolicy{Type: "ROUTE", SDNRouteSetting: s})))
	}
	return doc
}
