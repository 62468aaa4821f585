// SPDX-License-Identifier: Apache-2.0

// Package build builds the programs of a cluster from modules, and keeps them for the next
// time: each is built again when its module or the compiler changed.
package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Builder builds programs.
type Builder struct {
	// Root is the top of Bulkhead's repository.
	Root string
	// Kubernetes is the version to build, empty for that of test/cluster/kubernetes.
	Kubernetes string
	// Progress is told what takes long.
	Progress io.Writer
}

// Dir returns the folder of the programs.
func (b Builder) Dir() string {
	return filepath.Join(b.Root, ".build", "cluster", "programs"+b.suffix())
}

func (b Builder) suffix() string {
	if b.Kubernetes == "" {
		return ""
	}
	return "-" + b.Kubernetes
}

// program is a program of a module.
type program struct {
	file, pkg string
	// takes is how long the build takes on two cores when nothing is at hand, empty for
	// less than a minute.
	takes string
	// tests says that it is the package's test program.
	tests bool
}

// Folders of modules in test/cluster.
const (
	kubernetesModule = "kubernetes"
	containerdModule = "containerd"
	flannelModule    = "flannel"
	// Not every proxy has github.com/flannel-io/cni-plugin. This one has the plugin's last
	// version in containernetworking/plugins.
	flannelCNIModule = "flannel/cni"
	dnsModule        = "coredns"
)

// Shim is the runtime shim that runtime_path names. containerd speaks an older protocol to
// one whose name has shim-runhcs-v1 in it.
const Shim = "bulkhead-shim.exe"

// linuxShim is that of Linux nodes, under the name by which containerd looks for the runtime
// io.containerd.bulkhead.v1 beside itself.
const linuxShim = "containerd-shim-bulkhead-v1"

// runhcs is the same shim under runhcs' name, beside containerd.exe. A containerd that
// starts beside running containers finds their shims by that name.
const runhcs = "containerd-shim-runhcs-v1.exe"

