// SPDX-License-Identifier: Apache-2.0

package hcndoc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Kind is a kind of objects, as the names of the native functions have it.
type Kind string

// Kinds of objects that have documents.
const (
	Networks   Kind = "Network"
	Endpoints  Kind = "Endpoint"
	Namespaces Kind = "Namespace"
)

// notFound is the code for an object that a list lacks, for which HNS has no
// HRESULT of its own: its list is empty.
var notFound = map[Kind]hns.HRESULT{
	Networks:   hns.CodeNetworkNotFound,
	Endpoints:  hns.CodeEndpointNotFound,
	Namespaces: hns.CodeNotFound,
}

// Service carries documents to HNS and its answers back. Ids are as hns.ParseGUID
// returns them. It fails with *hns.Error; the operation and the object are filled in
// by the client.
type Service interface {
	// Call makes a request of the older API, schema 1, and returns the whole
	// answer. A request without a document has an empty one.
	Call(ctx context.Context, method, path string, document []byte) ([]byte, error)
	// List returns the objects that query selects. It enumerates their ids and
	// then opens one after the other, so it fails with ErrNotFound when one goes
	// away in between.
	List(ctx context.Context, kind Kind, query []byte) ([][]byte, error)
	// Get returns the object of that id. It fails with ErrNotFound when there is
	// none, and with CodeTornDown when it went away meanwhile, or HNS was restarted.
	Get(ctx context.Context, kind Kind, id string) ([]byte, error)
	// CreateEndpoint makes an endpoint with that id on a network, given by its own.
	CreateEndpoint(ctx context.Context, network, id string, document []byte) error
	// Create makes a network or a namespace and returns it as HNS filled it in.
	Create(ctx context.Context, kind Kind, document []byte) ([]byte, error)
	// Modify applies a request to an object.
	Modify(ctx context.Context, kind Kind, id string, document []byte) error
	// Delete removes an object.
	Delete(ctx context.Context, kind Kind, id string) error
	// Close gives back what the service holds of HNS.
	Close(ctx context.Context) error
}

// NewClient returns the hns.Client that speaks to HNS through s.
func NewClient(s Service) hns.Client { return client{s} }

type client struct{ s Service }

func (c client) Features(ctx context.Context) (hns.Features, error) {
	v, err := get(ctx, c.s, "/globals/version", DecodeVersion)
	return hns.Features{Version: v}, fail("ask for the HNS version", "", tooOld(err))
}

func (c client) Network(ctx context.Context, name string) (hns.Network, error) {
	list, err := find(ctx, c.s, Networks, Filter{"Name": name}, DecodeNetwork, func(n hns.Network) bool {
		return strings.EqualFold(n.Name, name)
	})
	if err == nil && len(list) == 0 {
		err = &hns.Error{Code: notFound[Networks]}
	}
	if err != nil {
		return hns.Network{}, fail("find network", name, err)
	}
	return list[0], nil
}

func (c client) ListNetworks(ctx context.Context) ([]hns.Network, error) {
	list, err := get(ctx, c.s, "/networks/", DecodeNetworks)
	return list, fail("list networks", "", err)
}

func (c client) CreateNetwork(ctx context.Context, want hns.Network) (hns.Network, error) {
	got, err := create(want, EncodeNetwork, DecodeNetwork, func(document []byte) ([]byte, error) {
		return c.s.Create(ctx, Networks, document)
	})
	return got, fail("create network", want.Name, err)
}

func (c client) DeleteNetwork(ctx context.Context, id string) error {
	return fail("delete network", id, c.delete(ctx, Networks, id))
}

func (c client) Endpoint(ctx context.Context, id string) (hns.Endpoint, error) {
	got, err := byID(ctx, c.s, Endpoints, id, DecodeEndpoint)
	return got, fail("find endpoint", id, err)
}

func (c client) EndpointsNamed(ctx context.Context, name string) ([]hns.Endpoint, error) {
	list, err := find(ctx, c.s, Endpoints, Filter{"Name": name}, DecodeEndpoint, func(e hns.Endpoint) bool {
		return strings.EqualFold(e.Name, name)
	})
	return list, fail("find endpoints named", name, err)
}

func (c client) EndpointsOf(ctx context.Context, networkID string) ([]hns.Endpoint, error) {
	const op = "list endpoints of network"
	id, err := guid(networkID)
	if err != nil {
		return nil, fail(op, networkID, err)
	}
	list, err := find(ctx, c.s, Endpoints, Filter{"VirtualNetwork": id}, DecodeEndpoint, func(e hns.Endpoint) bool {
		return e.NetworkID == id
	})
	return list, fail(op, networkID, err)
}

