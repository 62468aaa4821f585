// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func rule(name string, d hns.Direction, a hns.Action, protocols ...int) Rule {
	return Rule{Name: name, Direction: d, Action: a, Protocols: protocols}
}

// What a firewall alone cannot be told is refused in words that name the rules;
// VFP can be told all of it.
func TestCompileRefusals(t *testing.T) {
	t.Parallel()
	const alone = "ACLs cannot be enforced: the Windows Firewall, which alone enforces the ACLs of a process pod on a nat network, "
	tests := []struct {
		name      string
		isolation hns.Isolation
		spec      Spec
		want      string
	}{
		{
			"an allow before a block of the same packets", hns.Process,
			Spec{Rules: []Rule{rule("acl.rules[0]", hns.In, hns.Allow, tcp), rule("acl.rules[1]", hns.In, hns.Block)}},
			alone + "lets a deny beat every allow: acl.rules[0] allows packets that acl.rules[1], which comes later, denies; write them so that they share none",
		},
		{
			"an outbound allow beside a default of deny", hns.Process,
			Spec{DenyOutbound: true, Rules: []Rule{rule("acl.rules[0]", hns.Out, hns.Allow, udp)}},
			alone + "cannot deny outbound by default and allow what acl.rules[0] does: a deny of all beats it; deny what is unwanted and leave the default at allow",
		},
		{
			"anything for a hyperv pod", hns.HyperV, Spec{DenyInbound: true},
			"ACLs cannot be enforced: Windows cannot reconfigure the port ACLs of a hyperv pod on a nat network",
		},
		{
			"a block before an allow", hns.Process,
			Spec{Rules: []Rule{rule("acl.rules[0]", hns.In, hns.Block, tcp), rule("acl.rules[1]", hns.In, hns.Allow)}}, "",
		},
		{
			"an allow and a block of other packets", hns.Process,
			Spec{Rules: []Rule{rule("acl.rules[0]", hns.In, hns.Allow, tcp), rule("acl.rules[1]", hns.In, hns.Block, udp)}}, "",
		},
		{"nothing outbound", hns.Process, Spec{DenyOutbound: true}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(Target{Driver: hns.NAT, Isolation: tt.isolation}, tt.spec)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want || err != nil && !errors.Is(err, ErrUnenforceable) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if _, err := Compile(Target{Driver: hns.Overlay, Isolation: tt.isolation}, tt.spec); err != nil {
				t.Errorf("with VFP: %v", err)
			}
		})
	}
}

// One rule of the user's is as many of HNS's as HNS needs: one a protocol, and no
// list longer than it bears. User rules stand from 1000 up, lower explicit
// priorities first.
func TestCompileSplits(t *testing.T) {
	t.Parallel()
	long := rule("acl.rules[0]", hns.In, hns.Block, 1, 58)
	for i := range maxEntries + 1 {
		long.Remote = append(long.Remote, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32))
	}
	web := rule("acl.rules[1]", hns.In, hns.Allow, tcp)
	web.Ports, web.Priority = []hns.PortRange{{First: 80, Last: 80}}, 500
	set, err := Compile(Target{Driver: hns.L2Bridge, Isolation: hns.HyperV}, Spec{Rules: []Rule{long, web}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range set.Rules {
		got = append(got, fmt.Sprintf("%s %d %s %s: %d addresses, ports %v", r.ID, r.Priority, r.Action, set.Origins[r.ID], len(r.Remote), r.LocalPorts))
	}
	want := []string{
		"bulkhead-pod-switch-in-rule1-tcp 1000 Allow acl.rules[1]: 0 addresses, ports [{80 80}]",
		"bulkhead-pod-switch-in-rule0-icmpv4 1001 Block acl.rules[0]: 4000 addresses, ports []",
		"bulkhead-pod-switch-in-rule0-icmpv4-2 1001 Block acl.rules[0]: 1 addresses, ports []",
		"bulkhead-pod-switch-in-rule0-icmpv6 1001 Block acl.rules[0]: 4000 addresses, ports []",
		"bulkhead-pod-switch-in-rule0-icmpv6-2 1001 Block acl.rules[0]: 1 addresses, ports []",
		"bulkhead-pod-switch-in-tail 65500 Allow the inbound default: 0 addresses, ports []",
		"bulkhead-pod-switch-out-tail 65500 Allow the outbound default: 0 addresses, ports []",
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// More rules than VFP has priorities for are refused, not dropped.
func TestCompileTooMany(t *testing.T) {
	t.Parallel()
	spec := Spec{Rules: make([]Rule, hostLevel-firstLevel+1)}
	for i := range spec.Rules {
		spec.Rules[i] = rule("", hns.In, hns.Block, tcp)
		spec.Rules[i].Ports = []hns.PortRange{{First: uint16(i + 1), Last: uint16(i + 1)}} // equal ones are one
	}
	if _, err := Compile(Target{Driver: hns.L2Bridge, Isolation: hns.HyperV}, spec); !errors.Is(err, ErrUnenforceable) {
		t.Errorf("got %v, want ErrUnenforceable", err)
	}
	spec.Rules = spec.Rules[1:]
	if _, err := Compile(Target{Driver: hns.L2Bridge, Isolation: hns.HyperV}, spec); err != nil {
		t.Error(err)
	}
}

// A pod that no rule is sent for has Windows' own default, not VFP's for what no rule
// matches.
func TestVerdictWithoutRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		isolation hns.Isolation
		packet    Packet
		want      bool
	}{
		{hns.Process, Packet{Direction: hns.In, Protocol: tcp, Port: 80}, true},
		{hns.Process, Packet{Direction: hns.In, Protocol: 47}, false},
		{hns.Process, Packet{Direction: hns.Out, Protocol: 47}, true},
		{hns.Process, Packet{Direction: hns.Out, Protocol: 47, Reply: true}, false},
		{hns.HyperV, Packet{Direction: hns.In, Protocol: 47}, true},
	} {
		got := Set{Target: Target{Driver: hns.L2Bridge, Isolation: tt.isolation}}.Verdict(tt.packet)
		if got.Allowed != tt.want || got.Rule != "" || !strings.Contains(got.Why, "bulkhead sends no rule") {
			t.Errorf("%s, %+v: %+v, want allowed %t", tt.isolation, tt.packet, got, tt.want)
		}
	}
}

// The guide says with which priorities VFP gets what is not the user's.
func TestGuideHasTheLevels(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../plugins/bulkhead/ACL.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"the others in the order written": fmt.Sprintf("%d and up", firstLevel), "`allowHost`": fmt.Sprint(hostLevel), "mapped ports": fmt.Sprint(mappedLevel),
		"the five protocols": fmt.Sprint(protocolLevel), "| the default": fmt.Sprint(tailLevel),
	} {
		if !strings.Contains(string(text), what+" | "+want) {
			t.Errorf("ACL.md does not say that %s has priority %s", what, want)
		}
	}
}
