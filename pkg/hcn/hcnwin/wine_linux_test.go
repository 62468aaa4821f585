// SPDX-License-Identifier: Apache-2.0

package hcnwin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hns/hnstest"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// TestUnderWine runs this package's Windows tests, the contract suite among
// them, through hcsshim and the DLLs of test/shim on each emulated release. The
// emulator must have seen what emuclient, the twin on Linux, makes it see.
func TestUnderWine(t *testing.T) {
	for _, p := range hnsemu.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			env := wine.Start(t, p.Name)
			got := env.Run(t, wine.Cmd{Path: env.BuildTest(t, "./pkg/hcn/hcnwin"), Args: []string{"-test.v"}})
			if got.Code != 0 {
				t.Fatalf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
			}
			if left, err := env.Host.Dump(); err != nil || left != "" {
				t.Errorf("left behind: %v\n%s", err, left)
			}
			twin := hnsemu.New(p)
			hnstest.Run(t, func(*testing.T) hns.Client { return emuclient.New(twin, "twin") })
			if d := cmp.Diff(calls(t, twin), calls(t, env.Host)); d != "" {
				t.Errorf("native calls (-emuclient +hcnwin):\n%s", d)
			}
		})
	}
}

// TestNodes runs the tests that need a node in a state of its own.
func TestNodes(t *testing.T) {
	const name = "podnet 以太网 𝟙"
	for _, tt := range []struct {
		test, node string
		prepare    func(*hnsemu.Host) error
	}{
		{"TestNamesOutsideASCII", name, func(h *hnsemu.Host) error {
			_, err := emuclient.New(h, "test").CreateNetwork(t.Context(), hns.Network{Name: name, Driver: hns.NAT})
			return err
		}},
		{"TestStopped", "stopped", (*hnsemu.Host).StopService},
	} {
		t.Run(tt.test, func(t *testing.T) {
			env := wine.Start(t, "2022")
			if err := tt.prepare(env.Host); err != nil {
				t.Fatal(err)
			}
			got := env.Run(t, wine.Cmd{
				Path: env.BuildTest(t, "./pkg/hcn/hcnwin"),
				Args: []string{"-test.v", "-test.run", tt.test},
				Env:  []string{"HNSEMU_NODE=" + tt.node},
			})
			if got.Code != 0 || !strings.Contains(got.Stdout, "--- PASS: "+tt.test) {
				t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
			}
		})
	}
}

// calls returns the functions called and what they answered.
func calls(t *testing.T, h *hnsemu.Host) []string {
	t.Helper()
	all, err := h.Calls()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range all {
		list = append(list, fmt.Sprintf("%s %s", c.Proc, c.Code))
	}
	t.Logf("%d native calls", len(list))
	return list
}

// TestWithoutDLLs runs them where the DLLs are missing, as on a Windows without
// the feature Containers.
func TestWithoutDLLs(t *testing.T) {
	env := wine.Start(t, "2022")
	got := env.Run(t, wine.Cmd{
		Path: env.BuildTest(t, "./pkg/hcn/hcnwin"),
		Args: []string{"-test.v", "-test.run", "TestWithoutHNS"},
		Env:  []string{"WINEDLLOVERRIDES=computenetwork,vmcompute=;bcryptprimitives=n"},
	})
	if got.Code != 0 || !strings.Contains(got.Stdout, "--- PASS: TestWithoutHNS") {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}
