// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Table returns the default ACLs as a Markdown table, made from Defaults itself
// so that the documentation cannot say anything else.
func Table() string {
	var b strings.Builder
	b.WriteString("| driver | isolation | enforced by | inbound | outbound |\n|---|---|---|---|---|\n")
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			b.WriteString(row(d, i))
		}
	}
	return b.String()
}

func row(d hns.Driver, i hns.Isolation) string {
	rules, err := Defaults(d, i)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", d, i, enforcers(d, i), allowed(rules, hns.In), allowed(rules, hns.Out))
}

func enforcers(d hns.Driver, i hns.Isolation) string {
	by := EnforcedBy(d, i)
	if len(by) == 0 {
		return "cannot be reconfigured: Bulkhead sends none"
	}
	titles := map[hns.RuleType]string{hns.Host: "Windows Firewall (`Host`)", hns.Switch: "VFP (`Switch`)"}
	var out []string
	for _, t := range by {
		out = append(out, titles[t])
	}
	return strings.Join(out, " and ")
}

// allowed names what a set of defaults lets through in a direction. The sets of
// two enforcement points mean the same, so a name is said once.
func allowed(rules []hns.ACL, d hns.Direction) string {
	if len(rules) == 0 {
		return "Windows' own default: allow all"
	}
	var out []string
	for _, r := range rules {
		if t := title(r.Protocol); r.Direction == d && r.Action == hns.Allow && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	if slices.Contains(out, title(hns.ProtocolAny)) {
		return "allow all"
	}
	return "allow " + strings.Join(out, ", ") + "; deny the rest"
}

func title(number int) string {
	for _, p := range inbound {
		if p.number == number {
			return p.title
		}
	}
	return "all"
}
