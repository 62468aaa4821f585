// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"fmt"
	"strings"
	"unicode"
)

// Printable returns a text for a person, with escapes in the place of what would act on
// the terminal or the log instead of being seen: control characters, but for tab and
// newline, and those that turn the direction of a text around (Unicode Standard Annex 9).
// Names in HNS, files and annotations are not Bulkhead's own.
func Printable(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || r == '\n':
			out.WriteRune(r)
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029':
			fmt.Fprintf(&out, "\\u%04x", r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
