// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// fake is a Native whose objects all exist. It notes the calls, and which handles
// are open.
type fake struct {
	mu    sync.Mutex
	calls []string
	open  map[Handle]string // kind and id
	last  Handle
	// ids are what Enumerate answers.
	ids []string
	// documents are the objects' by id. One without is an object without members.
	documents map[string]string
	// answer is what Call answers.
	answer string
	// intercept is asked before each call, whose number begins with 1. A call that
	// it lets fail does nothing.
	intercept func(n int, call string) error
	// misuse is what no program may do to HNS.
	misuse []string
}

func newFake() *fake {
	return &fake{
		open: map[Handle]string{}, documents: map[string]string{}, ids: []string{endpointID},
		answer: `{"Success":true,"Output":null}`,
	}
}

// called notes a call.
func (f *fake) called(format string, args ...any) error {
	call := strings.TrimSpace(fmt.Sprintf(format, args...))
	f.mu.Lock()
	f.calls = append(f.calls, call)
	n := len(f.calls)
	f.mu.Unlock()
	if f.intercept == nil {
		return nil
	}
	return f.intercept(n, call)
}

// made returns the calls so far.
func (f *fake) made() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) newHandle(kind Kind, id string) Handle {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.open[f.last] = string(kind) + " " + id
	return f.last
}

// object returns the id of an open object.
func (f *fake) object(kind Kind, h Handle) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := strings.CutPrefix(f.open[h], string(kind)+" ")
	if !ok {
		f.misuse = append(f.misuse, fmt.Sprintf("handle %d is used as a %s and is %q", h, kind, f.open[h]))
	}
	return id
}

func (f *fake) document(id string) []byte {
	if d, ok := f.documents[id]; ok {
		return []byte(d)
	}
	return []byte(doc(id, ""))
}

func (f *fake) Call(_ context.Context, method, path string, document []byte) ([]byte, error) {
	return []byte(f.answer), f.called("call %s %s %s", method, path, document)
}

func (f *fake) Enumerate(_ context.Context, kind Kind, query []byte) ([]byte, error) {
	if err := f.called("enumerate %s %s", kind, query); err != nil {
		return nil, err
	}
	return json.Marshal(f.ids)
}

func (f *fake) Open(_ context.Context, kind Kind, id string) (Handle, error) {
	if err := f.called("open %s %s", kind, id); err != nil {
		return 0, err
	}
	return f.newHandle(kind, id), nil
}

func (f *fake) Query(_ context.Context, kind Kind, object Handle, query []byte) ([]byte, error) {
	id := f.object(kind, object)
	if err := f.called("query %s %s", kind, query); err != nil {
		return nil, err
	}
	return f.document(id), nil
}

func (f *fake) Modify(_ context.Context, kind Kind, object Handle, document []byte) error {
	f.object(kind, object)
	return f.called("modify %s %s", kind, document)
}

func (f *fake) CreateEndpoint(_ context.Context, network Handle, id string, document []byte) (Handle, error) {
	f.object(Networks, network)
	if err := f.called("create Endpoint %s %s", id, document); err != nil {
		return 0, err
	}
	return f.newHandle(Endpoints, id), nil
}

func (f *fake) Create(_ context.Context, kind Kind, document []byte) ([]byte, error) {
	if err := f.called("create %s %s", kind, document); err != nil {
		return nil, err
	}
	return f.document(namespaceID), nil
}

func (f *fake) Delete(_ context.Context, kind Kind, id string) error {
	return f.called("delete %s %s", kind, id)
}

func (f *fake) Close(_ context.Context, kind Kind, object Handle) error {
	f.object(kind, object)
	err := f.called("close %s", kind)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, object)
	return err
}

// check fails the test when a handle was misused, or when others than want stay open.
func (f *fake) check(t *testing.T, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.misuse {
		t.Error(m)
	}
	var open []string
	for _, object := range f.open {
		open = append(open, object)
	}
	if slices.Sort(open); !slices.Equal(open, want) {
		t.Errorf("after %q: %q stay open, want %q", f.calls, open, want)
	}
}

// client returns a client that has time.
func (f *fake) client() hns.Client { return New(f, time.Hour) }

// code returns the error of a native call that failed with c.
func code(c hns.HRESULT) error { return &hns.Error{Code: c} }

func doc(id, members string) string { return `{"ID":"` + id + `"` + members + `}` }

// method is a call of one method of hns.Client, and the native calls that it makes,
// without what each is given after the kind.
type method struct {
	call func(context.Context, hns.Client) error
	want string
}

