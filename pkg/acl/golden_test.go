// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The default rules of every driver and isolation, for a pod with a mapped port,
// held by a file that is easy to review.
func TestDefaultsGolden(t *testing.T) {
	const path = "testdata/defaults.txt"
	got := ""
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			set, err := Compile(Target{Driver: d, Isolation: i, Mapped: []Port{{Protocol: 6, Number: 8080}}}, Spec{})
			if err != nil {
				t.Fatal(err)
			}
			got += fmt.Sprintf("%s, %s\n%s\n", d, i, rulesText(set.Rules))
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func rulesText(rules []hns.ACL) string {
	if len(rules) == 0 {
		return "  no rule is sent\n"
	}
	out := ""
	for _, r := range rules {
		protocol, ports := "any protocol", ""
		if r.Protocol != hns.ProtocolAny {
			protocol = fmt.Sprintf("protocol %d", r.Protocol)
		}
		if len(r.LocalPorts) > 0 {
			ports = fmt.Sprintf(" port %d", r.LocalPorts[0].First)
		}
		out += fmt.Sprintf("  %-6s %-3s %-5s %s%s priority %d\n", r.RuleType, r.Direction, r.Action, protocol, ports, r.Priority)
	}
	return out
}
