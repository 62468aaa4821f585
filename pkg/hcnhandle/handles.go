// SPDX-License-Identifier: Apache-2.0

package hcnhandle

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/bulkhead-cni/bulkhead/pkg/hcndoc"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Handle is what HNS knows an open object by, in one process.
type Handle uint64

// Native are the functions of computenetwork.dll that Handles calls: one method
// for the functions of that verb, HcnOpenNetwork, HcnOpenEndpoint and so on. They
// fail with *hns.Error.
type Native interface {
	Enumerate(ctx context.Context, kind hcndoc.Kind, query []byte) ([]byte, error)
	Open(ctx context.Context, kind hcndoc.Kind, id string) (Handle, error)
	CreateEndpoint(ctx context.Context, network Handle, id string, document []byte) (Handle, error)
	Modify(ctx context.Context, kind hcndoc.Kind, object Handle, document []byte) error
	Query(ctx context.Context, kind hcndoc.Kind, object Handle, query []byte) ([]byte, error)
	Delete(ctx context.Context, kind hcndoc.Kind, id string) error
	Close(ctx context.Context, kind hcndoc.Kind, object Handle) error
}

// Handles are the open objects of a process. Its methods are those of
// hcndoc.Service and fail as they do. Of each kind it keeps at most one open: the
// last one that was used. It is safe for concurrent use; a call that hangs keeps
// nobody else from an object, who opens it once more.
type Handles struct {
	native Native
	mu     sync.Mutex
	kept   map[hcndoc.Kind]object
}

// object is one that is open.
type object struct {
	id     string
	handle Handle
}

// New returns Handles with nothing open.
func New(n Native) *Handles {
	return &Handles{native: n, kept: map[hcndoc.Kind]object{}}
}

// List is hcsshim's enumerateX: it passes the whole query to each Query, too.
func (h *Handles) List(ctx context.Context, kind hcndoc.Kind, query []byte) ([][]byte, error) {
	answer, err := h.native.Enumerate(ctx, kind, query)
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := json.Unmarshal(answer, &ids); err != nil {
		return nil, &hns.Error{Err: err}
	}
	var documents [][]byte
	for _, id := range ids {
		d, err := h.query(ctx, kind, id, query)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

// Get returns the object of that id.
func (h *Handles) Get(ctx context.Context, kind hcndoc.Kind, id string) ([]byte, error) {
	all, err := hcndoc.EncodeQuery(nil)
	if err != nil {
		return nil, err
	}
	return h.query(ctx, kind, id, all)
}

func (h *Handles) query(ctx context.Context, kind hcndoc.Kind, id string, query []byte) ([]byte, error) {
	return with(ctx, h, kind, id, func(opened Handle) ([]byte, error) {
		return h.native.Query(ctx, kind, opened, query)
	})
}

// CreateEndpoint makes an endpoint, which is open then.
func (h *Handles) CreateEndpoint(ctx context.Context, network, id string, document []byte) error {
	made, err := with(ctx, h, hcndoc.Networks, network, func(opened Handle) (Handle, error) {
		return h.native.CreateEndpoint(ctx, opened, id, document)
	})
	if err != nil {
		return err
	}
	h.keep(ctx, hcndoc.Endpoints, object{id, made})
	return nil
}

// Modify applies a request to an object. Unlike hcsshim it does not read the
// object afterwards.
func (h *Handles) Modify(ctx context.Context, kind hcndoc.Kind, id string, document []byte) error {
	_, err := with(ctx, h, kind, id, func(opened Handle) (struct{}, error) {
		return struct{}{}, h.native.Modify(ctx, kind, opened, document)
	})
	return err
}

// Delete removes an object, which it closes before.
func (h *Handles) Delete(ctx context.Context, kind hcndoc.Kind, id string) error {
	h.Release(ctx, kind)
	return h.native.Delete(ctx, kind, id)
}

// Release closes what is open of a kind.
func (h *Handles) Release(ctx context.Context, kind hcndoc.Kind) {
	if o, ok := h.take(kind); ok {
		h.close(ctx, kind, o.handle)
	}
}

// Close closes everything. What is used afterwards is opened again.
func (h *Handles) Close(ctx context.Context) error {
	var errs []error
	for _, kind := range []hcndoc.Kind{hcndoc.Endpoints, hcndoc.Namespaces, hcndoc.Networks} {
		if o, ok := h.take(kind); ok {
			errs = append(errs, h.native.Close(ctx, kind, o.handle))
		}
	}
	return errors.Join(errs...)
}

// with calls f with an open object and keeps it open when f succeeds. One that was
// open before can have gone stale; f is called again then, with one that is new.
func with[T any](ctx context.Context, h *Handles, kind hcndoc.Kind, id string, f func(Handle) (T, error)) (T, error) {
	o, ok := h.take(kind)
	if ok && strings.EqualFold(o.id, id) {
		got, err := f(o.handle)
		if err == nil {
			h.keep(ctx, kind, o)
			return got, nil
		}
		h.close(ctx, kind, o.handle)
		if !stale(err) {
			return got, err
		}
	} else if ok {
		h.close(ctx, kind, o.handle)
	}
	opened, err := h.native.Open(ctx, kind, id)
	if err != nil {
		return *new(T), err
	}
	got, err := f(opened)
	if err != nil {
		h.close(ctx, kind, opened)
		return got, err
	}
	h.keep(ctx, kind, object{id, opened})
	return got, nil
}

// stale reports whether a call failed for its handle, so that HNS did nothing: the
// object was deleted, and perhaps made again, or HNS was started anew.
func stale(err error) bool {
	var e *hns.Error
	return errors.As(err, &e) && (e.Code == hns.CodeTornDown || e.Code == hns.CodeInvalidHandle)
}

// take removes what is open of a kind, for the caller to use alone.
func (h *Handles) take(kind hcndoc.Kind) (object, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, ok := h.kept[kind]
	delete(h.kept, kind)
	return o, ok
}

// keep puts an open object where take finds it, in the place of another that was
// opened meanwhile.
func (h *Handles) keep(ctx context.Context, kind hcndoc.Kind, o object) {
	h.mu.Lock()
	other, ok := h.kept[kind]
	h.kept[kind] = o
	h.mu.Unlock()
	if ok {
		h.close(ctx, kind, other.handle)
	}
}

// close gives a handle back whose object is of no use any more. That it fails says
// nothing about what was done through it, and HNS takes the handles of a process
// back at its end.
func (h *Handles) close(ctx context.Context, kind hcndoc.Kind, handle Handle) {
	_ = h.native.Close(ctx, kind, handle)
}
