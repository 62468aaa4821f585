// SPDX-License-Identifier: Apache-2.0

package hcndoc

import (
	"encoding/json"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// request is what Modify takes.
type request struct {
	Resource string `json:"ResourceType"`
	Verb     string `json:"RequestType"`
	Settings any
}

type policiesSettings struct {
	Policies []policyDoc
}

type endpointSettings struct {
	ID string `json:"EndpointId"`
}

type containerSettings struct {
	ID string `json:"ContainerId"`
}

// EncodePolicies returns the document that replaces the policies of an
// endpoint.
func EncodePolicies(policies []hns.Policy) ([]byte, error) {
	docs, err := encodePolicies(policies)
	if err != nil {
		return nil, err
	}
	if docs == nil {
		docs = []policyDoc{} // an empty list, not null
	}
	return json.Marshal(request{"Policy", "Update", policiesSettings{docs}})
}

// EncodeAttach returns the document that adds an endpoint to the namespace that
// is modified with it.
func EncodeAttach(endpointID string) ([]byte, error) {
	return json.Marshal(request{"Endpoint", "Add", endpointSettings{endpointID}})
}

// EncodeDetach returns the document that takes an endpoint out of the namespace
// that is modified with it.
func EncodeDetach(endpointID string) ([]byte, error) {
	return json.Marshal(request{"Endpoint", "Remove", endpointSettings{endpointID}})
}

// EncodeAttachContainer returns the document that lets a container use the
// namespace that is modified with it.
func EncodeAttachContainer(containerID string) ([]byte, error) {
	return json.Marshal(request{"Container", "Add", containerSettings{containerID}})
}

// EncodeDetachContainer returns the document that takes a container out of the
// namespace that is modified with it.
func EncodeDetachContainer(containerID string) ([]byte, error) {
	return json.Marshal(request{"Container", "Remove", containerSettings{containerID}})
}

// EncodeAttachHost returns the v1 document that gives an endpoint to the node's
// own compartment, which is always the first (hcsshim internal/hns/hnsendpoint.go).
func EncodeAttachHost() ([]byte, error) {
	return json.Marshal(struct {
		Compartment uint16 `json:"CompartmentId"`
		System      string `json:"SystemType"`
	}{1, "Host"})
}

// Filter selects objects by their members; none selects all. The names are
// those of schema 1: ID, Name, VirtualNetwork (hcsshim hcn/hcnendpoint.go,
// ListEndpointsOfNetwork).
type Filter map[string]string

// EncodeQuery returns the document that asks for the objects that filter
// selects.
func EncodeQuery(filter Filter) ([]byte, error) {
	q := struct {
		SchemaVersion schemaVersion
		Filter        string `json:",omitempty"`
	}{SchemaVersion: schemaV2}
	if len(filter) > 0 {
		b, err := json.Marshal(filter)
		if err != nil {
			return nil, err
		}
		q.Filter = string(b)
	}
	return json.Marshal(q)
}
