// SPDX-License-Identifier: Apache-2.0

package house_test

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	readme    = "README.md"
	reference = "plugins/bulkhead/REFERENCE.md"
	conflists = "plugins/bulkhead/conf/README.md"
)

// document returns the text of a file of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// documents returns every document by its path from the root. Those in testdata
// are goldens.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(file, ".md"):
			name := strings.TrimPrefix(filepath.ToSlash(file), root+"/")
			out[name] = document(t, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	link    = regexp.MustCompile(`\]\(([^)]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence   = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	// notInAnchors is what GitHub leaves out of a heading's anchor.
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// links returns the files and folders that a document links to, by their path
// from the root, and reports links that lead nowhere.
func links(t *testing.T, all map[string]string, name string) []string {
	t.Helper()
	var out []string
	for _, m := range link.FindAllStringSubmatch(all[name], -1) {
		if strings.HasPrefix(m[1], "https://") {
			continue
		}
		to, anchor, _ := strings.Cut(m[1], "#")
		target := name
		if to != "" {
			target = path.Join(path.Dir(name), to)
		}
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			t.Errorf("%s links to %s: %v", name, m[1], err)
		}
		if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
			t.Errorf("%s links to %s, and %s has no such heading", name, m[1], target)
		}
		out = append(out, target)
	}
	return out
}

// anchors returns what GitHub makes of a document's headings.
func anchors(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

func TestLinks(t *testing.T) {
	all := documents(t)
	reached, next := map[string]bool{readme: true}, []string{readme}
	for len(next) > 0 {
		from := next[0]
		next = next[1:]
		for _, to := range links(t, all, from) {
			if _, isDocument := all[to]; isDocument && !reached[to] {
				reached[to] = true
				next = append(next, to)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !reached[name] {
			t.Errorf("no link leads from %s to %s", readme, name)
		}
	}
}

func TestReadmeIsOnePage(t *testing.T) {
	const most = 140
	if n := strings.Count(document(t, readme), "\n"); n > most {
		t.Errorf("%s has %d lines, more than %d: move what only some readers need to %s", readme, n, most, reference)
	}
}

func TestEveryConflistIsDocumented(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, path.Dir(conflists), "*.conflist"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no conflists: %v", err)
	}
	text := document(t, conflists)
	for _, f := range files {
		if name := filepath.Base(f); !strings.Contains(text, "("+name+")") {
			t.Errorf("%s does not say what %s is for", conflists, name)
		}
	}
}

func TestReferenceNamesEveryErrorCode(t *testing.T) {
	codes := regexp.MustCompile(`Code\w+ +uint = (\d+)`).FindAllStringSubmatch(document(t, "pkg/failure/failure.go"), -1)
	if len(codes) < 7 {
		t.Fatalf("found only %d codes in the source", len(codes))
	}
	text := document(t, reference)
	for _, c := range codes {
		if !strings.Contains(text, "\n| "+c[1]+" | ") {
			t.Errorf("%s does not explain code %s", reference, c[1])
		}
	}
}

// What doctor finds is explained, and nothing else is.
func TestTroubleshootingNamesEveryFinding(t *testing.T) {
	const page = "plugins/bulkhead/TROUBLESHOOTING.md"
	id := regexp.MustCompile(`"((?:hns|node|conflist|capability|network|adapter|gateway|forwarding|ipv6|endpoint|ipam|namespace|address|kubeproxy)\.\w+)"`)
	files, err := filepath.Glob(filepath.Join(root, "pkg/doctor/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range id.FindAllStringSubmatch(document(t, strings.TrimPrefix(filepath.ToSlash(f), root+"/")), -1) {
			found[m[1]] = true
		}
	}
	if len(found) < 35 {
		t.Fatalf("found only %d ids in the source", len(found))
	}
	_, table, _ := strings.Cut(document(t, page), "\n## What doctor finds\n")
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("%s does not explain %s", page, name)
		}
	}
	for _, m := range regexp.MustCompile("`(\\w+\\.\\w+)`").FindAllStringSubmatch(table, -1) {
		if !found[m[1]] && m[1] != "network.adapter" {
			t.Errorf("%s explains %s, which doctor does not find", page, m[1])
		}
	}
}

// Every promise of security names tests that there are.
func TestSecurityNamesItsTests(t *testing.T) {
	named := regexp.MustCompile("`((?:Test|Benchmark)\\w+)`").FindAllStringSubmatch(document(t, "plugins/bulkhead/SECURITY.md"), -1)
	if len(named) < 10 {
		t.Fatalf("found only %d tests", len(named))
	}
	var source strings.Builder
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var text []byte
			text, err = os.ReadFile(path)
			source.Write(text)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, n := range named {
		if !strings.Contains(source.String(), "func "+n[1]+"(") {
			t.Errorf("there is no %s", n[1])
		}
	}
}

// testFunc is the beginning of a test.
var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// TestScenarios: SCENARIOS.md, which is written from a run, has every scenario.
func TestScenarios(t *testing.T) {
	table := documents(t)["test/cluster/SCENARIOS.md"]
	for folder, text := range textFiles(t) {
		if dir := path.Dir(folder); dir != "test/cluster/scenarios" && dir != "test/packets" || !strings.HasSuffix(folder, "_test.go") {
			continue
		}
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(table, "\n| "+m[1]+" |") {
				t.Errorf("%s is not in SCENARIOS.md; scripts/cluster.sh test --write writes it anew", m[1])
			}
		}
	}
}
