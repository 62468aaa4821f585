// SPDX-License-Identifier: Apache-2.0

package house_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
)

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReadmeHasTheACLTable(t *testing.T) {
	if !strings.Contains(readme(t), acl.Table()) {
		t.Errorf("README.md lacks the table that pkg/acl makes:\n%s", acl.Table())
	}
}

func TestReadmeLinks(t *testing.T) {
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(readme(t), -1) {
		if strings.HasPrefix(m[1], "https://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("README.md links to %s: %v", m[1], err)
		}
	}
}

func TestReadmeNamesEveryConflist(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "plugins/bulkhead/conf/*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no conflists: %v", err)
	}
	table, err := os.ReadFile(filepath.Join(root, "plugins/bulkhead/conf/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := readme(t)
	for _, f := range files {
		name := filepath.Base(f)
		if !strings.Contains(text, "(plugins/bulkhead/conf/"+name+")") {
			t.Errorf("README.md does not link to %s", name)
		}
		if name != "README.md" && !strings.Contains(string(table), "("+name+")") {
			t.Errorf("plugins/bulkhead/conf/README.md does not say what %s is for", name)
		}
	}
}

func TestReadmeNamesEveryErrorCode(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "pkg/cniplugin/error.go"))
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Code\w+ +uint = (\d+)`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 7 {
		t.Fatalf("found only %d codes in the source", len(codes))
	}
	for _, c := range codes {
		if !strings.Contains(readme(t), "\n| "+c[1]+" | ") {
			t.Errorf("README.md does not explain code %s", c[1])
		}
	}
}