func (c client) CreateEndpoint(ctx context.Context, want hns.Endpoint) (string, error) {
	id, err := c.createEndpoint(ctx, want)
	return id, fail("create endpoint", want.Name, err)
}

func (c client) createEndpoint(ctx context.Context, want hns.Endpoint) (string, error) {
	network, err := guid(want.NetworkID)
	if err != nil {
		return "", err
	}
	want.NetworkID = network
	id, err := optionalGUID(want.ID)
	if err != nil {
		return "", err
	}
	if id == "" {
		id = hns.NewGUID()
	}
	document, err := EncodeEndpoint(want)
	if err == nil {
		err = c.s.CreateEndpoint(ctx, network, id, document)
	}
	if err != nil {
		return "", err
	}
	return id, nil
}

func (c client) SetPolicies(ctx context.Context, id string, policies []hns.Policy) error {
	document, err := EncodePolicies(policies)
	if err == nil {
		err = c.modify(ctx, Endpoints, id, document)
	}
	return fail("set policies of endpoint", id, err)
}

func (c client) AttachHost(ctx context.Context, id string) error {
	document, err := EncodeAttachHost()
	if err == nil {
		err = c.post(ctx, id, "/endpoints/%s/attach", document)
	}
	return fail("attach to the node endpoint", id, err)
}

func (c client) DeleteEndpoint(ctx context.Context, id string) error {
	return fail("delete endpoint", id, c.delete(ctx, Endpoints, id))
}

func (c client) Namespace(ctx context.Context, id string) (hns.Namespace, error) {
	got, err := byID(ctx, c.s, Namespaces, id, DecodeNamespace)
	return got, fail("find namespace", id, err)
}

func (c client) ListNamespaces(ctx context.Context) ([]hns.Namespace, error) {
	list, err := find(ctx, c.s, Namespaces, nil, DecodeNamespace, func(hns.Namespace) bool { return true })
	return list, fail("list namespaces", "", err)
}

func (c client) CreateNamespace(ctx context.Context, id string) (hns.Namespace, error) {
	const op = "create namespace"
	want, err := optionalGUID(id)
	if err != nil {
		return hns.Namespace{}, fail(op, id, err)
	}
	got, err := create(want, EncodeNamespace, DecodeNamespace, func(document []byte) ([]byte, error) {
		return c.s.Create(ctx, Namespaces, document)
	})
	return got, fail(op, id, err)
}

func (c client) DeleteNamespace(ctx context.Context, id string) error {
	return fail("delete namespace", id, c.delete(ctx, Namespaces, id))
}

func (c client) Attach(ctx context.Context, namespaceID, endpointID string) error {
	err := c.endpoint(ctx, namespaceID, endpointID, EncodeAttach)
	return fail("attach endpoint", endpointID+" to namespace "+namespaceID, err)
}

func (c client) Detach(ctx context.Context, namespaceID, endpointID string) error {
	err := c.endpoint(ctx, namespaceID, endpointID, EncodeDetach)
	return fail("detach endpoint", endpointID+" from namespace "+namespaceID, err)
}

func (c client) AttachContainer(ctx context.Context, namespaceID, containerID string) error {
	err := c.container(ctx, namespaceID, containerID, EncodeAttachContainer)
	return fail("attach container", containerID+" to namespace "+namespaceID, err)
}

func (c client) DetachContainer(ctx context.Context, namespaceID, containerID string) error {
	err := c.container(ctx, namespaceID, containerID, EncodeDetachContainer)
	return fail("detach container", containerID+" from namespace "+namespaceID, err)
}

func (c client) Close(ctx context.Context) error {
	return fail("close", "HNS", c.s.Close(ctx))
}

// endpoint adds an endpoint to a namespace or removes it.
func (c client) endpoint(ctx context.Context, namespaceID, endpointID string, encode func(string) ([]byte, error)) error {
	e, err := guid(endpointID)
	if err != nil {
		return err
	}
	return c.resource(ctx, namespaceID, e, encode)
}

// container adds a container to a namespace or removes it.
func (c client) container(ctx context.Context, namespaceID, containerID string, encode func(string) ([]byte, error)) error {
	if containerID == "" {
		return fmt.Errorf("the container id is empty: %w", hns.ErrInvalid)
	}
	return c.resource(ctx, namespaceID, containerID, encode)
}

func (c client) resource(ctx context.Context, namespaceID, id string, encode func(string) ([]byte, error)) error {
	document, err := encode(id)
	if err != nil {
		return err
	}
	return c.modify(ctx, Namespaces, namespaceID, document)
}

