// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// The default rules of every driver, isolation and release, for a pod with a
// mapped port, held by a file that is easy to review. Releases that have the same
// rules stand together.
func TestDefaultsGolden(t *testing.T) {
	const path = "testdata/defaults.txt"
	got := ""
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			got += ofReleases(t, d, i)
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

func ofReleases(t *testing.T, d hns.Driver, i hns.Isolation) string {
	t.Helper()
	var texts []string
	of := map[string][]string{}
	for _, r := range []Release{Before1709, Server2019, Server2022, Server2025} {
		set, err := Compile(Target{Driver: d, Isolation: i, Release: r, Mapped: []Port{{Protocol: 6, Number: 8080}}}, Spec{})
		if err != nil {
			t.Fatal(err)
		}
		text := rulesText(set.Rules)
		if of[text] == nil {
			texts = append(texts, text)
		}
		of[text] = append(of[text], string(r))
	}
	out := ""
	for _, text := range texts {
		out += fmt.Sprintf("%s, %s: %s\n%s\n", d, i, strings.Join(of[text], ", "), text)
	}
	return out
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
