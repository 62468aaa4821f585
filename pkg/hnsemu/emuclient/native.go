// SPDX-License-Identifier: Apache-2.0

package emuclient

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// native are the functions of the emulated computenetwork.dll and vmcompute.dll.
type native struct {
	caller hnsemu.Caller
	name   string
}

func (n native) Call(ctx context.Context, method, path string, document []byte) ([]byte, error) {
	r, err := n.call(ctx, "HNSCall", method, path, string(document))
	return []byte(r.Out), err
}

func (n native) Enumerate(ctx context.Context, kind hcn.Kind, query []byte) ([]byte, error) {
	r, err := n.call(ctx, "HcnEnumerate"+string(kind)+"s", string(query))
	return []byte(r.Out), err
}

func (n native) Open(ctx context.Context, kind hcn.Kind, id string) (hcn.Handle, error) {
	r, err := n.call(ctx, "HcnOpen"+string(kind), id)
	return hcn.Handle(r.Handle), err
}

func (n native) Query(ctx context.Context, kind hcn.Kind, object hcn.Handle, query []byte) ([]byte, error) {
	r, err := n.call(ctx, "HcnQuery"+string(kind)+"Properties", formatHandle(object), string(query))
	return []byte(r.Out), err
}

func (n native) Modify(ctx context.Context, kind hcn.Kind, object hcn.Handle, document []byte) error {
	_, err := n.call(ctx, "HcnModify"+string(kind), formatHandle(object), string(document))
	return err
}

func (n native) CreateEndpoint(ctx context.Context, network hcn.Handle, id string, document []byte) (hcn.Handle, error) {
	r, err := n.call(ctx, "HcnCreateEndpoint", formatHandle(network), id, string(document))
	return hcn.Handle(r.Handle), err
}

// queryAll is what hcsshim asks of an object that it has made
// (hcn/hcn.go, defaultQuery).
const queryAll = `{"SchemaVersion":{"Major":2,"Minor":0}}`

// Create makes hcsshim's calls. It passes a zero id, as a wanted one is in the
// document, and leaves the handle open when the query fails.
func (n native) Create(ctx context.Context, kind hcn.Kind, document []byte) ([]byte, error) {
	r, err := n.call(ctx, "HcnCreate"+string(kind), hns.ZeroGUID, string(document))
	if err != nil {
		return nil, err
	}
	made := hcn.Handle(r.Handle)
	got, err := n.Query(ctx, kind, made, []byte(queryAll))
	if err != nil {
		return nil, err
	}
	return got, n.Close(ctx, kind, made)
}

func (n native) Delete(ctx context.Context, kind hcn.Kind, id string) error {
	_, err := n.call(ctx, "HcnDelete"+string(kind), id)
	return err
}

func (n native) Close(ctx context.Context, kind hcn.Kind, object hcn.Handle) error {
	_, err := n.call(ctx, "HcnClose"+string(kind), formatHandle(object))
	return err
}

// formatHandle returns a handle as the emulator takes it.
func formatHandle(h hcn.Handle) string { return strconv.FormatUint(uint64(h), 10) }

func (n native) call(ctx context.Context, function string, args ...string) (hnsemu.Reply, error) {
	r, err := n.caller.Call(ctx, hnsemu.Call{Client: n.name, Proc: function, Args: args})
	switch {
	case errors.Is(err, hnsemu.ErrCut):
		return r, &hns.Error{Code: hns.CodeCallFailed, Err: fmt.Errorf("%s: %w", function, err)}
	case err != nil:
		return r, &hns.Error{Err: fmt.Errorf("%s: %w", function, err)}
	}
	return r, hcn.CallError(function, r.Code, r.Record)
}
