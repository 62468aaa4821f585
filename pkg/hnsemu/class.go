// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"maps"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// class is a kind of object with the seven functions that computenetwork.dll
// has for it.
type class struct {
	name, plural string
	// missing is the answer to the id of no object.
	missing hns.HRESULT
	create  func(h *Host, id, settings string) (object, error)
	modify  func(h *Host, o object, settings string) error
	remove  func(h *Host, o object) error
}

// The classes and their answers to an unknown id: TestNotFoundError for
// namespaces, Azure/azure-container-networking#715 for endpoints, by analogy
// for the others. buildProcs fills in the functions, which refer to the
// classes.
var (
	networkClass   = &class{name: "Network", plural: "Networks", missing: hns.CodeNetworkNotFound}
	endpointClass  = &class{name: "Endpoint", plural: "Endpoints", missing: hns.CodeEndpointNotFound}
	namespaceClass = &class{name: "Namespace", plural: "Namespaces", missing: hns.CodeNotFound}
	balancerClass  = &class{name: "LoadBalancer", plural: "LoadBalancers", missing: hns.CodeNotFound}
	routeClass     = &class{name: "SdnRoute", plural: "SdnRoutes", missing: hns.CodeNotFound}
)

// proc is an exported function.
type proc struct {
	args    int
	mutates bool
	run     func(h *Host, c Call) (Reply, error)
}

const procHNSCall = "HNSCall"

// procs holds every function that the emulator exports.
var procs = buildProcs()

// buildProcs gives the classes their functions and returns all of them: 35, and
// HNSCall.
func buildProcs() map[string]proc {
	networkClass.create, networkClass.modify, networkClass.remove = createNetwork, modifyNetwork, removeNetwork
	endpointClass.modify, endpointClass.remove = modifyEndpoint, removeEndpoint
	namespaceClass.create, namespaceClass.modify, namespaceClass.remove = createNamespace, modifyNamespace, removeNamespace
	balancerClass.create, balancerClass.modify, balancerClass.remove = createBalancer, modifyBalancer, removeBalancer
	routeClass.create, routeClass.modify, routeClass.remove = createRoute, modifyRoute, removeRoute
	table := map[string]proc{procHNSCall: {3, true, runHNSCall}}
	for _, c := range []*class{networkClass, endpointClass, namespaceClass, balancerClass, routeClass} {
		maps.Copy(table, c.procs())
	}
	return table
}

// mutates reports whether a call may change the node.
func mutates(c Call) bool {
	if c.Proc == procHNSCall {
		return len(c.Args) > 0 && !strings.EqualFold(c.Args[0], "GET")
	}
	return procs[c.Proc].mutates
}

// procs returns the seven functions of a class under their exported names. Only
// endpoints are created through the handle of another object.
func (c *class) procs() map[string]proc {
	table := map[string]proc{
		"HcnEnumerate" + c.plural:          {1, false, c.runEnumerate},
		"HcnCreate" + c.name:               {2, true, c.runCreate},
		"HcnOpen" + c.name:                 {1, false, c.runOpen},
		"HcnModify" + c.name:               {2, true, c.runModify},
		"HcnQuery" + c.name + "Properties": {2, false, c.runQuery},
		"HcnDelete" + c.name:               {1, true, c.runDelete},
		"HcnClose" + c.name:                {1, false, c.runClose},
	}
	if c == endpointClass {
		table["HcnCreateEndpoint"] = proc{3, true, runCreateEndpoint}
	}
	return table
}

// runEnumerate answers with ids. hcsshim dereferences the answer, so it is
// never null.
func (c *class) runEnumerate(h *Host, call Call) (Reply, error) {
	q, err := schema.ParseQuery(call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	ids := []string{}
	for _, o := range h.store.objects[c] {
		if h.passes(o, q.Properties) {
			ids = append(ids, o.common().id)
		}
	}
	return Reply{Out: schema.Marshal(ids)}, nil
}

// runCreate creates an object.
func (c *class) runCreate(h *Host, call Call) (Reply, error) {
	id, err := parseGUID(call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	o, err := c.create(h, id, call.Args[1])
	if err != nil {
		return Reply{}, err
	}
	return Reply{Handle: h.store.issue(call.Client, c, o)}, nil
}

// runOpen opens an object, which may have been deleted since it was enumerated.
func (c *class) runOpen(h *Host, call Call) (Reply, error) {
	o, err := c.lookUp(h, call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	return Reply{Handle: h.store.issue(call.Client, c, o)}, nil
}

// runModify changes an object. It answers the code only; hcsshim queries the
// object afterwards.
func (c *class) runModify(h *Host, call Call) (Reply, error) {
	o, err := h.store.resolve(call.Client, c, call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	return Reply{}, c.modify(h, o, call.Args[1])
}

// runQuery answers with the properties of an object. hcsshim leaves the filter
// of the enumeration in the query, which does not matter here.
func (c *class) runQuery(h *Host, call Call) (Reply, error) {
	o, err := h.store.resolve(call.Client, c, call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	q, err := schema.ParseQuery(call.Args[1])
	if err != nil {
		return Reply{}, err
	}
	if q.SchemaVersion.Major == 1 {
		return Reply{Out: schema.Marshal(o.v1(h))}, nil
	}
	return Reply{Out: schema.Marshal(o.v2(h))}, nil
}

// runDelete deletes an object, also when there are handles to it.
func (c *class) runDelete(h *Host, call Call) (Reply, error) {
	o, err := c.lookUp(h, call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	return Reply{}, c.remove(h, o)
}

// runClose closes a handle, also one to a deleted object.
func (c *class) runClose(h *Host, call Call) (Reply, error) {
	n, err := parseHandle(call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	if found, ok := h.store.handles[n]; !ok || found.client != call.Client || found.class != c {
		return Reply{}, schema.Errorf(hns.CodeInvalidHandle, "%d is not a %s handle of client %q", n, c.name, call.Client)
	}
	delete(h.store.handles, n)
	return Reply{}, nil
}

// lookUp returns the object that a GUID names.
func (c *class) lookUp(h *Host, text string) (object, error) {
	id, err := parseGUID(text)
	if err != nil {
		return nil, err
	}
	if o := h.store.find(c, id); o != nil {
		return o, nil
	}
	return nil, c.none(h, id)
}

// none is the answer to the id of no object.
func (c *class) none(h *Host, id string) error {
	code := c.missing
	if h.unknowns.GenericNotFound {
		code = hns.CodeNotFound
	}
	return schema.Errorf(code, "no %s %s", c.name, id)
}

// parseGUID reads a GUID parameter; none is the zero GUID.
func parseGUID(text string) (string, error) {
	if text == "" {
		return hns.ZeroGUID, nil
	}
	id, err := hns.ParseGUID(text)
	if err != nil {
		return "", schema.Errorf(schema.CodeInvalidParameter, "%v", err)
	}
	return id, nil
}
