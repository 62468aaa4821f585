// SPDX-License-Identifier: Apache-2.0

package house_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// missingNotes matches the names of working notes that are not in the repository.
// What they say of HNS is in pkg/hnsemu/HNS.md, with its public sources.
var missingNotes = regexp.MustCompile(`(?:^|[^\w])((?:hns|pains|peers|in-production|aesthetics|anchors(?:-[\d-]+)?|DESIGN)\.md)`)

// TestCitations: whoever reads a comment can read what it cites.
func TestCitations(t *testing.T) {
	for rel, text := range textFiles(t) {
		for i, line := range strings.Split(text, "\n") {
			if m := missingNotes.FindStringSubmatch(line); m != nil {
				t.Errorf("%s:%d cites %s, which is not in the repository: cite the public source or pkg/hnsemu/HNS.md", rel, i+1, m[1])
			}
		}
	}
}

// textFiles returns the repository's text files by their paths.
func textFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git" || d.Name() == ".build":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && !bytes.Contains(data, []byte{0}) {
			files[strings.TrimPrefix(filepath.ToSlash(path), root+"/")] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestMissingNotes(t *testing.T) {
	const suffix = ".md"
	for _, tc := range []struct {
		text string
		want bool
	}{
		{"// see hns" + suffix + " section 3", true},
		{"(pains" + suffix + " 7)", true},
		{"peers" + suffix, true},
		{"in-production" + suffix, true},
		{"research/aesthetics" + suffix, true},
		{"anchors-2026-11" + suffix, true},
		{"DESIGN" + suffix, true},
		{"pkg/hnsemu/HNS.md", false},
		{"HNS_Schema.md", false},
		{"README.md", false},
		{"design" + suffix, false},
	} {
		if got := missingNotes.MatchString(tc.text); got != tc.want {
			t.Errorf("%q matches: %t, want %t", tc.text, got, tc.want)
		}
	}
}

// TestFactsOfHNS: the tests that pkg/hnsemu/HNS.md names exist, and it says what
// each switch of the emulator is about.
func TestFactsOfHNS(t *testing.T) {
	files := textFiles(t)
	facts := files["pkg/hnsemu/HNS.md"]
	tests := map[string]bool{}
	for rel, text := range files {
		if !strings.HasPrefix(rel, "pkg/hnsemu/") || !strings.HasSuffix(rel, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(facts, -1)
	if len(named) < 100 {
		t.Fatalf("HNS.md names only %d tests", len(named))
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("HNS.md names %s, which pkg/hnsemu does not have", m[1])
		}
	}
	unknowns := reflect.TypeFor[hnsemu.Unknowns]()
	for i := range unknowns.NumField() {
		if name := unknowns.Field(i).Name; !strings.Contains(facts, "`"+name+"`") {
			t.Errorf("HNS.md does not say what is unknown about %s", name)
		}
	}
}
