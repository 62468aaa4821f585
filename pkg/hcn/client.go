// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// New returns the hns.Client that speaks to HNS through n. It gives up on a native
// call after perCall, or when the caller's context is over. Its error then is an
// *hns.Error that wraps the context's error, so hns.ErrBusy past a deadline. HNS may
// still carry the call out: look the object up before trying again.
//
// Every method opens what it needs and closes it again: no handle is kept for another.
func New(n Native, perCall time.Duration) hns.Client {
	return client{timed{n, perCall}}
}

type client struct{ native Native }

func (c client) Features(ctx context.Context) (_ hns.Features, err error) {
	defer describe(&err, "ask for the HNS version", "")
	answer, err := c.native.Call(ctx, "GET", "/globals/version", nil)
	if err != nil {
		return hns.Features{}, versionError(err)
	}
	version, err := decodeVersion(answer)
	return hns.Features{Version: version}, versionError(err)
}

func (c client) Network(ctx context.Context, name string) (_ hns.Network, err error) {
	defer describe(&err, "find network", name)
	networks, err := list(ctx, c, Networks, filter{"Name": name}, decodeNetwork)
	if err != nil {
		return hns.Network{}, err
	}
	for _, n := range networks {
		if strings.EqualFold(n.Name, name) {
			return n, nil
		}
	}
	return hns.Network{}, &hns.Error{Code: hns.CodeNetworkNotFound}
}

func (c client) ListNetworks(ctx context.Context) (_ []hns.Network, err error) {
	defer describe(&err, "list networks", "")
	answer, err := c.native.Call(ctx, "GET", "/networks/", nil)
	if err != nil {
		return nil, err
	}
	return decodeNetworks(answer)
}

func (c client) CreateNetwork(ctx context.Context, want hns.Network) (_ hns.Network, err error) {
	defer describe(&err, "create network", want.Name)
	document, err := encodeNetwork(want)
	if err != nil {
		return hns.Network{}, err
	}
	made, err := c.native.Create(ctx, Networks, document)
	if err != nil {
		return hns.Network{}, err
	}
	return decodeNetwork(made)
}

func (c client) DeleteNetwork(ctx context.Context, id string) (err error) {
	defer describe(&err, "delete network", id)
	return c.delete(ctx, Networks, id)
}

func (c client) Endpoint(ctx context.Context, id string) (_ hns.Endpoint, err error) {
	defer describe(&err, "find endpoint", id)
	return byID(ctx, c, Endpoints, id, decodeEndpoint, func(e hns.Endpoint) string { return e.ID }, hns.CodeEndpointNotFound)
}

func (c client) EndpointsNamed(ctx context.Context, name string) (_ []hns.Endpoint, err error) {
	defer describe(&err, "find endpoints named", name)
	endpoints, err := list(ctx, c, Endpoints, filter{"Name": name}, decodeEndpoint)
	return slices.DeleteFunc(endpoints, func(e hns.Endpoint) bool { return !strings.EqualFold(e.Name, name) }), err
}

func (c client) EndpointsOf(ctx context.Context, networkID string) (_ []hns.Endpoint, err error) {
	defer describe(&err, "list endpoints of network", networkID)
	id, err := parseID(networkID)
	if err != nil {
		return nil, err
	}
	endpoints, err := list(ctx, c, Endpoints, filter{"VirtualNetwork": id}, decodeEndpoint)
	return slices.DeleteFunc(endpoints, func(e hns.Endpoint) bool { return e.NetworkID != id }), err
}

func (c client) CreateEndpoint(ctx context.Context, want hns.Endpoint) (_ string, err error) {
	defer describe(&err, "create endpoint", want.Name)
	id := hns.NewGUID()
	if want.ID != "" {
		if id, err = parseID(want.ID); err != nil {
			return "", err
		}
	}
	if want.NetworkID, err = parseID(want.NetworkID); err != nil {
		return "", err
	}
	document, err := encodeEndpoint(want)
	if err != nil {
		return "", err
	}
	network, err := c.native.Open(ctx, Networks, want.NetworkID)
	if err != nil {
		return "", err
	}
	endpoint, err := c.native.CreateEndpoint(ctx, network, id, document)
	c.close(ctx, Networks, network, err)
	if err != nil {
		return "", err
	}
	c.close(ctx, Endpoints, endpoint, nil)
	return id, nil
}

func (c client) SetPolicies(ctx context.Context, id string, policies []hns.Policy) (err error) {
	defer describe(&err, "set policies of endpoint", id)
	return c.changePolicies(ctx, id, "Update", policies)
}

