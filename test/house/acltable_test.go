// SPDX-License-Identifier: Apache-2.0

package house_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// The README's table of the default ACLs says what pkg/acl compiles. It has one
// row for the drivers that are alike.
func TestReadmeHasTheACLTable(t *testing.T) {
	want := "| driver | isolation | enforced by | inbound | outbound |\n|---|---|---|---|---|\n"
	var rows []string
	drivers := map[string][]string{}
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			row := string(i) + " | " + defaultsRow(t, d, i)
			if drivers[row] == nil {
				rows = append(rows, row)
			}
			drivers[row] = append(drivers[row], string(d))
		}
	}
	for _, row := range rows {
		want += "| " + strings.Join(drivers[row], ", ") + " | " + row + " |\n"
	}
	if len(rows) != 4 {
		t.Errorf("%d rows, want 4: two groups of drivers by two isolations", len(rows))
	}
	if !strings.Contains(document(t, readme), "\n"+want+"\n") {
		t.Errorf("%s lacks the table that pkg/acl makes:\n%s", readme, want)
	}
}

// defaultsRow says what enforces the defaults and what they let through.
func defaultsRow(t *testing.T, d hns.Driver, i hns.Isolation) string {
	t.Helper()
	set, err := acl.Compile(acl.Target{Driver: d, Isolation: i}, acl.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	titles := map[hns.RuleType]string{hns.Host: "Windows Firewall (`Host`)", hns.Switch: "VFP (`Switch`)"}
	var by []string
	for _, point := range acl.EnforcedBy(d, i) {
		by = append(by, titles[point])
	}
	enforcers := strings.Join(by, " and ")
	if len(by) == 0 {
		enforcers = "cannot be reconfigured: Bulkhead sends none"
	}
	return strings.Join([]string{enforcers, allowed(set.Rules, hns.In), allowed(set.Rules, hns.Out)}, " | ")
}

// allowed names what rules let through in a direction. The rules of two
// enforcement points mean the same, so a protocol is named once.
func allowed(rules []hns.ACL, d hns.Direction) string {
	if len(rules) == 0 {
		return "Windows' own default: allow all"
	}
	names := map[int]string{1: "ICMPv4", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
	var out []string
	for _, r := range rules {
		if r.Direction != d || r.Action != hns.Allow {
			continue
		}
		name, known := names[r.Protocol]
		if !known {
			return "allow all"
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return "allow " + strings.Join(out, ", ") + "; deny the rest"
}
