// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

var dualStack = pod.Result{
	Namespace: "5e7ec6f4-3d7c-4b6e-8d6e-000000000001",
	Endpoint: hns.Endpoint{
		MAC:       "00:15:5d:52:c0:01",
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.5/24"), netip.MustParsePrefix("fd00:1::5/64")},
		Routes: []hns.Route{
			{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: netip.MustParseAddr("10.1.0.1")},
			{Destination: netip.MustParsePrefix("::/0"), NextHop: netip.MustParseAddr("fd00:1::1")},
		},
		DNS: hns.DNS{Domain: "d", Search: []string{"s.d"}, Servers: []string{"10.96.0.10"}},
	},
}

func TestResult(t *testing.T) {
	want := `{
		"cniVersion": "1.1.0",
		"interfaces": [{"name": "eth1", "mac": "00:15:5d:52:c0:01", "sandbox": "5e7ec6f4-3d7c-4b6e-8d6e-000000000001"}],
		"ips": [
			{"interface": 0, "address": "10.1.0.5/24", "gateway": "10.1.0.1"},
			{"interface": 0, "address": "fd00:1::5/64", "gateway": "fd00:1::1"}
		],
		"routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0", "gw": "fd00:1::1"}],
		"dns": {"nameservers": ["10.96.0.10"], "domain": "d", "search": ["s.d"]}
	}`
	got, err := json.Marshal(result(dualStack, "eth1"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parsed(t, []byte(want)), parsed(t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func parsed(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}
