// SPDX-License-Identifier: Apache-2.0

package hcnclient

import (
	"context"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// HNSCall is the older API of HNS. hcsshim has it, too, but what exports it there
// is the package at its root, which imports half of the Host Compute Service.
// CoTaskMemFree is also in ole32.dll, which takes the window manager along.
var (
	procHNSCall       = windows.NewLazySystemDLL("vmcompute.dll").NewProc("HNSCall")
	procCoTaskMemFree = windows.NewLazySystemDLL("api-ms-win-core-com-l1-1-0.dll").NewProc("CoTaskMemFree")
)

func (service) Call(_ context.Context, method, path string, document []byte) ([]byte, error) {
	var arguments [3]*uint16
	for i, s := range []string{method, path, string(document)} {
		a, err := windows.UTF16PtrFromString(s)
		if err != nil {
			return nil, &hns.Error{Err: fmt.Errorf("%q: %w: %w", s, hns.ErrInvalid, err)}
		}
		arguments[i] = a
	}
	for _, p := range []*windows.LazyProc{procHNSCall, procCoTaskMemFree} {
		if err := find(p); err != nil {
			return nil, err
		}
	}
	code, answer := hnsCall(arguments[0], arguments[1], arguments[2])
	if code.Failed() {
		return nil, &hns.Error{Code: code, Err: fmt.Errorf("HNSCall %s %s failed", method, path)}
	}
	return []byte(answer), nil
}

// find loads a function. Call would panic without it.
func find(p *windows.LazyProc) error {
	if err := p.Find(); err != nil {
		return &hns.Error{Err: fmt.Errorf("this Windows has no HNS, install the feature Containers: %w: %s: %w", hns.ErrUnsupported, p.Name, err)}
	}
	return nil
}

// hnsCall is
//
//	HRESULT HNSCall(PCWSTR Method, PCWSTR Path, PCWSTR Object, PWSTR* Response);
//
// whose response is the caller's to free.
func hnsCall(method, path, object *uint16) (hns.HRESULT, string) {
	var response *uint16
	// The other results are no part of an HRESULT.
	code, _, _ := procHNSCall.Call(
		uintptr(unsafe.Pointer(method)),
		uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(object)),
		uintptr(unsafe.Pointer(&response)),
	)
	if response == nil {
		return hns.HRESULT(code), ""
	}
	answer := windows.UTF16PtrToString(response)
	_, _, _ = procCoTaskMemFree.Call(uintptr(unsafe.Pointer(response)))
	return hns.HRESULT(code), answer
}
