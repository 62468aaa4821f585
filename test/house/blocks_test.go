// SPDX-License-Identifier: Apache-2.0

package house_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// block is a fenced block of a document.
type block struct {
	in, text string
}

// blocks returns every block of a language, and fails when there is none or when
// a document has one that no test reads.
func blocks(t *testing.T, language string) []block {
	t.Helper()
	var out []block
	all := documents(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		found := fence.FindAllStringSubmatch(all[name], -1)
		if n := strings.Count(all[name], "```"); n != 2*len(found) {
			t.Errorf("%s has fences without a language or an end", name)
		}
		for _, m := range found {
			if !slices.Contains([]string{"json", "toml", "yaml", "go"}, m[1]) {
				t.Errorf("%s has a block of %s, which nothing checks", name, m[1])
			}
			if m[1] == language {
				out = append(out, block{name, m[2]})
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("no document has a block of %s", language)
	}
	return out
}

// decode reads one JSON value.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
}

// Every JSON block is a conflist that Bulkhead takes, as a runtime hands it over.
func TestConflistsInDocuments(t *testing.T) {
	for _, b := range blocks(t, "json") {
		ours, err := config.OurPlugins([]byte(b.text))
		if err != nil {
			t.Errorf("%s: a JSON block that is no conflist with a plugin of ours: %v\n%s", b.in, err, b.text)
		}
		for _, p := range ours {
			if _, err := config.Parse(p.WithFlannel().Stdin(), config.Env{}); err != nil {
				t.Errorf("%s: a conflist that is refused: %v\n%s", b.in, err, b.text)
			}
		}
	}
}

// The README's conflist is the file that it names, which test/e2e runs.
func TestReadmeShowsAConflist(t *testing.T) {
	var want, got any
	decode(t, document(t, "plugins/bulkhead/conf/l2bridge.conflist"), &want)
	for _, b := range blocks(t, "json") {
		if b.in != readme {
			continue
		}
		decode(t, b.text, &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s shows another l2bridge.conflist (-file +shown):\n%s", readme, diff)
		}
	}
	if got == nil {
		t.Errorf("%s shows no conflist", readme)
	}
}

// The tables of containerd's configuration, by the version of its file (containerd
// docs/cri/config.md).
var runtimes = map[any][]string{
	"2": {"plugins", "io.containerd.grpc.v1.cri", "containerd", "runtimes"},
	"3": {"plugins", "io.containerd.cri.v1.runtime", "containerd", "runtimes"},
}

// Both files give the handler of Hyper-V isolated pods the folder that the text
// names, and the RuntimeClass names the handler.
func TestReadmeConfiguresContainerd(t *testing.T) {
	const process, hyperv, folder = "runhcs-wcow-process", "runhcs-wcow-hypervisor", `C:\Program Files\containerd\cni\conf-hyperv`
	text := document(t, readme)
	if !strings.Contains(fence.ReplaceAllString(text, ""), "`"+folder+"`") {
		t.Errorf("%s does not say what goes to %s", readme, folder)
	}
	seen := map[any]bool{}
	for _, b := range blocks(t, "toml") {
		if b.in != readme {
			continue
		}
		file := parseTOML(t, b.text)
		seen[file["version"]] = true
		handlers := table(file, runtimes[file["version"]]...)
		if got := table(handlers, hyperv)["cni_conf_dir"]; got != folder {
			t.Errorf("version %v: cni_conf_dir of %s is %v, want %s", file["version"], hyperv, got, folder)
		}
		// containerd 1.7 forgets its default handlers when a file names one.
		if file["version"] != "2" {
			continue
		}
		for _, handler := range []string{process, hyperv} {
			if got := table(handlers, handler)["runtime_type"]; got != "io.containerd.runhcs.v1" {
				t.Errorf("runtime_type of %s is %v", handler, got)
			}
		}
		if got := table(handlers, hyperv, "options")["SandboxIsolation"]; got != "1" {
			t.Errorf("SandboxIsolation of %s is %v, want 1", hyperv, got)
		}
	}
	for version := range runtimes {
		if !seen[version] {
			t.Errorf("%s shows no containerd configuration of version %v", readme, version)
		}
	}
	for _, b := range blocks(t, "yaml") {
		if b.in != readme {
			continue
		}
		for _, line := range []string{"apiVersion: node.k8s.io/v1", "kind: RuntimeClass", "  name: " + hyperv, "handler: " + hyperv} {
			if !slices.Contains(strings.Split(b.text, "\n"), line) {
				t.Errorf("%s: the RuntimeClass lacks the line %q:\n%s", b.in, line, b.text)
			}
		}
	}
}

// Both files name a template that is there and the folder that containerd writes to.
func TestTemplatesAreConfigured(t *testing.T) {
	const folder = `C:\Program Files\containerd\cni\`
	seen := map[any]bool{}
	for _, b := range blocks(t, "toml") {
		if b.in != conflists {
			continue
		}
		file := parseTOML(t, b.text)
		at := runtimes[file["version"]]
		cni := table(file, append(slices.Clone(at[:2]), "cni")...)
		name, found := strings.CutPrefix(fmt.Sprint(cni["conf_template"]), folder)
		if _, err := os.Stat(filepath.Join(root, path.Dir(conflists), name)); !found || err != nil || cni["conf_dir"] != folder+"conf" {
			t.Errorf("version %v: %v, %v", file["version"], cni, err)
		}
		seen[file["version"]] = true
	}
	if len(seen) != len(runtimes) {
		t.Errorf("%s shows the versions %v", conflists, seen)
	}
}

// Every Go block is a program that compiles.
func TestProgramsInDocuments(t *testing.T) {
	watch(t)
	for i, b := range blocks(t, "go") {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("block%d.go", i))
		if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "vet", file)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", b.in, err, out)
		}
	}
}

var (
	tomlTable = regexp.MustCompile(`^\[(.+)\]$`)
	tomlKey   = regexp.MustCompile(`^(\w+) = (?:"([^"\\]*)"|'([^']*)'|(\d+|true|false)|\["([^"\\]*)"\])$`)
	tomlPart  = regexp.MustCompile(`^(?:"([^"]+)"|'([^']+)'|([\w-]+))(?:\.|$)`)
)

