// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// networkChange is a change of a network that is wanted or there.
type networkChange = struct {
	name   string
	change func(want, got *hns.Network)
	diff   string
}

var remote = hns.RemoteSubnet{Prefix: prefix("10.2.0.0/16"), VSID: 4096, ProviderAddress: addr("192.168.1.6"), MAC: "00:15:5d:00:00:06"}

// overlayKeys are what HNS tells of a single network only.
var overlayKeys = []networkChange{
	{"VXLAN port", func(w, _ *hns.Network) { w.VXLANPort = 4790 }, "VXLAN port: want 4790, got the default"},
	{"VXLAN port left to HNS", func(_, got *hns.Network) { got.VXLANPort = 4790 }, ""},
	{
		"provider address", func(w, got *hns.Network) {
			w.ProviderAddress, got.ProviderAddress = addr("192.168.1.5"), addr("192.168.1.6")
		},
		"provider address: want 192.168.1.5, got 192.168.1.6",
	},
	{"provider address that HNS does not say", func(w, _ *hns.Network) { w.ProviderAddress = addr("192.168.1.5") }, ""},
	{"MAC pool", func(w, _ *hns.Network) {
		w.MACPool = []hns.MACRange{{Start: "00:15:5d:00:00:00", End: "00:15:5d:00:00:ff"}}
	}, "MAC pool: want [{00:15:5d:00:00:00 00:15:5d:00:00:ff}], got []"},
	{"host route", func(w, _ *hns.Network) { w.HostRoute = true }, "host route: want one, got none"},
	{"host route that another agent made", func(_, got *hns.Network) { got.HostRoute = true }, ""},
	{"remote subnet", func(w, _ *hns.Network) { w.RemoteSubnets = []hns.RemoteSubnet{remote} }, "remote subnets: want {10.2.0.0/16 4096 192.168.1.6 00:15:5d:00:00:06}, got []"},
	{"remote subnets of another agent", func(_, got *hns.Network) { got.RemoteSubnets = []hns.RemoteSubnet{remote} }, ""},
}

