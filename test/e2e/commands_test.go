// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// The commands of a node read Windows' own tables, here Wine's, and HNS through hcsshim.
func TestCommands(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	dir := t.TempDir()
	conf := p.conf(hns.L2Bridge)
	file := filepath.Join(dir, "10-bulkhead.conf")
	if err := os.WriteFile(file, append([]byte("\xef\xbb\xbf"), conf...), 0o600); err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("0123456789abcdef", 4)
	if _, err := added(p.run(call{verb: "ADD", id: id, netns: p.namespace(), conf: conf})); err != nil {
		t.Fatal(err)
	}
	command := func(status int, args ...string) string {
		t.Helper()
		got := p.node.Run(t, wine.Cmd{Path: p.exe, Args: args})
		if got.Code != status {
			t.Errorf("%v: exit code %d, want %d\n%s%s", args, got.Code, status, got.Stdout, got.Stderr)
		}
		return got.Stdout
	}
	at := wine.WindowsPath(dir)
	found := func(out string) map[string]string {
		t.Helper()
		var d struct {
			Findings []struct{ ID, Severity, Evidence string }
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		ids := map[string]string{}
		for _, f := range d.Findings {
			ids[f.ID] = f.Evidence
		}
		return ids
	}
	before := found(command(1, "doctor", "--conf-dir", at, "-o", "json"))
	if !strings.Contains(before["conflist.encoding"], `10-bulkhead.conf is UTF-8 with a byte order mark`) || before["node.unread"] != "" {
		t.Errorf("found %v", before)
	}
	delete(before, "conflist.encoding")
	after := found(command(0, "doctor", "--conf-dir", at, "--fix", "-o", "json"))
	if after["conflist.encoding"] != "" || len(after) != len(before) {
		t.Errorf("found %v after %v", after, before)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != conf {
		t.Errorf("%v, the file says %q", err, got)
	}
	if out := command(0, "list", "--conf-dir", at); !strings.Contains(out, id[:13]) || !strings.Contains(out, "10.1.0.10") {
		t.Error(out)
	}
	if out := command(0, "show", id[:5], "--conf-dir", at); !strings.Contains(out, "10.1.0.10/16") || !strings.Contains(out, id) {
		t.Error(out)
	}
	if out := command(0, "gc", "--conf-dir", at, "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
	if out := command(0, "explain", "-2143617020"); !strings.Contains(out, "HCN_E_SWITCH_NOT_FOUND") {
		t.Error(out)
	}
	ns := strings.TrimSpace(command(0, "netns", "create"))
	command(0, "netns", "delete", ns)
	if _, err := p.hns.Namespace(t.Context(), ns); err == nil {
		t.Errorf("namespace %q is still there", ns)
	}
}
