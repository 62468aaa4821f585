// SPDX-License-Identifier: Apache-2.0

package hcnwin

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/Microsoft/go-winio/pkg/guid"
	"golang.org/x/sys/windows"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var dll = windows.NewLazySystemDLL("computenetwork.dll")

// native is hcn.Native on this machine. The signatures of computenetwork.dll are
// those that Microsoft documents with the Host Compute Network API
// (learn.microsoft.com, "HCN API reference"). Where a kind is spelled Network below,
// any kind can stand.
type native struct{}

// Enumerate is
//
//	HRESULT HcnEnumerateNetworks(PCWSTR Query, PWSTR* Networks, PWSTR* ErrorRecord);
func (native) Enumerate(_ context.Context, kind hcn.Kind, query []byte) ([]byte, error) {
	f, q, err := prepare("HcnEnumerate"+string(kind)+"s", query)
	if err != nil {
		return nil, err
	}
	var list, record *uint16
	code, _, _ := f.Call(uintptr(unsafe.Pointer(q)), uintptr(unsafe.Pointer(&list)), uintptr(unsafe.Pointer(&record)))
	return []byte(copyAndFree(list)), callError(f, code, record)
}

// Open is
//
//	HRESULT HcnOpenNetwork(REFGUID Id, PHCN_NETWORK Network, PWSTR* ErrorRecord);
func (native) Open(_ context.Context, kind hcn.Kind, id string) (hcn.Handle, error) {
	f, g, err := prepareID("HcnOpen"+string(kind), id)
	if err != nil {
		return 0, err
	}
	var handle uintptr
	var record *uint16
	code, _, _ := f.Call(uintptr(unsafe.Pointer(&g)), uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(&record)))
	return hcn.Handle(handle), callError(f, code, record)
}

// CreateEndpoint is
//
//	HRESULT HcnCreateEndpoint(HCN_NETWORK Network, REFGUID Id, PCWSTR Settings, PHCN_ENDPOINT Endpoint, PWSTR* ErrorRecord);
func (native) CreateEndpoint(_ context.Context, network hcn.Handle, id string, document []byte) (hcn.Handle, error) {
	f, settings, err := prepare("HcnCreateEndpoint", document)
	if err != nil {
		return 0, err
	}
	g, err := guid.FromString(id)
	if err != nil {
		return 0, invalidArgument(id, err)
	}
	var handle uintptr
	var record *uint16
	code, _, _ := f.Call(uintptr(network), uintptr(unsafe.Pointer(&g)), uintptr(unsafe.Pointer(settings)),
		uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(&record)))
	return hcn.Handle(handle), callError(f, code, record)
}

// Modify is
//
//	HRESULT HcnModifyNetwork(HCN_NETWORK Network, PCWSTR Settings, PWSTR* ErrorRecord);
func (native) Modify(_ context.Context, kind hcn.Kind, object hcn.Handle, document []byte) error {
	f, settings, err := prepare("HcnModify"+string(kind), document)
	if err != nil {
		return err
	}
	var record *uint16
	code, _, _ := f.Call(uintptr(object), uintptr(unsafe.Pointer(settings)), uintptr(unsafe.Pointer(&record)))
	return callError(f, code, record)
}

// Query is
//
//	HRESULT HcnQueryNetworkProperties(HCN_NETWORK Network, PCWSTR Query, PWSTR* Properties, PWSTR* ErrorRecord);
func (native) Query(_ context.Context, kind hcn.Kind, object hcn.Handle, query []byte) ([]byte, error) {
	f, q, err := prepare("HcnQuery"+string(kind)+"Properties", query)
	if err != nil {
		return nil, err
	}
	var properties, record *uint16
	code, _, _ := f.Call(uintptr(object), uintptr(unsafe.Pointer(q)), uintptr(unsafe.Pointer(&properties)), uintptr(unsafe.Pointer(&record)))
	return []byte(copyAndFree(properties)), callError(f, code, record)
}

// deleteEndpoint is
//
//	HRESULT HcnDeleteEndpoint(REFGUID Id, PWSTR* ErrorRecord);
func deleteEndpoint(id string) error {
	f, g, err := prepareID("HcnDeleteEndpoint", id)
	if err != nil {
		return err
	}
	var record *uint16
	code, _, _ := f.Call(uintptr(unsafe.Pointer(&g)), uintptr(unsafe.Pointer(&record)))
	return callError(f, code, record)
}

// Close is
//
//	HRESULT HcnCloseNetwork(HCN_NETWORK Network);
func (native) Close(_ context.Context, kind hcn.Kind, object hcn.Handle) error {
	f := dll.NewProc("HcnClose" + string(kind))
	if err := findProc(f); err != nil {
		return err
	}
	code, _, _ := f.Call(uintptr(object))
	return callError(f, code, nil)
}

// prepare finds a function and turns a document into its argument.
func prepare(function string, document []byte) (*windows.LazyProc, *uint16, error) {
	f := dll.NewProc(function)
	if err := findProc(f); err != nil {
		return nil, nil, err
	}
	argument, err := windows.UTF16PtrFromString(string(document))
	if err != nil {
		return nil, nil, invalidArgument(string(document), err)
	}
	return f, argument, nil
}

// prepareID finds a function and turns an id into its argument.
func prepareID(function, id string) (*windows.LazyProc, guid.GUID, error) {
	f := dll.NewProc(function)
	if err := findProc(f); err != nil {
		return nil, guid.GUID{}, err
	}
	g, err := guid.FromString(id)
	if err != nil {
		return nil, guid.GUID{}, invalidArgument(id, err)
	}
	return f, g, nil
}

func invalidArgument(what string, err error) error {
	return &hns.Error{Err: fmt.Errorf("%q: %w: %w", what, hns.ErrInvalid, err)}
}

// callError returns the error of a call, whose record it frees. What is above its 32
// bits is no part of an HRESULT.
func callError(f *windows.LazyProc, code uintptr, record *uint16) error {
	return hcn.CallError(f.Name, hns.HRESULT(code), copyAndFree(record))
}

// copyAndFree returns a string that HNS allocated, and frees it.
func copyAndFree(s *uint16) string {
	if s == nil {
		return ""
	}
	out := windows.UTF16PtrToString(s)
	_, _, _ = procCoTaskMemFree.Call(uintptr(unsafe.Pointer(s)))
	return out
}

// findProc loads a function, and the one that frees what it answers. Call would panic
// without it.
func findProc(f *windows.LazyProc) error {
	for _, p := range []*windows.LazyProc{f, procCoTaskMemFree} {
		if err := p.Find(); err != nil {
			why := "this Windows has no HNS, install the feature Containers"
			if errors.Is(err, windows.ERROR_PROC_NOT_FOUND) {
				why = "the HNS of this Windows is too old"
			}
			return &hns.Error{Err: fmt.Errorf("%s: %w: %s: %w", why, hns.ErrUnsupported, p.Name, err)}
		}
	}
	return nil
}
