// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	ours   = `{"cniVersion": "1.1.0", "name": "podnet", "plugins": [{"type": "bulkhead"}]}`
	newer  = `{"cniVersion": "1.1.0", "name": "podnet2", "plugins": [{"type": "bulkhead"}]}`
	theirs = `{"cniVersion": "1.0.0", "name": "flannel", "plugins": [{"type": "flannel"}]}`
)

// world is a node's folders.
type world struct {
	*testing.T
	Dirs
	exe string
}

func newWorld(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable() // it is built of this module, as Bulkhead is
	if err != nil {
		t.Fatal(err)
	}
	return world{t, Dirs{Bin: filepath.Join(dir, "bin"), Conf: filepath.Join(dir, "conf"), HyperV: filepath.Join(dir, "hyperv")}, self}
}

// install carries out what Plan says and returns it.
func (w world) install(want Want) ([]string, error) {
	w.Helper()
	facts, err := Read(w.Dirs, w.exe, want.Data...)
	if err != nil {
		w.Fatal(err)
	}
	steps, err := Plan(facts, want)
	if err != nil {
		return nil, err
	}
	return w.do(steps), nil
}

// do carries out steps and returns what they say, without the folders' names.
func (w world) do(steps []Step) []string {
	w.Helper()
	var out []string
	for _, s := range steps {
		if err := s.Do(); err != nil {
			w.Fatalf("%s: %v", s, err)
		}
		text := strings.ReplaceAll(s.String(), w.exe, "EXE")
		out = append(out, strings.ReplaceAll(text, filepath.Dir(w.Bin)+string(filepath.Separator), ""))
	}
	return out
}

// files returns what is in a folder: each file's beginning.
func (w world) files(dir string) map[string]string {
	w.Helper()
	out := map[string]string{}
	all, err := os.ReadDir(dir)
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range all {
		p, err := programAt(filepath.Join(dir, f.Name()))
		if err != nil {
			w.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			w.Fatal(err)
		}
		if p.Ours {
			text = []byte("Bulkhead")
		}
		out[f.Name()] = string(text)
	}
	return out
}

func (w world) want(dir string, want map[string]string) {
	w.Helper()
	if diff := cmp.Diff(want, w.files(dir)); diff != "" {
		w.Errorf("%s (-want +got):\n%s", dir, diff)
	}
}

func TestInstallTwiceAndUninstall(t *testing.T) {
	w := newWorld(t)
	writeFile(t, filepath.Join(w.Conf, "20-flannel.conflist"), theirs)
	writeFile(t, filepath.Join(w.Bin, "flannel.exe"), "flannel")
	data := filepath.Join(filepath.Dir(w.Bin), "data")
	want := Want{Conflist: Conflist{Name: "10-bulkhead.conflist", Text: []byte(ours)}, HyperV: Conflist{Name: "10-bulkhead.conflist", Text: []byte(newer)}}
	if os.Getuid() == 0 || os.PathSeparator == '\\' {
		want.Data = []string{data}
	}
	got, err := w.install(want)
	if err != nil {
		t.Fatal(err)
	}
	steps := slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, "Administrators") })
	if diff := cmp.Diff([]string{
		"copy EXE to bin/bulkhead.exe", "copy EXE to bin/bulkhead-acl.exe", "make the folder hyperv",
		"write hyperv/10-bulkhead.conflist", "write conf/10-bulkhead.conflist",
	}, slashed(steps)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if got, err := w.install(want); err != nil || len(got) > 0 {
		t.Errorf("again: %v, %v, want nothing to do", got, err)
	}
	w.want(w.Bin, map[string]string{"bulkhead.exe": "Bulkhead", "bulkhead-acl.exe": "Bulkhead", "flannel.exe": "flannel"})
	w.want(w.Conf, map[string]string{"10-bulkhead.conflist": ours, "20-flannel.conflist": theirs})
	facts, err := Read(w.Dirs, "")
	if err != nil {
		t.Fatal(err)
	}
	w.do(PlanRemoval(facts))
	w.want(w.Bin, map[string]string{"flannel.exe": "flannel"})
	w.want(w.Conf, map[string]string{"20-flannel.conflist": theirs})
	w.want(w.HyperV, map[string]string{})
}

// An alias takes the place of another plugin, which comes back when Bulkhead goes.
func TestAlias(t *testing.T) {
	w := newWorld(t)
	writeFile(t, filepath.Join(w.Bin, "win-bridge.exe"), "the old one")
	old := `{"cniVersion": "1.0.0", "name": "old", "plugins": [{"type": "win-bridge"}]}`
	writeFile(t, filepath.Join(w.Conf, "10-old.conflist"), old)
	// The file stays as it is: Bulkhead reads it, too.
	want := Want{Aliases: []string{"win-bridge", "nat.exe"}, Conflist: Conflist{Name: "10-old.conflist", Text: []byte(old)}}
	if _, err := w.install(want); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"bulkhead.exe": "Bulkhead", "bulkhead-acl.exe": "Bulkhead", "win-bridge.exe": "Bulkhead", "nat.exe": "Bulkhead",
		"win-bridge.exe.before-bulkhead": "the old one",
	}
	w.want(w.Bin, all)
	if got, err := w.install(want); err != nil || len(got) > 0 {
		t.Errorf("again: %v, %v", got, err)
	}
	facts, err := Read(w.Dirs, "")
	if err != nil {
		t.Fatal(err)
	}
	w.do(PlanRemoval(facts))
	w.want(w.Bin, map[string]string{"win-bridge.exe": "the old one"})
	w.want(w.Conf, map[string]string{"10-old.conflist": old})
}

