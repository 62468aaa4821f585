// SPDX-License-Identifier: Apache-2.0

package config

import (
	"testing"
)

// A conflist's plugin as an admin has it.
func BenchmarkParse(b *testing.B) {
	var conf []byte
	for _, tc := range accepted {
		if len(tc.conf) > len(conf) {
			conf = []byte(tc.conf)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(conf, Env{Args: podArgs}); err != nil {
			b.Fatal(err)
		}
	}
}
