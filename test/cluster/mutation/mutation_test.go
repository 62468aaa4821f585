// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each mutation is about text that is there, and changes it into what compiles.
func TestOverlay(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range All {
		dir := t.TempDir()
		list, err := m.Overlay(root, dir)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		text, err := os.ReadFile(list)
		if err != nil || !strings.Contains(string(text), m.File) {
			t.Errorf("%s: %s, %v", m.Name, text, err)
		}
		changed, err := os.ReadFile(filepath.Join(dir, filepath.Base(m.File)))
		if err != nil || !strings.Contains(string(changed), m.To) || strings.Contains(string(changed), m.From) {
			t.Errorf("%s: %v; it has still %q", m.Name, err, m.From)
		}
		build := exec.Command("go", "build", "-overlay", list, "./"+filepath.Dir(m.File))
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", m.Name, err, out)
		}
	}
}

// What was tried is kept until the mutation changes.
func TestSaved(t *testing.T) {
	dir := t.TempDir()
	for _, m := range All {
		if _, err := Saved(dir); err == nil {
			t.Fatalf("nothing says that %q is missing", m.Name)
		}
		if err := (Result{Mutation: m, Specs: []string{m.Name}}).Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Saved(dir)
	if err != nil || len(all) != len(All) || all[1].Specs[0] != All[1].Name {
		t.Errorf("%v, %v", all, err)
	}
	other := All[0]
	other.To += " "
	if err := (Result{Mutation: other}).Save(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Saved(dir); err == nil {
		t.Error("the result of another mutation counts")
	}
}
