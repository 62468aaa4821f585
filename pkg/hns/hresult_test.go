// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"errors"
	"strings"
	"testing"
)

func TestMeanings(t *testing.T) {
	symbols := map[string]bool{}
	for i, m := range meanings {
		if i > 0 && m.Code <= meanings[i-1].Code {
			t.Errorf("%s stands after %s", m.Code, meanings[i-1].Code)
		}
		if symbols[m.Symbol] {
			t.Errorf("%s is listed twice", m.Symbol)
		}
		symbols[m.Symbol] = true
		if !m.Code.Failed() {
			t.Errorf("%s is no failure", m.Code)
		}
		if m.Symbol == "" || m.Text == "" || strings.HasSuffix(m.Text, ".") || strings.TrimSpace(m.Text) != m.Text {
			t.Errorf("%s: symbol %q, text %q", m.Code, m.Symbol, m.Text)
		}
		if got, ok := m.Code.Meaning(); !ok || got != m {
			t.Errorf("%s.Meaning() = %v, %v", m.Code, got, ok)
		}
	}
	for code := HRESULT(0x803b0001); code <= 0x803b0037; code++ {
		if _, ok := code.Meaning(); !ok {
			t.Errorf("HNS's own code %s has no meaning", code)
		}
	}
}

// TestKinds follows the rules for error handling that production systems
// arrived at: which codes mean gone, which are worth another try, which mean
// that what was asked for is there.
func TestKinds(t *testing.T) {
	kinds := map[error][]HRESULT{
		ErrNotFound: {
			CodeNotFound, CodeNetworkNotFound, CodeEndpointNotFound, 0x803b0003, 0x803b0004, 0x803b0007,
			0x803b0026, 0x803b0027, 0x803b0028, 0x8037010e, 0x80070002, 0x803b0008,
		},
		ErrBusy: {0x8007003b, 0x803b0025, CodeTornDown, 0x80004005, 0x803b002c},
		ErrUnavailable: {
			CodeServiceNotActive, 0x800706ba, CodeCallFailed, 0x800706d9, 0x803b0020, 0x803b002a,
		},
		ErrExists: {
			0x800700b7, 0x80071392, CodeNetworkExists, 0x803b0011, 0x803b0012, CodePortExists,
			0x80070020, 0x80070034, 0x803b0029,
		},
		ErrAttached: {0x803b0014, CodeEndpointInANetns},
		ErrUnsupported: {
			0x80004001, 0x80070032, 0x8007007e, 0x8007007f, 0x803b000f, 0x803b0015, 0x803b0016, 0x803b0023, 0x803b0035, 0x803b0037,
		},
		ErrInvalid: {
			0x80070057, 0x803b0005, 0x803b0006, 0x803b000a, 0x803b000b, 0x803b000c, 0x803b000d, 0x803b000e,
			CodeInvalidGUID, 0x803b001b, 0x803b001c, 0x803b001e, 0x803b002d, 0x803b002f, 0x803b0030,
			0x803b0032, 0x803b0033, 0x803b0036,
		},
	}
	counted := 0
	for want, codes := range kinds {
		for _, c := range codes {
			counted++
			if got := c.Kind(); !errors.Is(got, want) {
				t.Errorf("%s is %v, want %v", c, got, want)
			}
		}
	}
	for _, m := range meanings {
		if m.Kind != nil {
			counted--
		}
	}
	if counted != 0 {
		t.Errorf("%d codes have a kind and are not in this test", -counted)
	}
	for _, c := range []HRESULT{0, 1, 0x8000ffff, 0x80070005, 0x803b0017, 0xdeadbeef} {
		if got := c.Kind(); got != nil {
			t.Errorf("%s is %v, want no kind", c, got)
		}
	}
}

func TestNewHRESULT(t *testing.T) {
	tests := []struct {
		code uint32
		want HRESULT
	}{
		{0, 0},
		{0x490, CodeNotFound},
		{1168, CodeNotFound},
		{0x80070490, CodeNotFound},
		{0x1392, 0x80071392},
		{0xffff, 0x8007ffff},
		{0x803b0002, CodeEndpointNotFound},
		{0x80004005, 0x80004005},
		{0x10000, 0x10000},
	}
	for _, tt := range tests {
		if got := NewHRESULT(tt.code); got != tt.want {
			t.Errorf("NewHRESULT(%#x) = %s, want %s", tt.code, got, tt.want)
		}
	}
	var minus int32 = -2147023728 // as .NET prints ERROR_NOT_FOUND
	if got := NewHRESULT(uint32(minus)); got != CodeNotFound {
		t.Errorf("NewHRESULT(%d) = %s, want %s", minus, got, CodeNotFound)
	}
}

func TestHRESULTString(t *testing.T) {
	for code, want := range map[HRESULT]string{
		CodeEndpointNotFound: "0x803b0002 HCN_E_ENDPOINT_NOT_FOUND (The endpoint was not found)",
		0x57:                 "0x00000057",
	} {
		if got := code.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
