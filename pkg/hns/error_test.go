// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestErrorIs(t *testing.T) {
	kinds := []error{ErrNotFound, ErrExists, ErrAttached, ErrUnsupported, ErrUnavailable, ErrInvalid, ErrBusy}
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"code", &Error{Code: CodeEndpointNotFound}, ErrNotFound},
		{"code and native error", &Error{Code: CodePortExists, Err: errors.New("not found")}, ErrExists},
		{"wrapped", fmt.Errorf("attach: %w", &Error{Code: CodeEndpointInANetns}), ErrAttached},
		{"code without a kind", &Error{Code: 0x803b0017}, nil},
		{"code without a meaning", &Error{Code: 0x80071234}, nil},
		{"words of another kind", &Error{Err: errors.New("the endpoint was not found")}, nil},
		{"cause is a kind", &Error{Err: fmt.Errorf("no DLL: %w", ErrUnsupported)}, ErrUnsupported},
		{"deadline", &Error{Err: context.DeadlineExceeded}, ErrBusy},
		{"deadline, wrapped", &Error{Err: fmt.Errorf("HcnOpenNetwork: %w", context.DeadlineExceeded)}, ErrBusy},
		{"cancelled", &Error{Err: context.Canceled}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, kind := range kinds {
				if got, want := errors.Is(tt.err, kind), errors.Is(tt.want, kind); got != want {
					t.Errorf("errors.Is(%v, %v) = %v", tt.err, kind, got)
				}
			}
		})
	}
	if err := (&Error{Err: context.Canceled}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not unwrap to its cause", err)
	}
}

func TestErrorText(t *testing.T) {
	tests := []struct {
		err  Error
		want string
	}{
		{Error{Op: "delete endpoint", Object: "e1", Code: CodeNotFound},
			"delete endpoint e1: 0x80070490 ERROR_NOT_FOUND (Element not found)"},
		{Error{Op: "delete endpoint", Object: "e1", Code: 0x80071234, Err: errors.New("HcnDeleteEndpoint failed")},
			"delete endpoint e1: 0x80071234: HcnDeleteEndpoint failed"},
		{Error{Op: "open HNS", Err: ErrUnsupported}, "open HNS: unsupported"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
