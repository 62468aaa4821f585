// SPDX-License-Identifier: Apache-2.0

package adminonly

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestFinding05MakeDir(t *testing.T) {
	top, err := os.MkdirTemp("", "adminonly-") // Wine cannot do what t.TempDir does at the end
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(top, "a", "b", "c")
	if err := Check(path); err != nil {
		t.Errorf("what is not there: %v", err)
	}
	for range 2 {
		if err := MakeDir(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "file"), []byte("x"), 0o600); err != nil {
		t.Errorf("who made it cannot write there: %v", err)
	}
	t.Cleanup(func() {
		for _, p := range []string{filepath.Join(path, "file"), path, filepath.Dir(path), filepath.Join(top, "a"), top} {
			if err := os.Remove(p); err != nil {
				t.Error(err)
			}
		}
	})
	if runtime.GOOS == "windows" {
		t.Skip("Wine does not tell links from directories")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(filepath.Join(link, "d")); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("below a link: %v", err)
	}
	if _, err := os.Stat(filepath.Join(path, "d")); err == nil {
		t.Error("the directory was made behind the link")
	}
}
