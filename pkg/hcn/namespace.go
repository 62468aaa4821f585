// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Numbers of the namespace resource types (microsoft/SDN hns.v2.psm1).
const (
	resourceContainer = 0
	resourceEndpoint  = 1
)

// encodeNamespace returns the document that creates a namespace: without a
// type, as containerd does, which makes one with a compartment of its own. An
// empty id leaves the choice to HNS.
func encodeNamespace(id string) ([]byte, error) {
	return json.Marshal(namespaceDoc{ID: id, SchemaVersion: schemaV2})
}

// decodeNamespace reads a namespace as HNS describes it.
func decodeNamespace(document []byte) (hns.Namespace, error) {
	var doc namespaceDoc
	if err := json.Unmarshal(document, &doc); err != nil {
		return hns.Namespace{}, fmt.Errorf("namespace document: %w", err)
	}
	got := hns.Namespace{ID: lenientID(doc.ID), Compartment: doc.Compartment}
	if got.ID == "" {
		return hns.Namespace{}, fmt.Errorf("namespace document: id %q is not a GUID", doc.ID)
	}
	for _, r := range doc.Resources {
		switch {
		case r.Type.is("Endpoint", resourceEndpoint):
			if e := lenientID(r.Data.ID); e != "" {
				got.Endpoints = append(got.Endpoints, e)
			}
		case r.Type == "" || r.Type.is("Container", resourceContainer):
			got.Containers = append(got.Containers, r.Data.ID)
		}
	}
	return got, nil
}
