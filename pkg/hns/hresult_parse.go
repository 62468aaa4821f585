// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"fmt"
	"strconv"
	"strings"
)

// facilityHCS marks the codes of the compute service. vmcompute.dll, and so
// hcsshim, says them with the customer bit set: 0xc037010e for 0x8037010e.
const (
	facilityHCS HRESULT = 0x80370000
	customerHCS HRESULT = 0xc0370000
)

// ParseHRESULT reads the code of an error as logs and people spell it, in any
// letter case:
//
//   - 0x80070490, hex; or 0x490, a Win32 error without its facility, as hcsshim
//     prints it
//   - 80070490, hex without a prefix: eight digits, the first of them 8 to f.
//     Taken for a decimal number, they would be neither a Win32 error (65535 at
//     most) nor the HRESULT of an error (2147483648 at least)
//   - 1168 or 2147943568, decimal, as PowerShell prints it, without leading
//     zeros: 00000490 is hex to some, so it is refused
//   - -2147023728, decimal and signed, as .NET prints it
//   - ERROR_NOT_FOUND, the symbol of one of Meanings
//
// It is an error when s is none of these, or the code of a success.
func ParseHRESULT(s string) (HRESULT, error) {
	const spellings = "hex (0x80070490, 80070490, 0x490), decimal (1168, 2147943568, -2147023728) or a symbol (ERROR_NOT_FOUND)"
	text := strings.TrimSpace(s)
	for _, m := range meanings {
		if strings.EqualFold(m.Symbol, text) {
			return m.Code, nil
		}
	}
	code, ok := parseCode(text)
	if !ok {
		return 0, fmt.Errorf("%q is no error code in any known spelling: %s", s, spellings)
	}
	h := NewHRESULT(code)
	if !h.Failed() {
		return 0, fmt.Errorf("%q is no code of an error: those are 1 to 0xffff and from 0x80000000 on, as %s", s, spellings)
	}
	if h&^win32CodeMax == customerHCS {
		return facilityHCS | h&win32CodeMax, nil
	}
	return h, nil
}

// parseCode reads a number in one of the spellings of ParseHRESULT.
func parseCode(s string) (uint32, bool) {
	if digits, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		return parseUint32(digits, 16)
	}
	if strings.HasPrefix(s, "-") {
		n, err := strconv.ParseInt(s, 10, 32)
		return uint32(n), err == nil
	}
	if len(s) == 8 && s[0] >= '8' {
		return parseUint32(s, 16)
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	return parseUint32(s, 10)
}

func parseUint32(digits string, base int) (uint32, bool) {
	n, err := strconv.ParseUint(digits, base, 32)
	return uint32(n), err == nil
}
