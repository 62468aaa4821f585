// SPDX-License-Identifier: Apache-2.0

package failure

import "testing"

// What others named does not act on the terminal of who reads it.
func TestFinding12Printable(t *testing.T) {
	for in, want := range map[string]string{
		"c1_net1":                 "c1_net1",
		"a\tb\nc":                 "a\tb\nc",
		"\x1b[2Jx\x07\r":          `\u001b[2Jx\u0007\u000d`,
		"user\u202etxt.exe\u2066": `user\u202etxt.exe\u2066`,
		"\u0085\u2028":            `\u0085\u2028`,
		"Größe, 日本語":              "Größe, 日本語",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
