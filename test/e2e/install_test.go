// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// admin installs bulkhead.exe on a node where another plugin is.
type admin struct {
	*plugin
	// bin and conf are the folders of plugins and conflists that containerd's file names.
	dir, bin, conf, containerd string
	// pod is the configuration of bulkhead.exe, conflist a file with it, as Windows writes
	// the path.
	pod, conflist string
}

func newAdmin(t *testing.T) *admin {
	t.Helper()
	dir := t.TempDir()
	a := &admin{plugin: newPlugin(t, "2022"), dir: dir, bin: filepath.Join(dir, "bin"), conf: filepath.Join(dir, "conf"), containerd: filepath.Join(dir, "config.toml")}
	conflist := filepath.Join(dir, "10-net1.conflist")
	a.pod, a.conflist = a.plugin.conf(hns.L2Bridge), wine.WindowsPath(conflist)
	a.write(a.containerd, fmt.Sprintf("version = 4\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['%s']\nconf_dir = '%s'\n", wine.WindowsPath(a.bin), wine.WindowsPath(a.conf)))
	a.write(conflist, "\ufeff"+`{"cniVersion": "1.1.0", "name": "net1", "plugins": [`+a.pod+`]}`)
	a.write(filepath.Join(a.bin, "win-bridge.exe"), "the plugin before")
	a.write(filepath.Join(a.conf, "50-old.conflist"), `{"cniVersion": "1.0.0", "name": "old", "plugins": [{"type": "win-bridge"}]}`)
	return a
}

func (a *admin) write(path, text string) {
	a.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		a.Fatal(err)
	}
}

// files are the names of those in both folders.
func (a *admin) files() map[string][]string {
	a.Helper()
	out := map[string][]string{}
	for _, d := range []string{a.bin, a.conf} {
		all, err := os.ReadDir(d)
		if err != nil {
			a.Fatal(err)
		}
		for _, f := range all {
			out[filepath.Base(d)] = append(out[filepath.Base(d)], f.Name())
		}
	}
	return out
}

// command runs a command of an executable, which must work and say what is wanted.
func (a *admin) command(want, exe string, args ...string) {
	a.Helper()
	r := a.node.Run(a.T, wine.Cmd{Path: exe, Args: append(args, "--containerd-config", wine.WindowsPath(a.containerd))})
	if r.Code != 0 || !strings.Contains(r.Stdout, want) {
		a.Fatalf("exit code %d, want 0 and %q; stdout %q, stderr %q", r.Code, want, r.Stdout, r.Stderr)
	}
}

