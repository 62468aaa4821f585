// SPDX-License-Identifier: Apache-2.0

package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// DLLs of the emulated Windows beside those of scripts/wine.sh, by their names: kubelet
// and containerd want what Wine lacks.
var libraries = map[string][]string{
	"pdh":        {"test/cluster/dll/pdh.c"},
	"bindfltapi": {"test/cluster/dll/bindfltapi.c"},
	"vmcompute":  {"test/cluster/dll/storage.c", "test/shim/vmcompute.c", "test/shim/transport.c"},
}

// Overrides is what Wine is told of these DLLs, for WINEDLLOVERRIDES.
const Overrides = "pdh,bindfltapi=n"

// dlls builds them into Dir/dll, over those of scripts/wine.sh.
func (b Builder) dlls() error {
	own := filepath.Join(b.Root, ".build", "shim")
	shims, err := filepath.Glob(filepath.Join(own, "*.dll"))
	if err != nil || len(shims) == 0 {
		return fmt.Errorf("no DLLs in %s: scripts/wine.sh up makes them (%w)", own, err)
	}
	dir := filepath.Join(b.Dir(), "dll")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, path := range shims {
		if _, own := libraries[strings.TrimSuffix(filepath.Base(path), ".dll")]; own {
			continue // a node of another cluster may be reading what is there
		}
		if err := CopyFile(path, filepath.Join(dir, filepath.Base(path)), 0o644); err != nil {
			return err
		}
	}
	for name, sources := range libraries {
		file := filepath.Join(dir, name+".dll")
		args := []string{"-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-s", "-I" + filepath.Join(b.Root, "test/shim"), "-o", file + ".new"}
		for _, s := range sources {
			args = append(args, filepath.Join(b.Root, s))
		}
		if name == "vmcompute" {
			args = append(args, filepath.Join(own, "combase.dll"), "-lws2_32")
		}
		out, err := exec.Command("x86_64-w64-mingw32-gcc", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build %s.dll: %w\n%s", name, err, strings.TrimSpace(string(out)))
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
	}
	return nil
}

// CopyFile copies a file over another one, which programs that have it open or run keep.
func CopyFile(from, to string, mode os.FileMode) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to+".new", text, mode); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
