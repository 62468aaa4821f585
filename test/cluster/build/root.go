// SPDX-License-Identifier: Apache-2.0

package build

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// root makes the file tree of containers: busybox and agnhost, under the names by which
// pods for Windows call them.
func (b Builder) root(dir string) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return errors.New("busybox is not installed; apt-get install busybox")
	}
	// Containers of a cluster that is up have it below their own files, so it is made anew
	// only when something of it is another.
	stamp, err := b.rootStamp(busybox)
	if err != nil {
		return err
	}
	if was, err := os.ReadFile(dir + ".stamp"); err == nil && string(was) == stamp {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, d := range []string{"bin", "etc", "tmp", "proc", "dev", "sys", "root", "var/run", "usr/bin", "usr/local/bin", "Windows/System32"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := b.dynamic(busybox, dir); err != nil {
		return err
	}
	if err := CopyFile(filepath.Join(b.Dir(), "agnhost"), filepath.Join(dir, "agnhost"), 0o755); err != nil {
		return err
	}
	applets, err := b.output("/", busybox, "--list")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(applets) {
		if name == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/hosts": "127.0.0.1 localhost\n",
		"etc/nsswitch.conf": "hosts: files dns\n", "pause": "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 100000 & wait; done\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"C:": "/", "agnhost.exe": "agnhost", "bin/cmd": "sh", "bin/cmd.exe": "sh"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(dir+".stamp", []byte(stamp), 0o644)
}

// layout changes with what root makes beside the two programs.
const layout = "1"

func (b Builder) rootStamp(busybox string) (string, error) {
	h := sha256.New()
	for _, path := range []string{busybox, filepath.Join(b.Dir(), "agnhost")} {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	return fmt.Sprintf("%s %x", layout, h.Sum(nil)), nil
}

// dynamic copies busybox with the libraries that it needs. The one that needs none cannot
// look names up: the C library does that by further libraries.
func (b Builder) dynamic(busybox, dir string) error {
	if err := CopyFile(busybox, filepath.Join(dir, "bin/busybox"), 0o755); err != nil {
		return err
	}
	out, err := b.output("/", "ldd", busybox)
	if err != nil {
		return errors.New("busybox is linked statically; apt-get install busybox (in the place of busybox-static)")
	}
	for _, path := range regexp.MustCompile(`/\S+`).FindAllString(out, -1) {
		to := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := CopyFile(path, to, 0o755); err != nil {
			return err
		}
	}
	return nil
}
