// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Codes that the emulator answers and that pkg/hns has no name for: HCNHResult.md
// and winerror.h.
const (
	CodeNotImplemented    hns.HRESULT = 0x80004001
	CodeSharingViolation  hns.HRESULT = 0x80070020
	CodeDuplicateName     hns.HRESULT = 0x80070034
	CodeInvalidParameter  hns.HRESULT = 0x80070057
	CodeNoSubnet          hns.HRESULT = 0x803b0005
	CodeNoPolicy          hns.HRESULT = 0x803b0008
	CodeInvalidNetwork    hns.HRESULT = 0x803b000a
	CodeInvalidType       hns.HRESULT = 0x803b000b
	CodeInvalidEndpoint   hns.HRESULT = 0x803b000c
	CodeInvalidPolicy     hns.HRESULT = 0x803b000d
	CodeInvalidPolicyType hns.HRESULT = 0x803b000e
	CodeRemoteEndpoint    hns.HRESULT = 0x803b000f
	CodeAlreadyAttached   hns.HRESULT = 0x803b0014
	CodeUnsupported       hns.HRESULT = 0x803b0015
	CodeNoMapping         hns.HRESULT = 0x803b0016
	CodeInvalidJSON       hns.HRESULT = 0x803b001b
	CodeInvalidReference  hns.HRESULT = 0x803b001c
	CodeInvalidIP         hns.HRESULT = 0x803b001e
	CodeNoExtension       hns.HRESULT = 0x803b001f
	CodeHasReferences     hns.HRESULT = 0x803b002c
	CodeInternalPort      hns.HRESULT = 0x803b002d
	CodeAttachFailed      hns.HRESULT = 0x803b002e
	CodeInvalidPrefix     hns.HRESULT = 0x803b0030
	CodeInvalidSubnet     hns.HRESULT = 0x803b0032
	CodeNotAttached       hns.HRESULT = 0x803b0034
	CodeNotLocal          hns.HRESULT = 0x803b0035
	CodeOneInterface      hns.HRESULT = 0x803b0036
)

// Error is an error that HNS answers. HNS answers the code only; the reason is
// for the emulator's log.
type Error struct {
	Code   hns.HRESULT
	Reason string
}

// Error returns the code and the reason.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Reason) }

// Errorf returns an *Error.
func Errorf(code hns.HRESULT, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// CodeOf returns the HRESULT of an error, 0 for nil. An error that is no *Error
// is a mistake of the emulator and answers E_UNEXPECTED.
func CodeOf(err error) hns.HRESULT {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0x8000ffff
}

// ReasonOf returns what the log says about an error, "" for nil.
func ReasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Text returns the system's message for a code, with the full stop and the blank
// at its end (Azure/azure-container-networking#774). Clients compare texts:
// hcsshim's internal/hns looks for "Element not found.".
func Text(code hns.HRESULT) string {
	if code == hns.CodeInvalidHandle {
		return "The handle is invalid. "
	}
	m, ok := code.Meaning()
	if !ok {
		return "Unspecified error. "
	}
	return m.Text + ". "
}

// ErrorRecord returns the error record of a code (HNS_Schema.md, Response).
func ErrorRecord(code hns.HRESULT) string {
	doc := struct {
		Success   bool
		Error     string
		ErrorCode uint32
	}{false, Text(code), uint32(code)}
	return Marshal(doc)
}

// Marshal returns v as JSON. It panics when v cannot be encoded, which is a
// mistake of the caller's.
func Marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(b)
}
