// SPDX-License-Identifier: Apache-2.0

package smoke_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// TestUnderWine runs the test on emulated nodes, so that it says something where it fails on
// a real one.
func TestUnderWine(t *testing.T) {
	for _, profile := range []string{"2022", "2025"} {
		for _, driver := range []string{"nat", "l2bridge"} {
			t.Run(profile+" "+driver, func(t *testing.T) {
				env := wine.Start(t, profile)
				plugins := t.TempDir()
				for name, pkg := range map[string]string{"bulkhead.exe": "./plugins/bulkhead", "runtime.exe": "./test/runtime"} {
					data, err := os.ReadFile(env.Build(t, pkg))
					if err == nil {
						err = os.WriteFile(filepath.Join(plugins, name), data, 0o700)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				got := env.Run(t, wine.Cmd{
					Path: env.BuildTest(t, "./test/smoke"),
					Args: []string{"-test.v"},
					Env:  []string{"HNSTEST_DRIVER=" + driver, "HNSTEST_PLUGINS=" + wine.WindowsPath(plugins)},
				})
				if got.Code != 0 || !strings.Contains(got.Stdout, "--- PASS: TestPod") || strings.Count(got.Stdout, ": question ") != 3 {
					t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
				}
				if left, err := env.Host.Dump(); err != nil || left != "" {
					t.Errorf("left behind: %v\n%s", err, left)
				}
			})
		}
	}
}
