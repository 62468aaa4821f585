// SPDX-License-Identifier: Apache-2.0

// Package house_test keeps the rules of the house: which package may import
// which, where platform code and hcsshim may live, what stands at the top level,
// and that every file says its licence.
package house_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bulkhead-cni/bulkhead/"

// root is the top of the repository, seen from this package.
const root = "../.."

// mayImport lists what of this module each package may import. A package that
// is not listed may not exist.
var mayImport = map[string][]string{
	"pkg/hns":              {},
	"pkg/problem":          {},
	"pkg/acl":              {"pkg/hns"},
	"pkg/acl/acltest":      {"pkg/acl", "pkg/hns"},
	"pkg/bounded":          {},
	"pkg/config":           {"pkg/acl", "pkg/hns"},
	"pkg/hcn":              {"pkg/bounded", "pkg/hns"},
	"pkg/hcn/hcnwin":       {"pkg/hcn", "pkg/hns"},
	"pkg/nodelock":         {"pkg/adminonly"},
	"pkg/adminonly":        {},
	"pkg/kubeproxy":        {},
	"pkg/offspring":        {},
	"pkg/uplink":           {},
	"pkg/plan":             {"pkg/problem", "pkg/config", "pkg/hcn", "pkg/hns", "pkg/acl"},
	"pkg/ipam":             {"pkg/adminonly", "pkg/offspring", "pkg/problem", "pkg/bounded", "pkg/config", "pkg/hns"},
	"pkg/network":          {"pkg/problem", "pkg/config", "pkg/hns", "pkg/nodelock", "pkg/plan", "pkg/uplink"},
	"pkg/aclsync":          {"pkg/problem", "pkg/acl", "pkg/hns", "pkg/nodelock", "pkg/plan"},
	"pkg/pod":              {"pkg/problem", "pkg/acl", "pkg/aclsync", "pkg/config", "pkg/hns", "pkg/ipam", "pkg/network", "pkg/nodelock", "pkg/plan", "pkg/uplink"},
	"pkg/node":             {"pkg/config", "pkg/hns", "pkg/ipam", "pkg/kubeproxy", "pkg/network", "pkg/nodelock", "pkg/pod", "pkg/uplink"},
	"pkg/failure":          {"pkg/aclsync", "pkg/config", "pkg/hns", "pkg/ipam", "pkg/network", "pkg/plan", "pkg/pod", "pkg/problem"},
	"pkg/journal":          {"pkg/adminonly", "pkg/nodelock"},
	"pkg/cniplugin":        {"pkg/bounded", "pkg/config", "pkg/failure", "pkg/hcn", "pkg/hns", "pkg/ipam", "pkg/journal", "pkg/network", "pkg/node", "pkg/nodelock", "pkg/pod"},
	"pkg/hnsemu":           {"pkg/hns", "pkg/hnsemu/packet", "pkg/hnsemu/schema"},
	"pkg/hnsemu/dataplane": {"pkg/hnsemu", "pkg/hnsemu/dataplane/netspace", "pkg/hnsemu/packet", "pkg/hnsemu/schema", "pkg/hns"},

	"pkg/hnsemu/dataplane/netspace": {},

	"pkg/hnsemu/packet":    {"pkg/hns", "pkg/hnsemu/schema"},
	"pkg/hnsemu/schema":    {"pkg/hns"},
	"pkg/hnsemu/wire":      {"pkg/hnsemu", "pkg/hns"},
	"pkg/hnsemu/emuclient": {"pkg/hnsemu", "pkg/hns", "pkg/hcn"},
	"pkg/hns/hnstest":      {"pkg/hns"},
	"pkg/install":          {"pkg/adminonly", "pkg/config"},
	"pkg/cli":              {"pkg/acl", "pkg/config", "pkg/doctor", "pkg/failure", "pkg/hns", "pkg/install", "pkg/ipam", "pkg/network", "pkg/node", "pkg/plan"},
	"pkg/doctor":           {"pkg/config", "pkg/hns", "pkg/ipam", "pkg/kubeproxy", "pkg/node", "pkg/plan", "pkg/uplink"},
	"plugins/bulkhead":     {"pkg/cli", "pkg/cniplugin", "pkg/hcn/hcnwin", "pkg/kubeproxy", "pkg/node", "pkg/nodelock", "pkg/uplink"},
}

// pure packages run the same everywhere: no files, no processes, no clock.
var pure = []string{"pkg/hns", "pkg/acl", "pkg/bounded", "pkg/config", "pkg/hcn", "pkg/hnsemu/packet", "pkg/hnsemu/schema", "pkg/plan", "pkg/problem"}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// watch looks at every source file: the test cache does not see what the go
// command reads.
func watch(t *testing.T) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// list returns the module's packages as goos builds them.
func list(t *testing.T, goos string) []pkg {
	t.Helper()
	watch(t)
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,GoFiles,Imports,Deps", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func eachOS(t *testing.T, f func(*testing.T, []pkg)) {
	for _, goos := range []string{"linux", "windows"} {
		t.Run(goos, func(t *testing.T) { f(t, list(t, goos)) })
	}
}

