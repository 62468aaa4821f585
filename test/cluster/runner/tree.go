// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TreeVerb is the argument by which this program becomes a container's process.
const TreeVerb = "container"

// treeVar is the variable that has the tree, as JSON.
const treeVar = "BULKHEAD_TREE"

// tree is a container's view of the machine.
type tree struct {
	// Lower is the file tree of all containers, Dir the container's own folder.
	Lower, Dir       string
	NetNS            string
	Hostname, Resolv string
	Mounts           []bind
	Cwd              string
	Args, Env        []string
}

type bind struct {
	From, To string
	ReadOnly bool
}

// Enter makes the tree in this process's own mount namespace and runs the container's
// program in the place of this one. It returns only when that fails.
func Enter() error {
	runtime.LockOSThread()
	const entered = 3 // the runner waits for its end
	unix.CloseOnExec(entered)
	var t tree
	if err := json.Unmarshal([]byte(os.Getenv(treeVar)), &t); err != nil {
		return err
	}
	if t.NetNS != "" {
		ns, err := netns.GetFromPath(t.NetNS)
		if err != nil {
			return err
		}
		if err := netns.Set(ns); err != nil {
			return err
		}
	}
	root := filepath.Join(t.Dir, "root")
	if err := t.mount(root); err != nil {
		return err
	}
	if t.Hostname != "" {
		if err := unix.Sethostname([]byte(t.Hostname)); err != nil {
			return err
		}
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := os.MkdirAll(t.Cwd, 0o755); err != nil {
		return err
	}
	if err := os.Chdir(t.Cwd); err != nil {
		return err
	}
	os.Clearenv()
	for _, v := range t.Env {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	program, err := find(t.Args[0])
	if err != nil {
		return err
	}
	return unix.Exec(program, t.Args, os.Environ())
}

// find looks a program up as Windows would: a path in either direction of slashes, with or
// without ".exe".
func find(name string) (string, error) {
	var failure error
	for _, candidate := range []string{name, inContainer(name), strings.TrimSuffix(inContainer(name), ".exe")} {
		if strings.ContainsRune(candidate, '\\') {
			continue
		}
		path, err := exec.LookPath(candidate)
		if err == nil {
			return path, nil
		}
		failure = err
	}
	return "", failure
}

// mount mounts everything that the container sees at root.
func (t tree) mount(root string) error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", t.Lower, filepath.Join(t.Dir, "upper"), filepath.Join(t.Dir, "work"))
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount the container's files: %w", err)
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", filepath.Join(root, "dev"), "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindFile("/dev/"+name, filepath.Join(root, "dev", name), false); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(to, filepath.Join(root, "dev", name)); err != nil {
			return err
		}
	}
	if t.Resolv != "" {
		if err := os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte(t.Resolv), 0o644); err != nil {
			return err
		}
	}
	for _, b := range t.Mounts {
		to := filepath.Join(root, b.To)
		if strings.HasSuffix(strings.ToLower(b.To), "/drivers/etc/hosts") {
			to = filepath.Join(root, "etc/hosts")
		}
		if err := bindFile(b.From, to, b.ReadOnly); err != nil {
			return err
		}
	}
	return nil
}

// bindFile shows a file or folder at another place, which is made where it is missing.
func bindFile(from, to string, readOnly bool) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		var f *os.File
		if f, err = os.OpenFile(to, os.O_CREATE, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err == nil {
		err = unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err == nil && readOnly {
		err = unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err != nil {
		return fmt.Errorf("mount %s at %s: %w", from, to, err)
	}
	return nil
}
