// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// The set of an ADD whose configuration says nothing of ACLs.
func BenchmarkDefaults(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := defaults(hns.L2Bridge, hns.Process); err != nil {
			b.Fatal(err)
		}
	}
}
