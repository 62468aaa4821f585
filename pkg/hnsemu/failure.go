// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Codes that the emulator answers and that pkg/hns has no name for (hns.md
// section 3.1; winerror.h).
const (
	codeNotImplemented    hns.HRESULT = 0x80004001
	codeInvalidHandle     hns.HRESULT = 0x80070006
	codeSharingViolation  hns.HRESULT = 0x80070020
	codeDuplicateName     hns.HRESULT = 0x80070034
	codeInvalidParameter  hns.HRESULT = 0x80070057
	codeObjectExists      hns.HRESULT = 0x80071392
	codeNoSubnet          hns.HRESULT = 0x803b0005
	codeNoPolicy          hns.HRESULT = 0x803b0008
	codeInvalidNetwork    hns.HRESULT = 0x803b000a
	codeInvalidType       hns.HRESULT = 0x803b000b
	codeInvalidEndpoint   hns.HRESULT = 0x803b000c
	codeInvalidPolicy     hns.HRESULT = 0x803b000d
	codeInvalidPolicyType hns.HRESULT = 0x803b000e
	codeRemoteEndpoint    hns.HRESULT = 0x803b000f
	codeAlreadyAttached   hns.HRESULT = 0x803b0014
	codeUnsupported       hns.HRESULT = 0x803b0015
	codeNoMapping         hns.HRESULT = 0x803b0016
	codeInvalidJSON       hns.HRESULT = 0x803b001b
	codeInvalidReference  hns.HRESULT = 0x803b001c
	codeInvalidIP         hns.HRESULT = 0x803b001e
	codeNoExtension       hns.HRESULT = 0x803b001f
	codeHasReferences     hns.HRESULT = 0x803b002c
	codeInternalPort      hns.HRESULT = 0x803b002d
	codeAttachFailed      hns.HRESULT = 0x803b002e
	codeAddressTaken      hns.HRESULT = 0x803b002f
	codeInvalidPrefix     hns.HRESULT = 0x803b0030
	codeTornDown          hns.HRESULT = 0x803b0031
	codeInvalidSubnet     hns.HRESULT = 0x803b0032
	codeNotAttached       hns.HRESULT = 0x803b0034
	codeNotLocal          hns.HRESULT = 0x803b0035
	codeOneInterface      hns.HRESULT = 0x803b0036
)

// failure is an answer of HNS that is an error. HNS gives away the code only;
// the reason is for the emulator's log.
type failure struct {
	code   hns.HRESULT
	reason string
}

// Error returns the code and the reason.
func (f *failure) Error() string { return fmt.Sprintf("%s: %s", f.code, f.reason) }

// refuse returns a failure with a reason for the log.
func refuse(code hns.HRESULT, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// codeOf returns the HRESULT that err stands for, 0 for none. What is no
// failure is a mistake of the emulator's own.
func codeOf(err error) hns.HRESULT {
	if err == nil {
		return 0
	}
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return 0x8000ffff
}

// reasonOf returns what the log says of an error.
func reasonOf(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.reason
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// textOf returns the system's message for a code, with the full stop and the
// blank that consumers match on (hns.md section 1.2).
func textOf(code hns.HRESULT) string {
	if code == codeInvalidHandle {
		return "The handle is invalid. "
	}
	m, ok := code.Meaning()
	if !ok {
		return "Unspecified error. "
	}
	return m.Text + ". "
}

// record returns the error record of a code (HNS_Schema.md, Response).
func record(code hns.HRESULT) string {
	doc := struct {
		Success   bool
		Error     string
		ErrorCode uint32
	}{false, textOf(code), uint32(code)}
	return marshal(doc)
}

// marshal returns v as JSON. Everything that the emulator encodes is made of
// types that cannot fail to encode.
func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(b)
}
