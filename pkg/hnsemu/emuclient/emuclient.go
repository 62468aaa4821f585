// SPDX-License-Identifier: Apache-2.0

// Package emuclient is an hns.Client on the emulated HNS. It makes the same native
// calls in the same order as package hcnclient does on Windows, those of hcsshim
// included, and fails as that does, so what a test sees of the one holds for the
// other. It decides nothing; the documents are package hcndoc's.
package emuclient

import (
	"context"

	"github.com/bulkhead-cni/bulkhead/pkg/hcndoc"
	"github.com/bulkhead-cni/bulkhead/pkg/hcnhandle"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// New returns a client whose calls c carries out. The name is that of the
// process the calls seem to come from.
func New(c hnsemu.Caller, name string) hns.Client {
	n := native{caller: c, name: name}
	return hcndoc.NewClient(service{hcnhandle.New(n), n})
}

// service takes from hcsshim what package hcnclient takes from it.
type service struct {
	*hcnhandle.Handles
	native native
}

// Call makes a v1 request. HNS's answer may be that it failed all the same.
func (s service) Call(ctx context.Context, method, path string, document []byte) ([]byte, error) {
	r, err := s.native.call(ctx, "HNSCall", method, path, string(document))
	return []byte(r.Out), err
}

// Create passes a zero id, as hcsshim does: a wanted one is in the document.
func (s service) Create(ctx context.Context, kind hcndoc.Kind, document []byte) ([]byte, error) {
	r, err := s.native.call(ctx, "HcnCreate"+string(kind), hns.ZeroGUID, string(document))
	if err != nil {
		return nil, err
	}
	return s.queryAndClose(ctx, kind, hcnhandle.Handle(r.Handle))
}

// Modify throws the result of the query away, as hcsshim does.
func (s service) Modify(ctx context.Context, kind hcndoc.Kind, id string, document []byte) error {
	if kind == hcndoc.Namespaces {
		return s.Handles.Modify(ctx, kind, id, document)
	}
	opened, err := s.native.Open(ctx, kind, id)
	if err != nil {
		return err
	}
	if err := s.native.Modify(ctx, kind, opened, document); err != nil {
		return err
	}
	_, err = s.queryAndClose(ctx, kind, opened)
	return err
}

// queryAndClose leaves the handle open when the query fails, like hcsshim: HNS
// takes it back at the end of the process.
func (s service) queryAndClose(ctx context.Context, kind hcndoc.Kind, opened hcnhandle.Handle) ([]byte, error) {
	all, err := hcndoc.EncodeQuery(nil)
	if err != nil {
		return nil, err
	}
	got, err := s.native.Query(ctx, kind, opened, all)
	if err != nil {
		return nil, err
	}
	return got, s.native.Close(ctx, kind, opened)
}
