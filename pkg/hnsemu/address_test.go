// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

func TestLastAddr(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.0.0.0/24":      "10.0.0.255",
		"10.0.0.0/8":       "10.255.255.255",
		"10.0.0.128/25":    "10.0.0.255",
		"10.0.0.4/30":      "10.0.0.7",
		"10.0.0.4/32":      "10.0.0.4",
		"0.0.0.0/0":        "255.255.255.255",
		"172.16.16.0/20":   "172.16.31.255",
		"fd00::/64":        "fd00::ffff:ffff:ffff:ffff",
		"fd00::/126":       "fd00::3",
		"2001:db8:1::/127": "2001:db8:1::1",
	} {
		if got := lastAddr(prefixOf(prefix)); got != netip.MustParseAddr(want) {
			t.Errorf("lastAddr(%s) = %s, want %s", prefix, got, want)
		}
	}
}

// TestNoFreePrefix: the private range of automatic subnets is finite.
func TestNoFreePrefix(t *testing.T) {
	c := newClient(t, "2025")
	for i := range 256 {
		c.create("Network", v2(fmt.Sprintf(`"Type":"NAT","Name":"n%d"`, i)))
	}
	if got := c.call("HcnCreateNetwork", "", v2(`"Type":"NAT","Name":"one too many"`)).Code; got != schema.CodeInvalidNetwork {
		t.Errorf("got %s", got)
	}
	state, _ := c.State()
	if got := state.Networks[255].Subnets[0].Prefix.String(); got != "172.31.240.0/20" {
		t.Errorf("the last prefix is %s", got)
	}
}
