// SPDX-License-Identifier: Apache-2.0

package wine

import "testing"

// What Wine says when a program ends is not the program's; all else is.
func TestFarewell(t *testing.T) {
	for in, want := range map[string]string{
		"wine client error:3a0: ": "",
		"bulkhead: removed x\nwine client error:3a0: write: Broken pipe\n": "bulkhead: removed x\n",
		"client error: 5\n": "client error: 5\n",
	} {
		if got := farewell.ReplaceAllString(in, ""); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
