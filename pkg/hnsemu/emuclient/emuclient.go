// SPDX-License-Identifier: Apache-2.0

// Package emuclient is an hns.Client on the emulated HNS. It makes the same
// native calls in the same order as hcsshim's package hcn does on Windows, and
// fails as that does, so what a test sees of the one holds for the other. It
// decides nothing; the documents are package hcndoc's.
package emuclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/bulkhead-cni/bulkhead/pkg/hcndoc"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// New returns a client whose calls c carries out. The name is that of the
// process the calls seem to come from.
func New(c hnsemu.Caller, name string) hns.Client {
	return hcndoc.NewClient(service{caller: c, name: name})
}

type service struct {
	caller hnsemu.Caller
	name   string
}

// Call makes a v1 request. HNS's answer may be that it failed all the same.
func (s service) Call(ctx context.Context, method, path string, document []byte) ([]byte, error) {
	r, err := s.call(ctx, "HNSCall", method, path, string(document))
	return []byte(r.Out), err
}

// List is hcsshim's enumerateX: it passes the whole query to each Query, too.
func (s service) List(ctx context.Context, kind hcndoc.Kind, query []byte) ([][]byte, error) {
	r, err := s.call(ctx, "HcnEnumerate"+string(kind)+"s", string(query))
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := json.Unmarshal([]byte(r.Out), &ids); err != nil {
		return nil, &hns.Error{Err: err}
	}
	var documents [][]byte
	for _, id := range ids {
		h, err := s.open(ctx, kind, id)
		if err != nil {
			return nil, err
		}
		d, err := s.query(ctx, kind, h, query)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

// Create passes a zero id, as hcsshim does: a wanted one is in the document.
func (s service) Create(ctx context.Context, kind hcndoc.Kind, document []byte) ([]byte, error) {
	if kind == hcndoc.Endpoints {
		return s.createEndpoint(ctx, document)
	}
	r, err := s.call(ctx, "HcnCreate"+string(kind), hns.ZeroGUID, string(document))
	if err != nil {
		return nil, err
	}
	return s.query(ctx, kind, handle(r), nil)
}

func (s service) createEndpoint(ctx context.Context, document []byte) ([]byte, error) {
	var doc struct{ HostComputeNetwork string }
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, &hns.Error{Err: err}
	}
	network, err := s.open(ctx, hcndoc.Networks, doc.HostComputeNetwork)
	if err != nil {
		return nil, err
	}
	r, err := s.call(ctx, "HcnCreateEndpoint", network, hns.ZeroGUID, string(document))
	if err != nil {
		return nil, err
	}
	got, err := s.query(ctx, hcndoc.Endpoints, handle(r), nil)
	if err != nil {
		return nil, err
	}
	_, err = s.call(ctx, "HcnCloseNetwork", network)
	return got, err
}

// Modify throws the result of the query away, as hcsshim does.
func (s service) Modify(ctx context.Context, kind hcndoc.Kind, id string, document []byte) error {
	h, err := s.open(ctx, kind, id)
	if err != nil {
		return err
	}
	if _, err := s.call(ctx, "HcnModify"+string(kind), h, string(document)); err != nil {
		return err
	}
	_, err = s.query(ctx, kind, h, nil)
	return err
}

func (s service) Delete(ctx context.Context, kind hcndoc.Kind, id string) error {
	_, err := s.call(ctx, "HcnDelete"+string(kind), id)
	return err
}

func (s service) open(ctx context.Context, kind hcndoc.Kind, id string) (string, error) {
	r, err := s.call(ctx, "HcnOpen"+string(kind), id)
	return handle(r), err
}

// query asks for the properties of an object and closes it. A nil query is the
// one that selects everything. Like hcsshim it leaves the handle open when the
// query fails: HNS takes it back at the end of the process.
func (s service) query(ctx context.Context, kind hcndoc.Kind, handle string, query []byte) ([]byte, error) {
	if query == nil {
		var err error
		if query, err = hcndoc.EncodeQuery(nil); err != nil {
			return nil, err
		}
	}
	r, err := s.call(ctx, "HcnQuery"+string(kind)+"Properties", handle, string(query))
	if err != nil {
		return nil, err
	}
	_, err = s.call(ctx, "HcnClose"+string(kind), handle)
	return []byte(r.Out), err
}

func handle(r hnsemu.Reply) string { return strconv.FormatUint(r.Handle, 10) }

// call makes one native call. An error record makes it fail even when the
// HRESULT does not (hcsshim hcn/hcnerrors.go, checkForErrors).
func (s service) call(ctx context.Context, proc string, args ...string) (hnsemu.Reply, error) {
	r, err := s.caller.Call(ctx, hnsemu.Call{Client: s.name, Proc: proc, Args: args})
	switch {
	case errors.Is(err, hnsemu.ErrCut):
		return r, &hns.Error{Code: hns.CodeCallFailed, Err: fmt.Errorf("%s: %w", proc, err)}
	case err != nil:
		return r, &hns.Error{Err: fmt.Errorf("%s: %w", proc, err)}
	case r.Code.Failed() && r.Record == "": // HNSCall has no record
		return r, &hns.Error{Code: r.Code, Err: fmt.Errorf("%s failed", proc)}
	case r.Code.Failed():
		return r, &hns.Error{Code: r.Code, Err: fmt.Errorf("%s failed %s", proc, r.Record)}
	case r.Record != "":
		return r, &hns.Error{Code: hns.CodeGenFailure, Err: fmt.Errorf("%s failed %s", proc, r.Record)}
	}
	return r, nil
}
