// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// defaults returns the ACLs of a pod for which the user wrote none.
func defaults(d hns.Driver, i hns.Isolation) ([]hns.ACL, error) {
	set, err := Compile(Target{Driver: d, Isolation: i}, Spec{})
	return set.Rules, err
}

// cases writes the table of "Network isolation and security" out: every driver
// with every isolation, no rule computed.
var cases = []struct {
	driver    hns.Driver
	isolation hns.Isolation
	wantBy    []hns.RuleType
	want      []hns.ACL
}{
	{driver: "nat", isolation: "process", wantBy: []hns.RuleType{"Host"}, want: []hns.ACL{
		{ID: "bulkhead-pod-in-tcp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 6},
		{ID: "bulkhead-pod-in-udp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 17},
		{ID: "bulkhead-pod-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 1},
		{ID: "bulkhead-pod-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 58},
		{ID: "bulkhead-pod-in-igmp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 2},
		{ID: "bulkhead-pod-out", Direction: "Out", Action: "Allow", RuleType: "Host", Protocol: -1},
	}},
	{driver: "nat", isolation: "hyperv"},
	{driver: "transparent", isolation: "process", wantBy: []hns.RuleType{"Host"}, want: []hns.ACL{
		{ID: "bulkhead-pod-in-tcp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 6},
		{ID: "bulkhead-pod-in-udp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 17},
		{ID: "bulkhead-pod-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 1},
		{ID: "bulkhead-pod-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 58},
		{ID: "bulkhead-pod-in-igmp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 2},
		{ID: "bulkhead-pod-out", Direction: "Out", Action: "Allow", RuleType: "Host", Protocol: -1},
	}},
	{driver: "transparent", isolation: "hyperv"},
	{driver: "l2bridge", isolation: "process", wantBy: []hns.RuleType{"Host", "Switch"}, want: []hns.ACL{
		{ID: "bulkhead-pod-in-tcp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 6},
		{ID: "bulkhead-pod-in-udp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 17},
		{ID: "bulkhead-pod-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 1},
		{ID: "bulkhead-pod-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 58},
		{ID: "bulkhead-pod-in-igmp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 2},
		{ID: "bulkhead-pod-out", Direction: "Out", Action: "Allow", RuleType: "Host", Protocol: -1},
		{ID: "bulkhead-pod-switch-in-tcp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 6, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-udp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 17, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 1, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 58, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-igmp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 2, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-tail", Direction: "In", Action: "Block", RuleType: "Switch", Protocol: -1, Priority: 65500},
		{ID: "bulkhead-pod-switch-out-tail", Direction: "Out", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
	}},
	{driver: "l2bridge", isolation: "hyperv", wantBy: []hns.RuleType{"Switch"}, want: []hns.ACL{
		{ID: "bulkhead-pod-switch-in-tail", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
		{ID: "bulkhead-pod-switch-out-tail", Direction: "Out", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
	}},
	{driver: "l2tunnel", isolation: "process", wantBy: []hns.RuleType{"Host", "Switch"}, want: []hns.ACL{
		{ID: "bulkhead-pod-in-tcp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 6},
		{ID: "bulkhead-pod-in-udp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 17},
		{ID: "bulkhead-pod-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 1},
		{ID: "bulkhead-pod-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 58},
		{ID: "bulkhead-pod-in-igmp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 2},
		{ID: "bulkhead-pod-out", Direction: "Out", Action: "Allow", RuleType: "Host", Protocol: -1},
		{ID: "bulkhead-pod-switch-in-tcp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 6, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-udp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 17, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 1, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 58, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-igmp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 2, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-tail", Direction: "In", Action: "Block", RuleType: "Switch", Protocol: -1, Priority: 65500},
		{ID: "bulkhead-pod-switch-out-tail", Direction: "Out", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
	}},
	{driver: "l2tunnel", isolation: "hyperv", wantBy: []hns.RuleType{"Switch"}, want: []hns.ACL{
		{ID: "bulkhead-pod-switch-in-tail", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
		{ID: "bulkhead-pod-switch-out-tail", Direction: "Out", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
	}},
	{driver: "overlay", isolation: "process", wantBy: []hns.RuleType{"Host", "Switch"}, want: []hns.ACL{
		{ID: "bulkhead-pod-in-tcp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 6},
		{ID: "bulkhead-pod-in-udp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 17},
		{ID: "bulkhead-pod-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 1},
		{ID: "bulkhead-pod-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 58},
		{ID: "bulkhead-pod-in-igmp", Direction: "In", Action: "Allow", RuleType: "Host", Protocol: 2},
		{ID: "bulkhead-pod-out", Direction: "Out", Action: "Allow", RuleType: "Host", Protocol: -1},
		{ID: "bulkhead-pod-switch-in-tcp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 6, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-udp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 17, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-icmpv4", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 1, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-icmpv6", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 58, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-igmp", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: 2, Priority: 65000},
		{ID: "bulkhead-pod-switch-in-tail", Direction: "In", Action: "Block", RuleType: "Switch", Protocol: -1, Priority: 65500},
		{ID: "bulkhead-pod-switch-out-tail", Direction: "Out", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
	}},
	{driver: "overlay", isolation: "hyperv", wantBy: []hns.RuleType{"Switch"}, want: []hns.ACL{
		{ID: "bulkhead-pod-switch-in-tail", Direction: "In", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
		{ID: "bulkhead-pod-switch-out-tail", Direction: "Out", Action: "Allow", RuleType: "Switch", Protocol: -1, Priority: 65500},
	}},
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, tc := range cases {
		t.Run(string(tc.driver)+" "+string(tc.isolation), func(t *testing.T) {
			t.Parallel()
			got, err := defaults(tc.driver, tc.isolation)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantBy, EnforcedBy(tc.driver, tc.isolation)); diff != "" {
				t.Errorf("enforced by (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCasesAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, tc := range cases {
		seen[string(tc.driver)+" "+string(tc.isolation)] = true
	}
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			if !seen[string(d)+" "+string(i)] {
				t.Errorf("no case for %s %s", d, i)
			}
		}
	}
}

func TestDefaultsUnknown(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want      string
		driver    hns.Driver
		isolation hns.Isolation
	}{
		{`no ACLs are known for driver "ics"`, "ics", hns.Process},
		{`no ACLs are known for driver ""`, "", hns.Process},
		{`no ACLs are known for driver "L2Bridge"`, "L2Bridge", hns.HyperV},
		{`no ACLs are known for isolation ""`, hns.NAT, ""},
		{`no ACLs are known for isolation "Process"`, hns.Overlay, "Process"},
	} {
		rules, err := defaults(tc.driver, tc.isolation)
		if err == nil || err.Error() != tc.want || rules != nil {
			t.Errorf("defaults(%q, %q) = %v, %v; want %q", tc.driver, tc.isolation, rules, err, tc.want)
		}
		if by := EnforcedBy(tc.driver, tc.isolation); by != nil {
			t.Errorf("EnforcedBy(%q, %q) = %v, want none", tc.driver, tc.isolation, by)
		}
	}
}

// everySet calls f with each non-empty set of defaults.
func everySet(t *testing.T, f func(t *testing.T, rules []hns.ACL)) {
	t.Parallel()
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			rules, err := defaults(d, i)
			if err != nil {
				t.Fatal(err)
			}
			if len(rules) > 0 {
				t.Run(string(d)+" "+string(i), func(t *testing.T) { f(t, rules) })
			}
		}
	}
}

func TestIDs(t *testing.T) {
	everySet(t, func(t *testing.T, rules []hns.ACL) {
		seen := map[string]bool{}
		for _, r := range rules {
			if seen[r.ID] {
				t.Errorf("id %s occurs twice", r.ID)
			}
			if !strings.HasPrefix(r.ID, string(Pod)) || r.ID == string(Pod) {
				t.Errorf("id %q does not begin with %q", r.ID, string(Pod))
			}
			seen[r.ID] = true
		}
	})
}

func TestHostRules(t *testing.T) {
	everySet(t, func(t *testing.T, rules []hns.ACL) {
		for _, r := range rules {
			if r.RuleType != hns.Host {
				continue
			}
			if r.Priority != 0 {
				t.Errorf("%s has priority %d", r.ID, r.Priority)
			}
			if r.Action == hns.Block {
				t.Errorf("%s blocks, and would beat every allow", r.ID)
			}
		}
	})
}

func TestSwitchRules(t *testing.T) {
	everySet(t, func(t *testing.T, rules []hns.ACL) {
		tails := map[hns.Direction]int{}
		actions := map[hns.Direction]map[uint16]hns.Action{hns.In: {}, hns.Out: {}}
		present := false
		for _, r := range rules {
			if r.RuleType != hns.Switch {
				continue
			}
			present = true
			if r.Priority < hns.PriorityMin || r.Priority > hns.PriorityMax {
				t.Errorf("%s has priority %d", r.ID, r.Priority)
			}
			if a, ok := actions[r.Direction][r.Priority]; ok && a != r.Action {
				t.Errorf("%s shares priority %d with a rule that does otherwise", r.ID, r.Priority)
			}
			actions[r.Direction][r.Priority] = r.Action
			if r.Protocol == hns.ProtocolAny && r.Priority == hns.PriorityMax {
				tails[r.Direction]++
			}
		}
		if want := map[hns.Direction]int{hns.In: 1, hns.Out: 1}; present && !cmp.Equal(want, tails) {
			t.Errorf("tails = %v, want %v", tails, want)
		}
	})
}

func TestDefaultsAreFresh(t *testing.T) {
	t.Parallel()
	first, _ := defaults(hns.Overlay, hns.Process)
	first[0].ID = "spoilt"
	second, _ := defaults(hns.Overlay, hns.Process)
	if second[0].ID == "spoilt" {
		t.Error("two callers share one slice")
	}
}
