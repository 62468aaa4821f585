// SPDX-License-Identifier: Apache-2.0

package reports_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// otherIPAM returns a directory with host-local's executable as other-ipam: a plugin
// that is executed.
func otherIPAM(t *testing.T, windows bool) string {
	t.Helper()
	const hostLocal = "github.com/containernetworking/plugins/plugins/ipam/host-local"
	dir := t.TempDir()
	if !windows {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "other-ipam"), hostLocal).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return dir
	}
	text, err := os.ReadFile((&wine.Env{}).Build(t, hostLocal))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "other-ipam.exe"), text, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
