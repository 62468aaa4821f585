// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// denied returns the facts of a pod that denies inbound by default.
func denied(d hns.Driver) Facts {
	f := facts(d)
	f.Config.Driver, f.Config.Isolation = d, hns.Process
	f.Config.ACL = config.ACL{Program: true, Asked: "acl.inbound.default", Spec: acl.Spec{DenyInbound: true}}
	f.Host = []netip.Addr{addr("192.168.1.5"), addr("127.0.0.1"), addr("fe80::5%eth0"), addr("fd00:9::5"), addr("169.254.1.1"), addr("192.168.1.5")}
	return f
}

// The node reaches its pods from its own addresses of the pod's families, and
// from those that HNS gives it for the network.
func TestDenyLetsTheHostIn(t *testing.T) {
	for _, d := range hns.Drivers() {
		t.Run(string(d), func(t *testing.T) {
			f := denied(d)
			want := []string{"192.168.1.5"}
			switch d {
			case hns.NAT:
				want = append([]string{"10.1.0.1"}, want...)
			case hns.Overlay:
				f.Network.ProviderAddress = addr("192.168.1.4")
				want = append([]string{"192.168.1.4"}, want...)
			}
			set, err := ACLs(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, from := range want {
				if v := set.Verdict(acl.Packet{Direction: hns.In, Protocol: 6, Remote: addr(from), Port: 80}); !v.Allowed {
					t.Errorf("the node's %s: %s", from, v.Why)
				}
			}
			for _, from := range []string{"127.0.0.1", "169.254.1.1", "fd00:9::5", "192.168.1.6"} {
				if v := set.Verdict(acl.Packet{Direction: hns.In, Protocol: 6, Remote: addr(from), Port: 80}); v.Allowed {
					t.Errorf("%s: %s", from, v.Why)
				}
			}
			var got []string
			for _, a := range set.Target.Host {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("addresses of the node (-want +got):\n%s", diff)
			}
		})
	}
}

// Without an address that probes come from the pod would be restarted for ever.
func TestDenyNeedsTheHost(t *testing.T) {
	f := denied(hns.L2Bridge)
	f.Host = []netip.Addr{addr("127.0.0.1"), addr("fd00:9::5")}
	if _, err := ACLs(f); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "acl.allowHost") {
		t.Errorf("got %v", err)
	}
	f.Config.Network = &config.Network{GatewayEndpoint: true, Subnets: f.Network.Subnets}
	set, err := ACLs(f)
	if err != nil {
		t.Fatal(err)
	}
	if want := []netip.Addr{addr("10.1.0.2")}; !slices.Equal(set.Target.Host, want) {
		t.Errorf("the node's endpoint: got %v, want %v", set.Target.Host, want)
	}
}

// A pod whose source is guarded sends from its own addresses, of each family, and finds
// its neighbours.
func TestFinding10SpoofGuard(t *testing.T) {
	f := facts(hns.L2Bridge)
	f.Config.Driver, f.Config.Isolation = hns.L2Bridge, hns.Process
	f.Config.ACL = config.ACL{Program: true, Asked: "acl.spoofGuard", SpoofGuard: true, Spec: acl.Spec{
		Rules: []acl.Rule{{Name: "r", Direction: hns.Out, Action: hns.Allow, Protocols: []int{17}}},
	}}
	f.Addresses = []Address{{Addr: addr("10.1.0.5")}, {Addr: addr("fd00:1::5")}}
	set, err := ACLs(f)
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]bool{
		"10.1.0.5": true, "fd00:1::5": true, "fe80::1": true, "::": true, "10.1.0.6": false, "192.168.1.5": false, "fd00:1::6": false,
	} {
		for _, protocol := range []int{6, 17} {
			p := acl.Packet{Direction: hns.Out, Protocol: protocol, Local: addr(from), Remote: addr("8.8.8.8"), Port: 53}
			if v := set.Verdict(p); v.Allowed != want {
				t.Errorf("from %s, protocol %d: %s", from, protocol, v.Why)
			}
		}
	}
	slices.Reverse(f.Addresses)
	if again, err := ACLs(f); err != nil || !cmp.Equal(again.Rules, set.Rules, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
		t.Errorf("the rules depend on the order of the addresses: %v", err)
	}
	f.Addresses = nil
	if _, err := ACLs(f); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "acl.spoofGuard") {
		t.Errorf("HNS chooses: %v", err)
	}
}