func (c client) modify(ctx context.Context, kind Kind, id string, document []byte) error {
	id, err := guid(id)
	if err != nil {
		return err
	}
	return c.s.Modify(ctx, kind, id, document)
}

func (c client) delete(ctx context.Context, kind Kind, id string) error {
	id, err := guid(id)
	if err != nil {
		return err
	}
	return c.s.Delete(ctx, kind, id)
}

// post makes a v1 request of an object that answers with nothing, or with nothing
// of use.
func (c client) post(ctx context.Context, id, path string, document []byte) error {
	id, err := guid(id)
	if err != nil {
		return err
	}
	answer, err := c.s.Call(ctx, "POST", fmt.Sprintf(path, id), document)
	if err != nil || len(answer) == 0 {
		return err
	}
	_, err = output(answer)
	return err
}

// get makes a v1 request that changes nothing.
func get[T any](ctx context.Context, s Service, path string, decode func([]byte) (T, error)) (T, error) {
	answer, err := s.Call(ctx, "GET", path, nil)
	if err != nil {
		return *new(T), err
	}
	return decode(answer)
}

// create sends the document of what is wanted and reads that of what it became.
func create[W, T any](want W, encode func(W) ([]byte, error), decode func([]byte) (T, error), send func([]byte) ([]byte, error)) (T, error) {
	var none T
	document, err := encode(want)
	if err != nil {
		return none, err
	}
	answer, err := send(document)
	if err != nil {
		return none, err
	}
	return decode(answer)
}

// byID returns one object. HNS's word that there is none is not enough, since it
// says so of much that fails (ERROR_NOT_FOUND): the list must lack it, too.
func byID[T any](ctx context.Context, s Service, kind Kind, id string, decode func([]byte) (T, error)) (T, error) {
	var none T
	id, err := guid(id)
	if err != nil {
		return none, err
	}
	document, err := s.Get(ctx, kind, id)
	if err == nil {
		return decode(document)
	}
	if !vanished(err) {
		return none, err
	}
	list, listErr := find(ctx, s, kind, Filter{"ID": id}, decode, func(T) bool { return true })
	switch {
	case listErr != nil:
		return none, listErr
	case len(list) > 0:
		return list[0], nil
	default:
		return none, &hns.Error{Code: notFound[kind]}
	}
}

// lists is how often a list is read before it is called too busy. Each try
// enumerates anew, so it fails again only if yet another object went away.
const lists = 5

// errChanging is the failure of the last of those tries. It must not be an
// ErrNotFound: nobody asked for the object that went away.
var errChanging = fmt.Errorf("objects went away %d times while they were listed: %w", lists, hns.ErrBusy)

// find returns the objects that filter selects and keep agrees to. HNS's own
// filter is not trusted: how it compares names, and what it does with a member
// that it does not know, is not documented.
func find[T any](ctx context.Context, s Service, kind Kind, filter Filter, decode func([]byte) (T, error), keep func(T) bool) ([]T, error) {
	query, err := EncodeQuery(filter)
	if err != nil {
		return nil, err
	}
	for range lists {
		documents, err := s.List(ctx, kind, query)
		if vanished(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return decodeAll(documents, decode, keep)
	}
	return nil, errChanging
}

// vanished reports whether a list failed because one of its objects was deleted
// after it had been enumerated.
func vanished(err error) bool {
	var e *hns.Error
	return errors.Is(err, hns.ErrNotFound) || errors.As(err, &e) && e.Code == hns.CodeTornDown
}

func decodeAll[T any](documents [][]byte, decode func([]byte) (T, error), keep func(T) bool) ([]T, error) {
	var list []T
	for _, d := range documents {
		got, err := decode(d)
		if err != nil {
			return nil, err
		}
		list = append(list, got)
	}
	return slices.DeleteFunc(list, func(got T) bool { return !keep(got) }), nil
}

// guid returns an id as HNS may be asked for it.
func guid(s string) (string, error) {
	g, err := hns.ParseGUID(s)
	if err != nil {
		return "", &hns.Error{Code: hns.CodeInvalidGUID, Err: err}
	}
	return g, nil
}

// optionalGUID is guid for an id that HNS chooses when it is empty.
func optionalGUID(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return guid(s)
}

// fail says in an error what was attempted on what.
func fail(op, object string, err error) error {
	if err == nil {
		return nil
	}
	e := hns.Error{Err: err}
	if native, ok := err.(*hns.Error); ok { //nolint:errorlint // a wrapped one keeps its wrapping
		e = *native
	}
	e.Op, e.Object = op, object
	return &e
}
