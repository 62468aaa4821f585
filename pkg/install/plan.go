// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// ErrForeign says that something of somebody else's is in the way.
var ErrForeign = errors.New("in the way")

// Want is what is to be there.
type Want struct {
	// Aliases are other plugins' names that Bulkhead is to answer to.
	Aliases []string
	// Conflist is the file's name and its text in UTF-8, for all pods; its name is empty for
	// none. HyperV is that for pods that Hyper-V isolates.
	Conflist, HyperV Conflist
	// Data are folders that SYSTEM and Administrators alone may write.
	Data []string
}

// kind is what a step does.
type kind int

const (
	makeDir kind = iota
	makePrivate
	place
	write
	move
	remove
)

// Step is one thing to do.
type Step struct {
	kind kind
	// path is what it is about, from where a copy or a move begins.
	path, from string
	text       []byte
}

// String says what the step does.
func (s Step) String() string {
	switch s.kind {
	case makeDir:
		return "make the folder " + s.path
	case makePrivate:
		return "make the folder " + s.path + " for SYSTEM and Administrators alone"
	case place:
		return "copy " + s.from + " to " + s.path
	case write:
		return "write " + s.path
	case move:
		return "rename " + s.from + " to " + filepath.Base(s.path)
	default:
		return "remove " + s.path
	}
}

// Plan returns what is to be done, in its order: programs come before the configuration that
// names them, and what that replaces goes last. Nothing is to be done where all is there.
// It fails with ErrForeign when containerd would load a configuration of somebody else's
// before this one.
func Plan(f Facts, w Want) ([]Step, error) {
	out := slices.Concat(f.made(makeDir, f.Bin, f.Conf), f.made(makePrivate, w.Data...))
	names := append([]string{config.Type, config.TypeACL}, w.Aliases...)
	for _, name := range names {
		if f.has(exe(name), f.program) {
			continue
		}
		to := filepath.Join(f.Bin, exe(name))
		if f.foreign(exe(name)) {
			if !slices.Contains(w.Aliases, name) {
				return nil, fmt.Errorf("%w: %s is not Bulkhead; move it away", ErrForeign, to)
			}
			out = append(out, Step{kind: move, from: to, path: to + savedSuffix})
		}
		out = append(out, Step{kind: place, from: f.Exe, path: to})
	}
	if w.HyperV.Name != "" {
		out = append(out, f.made(makeDir, f.HyperV)...)
	}
	for _, c := range []struct {
		dir  string
		have []Conflist
		want Conflist
	}{{f.HyperV, f.HyperVConflists, w.HyperV}, {f.Conf, f.Conflists, w.Conflist}} {
		steps, err := conflist(c.dir, c.have, c.want)
		if err != nil {
			return nil, err
		}
		out = append(out, steps...)
	}
	return out, nil
}

// conflist returns the steps that make a configuration the first of a folder.
func conflist(dir string, have []Conflist, want Conflist) ([]Step, error) {
	if want.Name == "" {
		return nil, nil
	}
	there := same(have, want.Name, want.Text)
	var out []Step
	for _, c := range have {
		switch {
		case c.Name == want.Name && !c.Ours && !there:
			return nil, fmt.Errorf("%w: %s is somebody else's; give --conf-name", ErrForeign, filepath.Join(dir, c.Name))
		case c.Name == want.Name:
		case c.Ours:
			out = append(out, putAside(dir, c))
		case c.Name < want.Name:
			return nil, fmt.Errorf("%w: containerd loads %s before %s, and only the first; give a --conf-name that comes before it, such as 00-%s, or move it away",
				ErrForeign, filepath.Join(dir, c.Name), want.Name, want.Name)
		}
	}
	if there {
		return out, nil
	}
	return append([]Step{{kind: write, path: filepath.Join(dir, want.Name), text: want.Text}}, out...), nil
}

// putAside is the step that takes a configuration from containerd and keeps it.
func putAside(dir string, c Conflist) Step {
	path := filepath.Join(dir, c.Name)
	return Step{kind: move, from: path, path: path + replacedSuffix}
}

// made returns the steps that make those of the folders that are missing.
func (f Facts) made(k kind, dirs ...string) []Step {
	var out []Step
	for i, dir := range dirs {
		if slices.Contains(f.missing, dir) && !slices.Contains(dirs[:i], dir) {
			out = append(out, Step{kind: k, path: dir})
		}
	}
	return out
}

// PlanRemoval returns what is to be done to take Bulkhead away: its configurations first, so
// that no pod comes any more, then its programs, in whose place come those that were there
// before. Configurations that have other plugins beside Bulkhead's are put aside.
func PlanRemoval(f Facts) []Step {
	var out []Step
	for dir, all := range map[string][]Conflist{f.Conf: f.Conflists, f.HyperV: f.HyperVConflists} {
		for _, c := range all {
			switch {
			case c.Shared:
				out = append(out, putAside(dir, c))
			case c.Ours:
				out = append(out, Step{kind: remove, path: filepath.Join(dir, c.Name)})
			}
		}
	}
	slices.SortFunc(out, func(a, b Step) int { return strings.Compare(a.path, b.path) })
	for _, name := range slices.Sorted(maps.Keys(f.Programs)) {
		was, old := strings.CutSuffix(name, oldSuffix)
		withOther := old && f.Programs[was].Ours // it goes with the one in its place
		if f.Programs[name].Ours && !withOther {
			out = append(out, Step{kind: remove, path: filepath.Join(f.Bin, name)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Programs)) {
		if was, saved := strings.CutSuffix(name, savedSuffix); saved && !f.foreign(was) {
			out = append(out, Step{kind: move, from: filepath.Join(f.Bin, name), path: filepath.Join(f.Bin, was)})
		}
	}
	return out
}
