// SPDX-License-Identifier: Apache-2.0

package nodelock_test

import (
	"os"
	"path/filepath"
	"testing"
)

// All locks are in one file, in a directory that is Bulkhead's (pkg/adminonly has the test
// of its rights), and a lock leaves nothing there.
func TestFinding06OneFile(t *testing.T) {
	data := filepath.Join(os.TempDir(), "nodelock-data")
	t.Setenv("ProgramData", data)
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range []string{`bulkhead\lock`, "bulkhead", "."} {
			if err := os.Remove(filepath.Join(data, p)); err != nil {
				t.Error(err)
			}
		}
	})
	release, other := acquire(t, "a"), acquire(t, "b")
	held(t, "a")
	held(t, "b")
	release()
	held(t, "b")
	acquire(t, "a")()
	other()
	files, err := os.ReadDir(filepath.Join(data, "bulkhead"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
}