// methods calls every method of hns.Client.
var methods = map[string]method{
	"Features":     {func(ctx context.Context, c hns.Client) error { _, err := c.Features(ctx); return err }, "call GET"},
	"Network":      {func(ctx context.Context, c hns.Client) error { _, err := c.Network(ctx, "n"); return err }, "enumerate Network, open Network, query Network, close Network"},
	"ListNetworks": {func(ctx context.Context, c hns.Client) error { _, err := c.ListNetworks(ctx); return err }, "call GET"},
	"CreateNetwork": {func(ctx context.Context, c hns.Client) error {
		_, err := c.CreateNetwork(ctx, hns.Network{})
		return err
	},
		"create Network"},
	"DeleteNetwork": {func(ctx context.Context, c hns.Client) error { return c.DeleteNetwork(ctx, networkID) }, "delete Network"},
	"Endpoint": {func(ctx context.Context, c hns.Client) error { _, err := c.Endpoint(ctx, endpointID); return err },
		"open Endpoint, query Endpoint, close Endpoint"},
	"EndpointsNamed": {func(ctx context.Context, c hns.Client) error { _, err := c.EndpointsNamed(ctx, "e"); return err },
		"enumerate Endpoint, open Endpoint, query Endpoint, close Endpoint"},
	"EndpointsOf": {func(ctx context.Context, c hns.Client) error { _, err := c.EndpointsOf(ctx, networkID); return err },
		"enumerate Endpoint, open Endpoint, query Endpoint, close Endpoint"},
	"CreateEndpoint": {func(ctx context.Context, c hns.Client) error {
		_, err := c.CreateEndpoint(ctx, hns.Endpoint{NetworkID: networkID})
		return err
	}, "open Network, create Endpoint, close Network, close Endpoint"},
	"SetPolicies": {func(ctx context.Context, c hns.Client) error { return c.SetPolicies(ctx, endpointID, nil) },
		"open Endpoint, modify Endpoint, close Endpoint"},
	"AddPolicies": {func(ctx context.Context, c hns.Client) error { return c.AddPolicies(ctx, endpointID, nil) },
		"open Endpoint, modify Endpoint, close Endpoint"},
	"RemovePolicies": {func(ctx context.Context, c hns.Client) error { return c.RemovePolicies(ctx, endpointID, nil) },
		"open Endpoint, modify Endpoint, close Endpoint"},
	"AttachHost":     {func(ctx context.Context, c hns.Client) error { return c.AttachHost(ctx, endpointID) }, "call POST"},
	"DeleteEndpoint": {func(ctx context.Context, c hns.Client) error { return c.DeleteEndpoint(ctx, endpointID) }, "delete Endpoint"},
	"Namespace": {func(ctx context.Context, c hns.Client) error { _, err := c.Namespace(ctx, namespaceID); return err },
		"open Namespace, query Namespace, close Namespace"},
	"ListNamespaces": {func(ctx context.Context, c hns.Client) error { _, err := c.ListNamespaces(ctx); return err },
		"enumerate Namespace, open Namespace, query Namespace, close Namespace"},
	"CreateNamespace": {func(ctx context.Context, c hns.Client) error { _, err := c.CreateNamespace(ctx, ""); return err },
		"create Namespace"},
	"DeleteNamespace": {func(ctx context.Context, c hns.Client) error { return c.DeleteNamespace(ctx, namespaceID) }, "delete Namespace"},
	"Attach": {func(ctx context.Context, c hns.Client) error { return c.Attach(ctx, namespaceID, endpointID) },
		"open Namespace, modify Namespace, close Namespace"},
	"Detach": {func(ctx context.Context, c hns.Client) error { return c.Detach(ctx, namespaceID, endpointID) },
		"open Namespace, modify Namespace, close Namespace"},
	"AttachContainer": {func(ctx context.Context, c hns.Client) error { return c.AttachContainer(ctx, namespaceID, "c1") },
		"open Namespace, modify Namespace, close Namespace"},
	"DetachContainer": {func(ctx context.Context, c hns.Client) error { return c.DetachContainer(ctx, namespaceID, "c1") },
		"open Namespace, modify Namespace, close Namespace"},
}

// eachMethod runs a subtest for every method of hns.Client.
func eachMethod(t *testing.T, f func(t *testing.T, m method)) {
	if got, want := len(methods), reflect.TypeFor[hns.Client]().NumMethod(); got != want {
		t.Errorf("%d methods are tested, want all %d", got, want)
	}
	for name, m := range methods {
		t.Run(name, func(t *testing.T) { f(t, m) })
	}
}

// native returns the native calls that the method makes.
func (m method) native() []string { return strings.Split(m.want, ", ") }
