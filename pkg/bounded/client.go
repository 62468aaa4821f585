// SPDX-License-Identifier: Apache-2.0

package bounded

import (
	"context"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Client returns an hns.Client that passes every call on to c and gives up on it
// after perCall, or when the caller's context is over. HNS calls can block for
// ever (antrea-io/antrea#650) and the native functions take no timeout.
//
// A call that was given up is an *hns.Error that wraps the context's error, so
// hns.ErrBusy past a deadline. HNS may still carry it out: look the object up
// before trying again, and do not change what was passed in.
func Client(c hns.Client, perCall time.Duration) hns.Client {
	return client{c, perCall}
}

// closeTime is how much longer than its own time a verb takes at most. The result of
// an ADD is printed by then.
const closeTime = time.Second

// Disconnect gives back what a client holds of HNS, and waits for that a second at
// most. What HNS does not take now it takes at the end of the process, so a failure
// is nobody's concern.
func Disconnect(c hns.Client) {
	_ = Client(c, closeTime).Close(context.Background())
}

type client struct {
	c       hns.Client
	perCall time.Duration
}

// bound runs a call within its time and says which it was when it is given up.
func bound[T any](ctx context.Context, perCall time.Duration, op, object string, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, perCall)
	defer cancel()
	got, err := Do(ctx, func() (T, error) { return call(ctx) })
	if err != nil && err == ctx.Err() { //nolint:errorlint // Do returns it as it is, a call would wrap it
		err = &hns.Error{Op: op, Object: object, Err: err}
	}
	return got, err
}

// boundErr is bound for a call that gives back nothing but an error.
func boundErr(ctx context.Context, perCall time.Duration, op, object string, call func(context.Context) error) error {
	_, err := bound(ctx, perCall, op, object, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, call(ctx)
	})
	return err
}

func (b client) Features(ctx context.Context) (hns.Features, error) {
	return bound(ctx, b.perCall, "ask for the HNS version", "", b.c.Features)
}

func (b client) Network(ctx context.Context, name string) (hns.Network, error) {
	return bound(ctx, b.perCall, "find network", name, func(ctx context.Context) (hns.Network, error) {
		return b.c.Network(ctx, name)
	})
}

func (b client) ListNetworks(ctx context.Context) ([]hns.Network, error) {
	return bound(ctx, b.perCall, "list networks", "", b.c.ListNetworks)
}

func (b client) CreateNetwork(ctx context.Context, want hns.Network) (hns.Network, error) {
	return bound(ctx, b.perCall, "create network", want.Name, func(ctx context.Context) (hns.Network, error) {
		return b.c.CreateNetwork(ctx, want)
	})
}

func (b client) DeleteNetwork(ctx context.Context, id string) error {
	return boundErr(ctx, b.perCall, "delete network", id, func(ctx context.Context) error {
		return b.c.DeleteNetwork(ctx, id)
	})
}

func (b client) Endpoint(ctx context.Context, id string) (hns.Endpoint, error) {
	return bound(ctx, b.perCall, "find endpoint", id, func(ctx context.Context) (hns.Endpoint, error) {
		return b.c.Endpoint(ctx, id)
	})
}

func (b client) EndpointsNamed(ctx context.Context, name string) ([]hns.Endpoint, error) {
	return bound(ctx, b.perCall, "find endpoints named", name, func(ctx context.Context) ([]hns.Endpoint, error) {
		return b.c.EndpointsNamed(ctx, name)
	})
}

func (b client) EndpointsOf(ctx context.Context, networkID string) ([]hns.Endpoint, error) {
	return bound(ctx, b.perCall, "list endpoints of network", networkID, func(ctx context.Context) ([]hns.Endpoint, error) {
		return b.c.EndpointsOf(ctx, networkID)
	})
}

func (b client) CreateEndpoint(ctx context.Context, want hns.Endpoint) (string, error) {
	return bound(ctx, b.perCall, "create endpoint", want.Name, func(ctx context.Context) (string, error) {
		return b.c.CreateEndpoint(ctx, want)
	})
}

func (b client) SetPolicies(ctx context.Context, id string, policies []hns.Policy) error {
	return boundErr(ctx, b.perCall, "set policies of endpoint", id, func(ctx context.Context) error {
		return b.c.SetPolicies(ctx, id, policies)
	})
}

func (b client) AttachHost(ctx context.Context, id string) error {
	return boundErr(ctx, b.perCall, "attach to the node endpoint", id, func(ctx context.Context) error {
		return b.c.AttachHost(ctx, id)
	})
}

func (b client) DeleteEndpoint(ctx context.Context, id string) error {
	return boundErr(ctx, b.perCall, "delete endpoint", id, func(ctx context.Context) error {
		return b.c.DeleteEndpoint(ctx, id)
	})
}

func (b client) Namespace(ctx context.Context, id string) (hns.Namespace, error) {
	return bound(ctx, b.perCall, "find namespace", id, func(ctx context.Context) (hns.Namespace, error) {
		return b.c.Namespace(ctx, id)
	})
}

func (b client) ListNamespaces(ctx context.Context) ([]hns.Namespace, error) {
	return bound(ctx, b.perCall, "list namespaces", "", b.c.ListNamespaces)
}

func (b client) CreateNamespace(ctx context.Context, id string) (hns.Namespace, error) {
	return bound(ctx, b.perCall, "create namespace", id, func(ctx context.Context) (hns.Namespace, error) {
		return b.c.CreateNamespace(ctx, id)
	})
}

func (b client) DeleteNamespace(ctx context.Context, id string) error {
	return boundErr(ctx, b.perCall, "delete namespace", id, func(ctx context.Context) error {
		return b.c.DeleteNamespace(ctx, id)
	})
}

func (b client) Attach(ctx context.Context, namespaceID, endpointID string) error {
	return boundErr(ctx, b.perCall, "attach endpoint", endpointID+" to namespace "+namespaceID, func(ctx context.Context) error {
		return b.c.Attach(ctx, namespaceID, endpointID)
	})
}

func (b client) Detach(ctx context.Context, namespaceID, endpointID string) error {
	return boundErr(ctx, b.perCall, "detach endpoint", endpointID+" from namespace "+namespaceID, func(ctx context.Context) error {
		return b.c.Detach(ctx, namespaceID, endpointID)
	})
}

func (b client) AttachContainer(ctx context.Context, namespaceID, containerID string) error {
	return boundErr(ctx, b.perCall, "attach container", containerID+" to namespace "+namespaceID, func(ctx context.Context) error {
		return b.c.AttachContainer(ctx, namespaceID, containerID)
	})
}

func (b client) DetachContainer(ctx context.Context, namespaceID, containerID string) error {
	return boundErr(ctx, b.perCall, "detach container", containerID+" from namespace "+namespaceID, func(ctx context.Context) error {
		return b.c.DetachContainer(ctx, namespaceID, containerID)
	})
}

func (b client) Close(ctx context.Context) error {
	return boundErr(ctx, b.perCall, "close", "HNS", b.c.Close)
}
