// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"net/netip"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// There and back: what ADD sends, and what it reads twice.
func BenchmarkEndpointDocument(b *testing.B) {
	pod := hns.Endpoint{
		ID: "11111111-1111-1111-1111-111111111111", Name: "c1_net1", NetworkID: "22222222-2222-2222-2222-222222222222",
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.5/24")},
		Routes:    []hns.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: netip.MustParseAddr("10.1.0.1")}},
		Policies:  []hns.Policy{hns.ACL{ID: "bulkhead-in", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Priority: 100}, hns.QOS{Egress: 1}},
	}
	b.ReportAllocs()
	for b.Loop() {
		document, err := encodeEndpoint(pod)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := decodeEndpoint(document); err != nil {
			b.Fatal(err)
		}
	}
}