// An admin installs bulkhead.exe where containerd's file says, again while the installed one
// runs, and takes it away: what was there before is there afterwards.
func TestInstall(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	before := a.files()
	install := []string{"install", "--conf", a.conflist, "--alias", "win-bridge"}
	a.command("STATUS: ready for pods.", a.exe, install...)
	want := map[string][]string{
		"bin":  {"bulkhead-acl.exe", "bulkhead.exe", "win-bridge.exe", "win-bridge.exe.before-bulkhead"},
		"conf": {"10-net1.conflist", "50-old.conflist"},
	}
	if diff := cmp.Diff(want, a.files()); diff != "" {
		t.Fatalf("after install (-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(filepath.Join(a.conf, "10-net1.conflist"))
	if err != nil || strings.HasPrefix(string(text), "\ufeff") {
		t.Errorf("the conflist begins with a byte order mark, or %v", err)
	}
	a.command("Everything was there.", a.exe, install...)
	// Another version takes the place of one that runs.
	installed, newer := filepath.Join(a.bin, "bulkhead.exe"), filepath.Join(a.dir, "newer.exe")
	older, err := os.ReadFile(a.exe)
	if err != nil {
		t.Fatal(err)
	}
	a.write(newer, string(older)+"newer")
	ended := a.hanging(installed)
	a.command("copy", newer, install...)
	select {
	case err := <-ended:
		t.Errorf("the older one had ended already: %v", err)
	default:
	}
	if err := errors.Join(a.node.Host.StopService(), a.node.Host.StartService(), <-ended); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(installed); err != nil || !strings.HasSuffix(string(text), "newer") {
		t.Errorf("the older one is still there, or %v", err)
	}
	a.command("remove", a.exe, "uninstall", "--dry-run")
	if _, err := os.Stat(installed); err != nil {
		t.Errorf("a dry run removed it: %v", err)
	}
	a.command("remove", a.exe, "uninstall")
	if diff := cmp.Diff(before, a.files()); diff != "" {
		t.Errorf("after uninstall (-want +got):\n%s", diff)
	}
	refused := a.node.Run(t, wine.Cmd{Path: a.exe, Args: []string{"install", "--conf", a.conflist, "--conf-name", "99-last.conflist", "--containerd-config", wine.WindowsPath(a.containerd)}})
	if refused.Code != 1 || !strings.Contains(refused.Stderr, "give a --conf-name that comes before it") {
		t.Errorf("exit code %d, stderr %q", refused.Code, refused.Stderr)
	}
	if diff := cmp.Diff(before, a.files()); diff != "" {
		t.Errorf("after a refusal (-want +got):\n%s", diff)
	}
}

// STATUS is asked of a configuration for containerd 1.7, too, and nobody is told that pods are
// welcome without one.
func TestInstallBelowCNI11(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	a.command("STATUS: not asked: Bulkhead has no configuration in ", a.exe, "install")
	old := filepath.Join(a.dir, "20-old.conflist")
	a.write(old, `{"cniVersion": "1.0.0", "name": "net1", "plugins": [`+a.pod+`, {"type": "nobodys"}]}`)
	install := []string{"install", "--conf", wine.WindowsPath(old)}
	a.command("STATUS: ready for pods.", a.exe, install...)
	if err := a.node.Host.StopService(); err != nil {
		t.Fatal(err)
	}
	r := a.node.Run(t, wine.Cmd{Path: a.exe, Args: append(install, "--containerd-config", wine.WindowsPath(a.containerd))})
	if r.Code != 1 || !strings.Contains(r.Stderr, "STATUS says that no pod can be attached") {
		t.Errorf("with HNS stopped: exit code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
	a.write(old, `{"cniVersion": "1.0.0", "name": "net1", "plugins": [{"type": "bulkhead", "driver": "l2bridge", "ipam": {"type": "older-than-status"}}]}`)
	a.command("STATUS: not asked: below CNI 1.1.0", a.exe, install...)
	r = a.node.Run(t, wine.Cmd{Path: a.exe, Args: []string{"install", "--containerd-config", `Z:\nowhere\config.toml`}})
	if r.Code != 1 || !strings.Contains(r.Stderr, "--containerd-config") {
		t.Errorf("without the file: exit code %d, stderr %q", r.Code, r.Stderr)
	}
}

// hanging starts an executable that waits for HNS, and tells when it has ended.
func (a *admin) hanging(exe string) <-chan error {
	a.Helper()
	if err := a.node.Host.AddFault(hnsemu.Fault{Proc: "HcnCreateNetwork", Nth: 1, Kind: hnsemu.FaultHang}); err != nil {
		a.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := a.node.Exec(context.Background(), wine.Cmd{Path: exe, Args: []string{"network", "create", "--conf", a.conflist}})
		ended <- err
	}()
	hangs := func() bool {
		calls, err := a.node.Host.Calls()
		return err != nil || slices.ContainsFunc(calls, func(c hnsemu.LoggedCall) bool { return c.Proc == "HcnCreateNetwork" })
	}
	for deadline := time.Now().Add(time.Minute); !hangs() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	return ended
}

// Bulkhead goes while a pod lives: the admin is warned, the pod keeps its network, and
// Bulkhead removes it when it is installed again.
func TestUninstallBesidePod(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	a.command("STATUS: ready for pods.", a.exe, "install", "--conf", a.conflist)
	id := strings.Repeat("0123456789abcdef", 4)
	pod := call{verb: "ADD", id: id, netns: a.namespace(), conf: a.pod}
	if _, err := added(a.run(pod)); err != nil {
		t.Fatal(err)
	}
	a.command("Warning: sandboxes of pods have interfaces of Bulkhead's; install it again to have them removed: "+id, a.exe, "uninstall")
	if left, addresses := a.left(), a.addresses(); len(left) == 0 || !slices.Equal(addresses, []string{"10.1.0.10"}) {
		t.Errorf("of the pod there are %v and the addresses %v", left, addresses)
	}
	a.command("STATUS: ready for pods.", a.exe, "install", "--conf", a.conflist)
	pod.verb = "DEL"
	if r := a.run(pod); r.Code != 0 {
		t.Errorf("DEL: %+v", r)
	}
	a.nothingLeft("after DEL")
}
