// SPDX-License-Identifier: Apache-2.0

package hcnwin

import (
	"context"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// HNSCall is the older API of HNS. hcsshim has it, too, but what exports it there
// is the package at its root, which imports half of the Host Compute Service.
// CoTaskMemFree is also in ole32.dll, which takes the window manager along.
var (
	procHNSCall       = windows.NewLazySystemDLL("vmcompute.dll").NewProc("HNSCall")
	procCoTaskMemFree = windows.NewLazySystemDLL("api-ms-win-core-com-l1-1-0.dll").NewProc("CoTaskMemFree")
)

// Call is
//
//	HRESULT HNSCall(PCWSTR Method, PCWSTR Path, PCWSTR Object, PWSTR* Response);
func (native) Call(_ context.Context, method, path string, document []byte) ([]byte, error) {
	var arguments [3]*uint16
	for i, s := range []string{method, path, string(document)} {
		a, err := windows.UTF16PtrFromString(s)
		if err != nil {
			return nil, invalidArgument(s, err)
		}
		arguments[i] = a
	}
	if err := findProc(procHNSCall); err != nil {
		return nil, err
	}
	var response *uint16
	code, _, _ := procHNSCall.Call(
		uintptr(unsafe.Pointer(arguments[0])),
		uintptr(unsafe.Pointer(arguments[1])),
		uintptr(unsafe.Pointer(arguments[2])),
		uintptr(unsafe.Pointer(&response)),
	)
	answer := copyAndFree(response)
	return []byte(answer), hcn.CallError("HNSCall "+method+" "+path, hns.HRESULT(code), "")
}
