// SPDX-License-Identifier: Apache-2.0

package hcn

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

// encodePolicyRequest returns the document that changes the policies of an endpoint:
// "Update" replaces them, "Add" and "Remove" leave the others as they are.
func encodePolicyRequest(change string, policies []hns.Policy) ([]byte, error) {
	docs, err := encodePolicies(policies)
	if err != nil {
		return nil, err
	}
	if docs == nil {
		docs = []policyDoc{} // an empty list, not null
	}
	return json.Marshal(request{"Policy", change, policiesSettings{docs}})
}

// encodeAttach returns the document that adds an endpoint to the namespace that
// is modified with it.
func encodeAttach(endpointID string) ([]byte, error) {
	return json.Marshal(request{"Endpoint", "Add", endpointSettings{endpointID}})
}

// encodeDetach returns the document that takes an endpoint out of the namespace
// that is modified with it.
func encodeDetach(endpointID string) ([]byte, error) {
	return json.Marshal(request{"Endpoint", "Remove", endpointSettings{endpointID}})
}

// encodeAttachContainer returns the document that lets a container use the
// namespace that is modified with it.
func encodeAttachContainer(containerID string) ([]byte, error) {
	return json.Marshal(request{"Container", "Add", containerSettings{containerID}})
}

// encodeDetachContainer returns the document that takes a container out of the
// namespace that is modified with it.
func encodeDetachContainer(containerID string) ([]byte, error) {
	return json.Marshal(request{"Container", "Remove", containerSettings{containerID}})
}

// encodeAttachHost returns the v1 document that gives an endpoint to the node's
// own compartment, which is always the first (hcsshim internal/hns/hnsendpoint.go).
func encodeAttachHost() ([]byte, error) {
	return json.Marshal(struct {
		Compartment uint16 `json:"CompartmentId"`
		System      string `json:"SystemType"`
	}{1, "Host"})
}

// filter selects objects by their members; none selects all. The names are
// those of schema 1: ID, Name, VirtualNetwork (hcsshim hcn/hcnendpoint.go,
// ListEndpointsOfNetwork).
type filter map[string]string

// encodeQuery returns the document that asks for the objects that f
// selects.
func encodeQuery(f filter) ([]byte, error) {
	q := struct {
		SchemaVersion schemaVersion
		Filter        string `json:",omitempty"`
	}{SchemaVersion: schemaV2}
	if len(f) > 0 {
		b, err := json.Marshal(f)
		if err != nil {
			return nil, err
		}
		q.Filter = string(b)
	}
	return json.Marshal(q)
}
