// SPDX-License-Identifier: Apache-2.0

package build

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// root makes the file tree of containers: busybox and agnhost, under the names by which
// pods for Windows call them.
func (b Builder) root(dir string) error {
	programs, err := installed()
	if err != nil {
		return err
	}
	busybox := programs[0]
	// Containers of a cluster that is up have it below their own files, so it is made anew
	// only when something of it is another.
	stamp, err := b.rootStamp(programs)
	if err != nil {
		return err
	}
	if was, err := os.ReadFile(dir + ".stamp"); err == nil && string(was) == stamp {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, d := range []string{"bin", "etc", "tmp", "proc", "dev", "sys", "root", "var/run", "usr/bin", "usr/local/bin", "Windows/System32/drivers/etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := CopyFile(filepath.Join(b.Dir(), "agnhost"), filepath.Join(dir, "agnhost"), 0o755); err != nil {
		return err
	}
	if err := b.certificates(dir); err != nil {
		return err
	}
	applets, err := b.output("/", busybox, "--list")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(applets) {
		if name == "busybox" || name == "nc" { // busybox' nc knows less than the other
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			return err
		}
	}
	for _, path := range programs {
		if err := b.dynamic(path, dir); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"bin/cmd.exe": cmd, "bin/powershell.exe": powershell, "bin/ipconfig.exe": ipconfig,
		"etc/passwd": passwd, "etc/group": group, "etc/hosts": "127.0.0.1 localhost\n",
		"etc/nsswitch.conf": "hosts: files dns\n", "pause": "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 100000 & wait; done\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"C:": "/", "agnhost.exe": "agnhost", "Windows/System32/drivers/etc/hosts": "/etc/hosts", "bin/nc": "nc.openbsd", "bin/cmd": "cmd.exe", "bin/ipconfig": "ipconfig.exe", "bin/curl.exe": "curl"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(dir+".stamp", []byte(stamp), 0o644)
}

// Those who are in containers, and in images of Linux.
const (
	passwd = "root:x:0:0:root:/:/bin/sh\n"
	group  = "root:x:0:\n"
)

// cmd runs the line after its option, as Windows' shell does, powershell what of its commands
// Kubernetes' tests have: sleep -Seconds N. ipconfig tells a pod's name servers, as HNS gave
// them to the pod.
const (
	cmd = `#!/bin/sh
while :; do case "$1" in /[A-Za-z]) shift ;; *) break ;; esac; done
[ $# -gt 0 ] || exec sh
exec sh -c "$*"
`
	powershell = `#!/bin/sh
[ "$1" != -Command ] || shift
exec sh -c "$(echo "$*" | sed 's/-Seconds //')"
`
	ipconfig = `#!/bin/sh
sed -n 's/^search /   DNS Suffix Search List. . . . . . : /p; s/^nameserver /   DNS Servers . . . . . . . . . . . : /p' /etc/resolv.conf
`
)

// layout changes with what root makes beside the two programs.
const layout = "6"

func (b Builder) rootStamp(programs []string) (string, error) {
	h := sha256.New()
	for _, path := range append(programs, filepath.Join(b.Dir(), "agnhost")) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	return fmt.Sprintf("%s %x", layout, h.Sum(nil)), nil
}

// certificates copies what agnhost's image has beside it for servers with TLS.
func (b Builder) certificates(dir string) error {
	version, err := b.KubernetesVersion()
	if err != nil {
		return err
	}
	source, err := b.downloaded("k8s.io/kubernetes", version)
	if err != nil {
		return err
	}
	for _, name := range []string{"localhost.crt", "localhost.key"} {
		if err := CopyFile(filepath.Join(source, "test/images/agnhost/porter", name), filepath.Join(dir, name), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// installed returns the programs of this machine that containers have, busybox first.
func installed() ([]string, error) {
	var out []string
	for name, pkg := range map[string]string{"busybox": "busybox", "curl": "curl", "dig": "bind9-dnsutils", "nc.openbsd": "netcat-openbsd"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("%s is not installed; apt-get install %s", name, pkg)
		}
		out = append(out, path)
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return out, nil
}

// dynamic copies a program with the libraries that it needs. A busybox that needs none
// cannot look names up: the C library does that.
func (b Builder) dynamic(program, dir string) error {
	to := filepath.Join(dir, "bin", filepath.Base(program))
	if err := CopyFile(program, to, 0o755); err != nil {
		return err
	}
	out, err := b.output("/", "ldd", program)
	if err != nil {
		return fmt.Errorf("%s is linked statically; apt-get install busybox (in the place of busybox-static)", program)
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
