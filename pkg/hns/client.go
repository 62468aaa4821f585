// SPDX-License-Identifier: Apache-2.0

package hns

import "context"

// Client is Bulkhead's whole view of HNS. Every method returns *Error; ask it
// with errors.Is and the kinds of this package (ErrNotFound, ErrExists, ...).
// Ids are taken in any letter case; one that is not a GUID is ErrInvalid.
//
// A method returns at the end of its context, or when HNS takes too long for a
// call, with an error that wraps the context's. HNS may still carry the call out.
type Client interface {
	// Features asks HNS for its version. It fails with ErrUnavailable when HNS
	// does not run and with ErrUnsupported when it is too old to tell.
	Features(ctx context.Context) (Features, error)
	Networks
	Endpoints
	Namespaces
}

// Networks are the calls about networks.
type Networks interface {
	// Network returns the network of that name, or ErrNotFound.
	Network(ctx context.Context, name string) (Network, error)
	// ListNetworks returns all networks of the node, in no order. It is one
	// native call however many there are, and fills in less than Network does:
	// ID, Name, Driver, Adapter and, of each subnet, Prefix, Gateway, VLAN and
	// VSID; and ManagementAddress, which Network does not. The other fields are
	// zero. Adapter may be empty where Network says
	// it, and is where HNS chose the adapter itself.
	ListNetworks(ctx context.Context) ([]Network, error)
	// CreateNetwork makes a network and returns it as HNS filled it in. The id
	// is HNS's to choose. A name that is taken is ErrExists.
	CreateNetwork(ctx context.Context, want Network) (Network, error)
	// DeleteNetwork removes a network and every endpoint on it.
	DeleteNetwork(ctx context.Context, id string) error
}

// Endpoints are the calls about endpoints.
type Endpoints interface {
	// Endpoint returns the endpoint with that id, or ErrNotFound.
	Endpoint(ctx context.Context, id string) (Endpoint, error)
	// EndpointsNamed returns the endpoints of that name, in no order. HNS does
	// not keep names unique; none is an empty list, not an error.
	EndpointsNamed(ctx context.Context, name string) ([]Endpoint, error)
	// EndpointsOf returns the endpoints on a network, remote ones included, in
	// no order. A network that does not exist has none.
	EndpointsOf(ctx context.Context, networkID string) ([]Endpoint, error)
	// CreateEndpoint makes an endpoint with want.ID, or with a new id where that is
	// empty, and returns the id; Endpoint tells what HNS filled in. The id is the
	// client's to choose (learn.microsoft.com, HcnCreateEndpoint; WSL relies on it:
	// microsoft/WSL, BridgedNetworking.cpp), and HNS is not asked whether it took it.
	// What HNS does with one that is taken is not known. When CreateEndpoint fails,
	// or Endpoint does not find the id, HNS may have made the endpoint all the same:
	// look it up by name.
	CreateEndpoint(ctx context.Context, want Endpoint) (id string, err error)
	// SetPolicies replaces the policies of an endpoint.
	SetPolicies(ctx context.Context, id string, policies []Policy) error
	// AddPolicies puts policies beside those that an endpoint has.
	AddPolicies(ctx context.Context, id string, policies []Policy) error
	// RemovePolicies takes policies off an endpoint that are there as they are given
	// here. Whether HNS finds them is not sure (Azure/azure-container-networking does
	// without): look afterwards.
	RemovePolicies(ctx context.Context, id string, policies []Policy) error
	// AttachHost gives an endpoint to the node itself, as an interface of its first
	// compartment (v1; schema 2 has no call for it). One that is attached, to
	// whatever, is ErrAttached.
	AttachHost(ctx context.Context, id string) error
	// DeleteEndpoint removes an endpoint, also from its namespace. One that is
	// gone is ErrNotFound.
	DeleteEndpoint(ctx context.Context, id string) error
}

// Namespaces are the calls about namespaces.
type Namespaces interface {
	// Namespace returns the namespace with that id, or ErrNotFound.
	Namespace(ctx context.Context, id string) (Namespace, error)
	// ListNamespaces returns all namespaces, in no order.
	ListNamespaces(ctx context.Context) ([]Namespace, error)
	// CreateNamespace makes a namespace with that id, or with one of HNS's
	// choice when id is empty.
	CreateNamespace(ctx context.Context, id string) (Namespace, error)
	// DeleteNamespace removes a namespace; its endpoints survive, detached. One
	// that a container still uses is ErrUnsupported.
	DeleteNamespace(ctx context.Context, id string) error
	// Attach puts an endpoint into a namespace. An endpoint that is in another
	// namespace is ErrAttached; whether one that is already in this namespace
	// is, too, depends on the HNS version.
	Attach(ctx context.Context, namespaceID, endpointID string) error
	// Detach takes an endpoint out of a namespace. A missing namespace or
	// endpoint is ErrNotFound.
	Detach(ctx context.Context, namespaceID, endpointID string) error
	// AttachContainer lets a container use a namespace, which gets its
	// compartment and with it the interfaces of its endpoints. The id is the
	// runtime's, any string but the empty one, which is ErrInvalid. A missing
	// namespace is ErrNotFound. A container that is in it already, or that
	// Windows does not run, may be an error or not: no source says what HNS
	// does. The emulator accepts both.
	AttachContainer(ctx context.Context, namespaceID, containerID string) error
	// DetachContainer takes a container out of a namespace. A missing namespace
	// is ErrNotFound. A container that is not in it may be ErrNotFound, as the
	// emulator has it, or no error: no source says what HNS does.
	DetachContainer(ctx context.Context, namespaceID, containerID string) error
}
