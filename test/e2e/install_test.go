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

// An admin installs bulkhead.exe where containerd's file says, again while the installed one
// runs, and takes it away: what was there before is there afterwards.
func TestInstall(t *testing.T) {
	p := newPlugin(t, "2022")
	dir := t.TempDir()
	bin, conf := filepath.Join(dir, "bin"), filepath.Join(dir, "conf")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	containerd, conflist := filepath.Join(dir, "config.toml"), filepath.Join(dir, "10-net1.conflist")
	write(containerd, fmt.Sprintf("version = 4\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['%s']\nconf_dir = '%s'\n", wine.WindowsPath(bin), wine.WindowsPath(conf)))
	one := p.conf(hns.L2Bridge)
	write(conflist, "\ufeff"+`{"cniVersion": "1.1.0", "name": "net1", "plugins": [`+one+`]}`)
	write(filepath.Join(bin, "win-bridge.exe"), "the plugin before")
	write(filepath.Join(conf, "50-old.conflist"), `{"cniVersion": "1.0.0", "name": "old", "plugins": [{"type": "win-bridge"}]}`)
	files := func() map[string][]string {
		t.Helper()
		out := map[string][]string{}
		for _, d := range []string{bin, conf} {
			all, err := os.ReadDir(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range all {
				out[filepath.Base(d)] = append(out[filepath.Base(d)], f.Name())
			}
		}
		return out
	}
	before := files()
	run := func(exe string, args ...string) wine.Result {
		t.Helper()
		r, err := p.node.Exec(context.Background(), wine.Cmd{Path: exe, Args: append(args, "--containerd-config", wine.WindowsPath(containerd))})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	ok := func(r wine.Result, want string) {
		t.Helper()
		if r.Code != 0 || !strings.Contains(r.Stdout, want) {
			t.Fatalf("exit code %d, want 0 and %q; stdout %q, stderr %q", r.Code, want, r.Stdout, r.Stderr)
		}
	}
	install := []string{"install", "--conf", wine.WindowsPath(conflist), "--alias", "win-bridge"}
	ok(run(p.exe, install...), "STATUS: ready for pods.")
	want := map[string][]string{
		"bin":  {"bulkhead-acl.exe", "bulkhead.exe", "win-bridge.exe", "win-bridge.exe.before-bulkhead"},
		"conf": {"10-net1.conflist", "50-old.conflist"},
	}
	if diff := cmp.Diff(want, files()); diff != "" {
		t.Fatalf("after install (-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(filepath.Join(conf, "10-net1.conflist"))
	if err != nil || strings.HasPrefix(string(text), "\ufeff") {
		t.Errorf("the conflist begins with a byte order mark, or %v", err)
	}
	ok(run(p.exe, install...), "Everything was there.")
	// Another version takes the place of one that runs.
	installed, newer := filepath.Join(bin, "bulkhead.exe"), filepath.Join(dir, "newer.exe")
	older, err := os.ReadFile(p.exe)
	if err != nil {
		t.Fatal(err)
	}
	write(newer, string(older)+"newer")
	if err := p.node.Host.AddFault(hnsemu.Fault{Proc: "HcnCreateNetwork", Nth: 1, Kind: hnsemu.FaultHang}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := p.node.Exec(context.Background(), wine.Cmd{Path: installed, Args: []string{"network", "create", "--conf", wine.WindowsPath(conflist)}})
		ended <- err
	}()
	hangs := func() bool {
		calls, err := p.node.Host.Calls()
		return err != nil || slices.ContainsFunc(calls, func(c hnsemu.LoggedCall) bool { return c.Proc == "HcnCreateNetwork" })
	}
	for deadline := time.Now().Add(time.Minute); !hangs() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	ok(run(newer, install...), "copy")
	select {
	case err := <-ended:
		t.Errorf("the older one had ended already: %v", err)
	default:
	}
	if err := errors.Join(p.node.Host.StopService(), p.node.Host.StartService(), <-ended); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(installed); err != nil || !strings.HasSuffix(string(text), "newer") {
		t.Errorf("the older one is still there, or %v", err)
	}
	ok(run(p.exe, "uninstall", "--dry-run"), "remove")
	if _, err := os.Stat(installed); err != nil {
		t.Errorf("a dry run removed it: %v", err)
	}
	ok(run(p.exe, "uninstall"), "remove")
	if diff := cmp.Diff(before, files()); diff != "" {
		t.Errorf("after uninstall (-want +got):\n%s", diff)
	}
	if refused := run(p.exe, "install", "--conf", wine.WindowsPath(conflist), "--conf-name", "99-last.conflist"); refused.Code != 1 || !strings.Contains(refused.Stderr, "give a --conf-name that comes before it") {
		t.Errorf("exit code %d, stderr %q", refused.Code, refused.Stderr)
	}
	if diff := cmp.Diff(before, files()); diff != "" {
		t.Errorf("after a refusal (-want +got):\n%s", diff)
	}
}