var (
	kubernetes = []program{
		{file: "kubelet.exe", pkg: "./kubelet", takes: "5 minutes"},
		{file: "kube-proxy.exe", pkg: "k8s.io/kubernetes/cmd/kube-proxy"},
		{file: "kube-apiserver", pkg: "k8s.io/kubernetes/cmd/kube-apiserver", takes: "4 minutes"},
		{file: "kube-controller-manager", pkg: "k8s.io/kubernetes/cmd/kube-controller-manager", takes: "1 minute"},
		{file: "kube-scheduler", pkg: "k8s.io/kubernetes/cmd/kube-scheduler"},
		{file: "etcd", pkg: "./etcd"},
		{file: "kubectl", pkg: "k8s.io/kubernetes/cmd/kubectl"},
		{file: "agnhost", pkg: "k8s.io/kubernetes/test/images/agnhost", takes: "2 minutes"},
	}
	conformance = []program{
		{file: "e2e.test", pkg: "k8s.io/kubernetes/test/e2e", takes: "5 minutes", tests: true},
		{file: "ginkgo", pkg: "github.com/onsi/ginkgo/v2/ginkgo"},
	}
	dns        = []program{{file: dnsProgram, pkg: ".", takes: "3 minutes"}}
	containerd = []program{
		{file: "containerd.exe", pkg: "./containerd", takes: "2 minutes"},
		{file: "ctr.exe", pkg: "github.com/containerd/containerd/v2/cmd/ctr"},
		{file: Shim, pkg: "./shim"},
	}
	flannel    = []program{{file: "flanneld.exe", pkg: "github.com/flannel-io/flannel", takes: "2 minutes"}}
	flannelCNI = []program{{file: "flannel.exe", pkg: "github.com/containernetworking/plugins/plugins/meta/flannel"}}
	// Built of Bulkhead's own module: the plugin, and what it is compared with.
	plugins = []program{
		{file: "bulkhead.exe", pkg: "./plugins/bulkhead"},
		{file: "win-bridge.exe", pkg: "github.com/containernetworking/plugins/plugins/main/windows/win-bridge"},
		{file: "host-local.exe", pkg: "github.com/containernetworking/plugins/plugins/ipam/host-local"},
	}
	linuxKubernetes = []program{
		{file: "kubelet", pkg: "k8s.io/kubernetes/cmd/kubelet", takes: "2 minutes"},
		{file: "kube-proxy", pkg: "k8s.io/kubernetes/cmd/kube-proxy"},
	}
	linuxContainerd = []program{
		{file: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd", takes: "2 minutes"},
		{file: linuxShim, pkg: "./shim"},
	}
	linuxPlugins = []program{
		{file: "ptp", pkg: "github.com/containernetworking/plugins/plugins/main/ptp"},
		{file: "host-local", pkg: "github.com/containernetworking/plugins/plugins/ipam/host-local"},
	}
	overlayPeer = program{file: "win-overlay.exe", pkg: "github.com/containernetworking/plugins/plugins/main/windows/win-overlay"}
)

// All builds what a cluster needs and is not there or not up to date. Kubernetes comes first:
// its version is the user's choice.
func (b Builder) All() error {
	return b.alone(func() error { return b.ofKubernetes(kubernetes) }, b.containerd, func() error { return b.plugins(plugins...) }, b.dlls, b.images)
}

// Linux builds what Linux nodes need beside that.
func (b Builder) Linux() error {
	return b.alone(
		func() error { return b.ofKubernetes(linuxKubernetes) },
		func() error { return b.ofModule(containerdModule, linuxContainerd) },
		func() error { return b.plugins(linuxPlugins...) },
	)
}

// Flannel builds flanneld.exe and flannel.exe, which a scenario needs.
func (b Builder) Flannel() error {
	return b.alone(
		func() error { return b.ofModule(flannelModule, flannel) },
		func() error { return b.ofModule(flannelCNIModule, flannelCNI) },
	)
}

// Conformance builds what a cluster needs, Kubernetes' own test program, and a name server,
// which the containers' file tree has from then on.
func (b Builder) Conformance() error {
	if err := b.All(); err != nil {
		return err
	}
	return b.alone(
		func() error { return b.ofKubernetes(conformance) },
		func() error { return b.plugins(overlayPeer) },
		func() error { return b.ofModule(dnsModule, dns) },
		func() error {
			return CopyFile(filepath.Join(b.Dir(), dnsProgram), filepath.Join(Root(b.Dir()), dnsProgram), 0o755)
		},
	)
}

// alone takes steps while no other call builds the same.
func (b Builder) alone(steps ...func() error) error {
	if err := os.MkdirAll(b.Dir(), 0o755); err != nil {
		return err
	}
	lock, err := os.Create(b.Dir() + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// version returns the version of a module that the module in a folder of test/cluster asks
// for.
func (b Builder) version(folder, path string) (string, error) {
	out, err := b.output(b.module(folder), "go", "list", "-m", "-mod=readonly", "-f", "{{.Version}}", path)
	return strings.TrimSpace(out), err
}

// release is a version of Kubernetes, and its minor number.
var release = regexp.MustCompile(`^v1\.(\d+)\.\d+`)

// KubernetesVersion returns the version that is built.
func (b Builder) KubernetesVersion() (string, error) {
	switch {
	case b.Kubernetes == "":
		return b.version(kubernetesModule, "k8s.io/kubernetes")
	case !release.MatchString(b.Kubernetes):
		return "", fmt.Errorf("--kubernetes %q: want a version such as v1.36.3", b.Kubernetes)
	}
	return b.Kubernetes, nil
}

func (b Builder) module(folder string) string {
	return filepath.Join(b.Root, "test", "cluster", folder)
}

// plugins are built from the work tree, which the compiler knows best.
func (b Builder) plugins(all ...program) error {
	for _, p := range all {
		if err := b.goBuild(b.Root, p, []string{"-trimpath"}, "-s -w"); err != nil {
			return err
		}
	}
	return nil
}

func (b Builder) containerd() error {
	if err := b.ofModule(containerdModule, containerd); err != nil {
		return err
	}
	return CopyFile(filepath.Join(b.Dir(), Shim), filepath.Join(b.Dir(), runhcs), 0o755)
}

// ofModule builds programs of the module in a folder of test/cluster.
func (b Builder) ofModule(folder string, programs []program) error {
	dir := b.module(folder)
	stamp, err := b.stamp(dir, "")
	if err != nil {
		return err
	}
	for _, p := range programs {
		err := b.once(p, stamp, func() error {
			return b.goBuild(dir, p, []string{"-trimpath"}, "-s -w -checklinkname=0")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// once calls do to make a program that is missing or has another stamp, and says what takes
// long.
func (b Builder) once(p program, stamp string, do func() error) error {
	file := filepath.Join(b.Dir(), p.file)
	if _, err := os.Stat(file); err == nil {
		if was, err := os.ReadFile(file + ".stamp"); err == nil && string(was) == stamp {
			return nil
		}
	}
	long := ""
	if p.takes != "" {
		long = fmt.Sprintf(" (about %s on two cores, unless its packages are at hand)", p.takes)
	}
	fmt.Fprintf(b.Progress, "cluster: building %s%s\n", p.file, long)
	start := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("build %s: %w", p.file, err)
	}
	if took := time.Since(start); took > 20*time.Second {
		fmt.Fprintf(b.Progress, "cluster: built %s in %s\n", p.file, took.Round(time.Second))
	}
	return os.WriteFile(file+".stamp", []byte(stamp), 0o644)
}

// stamp is a digest of all that a program of a module is made of, but for modules whose
// sums its go.sum has.
func (b Builder) stamp(dir, more string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), more)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintln(h, strings.TrimPrefix(path, dir), len(text))
		h.Write(text)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// goBuild builds a program in a module's folder. Names that end in .exe are for Windows.
func (b Builder) goBuild(dir string, p program, flags []string, ldflags string) error {
	goos := "linux"
	if strings.HasSuffix(p.file, ".exe") {
		goos = "windows"
	}
	args := []string{"build"}
	if p.tests {
		args = []string{"test", "-c"}
	}
	args = append(args, flags...)
	args = append(args, "-ldflags="+ldflags, "-o", filepath.Join(b.Dir(), p.file), p.pkg)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s %s in %s: %w\n%s", args[0], p.pkg, dir, err, last(out))
	}
	return nil
}

// output runs a command and returns what it prints, also when it fails.
func (b Builder) output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, last(stderr.Bytes()))
	}
	return string(out), err
}

// last returns the end of what a program printed.
func last(out []byte) string {
	const lines = 15
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// downloaded returns the folder of a module at a version.
func (b Builder) downloaded(path, version string) (string, error) {
	// A failure is told in what is printed, too.
	out, err := b.output(b.Root, "go", "mod", "download", "-json", path+"@"+version)
	var m struct{ Dir, Error string }
	if jsonErr := json.Unmarshal([]byte(out), &m); err == nil {
		err = jsonErr
	}
	if m.Error != "" {
		err = errors.New(m.Error)
	}
	if err != nil {
		return "", fmt.Errorf("module %s at %s cannot be had: %w", path, version, err)
	}
	return m.Dir, nil
}
