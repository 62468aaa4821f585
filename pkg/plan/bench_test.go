// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func BenchmarkEndpoint(b *testing.B) {
	f := facts(hns.L2Bridge)
	f.Config.ACL.Program = true
	f.Config.OutboundNAT = &config.OutboundNAT{}
	dualStack(&f)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Endpoint(f); err != nil {
			b.Fatal(err)
		}
	}
}

// What CHECK compares.
func BenchmarkDiff(b *testing.B) {
	f := facts(hns.L2Bridge)
	f.Config.ACL.Program = true
	want, err := Endpoint(f)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ds := Diff(want, want); len(ds) > 0 {
			b.Fatal(ds)
		}
	}
}
