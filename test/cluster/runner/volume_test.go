// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPaths(t *testing.T) {
	for path, want := range map[string]string{
		`C:\var\lib\kubelet\pods`: "/node/drive_c/var/lib/kubelet/pods",
		`c:\a`:                    "/node/drive_c/a",
		`Z:\etc\hosts`:            "/etc/hosts",
		`\\?\Volume{00000000-0000-0000-0000-000000000043}\var\lib`: "/node/drive_c/var/lib",
		"/already": "/already",
	} {
		if got := onNode("/node/drive_c", path); got != want {
			t.Errorf("%s on the node: got %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{`C:\var\run`: "/var/run", "": "/", `\a`: "/a", "/a": "/a", "C:": "/"} {
		if got := inContainer(path); got != want {
			t.Errorf("%s in a container: got %s, want %s", path, got, want)
		}
	}
}

// A volume that kubelet writes atomically is copied, and again when it has changed.
func TestVolumeChanges(t *testing.T) {
	source := t.TempDir()
	write := func(version, name, text string) {
		dir := filepath.Join(source, version)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("..2026_11_29_01", "token", "first")
	write("..2026_11_29_01", "gone", "x")
	v := newVolumes(t.TempDir())
	defer v.stop()
	to, err := v.mount(source)
	if err != nil || to == source {
		t.Fatalf("%s, %v", to, err)
	}
	read := func() string {
		text, _ := os.ReadFile(filepath.Join(to, "token"))
		return string(text)
	}
	if got := read(); got != "first" {
		t.Errorf("got %q", got)
	}
	time.Sleep(10 * time.Millisecond)
	write("..2026_11_29_02", "token", "second")
	for deadline := time.Now().Add(10 * time.Second); read() != "second" && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if got := read(); got != "second" {
		t.Errorf("after the change: %q", got)
	}
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(to, "gone")); os.IsNotExist(err) {
			return
		}
	}
	t.Error("a file that is gone is still there")
}

// Another folder, and a file, is mounted as it is.
func TestPlainVolume(t *testing.T) {
	dir := t.TempDir()
	v := newVolumes(t.TempDir())
	defer v.stop()
	if got, err := v.mount(dir); err != nil || got != dir {
		t.Errorf("got %s, %v", got, err)
	}
	file := filepath.Join(dir, "hosts")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := v.mount(file); err != nil || got != file {
		t.Errorf("got %s, %v", got, err)
	}
}