// What waits for its removal goes with the program that took its place, which may be the one
// that runs the removal: no step is about it.
func TestUninstallOld(t *testing.T) {
	w := newWorld(t)
	if _, err := w.install(Want{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(w.exe)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bulkhead.exe.old", "gone.exe.old"} {
		writeFile(t, filepath.Join(w.Bin, name), string(text))
	}
	facts, err := Read(w.Dirs, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"remove bin/bulkhead-acl.exe", "remove bin/bulkhead.exe", "remove bin/gone.exe.old"}
	if diff := cmp.Diff(want, slashed(w.do(PlanRemoval(facts)))); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	w.want(w.Bin, map[string]string{})
}

// A program that cannot get its place leaves the one that is there.
func TestReplaceFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugin.exe")
	writeFile(t, path, "before")
	err := replaceFile(path, func(io.Writer) error { return os.Remove(path + ".new") })
	if text, readErr := os.ReadFile(path); err == nil || string(text) != "before" {
		t.Errorf("%q, %v, %v", text, err, readErr)
	}
}

// A configuration that has other plugins beside Bulkhead's is not lost.
func TestUninstallShared(t *testing.T) {
	w := newWorld(t)
	for _, shared := range []string{
		`{"cniVersion": "1.0.0", "name": "chain", "plugins": [{"type": "win-bridge"}, {"type": "bulkhead-acl"}]}`,
		`{"cniVersion": "0.3.1", "name": "cbr0", "plugins": [{"type": "flannel", "delegate": {"type": "bulkhead"}}]}`,
	} {
		if _, err := w.install(Want{Conflist: Conflist{Name: "10-chain.conflist", Text: []byte(shared)}}); err != nil {
			t.Fatal(err)
		}
		facts, err := Read(w.Dirs, "")
		if err != nil {
			t.Fatal(err)
		}
		w.do(PlanRemoval(facts))
		w.want(w.Bin, map[string]string{})
		w.want(w.Conf, map[string]string{"10-chain.conflist.replaced": shared})
	}
}

// Without a configuration the programs come alone, and what is there stays.
func TestProgramsAlone(t *testing.T) {
	w := newWorld(t)
	writeFile(t, filepath.Join(w.Conf, "10-containerd-net.conflist"), ours)
	if _, err := w.install(Want{}); err != nil {
		t.Fatal(err)
	}
	w.want(w.Bin, map[string]string{"bulkhead.exe": "Bulkhead", "bulkhead-acl.exe": "Bulkhead"})
	w.want(w.Conf, map[string]string{"10-containerd-net.conflist": ours})
}

// A configuration with another name takes the place of the older one.
func TestReplace(t *testing.T) {
	w := newWorld(t)
	writeFile(t, filepath.Join(w.Conf, "05-old.conflist"), ours)
	got, err := w.install(Want{Conflist: Conflist{Name: "10-new.conflist", Text: []byte(newer)}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got); n < 2 || !strings.HasPrefix(got[n-1], "rename") || !strings.HasPrefix(got[n-2], "write") {
		t.Errorf("the old one goes before the new one comes: %v", got)
	}
	w.want(w.Conf, map[string]string{"05-old.conflist.replaced": ours, "10-new.conflist": newer})
}

func TestInTheWay(t *testing.T) {
	conflist := Conflist{Name: "10-bulkhead.conflist", Text: []byte(ours)}
	tests := []struct {
		name, dir, file, text string
		want                  string
	}{
		{"a configuration that comes first", "conf", "05-flannel.conflist", theirs, "give a --conf-name that comes before it"},
		{"one with that name", "conf", "10-bulkhead.conflist", theirs, "is somebody else's"},
		{"a program with Bulkhead's name", "bin", "bulkhead.exe", "something", "is not Bulkhead; move it away"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			dir := filepath.Join(filepath.Dir(w.Bin), tt.dir)
			writeFile(t, filepath.Join(dir, tt.file), tt.text)
			_, err := w.install(Want{Conflist: conflist})
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			w.want(dir, map[string]string{tt.file: tt.text})
		})
	}
}

// A folder that cannot be written changes nothing and says so.
func TestReadOnly(t *testing.T) {
	w := newWorld(t)
	writeFile(t, w.Bin, "a file where the folder should be")
	_, err := Read(Dirs{Bin: filepath.Join(w.Bin, "bin"), Conf: w.Conf}, w.exe)
	if err == nil {
		err = Step{kind: makeDir, path: filepath.Join(w.Bin, "bin")}.Do()
	}
	if err == nil {
		t.Error("no error")
	}
}

func slashed(all []string) []string {
	var out []string
	for _, s := range all {
		out = append(out, filepath.ToSlash(s))
	}
	return out
}
