// SPDX-License-Identifier: Apache-2.0

package bounded

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// slow is an hns.Client every method of which takes some time, as HNS does: without
// looking at the context. Zero time is a panic.
type slow struct {
	takes   time.Duration
	started *atomic.Int32
}

func (s slow) wait() error {
	s.started.Add(1)
	if s.takes == 0 {
		panic("slow")
	}
	time.Sleep(s.takes)
	return &hns.Error{Op: "wait", Code: hns.CodeNotFound}
}

func (s slow) Features(context.Context) (hns.Features, error) { return hns.Features{}, s.wait() }
func (s slow) Network(context.Context, string) (hns.Network, error) {
	return hns.Network{Name: "n"}, s.wait()
}
func (s slow) ListNetworks(context.Context) ([]hns.Network, error) { return nil, s.wait() }
func (s slow) CreateNetwork(context.Context, hns.Network) (hns.Network, error) {
	return hns.Network{}, s.wait()
}
func (s slow) DeleteNetwork(context.Context, string) error { return s.wait() }
func (s slow) Endpoint(context.Context, string) (hns.Endpoint, error) {
	return hns.Endpoint{}, s.wait()
}
func (s slow) EndpointsNamed(context.Context, string) ([]hns.Endpoint, error) {
	return nil, s.wait()
}
func (s slow) EndpointsOf(context.Context, string) ([]hns.Endpoint, error) { return nil, s.wait() }
func (s slow) CreateEndpoint(context.Context, hns.Endpoint) (string, error) {
	return "", s.wait()
}
func (s slow) SetPolicies(context.Context, string, []hns.Policy) error { return s.wait() }
func (s slow) DeleteEndpoint(context.Context, string) error            { return s.wait() }
func (s slow) Namespace(context.Context, string) (hns.Namespace, error) {
	return hns.Namespace{}, s.wait()
}
func (s slow) ListNamespaces(context.Context) ([]hns.Namespace, error) { return nil, s.wait() }
func (s slow) CreateNamespace(context.Context, string) (hns.Namespace, error) {
	return hns.Namespace{}, s.wait()
}
func (s slow) Close(context.Context) error                           { return s.wait() }
func (s slow) AttachHost(context.Context, string) error              { return s.wait() }
func (s slow) DeleteNamespace(context.Context, string) error         { return s.wait() }
func (s slow) Attach(context.Context, string, string) error          { return s.wait() }
func (s slow) Detach(context.Context, string, string) error          { return s.wait() }
func (s slow) AttachContainer(context.Context, string, string) error { return s.wait() }
func (s slow) DetachContainer(context.Context, string, string) error { return s.wait() }

// methods calls every method of an hns.Client.
func methods() map[string]func(context.Context, hns.Client) error {
	return map[string]func(context.Context, hns.Client) error{
		"Features":     func(ctx context.Context, c hns.Client) error { _, err := c.Features(ctx); return err },
		"Network":      func(ctx context.Context, c hns.Client) error { _, err := c.Network(ctx, "o"); return err },
		"ListNetworks": func(ctx context.Context, c hns.Client) error { _, err := c.ListNetworks(ctx); return err },
		"CreateNetwork": func(ctx context.Context, c hns.Client) error {
			_, err := c.CreateNetwork(ctx, hns.Network{})
			return err
		},
		"DeleteNetwork":  func(ctx context.Context, c hns.Client) error { return c.DeleteNetwork(ctx, "o") },
		"Endpoint":       func(ctx context.Context, c hns.Client) error { _, err := c.Endpoint(ctx, "o"); return err },
		"EndpointsNamed": func(ctx context.Context, c hns.Client) error { _, err := c.EndpointsNamed(ctx, "o"); return err },
		"EndpointsOf":    func(ctx context.Context, c hns.Client) error { _, err := c.EndpointsOf(ctx, "o"); return err },
		"CreateEndpoint": func(ctx context.Context, c hns.Client) error {
			_, err := c.CreateEndpoint(ctx, hns.Endpoint{})
			return err
		},
		"SetPolicies":     func(ctx context.Context, c hns.Client) error { return c.SetPolicies(ctx, "o", nil) },
		"AttachHost":      func(ctx context.Context, c hns.Client) error { return c.AttachHost(ctx, "o") },
		"DeleteEndpoint":  func(ctx context.Context, c hns.Client) error { return c.DeleteEndpoint(ctx, "o") },
		"Namespace":       func(ctx context.Context, c hns.Client) error { _, err := c.Namespace(ctx, "o"); return err },
		"ListNamespaces":  func(ctx context.Context, c hns.Client) error { _, err := c.ListNamespaces(ctx); return err },
		"CreateNamespace": func(ctx context.Context, c hns.Client) error { _, err := c.CreateNamespace(ctx, "o"); return err },
		"DeleteNamespace": func(ctx context.Context, c hns.Client) error { return c.DeleteNamespace(ctx, "o") },
		"Attach":          func(ctx context.Context, c hns.Client) error { return c.Attach(ctx, "n", "o") },
		"Detach":          func(ctx context.Context, c hns.Client) error { return c.Detach(ctx, "n", "o") },
		"AttachContainer": func(ctx context.Context, c hns.Client) error { return c.AttachContainer(ctx, "n", "o") },
		"Close":           func(ctx context.Context, c hns.Client) error { return c.Close(ctx) },
		"DetachContainer": func(ctx context.Context, c hns.Client) error { return c.DetachContainer(ctx, "n", "o") },
	}
}

func TestClient(t *testing.T) {
	if got, want := len(methods()), reflect.TypeFor[hns.Client]().NumMethod(); got != want {
		t.Errorf("%d methods are tested, want all %d", got, want)
	}
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testMethod(t, method) })
		})
	}
}

func testMethod(t *testing.T, method func(context.Context, hns.Client) error) {
	var started atomic.Int32
	hang := Client(slow{time.Hour, &started}, time.Second)
	begin := time.Now()
	err := method(t.Context(), hang)
	var e *hns.Error
	if !errors.As(err, &e) || !errors.Is(err, hns.ErrBusy) || !errors.Is(err, context.DeadlineExceeded) || e.Op == "" {
		t.Errorf("past its time: %v", err)
	}
	if took := time.Since(begin); took != time.Second {
		t.Errorf("gave up after %v", took)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := method(ctx, hang); !errors.Is(err, hns.ErrBusy) {
		t.Errorf("past the caller's time: %v", err)
	}
	before := started.Load()
	if err := method(ctx, hang); !errors.Is(err, hns.ErrBusy) || started.Load() != before {
		t.Errorf("with no time left: %v, started %v", err, started.Load() != before)
	}

	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := method(ctx, hang); !errors.Is(err, context.Canceled) || errors.Is(err, hns.ErrBusy) {
		t.Errorf("cancelled: %v", err)
	}

	quick := Client(slow{time.Millisecond, &started}, time.Second)
	if err := method(t.Context(), quick); !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("in time: %v", err)
	}

	func() {
		defer func() {
			if r := recover(); r != "slow" {
				t.Errorf("the caller does not see the panic: %v", r)
			}
		}()
		_ = method(t.Context(), Client(slow{0, &started}, time.Second))
	}()
	time.Sleep(2 * time.Hour) // lets the calls that hang end
}

func TestClientPassesResults(t *testing.T) {
	var started atomic.Int32
	got, err := Client(slow{time.Nanosecond, &started}, time.Minute).Network(t.Context(), "n")
	if got.Name != "n" || !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("got %v, %v", got, err)
	}
}
