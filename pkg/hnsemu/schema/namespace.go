// SPDX-License-Identifier: Apache-2.0

package schema

import "encoding/json"

// Types of namespaces that the emulator treats in a way of their own.
const (
	NamespaceHost        = "Host"
	NamespaceHostDefault = "HostDefault"
)

// namespaceTypes are in the order of their numbers: that of HNS_Schema.md.
var namespaceTypes = []string{NamespaceHost, NamespaceHostDefault, "Guest", "GuestDefault"}

// NamespaceDoc is a namespace as clients write it, in either schema.
type NamespaceDoc struct {
	ID                    string
	Type                  Word
	IsDefault             bool
	CreateWithCompartment bool
}

// TypeName returns the type that the document asks for. Host is the default:
// containerd and hcsshim send no type and expect a new compartment.
func (d NamespaceDoc) TypeName() (string, error) {
	if d.Type != "" {
		name, ok := d.Type.OneOf(namespaceTypes...)
		if !ok {
			return "", Errorf(CodeInvalidJSON, "namespace type %q", d.Type)
		}
		return name, nil
	}
	if d.IsDefault {
		return NamespaceHostDefault, nil
	}
	return NamespaceHost, nil
}

// ResourceRequest is the Settings of a request to change a namespace.
type ResourceRequest struct {
	EndpointID  string `json:"EndpointId"`
	ContainerID string `json:"ContainerId"`
}

// Resource is a resource of a namespace, the same in both schemas.
type Resource struct {
	Type string
	Data json.RawMessage
}

// NewResource returns the resource of that type and id.
func NewResource(resourceType, id string) Resource {
	data := struct {
		ID string `json:"Id"`
	}{id}
	return Resource{resourceType, json.RawMessage(Marshal(data))}
}

// NamespaceV2 is a namespace as HNS writes it in the v2 schema.
type NamespaceV2 struct {
	ID            string
	Compartment   uint32 `json:"NamespaceId,omitempty"`
	Type          string
	Resources     []Resource `json:",omitempty"`
	State         uint16
	SchemaVersion Version
}

// NamespaceV1 is a namespace as HNS writes it in the v1 schema, as far as clients
// read it.
type NamespaceV1 struct {
	ID              string
	CompartmentID   uint32 `json:"CompartmentId"`
	CompartmentGUID string `json:"CompartmentGuid,omitempty"`
	IsDefault       bool
	Containers      []string
	ResourceList    []Resource
	Policies        []json.RawMessage
	State           uint16
	Version         uint64
}