func TestDiffNetwork(t *testing.T) {
	want := hns.Network{
		Driver: hns.L2Bridge, Adapter: "Ethernet",
		Subnets: []hns.Subnet{{Prefix: prefix("10.1.0.0/24"), Gateway: addr("10.1.0.1"), VLAN: 7}},
	}
	tests := []networkChange{
		{"equal", func(_, _ *hns.Network) {}, ""},
		{"adapter in another case", func(_, got *hns.Network) { got.Adapter = "ETHERNET" }, ""},
		{"HNS does not say the adapter", func(_, got *hns.Network) { got.Adapter = "" }, ""},
		{"no subnets wanted", func(w, _ *hns.Network) { w.Subnets = nil }, ""},
		{"gateway left to HNS", func(w, _ *hns.Network) { w.Subnets[0].Gateway = netip.Addr{} }, ""},
		{"type", func(_, got *hns.Network) { got.Driver = hns.Overlay }, "type: want l2bridge, got overlay"},
		{"adapter", func(_, got *hns.Network) { got.Adapter = "Ethernet 2" }, "adapter: want Ethernet, got Ethernet 2"},
		{
			"prefix", func(_, got *hns.Network) { got.Subnets[0].Prefix = prefix("10.2.0.0/24") },
			"subnets: want 10.1.0.0/24 via 10.1.0.1 VLAN 7, got 10.2.0.0/24 via 10.1.0.1 VLAN 7",
		},
		{
			"gateway", func(_, got *hns.Network) { got.Subnets[0].Gateway = addr("10.1.0.9") },
			"subnets: want 10.1.0.0/24 via 10.1.0.1 VLAN 7, got 10.1.0.0/24 via 10.1.0.9 VLAN 7",
		},
		{
			"VSID", func(w, got *hns.Network) { w.Subnets[0].VSID, got.Subnets[0].VSID = 4096, 5000 },
			"subnets: want 10.1.0.0/24 via 10.1.0.1 VLAN 7 VSID 4096, got 10.1.0.0/24 via 10.1.0.1 VLAN 7 VSID 5000",
		},
		{"wanted for good", func(_, got *hns.Network) { got.NonPersistent = true }, ""},
		{"wanted until the node restarts", func(w, _ *hns.Network) { w.NonPersistent = true }, "persistence: want until the node restarts, got for good"},
		{"no subnets there", func(_, got *hns.Network) { got.Subnets = nil }, "subnets: want 10.1.0.0/24 via 10.1.0.1 VLAN 7, got none"},
	}
	for _, tt := range append(tests, overlayKeys...) {
		t.Run(tt.name, func(t *testing.T) {
			w, got := want, want
			w.Subnets = append([]hns.Subnet(nil), want.Subnets...)
			got.Subnets = append([]hns.Subnet(nil), want.Subnets...)
			tt.change(&w, &got)
			if diff := Differences(DiffNetwork(w, got)); diff != tt.diff {
				t.Errorf("got %q, want %q", diff, tt.diff)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	allow := hns.ACL{ID: "bulkhead-pod-in-tcp", Direction: hns.In, Action: hns.Allow, RuleType: hns.Host, Protocol: 6}
	full := func() hns.Endpoint {
		return hns.Endpoint{
			Name: "c1_net1", NetworkID: "n1", MAC: "00:15:5d:00:00:01",
			Addresses: []netip.Prefix{prefix("10.1.0.5/24")},
			Policies:  []hns.Policy{allow, hns.Opaque{Type: "QOS", Settings: json.RawMessage(`{"a":1,"b":2}`)}},
		}
	}
	tests := []struct {
		name   string
		change func(want, got *hns.Endpoint)
		diff   string
	}{
		{"equal", func(_, _ *hns.Endpoint) {}, ""},
		{"what HNS chose", func(w, _ *hns.Endpoint) { w.MAC, w.Addresses = "", nil }, ""},
		{"others' policies", func(_, got *hns.Endpoint) { got.Policies = append(got.Policies, hns.ProviderAddress{}) }, ""},
		{"settings in another order", func(_, got *hns.Endpoint) {
			got.Policies[1] = hns.Opaque{Type: "QOS", Settings: json.RawMessage(`{ "b":2, "a":1 }`)}
		}, ""},
		{"name", func(_, got *hns.Endpoint) { got.Name = "x" }, "name: want c1_net1, got x"},
		{"network", func(_, got *hns.Endpoint) { got.NetworkID = "n2" }, "network: want n1, got n2"},
		{"MAC", func(_, got *hns.Endpoint) { got.MAC = "00:15:5d:00:00:02" }, "mac: want 00:15:5d:00:00:01, got 00:15:5d:00:00:02"},
		{"address", func(_, got *hns.Endpoint) { got.Addresses = nil }, "addresses: want 10.1.0.5/24, got none"},
		{"a policy twice but once there", func(w, got *hns.Endpoint) {
			w.Policies = []hns.Policy{hns.ProviderAddress{}, hns.ProviderAddress{}}
			got.Policies = w.Policies[:1]
		}, "policies: want ProviderAddress {}, got none like it"},
		{"policy", func(_, got *hns.Endpoint) { got.Policies = got.Policies[:1] }, `policies: want QOS {"a":1,"b":2}, got none like it`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, got := full(), full()
			tt.change(&w, &got)
			if diff := Differences(Diff(w, got)); diff != tt.diff {
				t.Errorf("got %q, want %q", diff, tt.diff)
			}
		})
	}
}

func TestNetwork(t *testing.T) {
	section := &config.Network{
		Subnets: []hns.Subnet{{Prefix: prefix("10.1.0.0/24"), VSID: 4096}}, Adapter: "Ethernet",
		ProviderAddress: addr("192.168.1.5"), VXLANPort: 4790,
		MACPool: []hns.MACRange{{Start: "00:15:5d:00:00:00", End: "00:15:5d:00:0f:ff"}}, NonPersistent: true,
	}
	full := hns.Network{
		Name: "n", Driver: hns.Overlay, Subnets: section.Subnets, Adapter: "Ethernet",
		ProviderAddress: section.ProviderAddress, VXLANPort: 4790, MACPool: section.MACPool, NonPersistent: true,
	}
	tests := []struct {
		name string
		conf config.Config
		want hns.Network
		ours bool
	}{
		{"a section; the pod's DNS is not the network's", config.Config{
			Name: "n", Driver: hns.Overlay, Network: section, DNS: hns.DNS{Domain: "d"},
		}, full, true},
		{"nat needs none", config.Config{Name: "n", Driver: hns.NAT}, hns.Network{Name: "n", Driver: hns.NAT}, true},
		{"others do", config.Config{Name: "n", Driver: hns.L2Bridge}, hns.Network{Name: "n", Driver: hns.L2Bridge}, false},
		{"no driver, no section", config.Config{Name: "n"}, hns.Network{Name: "n"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ours := Network(tt.conf)
			if ours != tt.ours {
				t.Errorf("ours: %t, want %t", ours, tt.ours)
			}
			if diff := cmp.Diff(tt.want, got, values); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
