// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Kinds of errors, for errors.Is. They are assigned by HRESULT, never by text:
// texts are localised.
var (
	// ErrNotFound: the object, or one it needs, does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists: the name, address or port is taken.
	ErrExists = errors.New("exists already")
	// ErrAttached: the endpoint is attached already.
	ErrAttached = errors.New("attached already")
	// ErrUnsupported: this HNS, or this object, cannot do it.
	ErrUnsupported = errors.New("unsupported")
	// ErrUnavailable: HNS is not running, stopping or restarting.
	ErrUnavailable = errors.New("HNS unavailable")
	// ErrInvalid: HNS refused the document.
	ErrInvalid = errors.New("invalid")
	// ErrBusy: HNS did not answer in time, or asks to try again.
	ErrBusy = errors.New("busy")
)

// Error is what every Client method fails with.
type Error struct {
	// Op is what was attempted: "create endpoint".
	Op string
	// Object is what it was attempted on: a name or an id.
	Object string
	// Code is HNS's answer, 0 when HNS did not give one.
	Code HRESULT
	// Err is the cause when there is no code, or the native error with its text.
	Err error
}

// Error returns the operation, the object and the cause.
func (e *Error) Error() string {
	what := e.Op
	if e.Object != "" {
		what += " " + e.Object
	}
	switch {
	case e.Code != 0 && e.Err != nil:
		return fmt.Sprintf("%s: %s: %v", what, e.Code, e.Err)
	case e.Code != 0:
		return fmt.Sprintf("%s: %s", what, e.Code)
	default:
		return fmt.Sprintf("%s: %v", what, e.Err)
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the kind of the error's code, and answers
// ErrBusy for a call that outlived its deadline.
func (e *Error) Is(target error) bool {
	if e.Code == 0 {
		return target == ErrBusy && errors.Is(e.Err, context.DeadlineExceeded)
	}
	kind := e.Code.Kind()
	return kind != nil && target == kind
}

// IgnoreNotFound returns err, or nil for an object that does not exist.
func IgnoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// IsAddressTaken reports whether HNS refused an endpoint because of an address that
// another endpoint or HNS itself has. Releases differ in the code
// (kubernetes/kubernetes#74766, kubernetes-sigs/sig-windows-tools#71).
func IsAddressTaken(err error) bool { return hasCode(err, CodeObjectExists, CodeAddressReserved) }

// IsPortTaken reports whether HNS refused an endpoint because of a port of the node
// that another endpoint or, as WinNAT says it, a program has (docker/for-win#3893).
func IsPortTaken(err error) bool { return hasCode(err, CodePortExists, CodeSharingViolation) }

func hasCode(err error, codes ...HRESULT) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}
