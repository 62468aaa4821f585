// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"fmt"
	"slices"
	"sort"
)

// HRESULT is a result code of a native call, whole: Win32 errors carry their
// facility (0x80070490, not 0x490).
type HRESULT uint32

// Codes that code asks for by name.
const (
	CodeInvalidHandle    HRESULT = 0x80070006
	CodeGenFailure       HRESULT = 0x8007001f
	CodeSharingViolation HRESULT = 0x80070020
	CodeServiceNotActive HRESULT = 0x80070426
	CodeNotFound         HRESULT = 0x80070490
	CodeCallFailed       HRESULT = 0x800706be
	CodeObjectExists     HRESULT = 0x80071392
	CodeNetworkNotFound  HRESULT = 0x803b0001
	CodeEndpointNotFound HRESULT = 0x803b0002
	CodeNoAdapter        HRESULT = 0x803b0006
	CodeNetworkExists    HRESULT = 0x803b0010
	CodePortExists       HRESULT = 0x803b0013
	CodeInvalidGUID      HRESULT = 0x803b0019
	CodeEndpointInANetns HRESULT = 0x803b002b
	CodeAddressReserved  HRESULT = 0x803b002f
	CodeTornDown         HRESULT = 0x803b0031
	facilityWin32        HRESULT = 0x80070000
	win32CodeMax         HRESULT = 0xffff
	failureBit           HRESULT = 0x80000000
)

// Meaning explains an HRESULT.
type Meaning struct {
	Code HRESULT
	// Symbol is Microsoft's name: HCN_E_ENDPOINT_NOT_FOUND.
	Symbol string
	// Text is Microsoft's English message, without a full stop.
	Text string
	// Kind is one of the kinds of this package, or nil.
	Kind error
	// Cause is what the code usually means on a node, and Advice what its admin
	// can do about it, in the imperative. Both are parts of a sentence, without
	// a full stop, and never say "not found": containerd's go-cni takes an error
	// of DEL that does for success.
	Cause, Advice string
}

// meanings lists, sorted by code, every HRESULT that HNS is known to answer.
var meanings = slices.Concat(systemMeanings, hcnMeanings)

// Meanings returns the explanation of every HRESULT that HNS is known to answer,
// sorted by code. The slice is the caller's.
func Meanings() []Meaning { return slices.Clone(meanings) }

// NewHRESULT restores the facility that hcsshim strips from Win32 errors: 0x490
// becomes 0x80070490. Whole codes and 0 stay as they are.
func NewHRESULT(code uint32) HRESULT {
	h := HRESULT(code)
	if h > 0 && h <= win32CodeMax {
		return facilityWin32 | h
	}
	return h
}

// Failed reports whether the code is an error.
func (h HRESULT) Failed() bool { return h >= failureBit }

// Meaning returns the explanation of a code, and whether there is one.
func (h HRESULT) Meaning() (Meaning, bool) {
	i := sort.Search(len(meanings), func(i int) bool { return meanings[i].Code >= h })
	if i == len(meanings) || meanings[i].Code != h {
		return Meaning{}, false
	}
	return meanings[i], true
}

// Kind returns the kind of error that the code is, or nil.
func (h HRESULT) Kind() error {
	m, _ := h.Meaning()
	return m.Kind
}

// String returns the code in hex, with its symbol and text when known.
func (h HRESULT) String() string {
	m, ok := h.Meaning()
	if !ok {
		return fmt.Sprintf("0x%08x", uint32(h))
	}
	return fmt.Sprintf("0x%08x %s (%s)", uint32(h), m.Symbol, m.Text)
}
