// SPDX-License-Identifier: Apache-2.0

package hcnclient

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/Microsoft/hcsshim/hcn"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

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
// An *hcn.HcnError does not unwrap to the error inside it, and the type of that
// one is internal to hcsshim, but not so its field.
func code(err error) hns.HRESULT {
	var outer *hcn.HcnError
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
