// SPDX-License-Identifier: Apache-2.0

package hcnwin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"syscall"

	hcsshim "github.com/Microsoft/hcsshim/hcn"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Create makes a network or a namespace with hcsshim.
func (native) Create(_ context.Context, kind hcn.Kind, document []byte) ([]byte, error) {
	if kind == hcn.Networks {
		return create((*hcsshim.HostComputeNetwork).Create, document)
	}
	return create((*hcsshim.HostComputeNamespace).Create, document)
}

func create[T any](create func(*T) (*T, error), document []byte) ([]byte, error) {
	want, err := parse[T](document)
	if err != nil {
		return nil, err
	}
	got, err := call(func() (*T, error) { return create(&want) })
	if err != nil {
		return nil, err
	}
	return json.Marshal(got)
}

// Delete removes a network or a namespace with hcsshim, and an endpoint, which every
// pod's DEL does, with HcnDeleteEndpoint.
func (native) Delete(_ context.Context, kind hcn.Kind, id string) error {
	switch kind {
	case hcn.Networks:
		return callErr((&hcsshim.HostComputeNetwork{Id: id}).Delete)
	case hcn.Namespaces:
		return callErr((&hcsshim.HostComputeNamespace{Id: id}).Delete)
	default:
		return deleteEndpoint(id)
	}
}

// parse reads a document into hcsshim's struct. A member that the struct lacks
// would not be sent, so it is an error.
func parse[T any](document []byte) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, &hns.Error{Err: err}
	}
	return v, nil
}

// call makes a call of hcsshim, and gives its error the HRESULT.
//
// Where computenetwork.dll lacks the function, hcsshim panics: it asserts that
// the error is its own, and it is the loader's (hcn/hcnerrors.go, new).
func call[T any](f func() (T, error)) (got T, err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, ok := r.(*runtime.TypeAssertionError); !ok {
			panic(r)
		}
		err = &hns.Error{Err: fmt.Errorf("computenetwork.dll lacks a function, so the HNS of this Windows is too old: %w", hns.ErrUnsupported)}
	}()
	if got, err = f(); err != nil {
		return got, &hns.Error{Code: code(err), Err: err}
	}
	return got, nil
}

// callErr is call for what returns nothing but an error.
func callErr(f func() error) error {
	_, err := call(func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// code returns the HRESULT in an error of hcsshim, 0 when it has none.
//
// An *hcsshim.HcnError does not unwrap to the error inside it, and the type of that
// one is internal to hcsshim, but not so its field.
func code(err error) hns.HRESULT {
	var outer *hcsshim.HcnError
	if !errors.As(err, &outer) {
		return 0
	}
	var number syscall.Errno
	if !errors.As(outer.Err, &number) {
		// hcsshim also fails when HNS leaves an error record and no HRESULT.
		return hns.CodeGenFailure
	}
	return hns.NewHRESULT(uint32(number))
}
