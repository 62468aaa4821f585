// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// part runs a shell's command as a part and returns what was printed.
func part(t *testing.T, dir, name, script string) string {
	t.Helper()
	var out strings.Builder
	if failed, err := tally(&out, []string{"run", dir, name, "sh", "-c", script}); failed || err != nil {
		t.Fatalf("%s: %v, %v", name, failed, err)
	}
	return out.String()
}

// summed returns the last line.
func summed(t *testing.T, dir, status string) (line string, failed bool) {
	t.Helper()
	var out strings.Builder
	failed, err := tally(&out, []string{"sum", dir, status})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	return all[len(all)-1], failed
}

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []struct {
		name, script, status string
		want                 string
		failed               bool
	}{
		{"first", "echo '--- PASS: TestA (0.00s)'; echo '--- SKIP: TestB (0.00s)'; echo words >&2", "0", "tests: 1 passed, 0 failed, 1 skipped", false},
		{"second", "echo '--- PASS: TestA (0.00s)'", "0", "tests: 2 passed, 0 failed, 1 skipped", false},
		{"", "", "127", "tests: 2 passed, 1 failed, 1 skipped", true},
		{"third", "echo '--- FAIL: TestA (0.00s)'; exit 1", "0", "tests: 2 passed, 1 failed, 1 skipped", true},
		{"fourth", "echo no such tool >&2; exit 1", "0", "tests: 2 passed, 2 failed, 1 skipped", true},
		{"fifth", "", "0", "tests: 2 passed, 3 failed, 1 skipped", true},
		{"", "", "1", "tests: 2 passed, 4 failed, 1 skipped", true},
	} {
		if step.name != "" {
			part(t, dir, step.name, step.script)
		}
		if got, failed := summed(t, dir, step.status); got != step.want || failed != step.failed {
			t.Errorf("after %s, status %s: got %q, %v, want %q, %v", step.name, step.status, got, failed, step.want, step.failed)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "first.log"))
	if err != nil || !strings.Contains(string(log), "words\n") || !strings.Contains(string(log), "--- PASS: TestA (0.00s)\n") {
		t.Errorf("log: %v\n%s", err, log)
	}
}

func TestNothingRan(t *testing.T) {
	if line, failed := summed(t, t.TempDir(), "0"); !failed || line != "tests: 0 passed, 1 failed, 0 skipped" {
		t.Errorf("got %q, %v", line, failed)
	}
}

// TestKilled: a part whose tally is killed counts as failed. The part itself
// looks at what the result is while it runs.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	kept := t.TempDir()
	part(t, dir, "p", "cp "+dir+"/p.json "+kept+"; echo '--- PASS: TestA (0.00s)'")
	if line, failed := summed(t, kept, "0"); !failed || line != "tests: 0 passed, 1 failed, 0 skipped" {
		t.Errorf("while it ran: %q, %v", line, failed)
	}
	if line, failed := summed(t, dir, "0"); failed || line != "tests: 1 passed, 0 failed, 0 skipped" {
		t.Errorf("in the end: %q, %v", line, failed)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	part(t, dir, "p", "echo '--- FAIL: TestA (0.00s)'")
	for name, args := range map[string][]string{
		"a part of the same name": {"run", dir, "p", "true"},
		"no such directory":       {"run", filepath.Join(dir, "none"), "q", "true"},
		"no command":              {"run", dir, "q"},
		"no status":               {"sum", dir},
		"nothing":                 {},
	} {
		if _, err := tally(os.Stderr, args); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tally(os.Stderr, []string{"sum", dir, "0"}); err == nil {
		t.Error("a result that cannot be read: no error")
	}
}

// TestGoTest: what go test prints today is what the table of streams says.
func TestGoTest(t *testing.T) {
	dir, module := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod":              "module example.com/m\n",
		"exits/x_test.go":     "package x\nimport (\"os\"; \"testing\")\nfunc TestPass(t *testing.T) {}\nfunc TestX(t *testing.T) { os.Exit(3) }\n",
		"fails/x_test.go":     "package x\nimport \"testing\"\nfunc TestX(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Error() }) }\n",
		"hangs/x_test.go":     "package x\nimport (\"testing\"; \"time\")\nfunc TestX(t *testing.T) { time.Sleep(time.Hour) }\n",
		"none/x.go":           "package x\n",
		"panics/x_test.go":    "package x\nimport \"testing\"\nfunc TestX(t *testing.T) { panic(1) }\n",
		"unbuilt/x_test.go":   "package x\nimport \"testing\"\nfunc TestX(t *testing.T) { x() }\n",
		"goroutine/x_test.go": "package x\nimport \"testing\"\nfunc TestX(t *testing.T) { go func() { panic(1) }(); select {} }\n",
	} {
		file := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Chdir(module)
	// Vet would take as long as all the rest.
	out := part(t, dir, "go", "go test -json -vet=off -timeout 1s ./...")
	if line, _ := summed(t, dir, "0"); line != "tests: 1 passed, 7 failed, 0 skipped" {
		t.Errorf("got %s; it printed\n%s", line, out)
	}
	for _, want := range []string{"exits", "fails TestX/sub", "fails TestX", "hangs", "panics TestX", "unbuilt", "goroutine"} {
		if !regexp.MustCompile(`(?m)^--- FAIL: (package )?example.com/m/` + want + "$").MatchString(out) {
			t.Errorf("%s is not shown:\n%s", want, out)
		}
	}
}
