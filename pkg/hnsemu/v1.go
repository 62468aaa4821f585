// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// requestV1 is one request of the v1 API: "POST /endpoints/{id}/attach".
type requestV1 struct {
	method string
	// kind is the first element of the path, id and verb the next ones.
	kind, id, verb string
	body           string
}

// runHNSCall is vmcompute.dll's HNSCall.
func runHNSCall(h *Host, c Call) (Reply, error) {
	r := requestV1{method: strings.ToUpper(c.Args[0]), body: c.Args[2]}
	elements := strings.Split(strings.Trim(c.Args[1], "/"), "/")
	r.kind = strings.ToLower(elements[0])
	if len(elements) > 1 {
		r.id = elements[1]
	}
	if len(elements) > 2 {
		r.verb = strings.ToLower(elements[2])
	}
	output, err := h.serveV1(r)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Out: schema.Marshal(schema.AnswerV1{Success: true, Output: output})}, nil
}

// serveV1 serves a request. microsoft/SDN's scripts read /activities, /plugins
// and /portpools, too, which are empty.
func (h *Host) serveV1(r requestV1) (any, error) {
	switch r.kind {
	case "globals":
		return h.globalsV1(r)
	case "networks":
		return h.networksV1(r)
	case "endpoints":
		return h.endpointsV1(r)
	case "endpointstats":
		return h.statsV1(r)
	case "namespaces":
		return h.namespacesV1(r)
	case "policylists":
		return h.policyListsV1(r)
	case "accelnet":
		return h.accelnetV1(r)
	case "activities", "plugins", "portpools":
		return []any{}, nil
	}
	return nil, r.unknown()
}

// unknown is the answer to a request that HNS has no handler for.
func (r requestV1) unknown() error {
	return schema.Errorf(hns.CodeNotFound, "no handler for %s /%s/%s/%s", r.method, r.kind, r.id, r.verb)
}

// globalsV1 answers the version. Before 1803 the request fails (hcsshim,
// hcn/hcnsupport.go).
func (h *Host) globalsV1(r requestV1) (any, error) {
	v := h.profile.Version
	if r.method != "GET" || !strings.EqualFold(r.id, "version") || !v.AtLeast(7, 2) {
		return nil, r.unknown()
	}
	return struct{ Major, Minor int }{v.Major, v.Minor}, nil
}

// listV1 returns all objects of a class in the v1 schema.
func (h *Host) listV1(classes ...*class) []any {
	list := []any{}
	for _, c := range classes {
		for _, o := range h.store.objects[c] {
			list = append(list, o.v1(h))
		}
	}
	return list
}

// lookUpV1 returns the object that a path names.
func (h *Host) lookUpV1(c *class, r requestV1) (object, error) {
	if _, err := hns.ParseGUID(r.id); err != nil {
		return nil, schema.Errorf(c.missing, "%v", err)
	}
	return c.lookUp(h, r.id)
}

// networksV1 serves /networks.
func (h *Host) networksV1(r requestV1) (any, error) {
	if r.id == "" {
		switch r.method {
		case "GET":
			return h.listV1(networkClass), nil
		case "POST":
			return h.madeV1(networkClass.create(h, "", r.body))
		}
		return nil, r.unknown()
	}
	o, err := h.lookUpV1(networkClass, r)
	if err != nil {
		return nil, err
	}
	switch r.method {
	case "GET":
		return o.v1(h), nil
	case "DELETE":
		return nil, removeNetwork(h, o)
	}
	return nil, r.unknown()
}

// madeV1 answers a creation with the object.
func (h *Host) madeV1(o object, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return o.v1(h), nil
}

// v1 returns the network in the v1 schema.
func (n *network) v1(h *Host) any {
	doc := schema.NetworkV1{
		ID: n.upperID(), Name: n.name, Type: n.Spelling, Policies: schema.PoliciesV1(n.told(h)),
		MacPools: n.MACRanges(), DNSSuffix: n.DNS.Suffix(), DNSServerList: strings.Join(n.DNS.ServerList, ","),
		NetworkAdapterName: n.NamedAdapter(), SwitchGUID: n.switchID(), Flags: n.Flags, State: n.state,
		Version: schema.VersionNumber(h.profile.Version), Subnets: []schema.SubnetV1{},
	}
	if ip := n.managed(h); ip.IsValid() {
		doc.ManagementIP = ip.String()
	}
	if n.Type == schema.TypeOverlay {
		doc.DrMacAddress = n.routerMAC()
	}
	doc.CurrentEndpointCount = len(n.endpoints(h))
	doc.TotalEndpoints = doc.CurrentEndpointCount
	for _, s := range n.Subnets {
		doc.Subnets = append(doc.Subnets, s.V1())
	}
	return doc
}

// accelnetV1 serves /accelnet, which came with 15.4.
func (h *Host) accelnetV1(r requestV1) (any, error) {
	if !h.profile.Version.AtLeast(15, 4) {
		return nil, schema.Errorf(schema.CodeNotImplemented, "accelnet came with HNS 15.4")
	}
	var doc schema.AccelNet
	switch r.method {
	case "GET":
	case "POST":
		if err := schema.Decode(r.body, &doc); err != nil {
			return nil, err
		}
		for _, m := range doc.MacAddressList {
			if _, err := schema.ParseMAC(m.MacAddress); err != nil {
				return nil, err
			}
		}
		h.store.managed = doc.MacAddressList
	case "DELETE":
		h.store.managed = nil
	default:
		return nil, r.unknown()
	}
	doc.MacAddressList = h.store.managed
	return doc, nil
}
