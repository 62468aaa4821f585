// SPDX-License-Identifier: Apache-2.0

// Package install puts Bulkhead where containerd looks for CNI plugins, and takes it away
// again. What is to be done follows from what is there: Read looks, Plan and PlanRemoval
// decide, and Step.Do does one thing.
package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Dirs are the folders in which a containerd looks.
type Dirs struct {
	// Bin has the plugins, Conf the configurations.
	Bin, Conf string
	// HyperV has the configurations of the runtime handler that isolates by Hyper-V, empty
	// when there is none or it has the same as all.
	HyperV string
}

// ErrContainerd says that containerd's file does not tell the folders.
var ErrContainerd = errors.New("containerd's configuration")

// Hypervisor is the name of containerd's own runtime handler that isolates by Hyper-V.
const Hypervisor = "runhcs-wcow-hypervisor"

// Handler is what containerd's file of version 3 or 4 needs to give that handler a folder of
// its own, which is printed into it.
const Handler = `[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.` + Hypervisor + `]
  cni_conf_dir = '%s'
`

// file is what counts of containerd's configuration (containerd, docs/cri/config.md). The
// plugin that runs pods has another name in each version.
type file struct {
	Version int      `toml:"version"`
	Imports []string `toml:"imports"`
	Plugins struct {
		Second cri `toml:"io.containerd.grpc.v1.cri"`
		Third  cri `toml:"io.containerd.cri.v1.runtime"`
	} `toml:"plugins"`
}

type cri struct {
	CNI struct {
		BinDir  string   `toml:"bin_dir"`
		BinDirs []string `toml:"bin_dirs"`
		ConfDir string   `toml:"conf_dir"`
	} `toml:"cni"`
	Containerd struct {
		Runtimes map[string]struct {
			CNIConfDir string `toml:"cni_conf_dir"`
			Options    struct {
				SandboxIsolation int
			} `toml:"options"`
		} `toml:"runtimes"`
	} `toml:"containerd"`
}

// DirsOf reads the folders from containerd's configuration file and the files that it
// imports, each of which has the last word on what it says. What none says is as in
// defaults; a file that is not there says nothing. Versions 2, 3 and 4 are understood.
func DirsOf(path string, defaults Dirs) (Dirs, error) {
	var f file
	if err := f.read(path); errors.Is(err, os.ErrNotExist) {
		return defaults, nil
	} else if err != nil {
		return Dirs{}, err
	}
	for _, pattern := range f.Imports {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(path), pattern)
		}
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return Dirs{}, fmt.Errorf("%w: %s: imports: %q: %w", ErrContainerd, path, pattern, err)
		}
		slices.Sort(matches)
		for _, m := range matches {
			if err := f.read(m); err != nil {
				return Dirs{}, err
			}
		}
	}
	of := f.Plugins.Third
	switch f.Version {
	case 2:
		of = f.Plugins.Second
	case 3, 4:
	default:
		return Dirs{}, fmt.Errorf("%w: %s is of version %d, and 2, 3 and 4 are known", ErrContainerd, path, f.Version)
	}
	out := defaults
	switch {
	case len(of.CNI.BinDirs) > 0: // the first that has a plugin counts
		out.Bin = of.CNI.BinDirs[0]
	case of.CNI.BinDir != "":
		out.Bin = of.CNI.BinDir
	}
	if of.CNI.ConfDir != "" {
		out.Conf = of.CNI.ConfDir
	}
	const hypervisor = 1 // hcsshim, cmd/containerd-shim-runhcs-v1/options/runhcs.proto
	for name, r := range of.Containerd.Runtimes {
		isolates := name == Hypervisor || r.Options.SandboxIsolation == hypervisor
		if isolates && r.CNIConfDir != "" && r.CNIConfDir != out.Conf {
			out.HyperV = r.CNIConfDir
		}
	}
	return out, nil
}

// read lays what a file says over what is known.
func (f *file) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContainerd, err)
	}
	if err := toml.Unmarshal(text, f); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrContainerd, path, err)
	}
	return nil
}
