// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// endpointsV1 serves /endpoints.
func (h *Host) endpointsV1(r requestV1) (any, error) {
	if r.id == "" {
		switch r.method {
		case "GET":
			return h.listV1(endpointClass), nil
		case "POST":
			return h.madeV1(h.createEndpointV1(r.body))
		}
		return nil, r.unknown()
	}
	o, err := h.lookUpV1(endpointClass, r)
	if err != nil {
		return nil, err
	}
	e := o.(*endpoint)
	switch r.method + " " + r.verb {
	case "GET ":
		return e.v1(h), nil
	case "DELETE ":
		return nil, removeEndpoint(h, e)
	case "POST ":
		return h.updateEndpointV1(e, r.body)
	case "POST attach", "POST detach":
		return nil, h.attachV1(e, r)
	}
	return nil, r.unknown()
}

// createEndpointV1 finds the network that the document names by id, or else by
// name.
func (h *Host) createEndpointV1(body string) (object, error) {
	var doc schema.EndpointDoc
	if err := schema.Decode(body, &doc); err != nil {
		return nil, err
	}
	id, err := schema.Reference(doc.VirtualNetwork)
	if err != nil {
		return nil, err
	}
	if id == "" {
		for _, n := range all[*network](&h.store, networkClass) {
			if doc.VirtualNetworkName != "" && h.sameName(n.name, doc.VirtualNetworkName) {
				id = n.id
			}
		}
	}
	o := h.store.find(networkClass, id)
	if o == nil {
		return nil, schema.Errorf(hns.CodeNetworkNotFound, "no network %q %q", doc.VirtualNetwork, doc.VirtualNetworkName)
	}
	e, err := h.makeEndpoint(o.(*network), "", doc)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// updateEndpointV1 replaces the policies. The document is a whole endpoint, and
// its list takes the place of the current one: Calico's felix sends the full
// list each time.
func (h *Host) updateEndpointV1(e *endpoint, body string) (any, error) {
	var doc schema.EndpointDoc
	if err := schema.Decode(body, &doc); err != nil {
		return nil, err
	}
	if e.Remote() {
		return nil, schema.Errorf(schema.CodeRemoteEndpoint, "endpoint %q is remote", e.name)
	}
	wanted := []schema.Policy{}
	for _, raw := range doc.Policies {
		p, err := e.recognise(raw)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, p)
	}
	if err := h.checkEndpointPolicies(e.network, wanted); err != nil {
		return nil, err
	}
	placed, err := h.placePolicies(e, wanted)
	if err != nil {
		return nil, err
	}
	e.Policies, e.modified = placed, e.modified+1
	return e.v1(h), nil
}

// recognise reads a policy of the v1 schema. If it is one of the endpoint's,
// which the client has read and sends back, it returns that one, so that its v2
// form stays.
func (e *endpoint) recognise(raw json.RawMessage) (schema.Policy, error) {
	var compact bytes.Buffer
	if json.Compact(&compact, raw) == nil {
		for _, p := range e.Policies {
			var own bytes.Buffer
			if json.Compact(&own, p.V1()) == nil && bytes.Equal(own.Bytes(), compact.Bytes()) {
				return p, nil
			}
		}
	}
	return schema.ParsePolicyV1(raw)
}

// attachV1 serves attach and detach.
func (h *Host) attachV1(e *endpoint, r requestV1) error {
	var doc struct {
		SystemType  string
		ContainerID string `json:"ContainerId"`
	}
	if err := schema.Decode(r.body, &doc); err != nil {
		return err
	}
	i := slices.IndexFunc([]string{"Container", "VirtualMachine", "Host"}, func(s string) bool { return s == doc.SystemType })
	if i < 0 {
		return schema.Errorf(schema.CodeInvalidJSON, "system type %q", doc.SystemType)
	}
	if e.Remote() {
		return schema.Errorf(schema.CodeRemoteEndpoint, "endpoint %q is remote", e.name)
	}
	if r.verb == "detach" {
		return e.detach(doc.ContainerID)
	}
	return e.attach(doc.SystemType, doc.ContainerID)
}

// attach puts an endpoint into a system. Containers can share an endpoint;
// otherwise one that is attached is refused (projectcalico/calico#4280).
func (e *endpoint) attach(system, container string) error {
	share := system == "Container" && e.system == system && !e.sharedWith(container)
	if (e.system != "" || e.namespace != nil) && !share {
		return schema.Errorf(schema.CodeAlreadyAttached, "endpoint %q is attached", e.name)
	}
	e.system, e.state = system, schema.StateAttached
	if system == "Container" {
		e.shared = append(e.shared, container)
		e.state = schema.StateAttachedSharing
	}
	return nil
}

// sharedWith reports whether a v1 attach put a container onto the endpoint.
// hcsshim's IsAttached compares ids without regard to letter case, too.
func (e *endpoint) sharedWith(container string) bool {
	return slices.ContainsFunc(e.shared, func(id string) bool { return strings.EqualFold(id, container) })
}

// detach takes an endpoint out of its system. A shared endpoint is detached
// when the last container has left.
func (e *endpoint) detach(container string) error {
	if e.system == "" {
		return schema.Errorf(schema.CodeNotAttached, "endpoint %q is not attached", e.name)
	}
	if e.system == "Container" {
		if !e.sharedWith(container) {
			return schema.Errorf(schema.CodeNotAttached, "endpoint %q is not attached to container %q", e.name, container)
		}
		e.shared = slices.DeleteFunc(e.shared, func(id string) bool { return strings.EqualFold(id, container) })
		if len(e.shared) > 0 {
			return nil
		}
	}
	e.system, e.state = "", schema.StateDetached
	return nil
}

// statsV1 serves /endpointstats. The emulator sends no packets, so all counters
// are 0.
func (h *Host) statsV1(r requestV1) (any, error) {
	if r.method != "GET" {
		return nil, r.unknown()
	}
	o, err := h.lookUpV1(endpointClass, r)
	if err != nil {
		return nil, err
	}
	id := o.common().upperID()
	return struct {
		BytesReceived, BytesSent                       uint64
		DroppedPacketsIncoming, DroppedPacketsOutgoing uint64
		EndpointID                                     string `json:"EndpointId"`
		InstanceID                                     string `json:"InstanceId"`
		PacketsReceived, PacketsSent                   uint64
	}{EndpointID: id, InstanceID: id}, nil
}
