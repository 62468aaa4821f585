// SPDX-License-Identifier: Apache-2.0

package emuclient

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/bulkhead-cni/bulkhead/pkg/hcndoc"
	"github.com/bulkhead-cni/bulkhead/pkg/hcnhandle"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// native are the functions of the emulated computenetwork.dll.
type native struct {
	caller hnsemu.Caller
	name   string
}

func (n native) Enumerate(ctx context.Context, kind hcndoc.Kind, query []byte) ([]byte, error) {
	r, err := n.call(ctx, "HcnEnumerate"+string(kind)+"s", string(query))
	return []byte(r.Out), err
}

func (n native) Open(ctx context.Context, kind hcndoc.Kind, id string) (hcnhandle.Handle, error) {
	r, err := n.call(ctx, "HcnOpen"+string(kind), id)
	return hcnhandle.Handle(r.Handle), err
}

func (n native) CreateEndpoint(ctx context.Context, network hcnhandle.Handle, id string, document []byte) (hcnhandle.Handle, error) {
	r, err := n.call(ctx, "HcnCreateEndpoint", text(network), id, string(document))
	return hcnhandle.Handle(r.Handle), err
}

func (n native) Modify(ctx context.Context, kind hcndoc.Kind, object hcnhandle.Handle, document []byte) error {
	_, err := n.call(ctx, "HcnModify"+string(kind), text(object), string(document))
	return err
}

func (n native) Query(ctx context.Context, kind hcndoc.Kind, object hcnhandle.Handle, query []byte) ([]byte, error) {
	r, err := n.call(ctx, "HcnQuery"+string(kind)+"Properties", text(object), string(query))
	return []byte(r.Out), err
}

func (n native) Delete(ctx context.Context, kind hcndoc.Kind, id string) error {
	_, err := n.call(ctx, "HcnDelete"+string(kind), id)
	return err
}

func (n native) Close(ctx context.Context, kind hcndoc.Kind, object hcnhandle.Handle) error {
	_, err := n.call(ctx, "HcnClose"+string(kind), text(object))
	return err
}

// text is a handle as the emulator takes it.
func text(h hcnhandle.Handle) string { return strconv.FormatUint(uint64(h), 10) }

func (n native) call(ctx context.Context, function string, args ...string) (hnsemu.Reply, error) {
	r, err := n.caller.Call(ctx, hnsemu.Call{Client: n.name, Proc: function, Args: args})
	switch {
	case errors.Is(err, hnsemu.ErrCut):
		return r, &hns.Error{Code: hns.CodeCallFailed, Err: fmt.Errorf("%s: %w", function, err)}
	case err != nil:
		return r, &hns.Error{Err: fmt.Errorf("%s: %w", function, err)}
	}
	return r, hcnhandle.Failure(function, r.Code, r.Record)
}