// Whoever outbound NAT gives the node's address is let in as the node.
func TestFinding10SeenAsNode(t *testing.T) {
	f := denied(hns.L2Bridge)
	subnet := f.Network.Subnets[0].Prefix
	for _, tt := range []struct {
		name       string
		exceptions []netip.Prefix
		want       bool
	}{
		{"none, so the subnets", nil, false},
		{"the subnet", []netip.Prefix{subnet}, false},
		{"the cluster", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false},
		{"another one", []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}, true},
		{"its halves", []netip.Prefix{netip.MustParsePrefix("10.1.0.0/25"), netip.MustParsePrefix("10.1.0.128/25")}, false},
		{"one half", []netip.Prefix{netip.MustParsePrefix("10.1.0.0/25")}, true},
		{"services alone", []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}, true},
	} {
		f.Config.OutboundNAT = &config.OutboundNAT{Exceptions: tt.exceptions}
		if got := SeenAsNode(f.Config, f.Network); slices.Contains(got, subnet) != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
		settings, err := json.Marshal(map[string]any{"Exceptions": tt.exceptions})
		if err != nil {
			t.Fatal(err)
		}
		f.Config.OutboundNAT.ExceptNetwork = true
		if got := SeenAsNode(f.Config, f.Network); got != nil {
			t.Errorf("%s, and the network: got %v", tt.name, got)
		}
		c := f.Config
		c.OutboundNAT = nil
		c.Policies = []hns.Opaque{{Type: "OutBoundNAT", Settings: settings}}
		if got := SeenAsNode(c, f.Network); slices.Contains(got, subnet) != (tt.want || tt.exceptions == nil) {
			t.Errorf("%s, as a policy: got %v", tt.name, got)
		}
		c.ACL.Spec.DenyHost = true
		if got := SeenAsNode(c, f.Network); got != nil {
			t.Errorf("%s, without allowHost: got %v", tt.name, got)
		}
	}
}

func TestDenyOpensMappedPorts(t *testing.T) {
	f := denied(hns.L2Bridge)
	f.Config.PortMappings = []config.PortMapping{{Protocol: 6, HostPort: 8080, ContainerPort: 80}}
	set, err := ACLs(f)
	if err != nil {
		t.Fatal(err)
	}
	for port, want := range map[uint16]bool{80: true, 8080: false, 81: false} {
		if v := set.Verdict(acl.Packet{Direction: hns.In, Protocol: 6, Remote: addr("8.8.8.8"), Port: port}); v.Allowed != want {
			t.Errorf("port %d: %s", port, v.Why)
		}
	}
	if v := set.Verdict(acl.Packet{Direction: hns.In, Protocol: 17, Remote: addr("8.8.8.8"), Port: 80}); v.Allowed {
		t.Errorf("UDP: %s", v.Why)
	}
}

func TestNeedsHost(t *testing.T) {
	tests := []struct {
		name string
		acl  config.ACL
		want bool
	}{
		{"the default table", config.ACL{Program: true}, false},
		{"deny", config.ACL{Program: true, Spec: acl.Spec{DenyInbound: true}}, true},
		{"deny to the node, too", config.ACL{Program: true, Spec: acl.Spec{DenyInbound: true, DenyHost: true}}, false},
		{"deny by annotation", config.ACL{Program: true, Tighter: []acl.Spec{{DenyInbound: true}}}, true},
		{"no ACL", config.ACL{}, false},
	}
	for _, tt := range tests {
		if got := NeedsHost(config.Config{ACL: tt.acl}); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A rule of Bulkhead's that is not wanted is a difference; another agent's is not.
func TestDiffSeesOwnRulesThatAreNotWanted(t *testing.T) {
	ours := hns.ACL{ID: "bulkhead-pod-switch-in-rule0", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Priority: 1000}
	theirs := hns.ACL{ID: "felix", Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Priority: 1000}
	ds := Diff(hns.Endpoint{}, hns.Endpoint{Policies: []hns.Policy{theirs, ours}})
	if len(ds) != 1 || ds[0].Want != "none like it" || ds[0].Field != "policies" {
		t.Errorf("got %v", ds)
	}
}
