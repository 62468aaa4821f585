// SPDX-License-Identifier: Apache-2.0

package table

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const printed = `=== RUN   TestTraffic
=== RUN   TestTraffic/pod_to_pod
    traffic_test.go:12: 40 exchanges
--- PASS: TestTraffic/pod_to_pod (0.03s)
=== RUN   TestTraffic/service
    traffic_test.go:13: no proxy
--- SKIP: TestTraffic/service (0.00s)
    --- FAIL: TestTraffic/hairpin (0.00s)
--- FAIL: TestTraffic (13.30s)
--- PASS: TestQuick (0.01s)
ok  	test	1s
`

const source = `package p

import "testing"

// Packets go where they should. And more.
func TestTraffic(t *testing.T) {}

// TestQuick: it is | quick.
func TestQuick(t *testing.T) {}
`

// TestTables: what tests printed becomes rows, with the reason of what was skipped.
func TestTables(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.log": printed, "b.log": strings.ReplaceAll(printed, "SKIP", "PASS"), "x_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var columns []Column
	for _, name := range []string{"a", "b"} {
		c, err := Read(name, filepath.Join(dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		columns = append(columns, c)
	}
	var b strings.Builder
	if err := Matrix(&b, "TestTraffic", columns); err != nil {
		t.Fatal(err)
	}
	if err := List(&b, columns[0], dir); err != nil {
		t.Fatal(err)
	}
	const want = `| | a | b |
|---|---|---|
| pod to pod | 40 | 40 |
| service | no [1] | passed |
| hairpin | **failed** | **failed** |

1. no proxy
| test | what | passed | seconds |
|---|---|---|---|
| TestTraffic | Packets go where they should. | 1 of 2 | 13.30 |
| TestQuick | it is \| quick. | passed | 0.01 |

`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
