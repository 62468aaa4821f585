// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMeanings(t *testing.T) {
	symbols, texts := map[string]HRESULT{}, map[string]HRESULT{}
	// Microsoft gives these codes the text of an earlier one. No symbol is
	// shared.
	sharedText := map[HRESULT]HRESULT{0x803b0011: CodeNetworkExists, 0x803b0023: 0x803b0015}
	for i, m := range meanings {
		if i > 0 && m.Code <= meanings[i-1].Code {
			t.Errorf("%s stands after %s", m.Code, meanings[i-1].Code)
		}
		if first, ok := symbols[m.Symbol]; ok {
			t.Errorf("%s has the symbol of %s", m.Code, first)
		}
		if first, ok := texts[m.Text]; ok && sharedText[m.Code] != first {
			t.Errorf("%s has the text of %s", m.Code, first)
		}
		symbols[m.Symbol], texts[m.Text] = m.Code, m.Code
		if !m.Code.Failed() {
			t.Errorf("%s is no failure", m.Code)
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

// TestMeaningTexts holds the prose to the shape in which errors and the command
// line print it.
func TestMeaningTexts(t *testing.T) {
	symbol := regexp.MustCompile(`^[A-Z][A-Z_]*[A-Z]$`)
	reference := regexp.MustCompile(`#\d|://|\b[\w.-]+/[\w.-]+#|(?i:\b(same as|as above|see above)\b)`)
	// The first word of an advice is a verb; a new one is added here after a
	// look at whether it is.
	verbs := strings.Fields("check choose compare correct drain enable exclude find give ignore install let list look " +
		"make merge name read recreate remove restart run see update use wait write")
	for _, m := range meanings {
		if !symbol.MatchString(m.Symbol) {
			t.Errorf("%s: symbol %q", m.Code, m.Symbol)
		}
		for name, text := range map[string]string{"text": m.Text, "cause": m.Cause, "advice": m.Advice} {
			if text == "" || strings.TrimSpace(text) != text || strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s: %s %q is empty, has blanks around it or a full stop", m.Code, name, text)
			}
			if name == "text" {
				continue
			}
			if strings.Contains(strings.ToLower(text), "not found") || strings.Contains(text, ". ") {
				t.Errorf(`%s: %s %q is more than a sentence or says "not found"`, m.Code, name, text)
			}
			if got := reference.FindString(text); got != "" {
				t.Errorf("%s: %s %q refers elsewhere: %q", m.Code, name, text, got)
			}
			if len(text) > 180 {
				t.Errorf("%s: %s has %d bytes, want 180 at most", m.Code, name, len(text))
			}
		}
		verb, _, _ := strings.Cut(m.Advice, " ")
		if !slices.Contains(verbs, verb) {
			t.Errorf("%s: advice %q does not begin with one of %s", m.Code, m.Advice, verbs)
		}
	}
}

func TestMeaningsIsACopy(t *testing.T) {
	got := Meanings()
	if !slices.Equal(got, meanings) {
		t.Errorf("got %v, want %v", got, meanings)
	}
	got[0], got[1] = got[1], Meaning{}
	if m, ok := meanings[0].Code.Meaning(); !ok || m != meanings[0] || m.Symbol != "E_NOTIMPL" || meanings[1].Code == 0 {
		t.Errorf("a change of what Meanings returned changed the table: %v", m)
	}
}

// TestKindRules follows the rules for error handling that production systems
// arrived at. The verbs decide by kind, so each rule names the kinds that carry
// it, and every other code of these kinds with the reason why it is one of them.
func TestKindRules(t *testing.T) {
	tests := []struct {
		name  string
		kinds []error
		codes []HRESULT
		// more lists the codes that have the kind and are not in the rule.
		more map[HRESULT]string
	}{
		{
			name:  "gone, which is success for DEL",
			kinds: []error{ErrNotFound},
			codes: []HRESULT{
				0x80070490, 0x803b0001, 0x803b0002, 0x803b0003, 0x803b0004, 0x803b0007,
				0x803b0026, 0x803b0027, 0x803b0028, 0x8037010e,
			},
			more: map[HRESULT]string{
				0x803b0008: "a policy that is to be removed and is not there",
			},
		},
		{
			name:  "transient, worth another try",
			kinds: []error{ErrBusy, ErrUnavailable},
			codes: []HRESULT{0x800706ba, 0x803b0020, 0x803b0025, 0x803b0031, 0x80004005, 0x8007003b},
			more: map[HRESULT]string{
				0x80070426: "passes once HNS is started",
				0x800706be: "HNS crashed; Windows restarts it",
				0x800706d9: "HNS is starting",
				0x803b002a: "passes once SharedAccess is enabled",
				0x803b002c: "passes once the references are gone",
			},
		},
		{
			name:  "there already, to be checked and adopted",
			kinds: []error{ErrExists, ErrAttached},
			codes: []HRESULT{
				0x800700b7, 0x80071392, 0x803b0010, 0x803b0011, 0x803b0012, 0x803b0014, 0x803b002b,
			},
			more: map[HRESULT]string{
				0x80070020: "the host port is somebody else's",
				0x80070034: "the subnet is another network's",
				0x803b0013: "the host port is somebody else's",
				0x803b0029: "nobody makes a default namespace in a verb",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := slices.Sorted(maps.Keys(tt.more))
			want = append(want, tt.codes...)
			slices.Sort(want)
			var got []HRESULT
			for _, m := range meanings {
				if slices.Contains(tt.kinds, m.Kind) {
					got = append(got, m.Code)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("codes of the kinds %v, -want +got:\n%s", tt.kinds, diff)
			}
		})
	}
}

// TestKinds lists the codes of each kind, and some that have none.
func TestKinds(t *testing.T) {
	kinds := map[error][]HRESULT{
		ErrNotFound: {
			CodeNotFound, CodeNetworkNotFound, CodeEndpointNotFound, 0x803b0003, 0x803b0004, 0x803b0007,
			0x803b0026, 0x803b0027, 0x803b0028, 0x8037010e, 0x803b0008,
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