func TestDependencyDirection(t *testing.T) {
	eachOS(t, func(t *testing.T, pkgs []pkg) {
		for _, p := range pkgs {
			if strings.HasPrefix(p.path(), "test/") {
				continue
			}
			allowed, known := mayImport[p.path()]
			if !known {
				t.Errorf("%s: not in the list of packages; give it its place in mayImport", p.path())
			}
			for _, i := range p.Imports {
				if in, ours := strings.CutPrefix(i, module); ours && !slices.Contains(allowed, in) {
					t.Errorf("%s may not import %s", p.path(), in)
				}
			}
		}
	})
}

func TestOnlyHCNWinImportsHCSShim(t *testing.T) {
	eachOS(t, func(t *testing.T, pkgs []pkg) {
		for _, p := range pkgs {
			for _, i := range p.Imports {
				if strings.HasPrefix(i, "github.com/Microsoft/hcsshim") && p.path() != "pkg/hcn/hcnwin" {
					t.Errorf("%s imports %s", p.path(), i)
				}
			}
		}
	})
}

func TestPurePackagesStayPure(t *testing.T) {
	banned := []string{"os/exec", "net/http", "golang.org/x/sys", "github.com/Microsoft", "testing"}
	eachOS(t, func(t *testing.T, pkgs []pkg) {
		for _, p := range pkgs {
			if !slices.Contains(pure, p.path()) {
				continue
			}
			for _, d := range p.Deps {
				if slices.ContainsFunc(banned, func(b string) bool { return strings.HasPrefix(d, b) }) {
					t.Errorf("%s depends on %s", p.path(), d)
				}
			}
		}
	})
}

// testCode are the packages of tests, and with them those below.
var testCode = []string{"testing/", module + "pkg/hnsemu/", module + "pkg/hns/hnstest/", module + "pkg/acl/acltest/", module + "test/", "github.com/Microsoft/hnslib/"}

func TestProductHasNoTestCode(t *testing.T) {
	eachOS(t, func(t *testing.T, pkgs []pkg) {
		for _, p := range pkgs {
			if !strings.HasPrefix(p.path(), "plugins/") {
				continue
			}
			for _, d := range p.Deps {
				if slices.ContainsFunc(testCode, func(prefix string) bool { return strings.HasPrefix(d+"/", prefix) }) {
					t.Errorf("%s depends on %s", p.path(), d)
				}
			}
		}
	})
}

// Every pod's start waits for the verbs, so they do not pay for the command line.
func TestVerbsDoWithoutCommands(t *testing.T) {
	commands := []string{module + "pkg/cli", module + "pkg/doctor", "github.com/spf13/cobra"}
	eachOS(t, func(t *testing.T, pkgs []pkg) {
		for _, p := range pkgs {
			if p.path() != "pkg/cniplugin" {
				continue
			}
			for _, d := range commands {
				if slices.Contains(p.Deps, d) {
					t.Errorf("%s depends on %s", p.path(), d)
				}
			}
		}
	})
}

func TestEveryPackageIsDocumented(t *testing.T) {
	eachOS(t, func(t *testing.T, pkgs []pkg) {
		for _, p := range pkgs {
			if p.Doc == "" && len(p.GoFiles) > 0 {
				t.Errorf("%s has no package comment", p.path())
			}
		}
	})
}

func TestTopLevel(t *testing.T) {
	want := []string{"LICENSE", "README.md", "go.mod", "go.sum", "pkg", "plugins", "scripts", "test"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

func TestSourceFiles(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			checkSource(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkSource wants the licence first, at most 500 lines (800 in a test), and no
// build tag outside of the packages that call the platform.
func checkSource(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rel, limit := strings.TrimPrefix(filepath.ToSlash(path), root+"/"), 500
	if strings.HasSuffix(path, "_test.go") {
		limit = 800
	}
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		n++
		line := s.Text()
		if n == 1 && line != "// SPDX-License-Identifier: Apache-2.0" {
			t.Errorf("%s does not begin with its licence", rel)
		}
		if strings.HasPrefix(line, "//go:build") && !mayHaveBuildTags(rel) {
			t.Errorf("%s:%d: build tags belong into pkg/adminonly, pkg/hcn/hcnwin, pkg/kubeproxy, pkg/nodelock, pkg/offspring, pkg/uplink, pkg/hnsemu/dataplane and test", rel, n)
		}
	}
	if n > limit {
		t.Errorf("%s has %d lines, more than %d: split it by meaning", rel, n, limit)
	}
}

// tagged are the folders where platform code may live. A lock of the node is the
// platform's own, not HNS's, so it has its folder beside HNS's client; so have the
// arguments of another process.
var tagged = []string{"pkg/adminonly/", "pkg/hcn/hcnwin/", "pkg/kubeproxy/", "pkg/nodelock/", "pkg/offspring/", "pkg/uplink/", "pkg/hnsemu/dataplane/", "test/"}

func mayHaveBuildTags(rel string) bool {
	return slices.ContainsFunc(tagged, func(dir string) bool { return strings.HasPrefix(rel, dir) })
}
