// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestParseHRESULT(t *testing.T) {
	tests := []struct {
		name string
		want HRESULT
		in   []string
	}{
		{"a Win32 error", CodeNotFound, []string{
			"0x80070490", "0X80070490", "80070490", "0x490", "0x00000490", "1168", "2147943568", "-2147023728",
			"ERROR_NOT_FOUND", "error_not_found", "Error_Not_Found", " 0x490\n",
		}},
		{"a code of HNS", CodeEndpointNotFound, []string{
			"0x803b0002", "0x803B0002", "803b0002", "803B0002", "2151350274", "-2143617022",
			"HCN_E_ENDPOINT_NOT_FOUND", "hcn_e_endpoint_not_found",
		}},
		{"hex digits without a letter", 0x80370110, []string{"80370110", "0x80370110"}},
		{"short hex that looks like a decimal", 0x80070057, []string{"0x57", "87"}},
		{"the smallest Win32 error", 0x80070001, []string{"1", "0x1", "0x0001"}},
		{"the largest Win32 error", 0x8007ffff, []string{"65535", "0xffff"}},
		{"the smallest HRESULT of an error", 0x80000000, []string{"80000000", "2147483648", "-2147483648"}},
		{"the largest HRESULT", 0xffffffff, []string{"ffffffff", "0xFFFFFFFF", "4294967295", "-1"}},
		{"eight digits, the first a 9", 0x90070490, []string{"90070490"}},
		{"unknown to the table", 0xdeadbeef, []string{"0xdeadbeef", "deadbeef"}},
		{"as vmcompute says it", 0x8037010e, []string{
			"0xc037010e", "C037010E", "3224830222", "-1070137074", "HCS_E_SYSTEM_NOT_FOUND",
		}},
		{"Microsoft's odd one out", 0x803b0036, []string{"HCN_InterfaceParameters_Already_Applied"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, in := range tt.in {
				if got, err := ParseHRESULT(in); err != nil || got != tt.want {
					t.Errorf("ParseHRESULT(%q) = %s, %v; want %s", in, got, err, tt.want)
				}
			}
		})
	}
}

func TestParseHRESULTErrors(t *testing.T) {
	const (
		spellings = "hex (0x80070490, 80070490, 0x490), decimal (1168, 2147943568, -2147023728) or a symbol (ERROR_NOT_FOUND)"
		unknown   = "%q is no error code in any known spelling: " + spellings
		success   = "%q is no code of an error: those are 1 to 0xffff and from 0x80000000 on, as " + spellings
	)
	tests := []struct {
		want string
		in   []string
	}{
		{unknown, []string{
			"", " ", "0x", "-", "-0x490", "+1168", "0x+490", "x490", "490h", "6be", "803b02", "0x1_000", "1_168",
			"0x180070490", "4294967296", "-2147483649", "11.68", "1,168", "NOT_FOUND", "ERROR_NOT_FOUND.", "ENDPOINT",
			"g0070490", "8007049g", "٤٤٤٤",
			// Zeros in front say hex to some and decimal to others.
			"00000490", "0490", "00",
			// Not the code of an error, and not to be read as one.
			"7007049a", "0007049a",
		}},
		{success, []string{"0", "0x0", "0x00000000", "-0", "0x10000", "0x7fffffff", "65536", "70070490", "2147483647"}},
	}
	for _, tt := range tests {
		for _, in := range tt.in {
			got, err := ParseHRESULT(in)
			if want := fmt.Sprintf(tt.want, in); err == nil || err.Error() != want || got != 0 {
				t.Errorf("ParseHRESULT(%q) = %s, %v\nwant %s", in, got, err, want)
			}
		}
	}
}

// FuzzParseHRESULT states that whatever is understood has every other spelling
// too, and that the zero code comes with an error that names what was given.
func FuzzParseHRESULT(f *testing.F) {
	for _, s := range []string{
		"0x80070490", "80070490", "0x490", "1168", "2147943568", "-2147023728", "ERROR_NOT_FOUND", "0xc037010e",
		"", "0", "00000490", "-0", "0x10000", "deadbeef", "\xff", "٤", " 87 ",
	} {
		f.Add(s)
	}
	for _, m := range Meanings() {
		f.Add(strings.ToLower(m.Symbol))
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, err := ParseHRESULT(s)
		if err != nil {
			if code != 0 || !strings.Contains(err.Error(), strconv.Quote(s)) {
				t.Fatalf("ParseHRESULT(%q) = %s, %v; want no code, and the text in the error", s, code, err)
			}
			return
		}
		if !code.Failed() {
			t.Fatalf("ParseHRESULT(%q) = %s, which is no failure", s, code)
		}
		for _, spelling := range spellings(code) {
			if got, err := ParseHRESULT(spelling); err != nil || got != code {
				t.Errorf("ParseHRESULT(%q) = %s, %v; want %s as for %q", spelling, got, err, code, s)
			}
		}
	})
}

// TestParseMeanings parses every spelling of every code of the table.
func TestParseMeanings(t *testing.T) {
	for _, m := range Meanings() {
		for _, spelling := range spellings(m.Code) {
			if got, err := ParseHRESULT(spelling); err != nil || got != m.Code {
				t.Errorf("ParseHRESULT(%q) = %s, %v; want %s", spelling, got, err, m.Code)
			}
		}
	}
}

// spellings returns every way to write a code.
func spellings(code HRESULT) []string {
	hex, _, _ := strings.Cut(code.String(), " ")
	all := []string{
		hex, strings.ToUpper(hex), strings.TrimPrefix(hex, "0x"),
		strconv.FormatUint(uint64(code), 10), strconv.FormatInt(int64(int32(code)), 10),
	}
	if low := code & win32CodeMax; code&^win32CodeMax == facilityWin32 && low != 0 {
		all = append(all, fmt.Sprintf("%#x", uint32(low)), strconv.Itoa(int(low)))
	}
	if m, ok := code.Meaning(); ok {
		all = append(all, m.Symbol, strings.ToLower(m.Symbol))
	}
	return all
}