func (c client) AddPolicies(ctx context.Context, id string, policies []hns.Policy) (err error) {
	defer describe(&err, "add policies to endpoint", id)
	return c.changePolicies(ctx, id, "Add", policies)
}

func (c client) RemovePolicies(ctx context.Context, id string, policies []hns.Policy) (err error) {
	defer describe(&err, "remove policies of endpoint", id)
	return c.changePolicies(ctx, id, "Remove", policies)
}

func (c client) changePolicies(ctx context.Context, id, change string, policies []hns.Policy) error {
	document, err := encodePolicyRequest(change, policies)
	if err != nil {
		return err
	}
	return c.modify(ctx, Endpoints, id, document)
}

func (c client) AttachHost(ctx context.Context, id string) (err error) {
	defer describe(&err, "attach to the node endpoint", id)
	endpoint, err := parseID(id)
	if err != nil {
		return err
	}
	document, err := encodeAttachHost()
	if err != nil {
		return err
	}
	answer, err := c.native.Call(ctx, "POST", "/endpoints/"+endpoint+"/attach", document)
	if err != nil || len(answer) == 0 {
		return err
	}
	_, err = decodeAnswer(answer)
	return err
}

func (c client) DeleteEndpoint(ctx context.Context, id string) (err error) {
	defer describe(&err, "delete endpoint", id)
	return c.delete(ctx, Endpoints, id)
}

func (c client) Namespace(ctx context.Context, id string) (_ hns.Namespace, err error) {
	defer describe(&err, "find namespace", id)
	return byID(ctx, c, Namespaces, id, decodeNamespace, func(ns hns.Namespace) string { return ns.ID }, hns.CodeNotFound)
}

func (c client) ListNamespaces(ctx context.Context) (_ []hns.Namespace, err error) {
	defer describe(&err, "list namespaces", "")
	return list(ctx, c, Namespaces, nil, decodeNamespace)
}

func (c client) CreateNamespace(ctx context.Context, id string) (_ hns.Namespace, err error) {
	defer describe(&err, "create namespace", id)
	if id != "" {
		if id, err = parseID(id); err != nil {
			return hns.Namespace{}, err
		}
	}
	document, err := encodeNamespace(id)
	if err != nil {
		return hns.Namespace{}, err
	}
	made, err := c.native.Create(ctx, Namespaces, document)
	if err != nil {
		return hns.Namespace{}, err
	}
	return decodeNamespace(made)
}

func (c client) DeleteNamespace(ctx context.Context, id string) (err error) {
	defer describe(&err, "delete namespace", id)
	return c.delete(ctx, Namespaces, id)
}

func (c client) Attach(ctx context.Context, namespaceID, endpointID string) (err error) {
	defer describe(&err, "attach endpoint", endpointID+" to namespace "+namespaceID)
	return c.modifyEndpoints(ctx, namespaceID, endpointID, encodeAttach)
}

func (c client) Detach(ctx context.Context, namespaceID, endpointID string) (err error) {
	defer describe(&err, "detach endpoint", endpointID+" from namespace "+namespaceID)
	return c.modifyEndpoints(ctx, namespaceID, endpointID, encodeDetach)
}

func (c client) AttachContainer(ctx context.Context, namespaceID, containerID string) (err error) {
	defer describe(&err, "attach container", containerID+" to namespace "+namespaceID)
	return c.modifyContainers(ctx, namespaceID, containerID, encodeAttachContainer)
}

func (c client) DetachContainer(ctx context.Context, namespaceID, containerID string) (err error) {
	defer describe(&err, "detach container", containerID+" from namespace "+namespaceID)
	return c.modifyContainers(ctx, namespaceID, containerID, encodeDetachContainer)
}

// modifyEndpoints adds an endpoint to a namespace or removes it.
func (c client) modifyEndpoints(ctx context.Context, namespaceID, endpointID string, encode func(string) ([]byte, error)) error {
	endpoint, err := parseID(endpointID)
	if err != nil {
		return err
	}
	document, err := encode(endpoint)
	if err != nil {
		return err
	}
	return c.modify(ctx, Namespaces, namespaceID, document)
}

// modifyContainers adds a container to a namespace or removes it.
func (c client) modifyContainers(ctx context.Context, namespaceID, containerID string, encode func(string) ([]byte, error)) error {
	if containerID == "" {
		return fmt.Errorf("the container id is empty: %w", hns.ErrInvalid)
	}
	document, err := encode(containerID)
	if err != nil {
		return err
	}
	return c.modify(ctx, Namespaces, namespaceID, document)
}

