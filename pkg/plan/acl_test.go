// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
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
