// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const someExceptions = `# A comment.
skip \[LinuxOnly\]
    not for
    Windows
on nat, transparent: fail Services
    no proxy
`

// TestParse: an exception has a reason, and may be about some networks.
func TestParse(t *testing.T) {
	all, err := parse(someExceptions)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	if all[0].Reason != "not for Windows" || all[0].Fails || len(all[1].On) != 2 || !all[1].Fails {
		t.Errorf("%+v", all)
	}
	if got := Skip(all); got != `(?:\[LinuxOnly\])` {
		t.Errorf("skip %s", got)
	}
	for _, text := range []string{"skip [\n  x", "never x\n  y", "skip x", "skip\n  y"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, network := range []string{"l2bridge", "nat"} {
		if _, err := Exceptions(network, "", false); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// TestPeers: what another plugin cannot is an exception in Bulkhead's place alone.
func TestPeers(t *testing.T) {
	const spec = "[sig-network] DNS should support configurable pod resolv.conf"
	for plugin, want := range map[string]bool{"": false, "win-bridge": true} {
		all, err := Exceptions("l2bridge", plugin, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(all, func(e Exception) bool { return e.Fails && e.Specs.MatchString(spec) }); got != want {
			t.Errorf("plugin %q: fails %v, want %v", plugin, got, want)
		}
	}
}

// TestWithoutLinux: what needs a Linux node is skipped in clusters that have none.
func TestWithoutLinux(t *testing.T) {
	const spec = "[sig-windows] Hybrid cluster network for all supported CNIs should have stable networking for Linux and Windows pods"
	for linux, want := range map[bool]bool{true: false, false: true} {
		all, err := Exceptions("l2bridge", "", linux)
		if err != nil {
			t.Fatal(err)
		}
		if got := regexp.MustCompile(Skip(all)).MatchString(spec); got != want {
			t.Errorf("with a Linux node %v: skipped %v, want %v", linux, got, want)
		}
	}
}

const report = `[{"SuiteDescription": "Suite", "SpecialSuiteFailureReasons": ["Suite Timeout Elapsed"], "SpecReports": [
	{"LeafNodeType": "SynchronizedBeforeSuite", "State": "failed", "Failure": {"Message": "no cluster"}},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] A"], "LeafNodeText": "works", "State": "passed", "RunTime": 1500000000, "NumAttempts": 2},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] A"], "LeafNodeText": "breaks", "State": "failed", "Failure": {"Message": "boom"}},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeText": "break", "State": "timedout", "Failure": {"Message": "late"}},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeText": "are cut off", "State": "interrupted", "Failure": {"Message": "Ctrl-C"}},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeText": "did not begin", "State": "skipped"},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeText": "work", "State": "passed"},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] B [LinuxOnly]"], "LeafNodeText": "x", "State": "skipped"},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] C"], "LeafNodeText": "needs more", "State": "skipped", "Failure": {"Message": "two zones"}},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] D"], "LeafNodeText": "was cut off", "State": "skipped"},
	{"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-storage] E"], "LeafNodeText": "other", "State": "skipped"}
]}]`

// TestRead: what does not do as it must counts as failed: also what passes against its
// exception, what comes before all specs, and what nobody ran.
func TestRead(t *testing.T) {
	all, err := parse(someExceptions)
	if err != nil {
		t.Fatal(err)
	}
	specs, err := Read([]byte(report), regexp.MustCompile(`^Suite \[sig-network\]`), all)
	if err != nil {
		t.Fatal(err)
	}
	passed, failed, skipped := Count(specs)
	if passed != 2 || failed != 7 || skipped != 2 {
		t.Errorf("%d passed, %d failed, %d skipped: %+v", passed, failed, skipped, specs)
	}
	var b strings.Builder
	if err := Print(&b, specs); err != nil {
		t.Fatal(err)
	}
	if err := Table(&b, []Run{{Network: "l2bridge", Specs: specs}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"passed      1.5s  [sig-network] A works\n                  it failed before, and was tried again\n", "failed: boom", "no cluster", "Suite Timeout Elapsed", "interrupted: Ctrl-C", "fails as it must  [sig-network] Services break", "it was not run", "it passed, and exceptions.txt says that it fails: no proxy",
		"| passed, failed as they must, failed, not run | 1, 1, 7, 2 |", "| [sig-network] A breaks | **failed** |", "| [sig-network] A works | 1.5s, tried twice |", "it says: two zones",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if _, err := Read([]byte("{"), regexp.MustCompile(""), nil); err == nil {
		t.Error("half a report is taken")
	}
}
