// SPDX-License-Identifier: Apache-2.0

package hcnwin

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	hcsshim "github.com/Microsoft/hcsshim/hcn"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func zero[T any](*T) *T { return new(T) }

// nativeError returns an error as hcsshim's functions do. The type of what is inside
// cannot be named.
func nativeError(cause error) error {
	inner := zero(hcsshim.HcnError{}.HcsError)
	inner.Err = cause
	return &hcsshim.HcnError{HcsError: inner}
}

func TestCode(t *testing.T) {
	tests := []struct {
		cause error
		want  hns.HRESULT
	}{
		{syscall.Errno(0x490), hns.CodeNotFound},
		{syscall.Errno(0x803b0002), hns.CodeEndpointNotFound},
		{syscall.Errno(0x426), hns.CodeServiceNotActive},
		{nil, hns.CodeGenFailure},
	}
	for _, tt := range tests {
		err := nativeError(tt.cause)
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err)} {
			if got := code(err); got != tt.want {
				t.Errorf("code(%T %v) = %s, want %s", err, tt.cause, got, tt.want)
			}
		}
	}
	for _, err := range []error{errors.New("hnsCall: Element not found"), syscall.Errno(0x490), hcsshim.EndpointNotFoundError{}} {
		if got := code(err); got != 0 {
			t.Errorf("code(%v) = %s, want none", err, got)
		}
	}
}

func TestCall(t *testing.T) {
	failure := nativeError(syscall.Errno(0x490))
	if _, err := call(func() (int, error) { return 0, failure }); !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if got, err := call(func() (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	// As hcsshim does when the loader does not find a function.
	missing := func() (int, error) {
		loader := errors.New("the specified procedure could not be found")
		return 0, any(loader).(*hcsshim.HcnError)
	}
	if _, err := call(missing); !errors.Is(err, hns.ErrUnsupported) {
		t.Errorf("a missing function: %v, want ErrUnsupported", err)
	}
	defer func() {
		if r := recover(); r != "other" {
			t.Errorf("another panic was swallowed: %v", r)
		}
	}()
	_, _ = call(func() (int, error) { panic("other") })
}