// modify applies a request to an object. Unlike hcsshim it does not read the object
// afterwards.
func (c client) modify(ctx context.Context, kind Kind, id string, document []byte) error {
	id, err := parseID(id)
	if err != nil {
		return err
	}
	object, err := c.native.Open(ctx, kind, id)
	if err != nil {
		return err
	}
	err = c.native.Modify(ctx, kind, object, document)
	c.close(ctx, kind, object, err)
	return err
}

// query returns the document of an object.
func (c client) query(ctx context.Context, kind Kind, id string, query []byte) ([]byte, error) {
	object, err := c.native.Open(ctx, kind, id)
	if err != nil {
		return nil, err
	}
	document, err := c.native.Query(ctx, kind, object, query)
	c.close(ctx, kind, object, err)
	return document, err
}

func (c client) delete(ctx context.Context, kind Kind, id string) error {
	id, err := parseID(id)
	if err != nil {
		return err
	}
	return c.native.Delete(ctx, kind, id)
}

// close gives back a handle whose last call returned err. That it fails changes
// nothing about that call, and HNS takes the handles of a process back at its end.
// A call that was given up may go on with the handle, so that one stays open.
func (c client) close(ctx context.Context, kind Kind, object Handle, err error) {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return
	}
	_ = c.native.Close(ctx, kind, object)
}

// byID returns one object, or an error of the code absent. HNS's word that there is
// none is not enough, since it says so of much that fails (ERROR_NOT_FOUND): the
// list must lack it, too.
func byID[T any](ctx context.Context, c client, kind Kind, id string, decode func([]byte) (T, error), idOf func(T) string, absent hns.HRESULT) (T, error) {
	var none T
	id, err := parseID(id)
	if err != nil {
		return none, err
	}
	all, err := encodeQuery(nil)
	if err != nil {
		return none, err
	}
	document, err := c.query(ctx, kind, id, all)
	if err == nil {
		return decode(document)
	}
	if !vanished(err) {
		return none, err
	}
	found, err := list(ctx, c, kind, filter{"ID": id}, decode)
	if err != nil {
		return none, err
	}
	if i := slices.IndexFunc(found, func(got T) bool { return idOf(got) == id }); i >= 0 {
		return found[i], nil
	}
	return none, &hns.Error{Code: absent}
}

// listTries is how often a list is read before it is called too busy. Each try
// enumerates anew, so it fails again only if yet another object went away.
const listTries = 5

// errChanging is the failure of the last of those tries. It must not be an
// ErrNotFound: nobody asked for the object that went away.
var errChanging = fmt.Errorf("objects went away %d times while they were listed: %w", listTries, hns.ErrBusy)

// list returns the objects that f selects, and perhaps others: HNS's own filter is
// not to be trusted, since it is not documented how it compares names and what it
// does with a member that it does not know.
func list[T any](ctx context.Context, c client, kind Kind, f filter, decode func([]byte) (T, error)) ([]T, error) {
	query, err := encodeQuery(f)
	if err != nil {
		return nil, err
	}
	for range listTries {
		objects, err := listOnce(ctx, c, kind, query, decode)
		if !vanished(err) {
			return objects, err
		}
	}
	return nil, errChanging
}

// listOnce enumerates objects and reads one after the other. It passes the whole
// query to each as hcsshim does (hcn/hcnendpoint.go, enumerateEndpoints).
func listOnce[T any](ctx context.Context, c client, kind Kind, query []byte, decode func([]byte) (T, error)) ([]T, error) {
	answer, err := c.native.Enumerate(ctx, kind, query)
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := json.Unmarshal(answer, &ids); err != nil {
		return nil, err
	}
	var objects []T
	for _, id := range ids {
		document, err := c.query(ctx, kind, id, query)
		if err != nil {
			return nil, err
		}
		object, err := decode(document)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// vanished reports whether a call failed because its object was deleted, before it
// was opened or after.
func vanished(err error) bool {
	var e *hns.Error
	return errors.Is(err, hns.ErrNotFound) || errors.As(err, &e) && e.Code == hns.CodeTornDown
}

// parseID returns an id in the form of package hns.
func parseID(s string) (string, error) {
	id, err := hns.ParseGUID(s)
	if err != nil {
		return "", &hns.Error{Code: hns.CodeInvalidGUID, Err: err}
	}
	return id, nil
}

// describe says in an error what was attempted on what.
func describe(err *error, op, object string) {
	if *err == nil {
		return
	}
	e := hns.Error{Err: *err}
	if native, ok := (*err).(*hns.Error); ok { //nolint:errorlint // a wrapped one keeps its wrapping
		e = *native
	}
	e.Op, e.Object = op, object
	*err = &e
}
