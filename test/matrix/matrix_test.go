// SPDX-License-Identifier: Apache-2.0

// Package matrix_test tries everything that a conflist or a pod can ask for, on
// every driver, for both IP families, on every release of Windows that the
// emulator knows. Each cell is a pod: what it asked for is in HNS afterwards, or
// it was refused with a sentence and nothing was made.
package matrix_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden file and the table in SUPPORT.md")

const (
	golden  = "testdata/cells.txt"
	support = "../../plugins/bulkhead/SUPPORT.md"
	// The table stands between these lines of SUPPORT.md.
	begin = "<!-- go test ./test/matrix -update -->\n"
	end   = "<!-- end -->\n"
)

func TestMatrix(t *testing.T) {
	got := results{}
	for _, r := range rows {
		got[r.name] = map[cell]answer{}
		t.Run(r.name, func(t *testing.T) {
			for _, c := range cells() {
				t.Run(strings.Join([]string{string(c.driver), string(c.family), c.profile}, "/"), func(t *testing.T) {
					got[r.name][c] = try(t, r, c)
					if wrong := got[r.name][c].wrong; wrong != "" {
						t.Error(wrong)
					}
				})
			}
		})
	}
	if t.Failed() {
		return // the answers are not to be trusted
	}
	compare(t, golden, "", got.text(), "")
	compare(t, support, begin, got.table(), end)
}

// compare holds the part of a file between two texts to what it must be.
func compare(t *testing.T, file, before, want, after string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), before)
	part, tail := rest, ""
	if after != "" {
		var closed bool
		part, tail, closed = strings.Cut(rest, after)
		found = found && closed
	}
	switch {
	case !found:
		t.Fatalf("%s has no part between %q and %q", file, before, after)
	case part == want:
	case *update:
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(head+before+want+after+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s differs (-file +now); go test ./test/matrix -update rewrites it:\n%s", file, cmp.Diff(part, want))
	}
}
