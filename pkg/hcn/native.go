// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"fmt"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
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

// Handle is what HNS knows an open object by, in one process.
type Handle uint64

// Native are the functions of HNS that the client needs: one method for the
// functions of that verb, HcnOpenNetwork, HcnOpenEndpoint and so on. They fail with
// *hns.Error, whose operation and object the client fills in.
type Native interface {
	// Call is HNSCall, the older API of schema 1. A request without a document
	// has an empty one. The answer can say that the request failed.
	Call(ctx context.Context, method, path string, document []byte) ([]byte, error)
	// Enumerate returns the ids of the objects that query selects, as JSON.
	Enumerate(ctx context.Context, kind Kind, query []byte) ([]byte, error)
	// Open fails with ErrNotFound when there is no object of that id.
	Open(ctx context.Context, kind Kind, id string) (Handle, error)
	// Query returns the document of an object. It fails with CodeTornDown when
	// the object was deleted after it had been opened.
	Query(ctx context.Context, kind Kind, object Handle, query []byte) ([]byte, error)
	// Modify applies a request to an object.
	Modify(ctx context.Context, kind Kind, object Handle, document []byte) error
	// CreateEndpoint makes an endpoint with that id on an open network and opens it.
	CreateEndpoint(ctx context.Context, network Handle, id string, document []byte) (Handle, error)
	// Create makes a network or a namespace and returns its document.
	Create(ctx context.Context, kind Kind, document []byte) ([]byte, error)
	// Delete removes the object of that id.
	Delete(ctx context.Context, kind Kind, id string) error
	// Close gives a handle back.
	Close(ctx context.Context, kind Kind, object Handle) error
}

// CallError returns the error of a native call, or nil. An error record makes it fail
// even when the HRESULT does not (hcsshim hcn/hcnerrors.go, checkForErrors).
// Functions without a record have an empty one.
func CallError(function string, code hns.HRESULT, record string) error {
	switch {
	case !code.Failed() && record == "":
		return nil
	case !code.Failed():
		code = hns.CodeGenFailure
	}
	if record == "" {
		return &hns.Error{Code: code, Err: fmt.Errorf("%s failed", function)}
	}
	return &hns.Error{Code: code, Err: fmt.Errorf("%s failed %s", function, record)}
}

// timed gives every call of a Native its time. HNS calls can block for ever
// (antrea-io/antrea#650) and the native functions take no timeout. A call that is
// given up fails with the context's error, unwrapped.
type timed struct {
	native  Native
	perCall time.Duration
}

// inTime makes a native call, of which it tells the context's Trace, and waits for it
// until perCall or ctx is over.
func inTime[T any](ctx context.Context, perCall time.Duration, verb, about string, call func(context.Context) (T, error)) (T, error) {
	return traced(ctx, verb, about, func() (T, error) {
		ctx, cancel := context.WithTimeout(ctx, perCall)
		defer cancel()
		return bounded.Do(ctx, func() (T, error) { return call(ctx) })
	})
}

// inTimeErr is inTime for a call that returns nothing but an error.
func inTimeErr(ctx context.Context, perCall time.Duration, verb, about string, call func(context.Context) error) error {
	_, err := inTime(ctx, perCall, verb, about, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

func (t timed) Call(ctx context.Context, method, path string, document []byte) ([]byte, error) {
	return inTime(ctx, t.perCall, "Call", method+" "+path, func(ctx context.Context) ([]byte, error) {
		return t.native.Call(ctx, method, path, document)
	})
}

func (t timed) Enumerate(ctx context.Context, kind Kind, query []byte) ([]byte, error) {
	return inTime(ctx, t.perCall, "Enumerate", string(kind), func(ctx context.Context) ([]byte, error) {
		return t.native.Enumerate(ctx, kind, query)
	})
}

func (t timed) Open(ctx context.Context, kind Kind, id string) (Handle, error) {
	return inTime(ctx, t.perCall, "Open", string(kind), func(ctx context.Context) (Handle, error) {
		return t.native.Open(ctx, kind, id)
	})
}

func (t timed) Query(ctx context.Context, kind Kind, object Handle, query []byte) ([]byte, error) {
	return inTime(ctx, t.perCall, "Query", string(kind), func(ctx context.Context) ([]byte, error) {
		return t.native.Query(ctx, kind, object, query)
	})
}

func (t timed) Modify(ctx context.Context, kind Kind, object Handle, document []byte) error {
	return inTimeErr(ctx, t.perCall, "Modify", string(kind), func(ctx context.Context) error {
		return t.native.Modify(ctx, kind, object, document)
	})
}

func (t timed) CreateEndpoint(ctx context.Context, network Handle, id string, document []byte) (Handle, error) {
	return inTime(ctx, t.perCall, "Create", string(Endpoints), func(ctx context.Context) (Handle, error) {
		return t.native.CreateEndpoint(ctx, network, id, document)
	})
}

func (t timed) Create(ctx context.Context, kind Kind, document []byte) ([]byte, error) {
	return inTime(ctx, t.perCall, "Create", string(kind), func(ctx context.Context) ([]byte, error) {
		return t.native.Create(ctx, kind, document)
	})
}

func (t timed) Delete(ctx context.Context, kind Kind, id string) error {
	return inTimeErr(ctx, t.perCall, "Delete", string(kind), func(ctx context.Context) error {
		return t.native.Delete(ctx, kind, id)
	})
}

func (t timed) Close(ctx context.Context, kind Kind, object Handle) error {
	return inTimeErr(ctx, t.perCall, "Close", string(kind), func(ctx context.Context) error {
		return t.native.Close(ctx, kind, object)
	})
}
