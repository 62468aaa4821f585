// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/adminonly"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// module is Bulkhead's: an executable that was built of it is Bulkhead, whatever it is
// called.
const module = "github.com/bulkhead-cni/bulkhead"

// Facts are what is there.
type Facts struct {
	Dirs
	// Programs are the files of Bin by their names.
	Programs map[string]Program
	// Conflists are the files of Conf, and of HyperV, that containerd would load, in its
	// order.
	Conflists, HyperVConflists []Conflist
	// Exe is the executable that is to be installed, and its file; empty for none.
	Exe     string
	program Program
	// missing are the folders that are not there.
	missing []string
}

// Program is an executable among the plugins.
type Program struct {
	// Ours is true for Bulkhead, and sum tells its copies apart.
	Ours bool
	sum  [sha256.Size]byte
}

// Conflist is a configuration that containerd loads.
type Conflist struct {
	Name string
	// Ours is true when one of its plugins is Bulkhead's, Shared when another one is not, or
	// flannel's hands on to it.
	Ours, Shared bool
	Text         []byte
}

// Suffixes of what Bulkhead puts aside. containerd loads no file with them.
const (
	// savedSuffix is for a program of somebody else's whose name an alias took, and
	// replacedSuffix for a configuration.
	savedSuffix    = ".before-bulkhead"
	replacedSuffix = ".replaced"
	// oldSuffix is for an executable of Bulkhead's that ran when another took its place.
	oldSuffix = ".old"
)

// Read looks into the folders, of which one that is not there is empty, at the executable
// that is to be installed, and whether data, folders for SYSTEM and Administrators alone,
// are there. It fails with adminonly.ErrUnsafe when somebody else can write to one of those.
func Read(d Dirs, exe string, data ...string) (Facts, error) {
	out := Facts{Dirs: d, Programs: map[string]Program{}, Exe: exe}
	if exe != "" {
		var err error
		if out.program, err = programAt(exe); err != nil {
			return Facts{}, err
		}
	}
	for _, dir := range data {
		if err := adminonly.Check(dir); err != nil {
			return Facts{}, err
		}
	}
	for _, dir := range append([]string{d.Bin, d.Conf, d.HyperV}, data...) {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			out.missing = append(out.missing, dir)
		}
	}
	files, err := os.ReadDir(d.Bin)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Facts{}, err
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		p, err := programAt(filepath.Join(d.Bin, f.Name()))
		if err != nil {
			return Facts{}, err
		}
		out.Programs[f.Name()] = p
	}
	if out.Conflists, err = conflistsIn(d.Conf); err != nil {
		return Facts{}, err
	}
	if d.HyperV != "" {
		out.HyperVConflists, err = conflistsIn(d.HyperV)
	}
	return out, err
}

// programAt looks at a file. What no Go program is is somebody else's.
func programAt(path string) (Program, error) {
	text, err := os.ReadFile(path) // whole, since buildinfo reads each symbol by itself
	if err != nil {
		return Program{}, err
	}
	info, err := buildinfo.Read(bytes.NewReader(text))
	return Program{Ours: err == nil && info.Main.Path == module, sum: sha256.Sum256(text)}, nil
}

// conflistsIn reads the files of a folder that a runtime loads, in the order of their names.
func conflistsIn(dir string) ([]Conflist, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []Conflist
	for _, f := range files {
		if f.IsDir() || !config.IsFileName(f.Name()) {
			continue
		}
		c := Conflist{Name: f.Name()}
		if c.Text, err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			return nil, err
		}
		plugins, err := config.Plugins(c.Text)
		c.Ours = err == nil && slices.ContainsFunc(plugins, config.Plugin.Ours)
		c.Shared = c.Ours && slices.ContainsFunc(plugins, func(p config.Plugin) bool { return !p.Ours() || p.Delegate() })
		out = append(out, c)
	}
	return out, err
}

// foreign reports whether a name among the plugins is somebody else's program.
func (f Facts) foreign(name string) bool {
	p, there := f.Programs[name]
	return there && !p.Ours
}

// has reports whether a name among the plugins is this very program.
func (f Facts) has(name string, p Program) bool { return f.Programs[name] == p }

// same reports whether a folder has a configuration with that text under that name.
func same(all []Conflist, name string, text []byte) bool {
	return slices.ContainsFunc(all, func(c Conflist) bool { return c.Name == name && bytes.Equal(c.Text, text) })
}

// exe returns the file name of a plugin: its type with ".exe".
func exe(typ string) string { return strings.TrimSuffix(typ, ".exe") + ".exe" }
