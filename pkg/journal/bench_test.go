// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// What a verb pays for its line, with the native calls of an ADD and without.
func BenchmarkLog(b *testing.B) {
	for name, calls := range map[string]int{"info": 0, "debug": 20} {
		b.Run(name, func(b *testing.B) {
			l := Log{filepath.Join(b.TempDir(), "b.log"), nodelock.Acquire}
			e := entry("c1")
			e.Calls = &Calls{calls: make([]call, calls)}
			for b.Loop() {
				if err := l.Write(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a verb pays to be counted.
func BenchmarkMetrics(b *testing.B) {
	m := Metrics{filepath.Join(b.TempDir(), "b.prom"), nodelock.Acquire}
	for b.Loop() {
		if err := m.Add(Sample{Network: "net1", Verb: "ADD", Took: time.Second}); err != nil {
			b.Fatal(err)
		}
	}
}