// parseTOML reads what the README uses of TOML: tables, and keys with a string, a
// number, a boolean or a list of one string. Anything else fails.
func parseTOML(t *testing.T, text string) map[string]any {
	t.Helper()
	file := map[string]any{}
	into := file
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if m := tomlTable.FindStringSubmatch(line); m != nil {
			into = makeTable(t, file, m[1])
			continue
		}
		m := tomlKey.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not read as TOML: %s", line)
		}
		if _, twice := into[m[1]]; twice {
			t.Fatalf("twice: %s", line)
		}
		into[m[1]] = m[2] + m[3] + m[4] + m[5]
	}
	return file
}

// makeTable returns the table of that name, which must be new.
func makeTable(t *testing.T, file map[string]any, name string) map[string]any {
	t.Helper()
	into, made := file, false
	for rest := name; rest != ""; {
		m := tomlPart.FindStringSubmatch(rest)
		if m == nil {
			t.Fatalf("not read as the name of a TOML table: %s", name)
		}
		rest = rest[len(m[0]):]
		key := m[1] + m[2] + m[3]
		made = into[key] == nil
		if made {
			into[key] = map[string]any{}
		}
		into = table(into, key)
	}
	if !made {
		t.Fatalf("the TOML table %s is there twice", name)
	}
	return into
}

// table returns the table at a path, nil for none.
func table(from map[string]any, path ...string) map[string]any {
	for _, key := range path {
		from, _ = from[key].(map[string]any)
	}
	return from
}
