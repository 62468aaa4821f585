// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/bulkhead-cni/bulkhead/pkg/adminonly"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// statusVersion is the first version of CNI that has STATUS.
const statusVersion = "1.1.0"

// Do carries the step out.
func (s Step) Do() error {
	switch s.kind {
	case makeDir:
		return os.MkdirAll(s.path, 0o755)
	case makePrivate:
		return adminonly.MakeDir(s.path)
	case place:
		return placeFile(s.from, s.path)
	case write:
		return replaceFile(s.path, func(w io.Writer) error {
			_, err := w.Write(s.text)
			return err
		})
	case move:
		return os.Rename(s.from, s.path)
	default:
		return discard(s.path)
	}
}

// placeFile copies an executable.
func placeFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return replaceFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

// replaceFile writes a file beside its place and puts it there when it is whole. Windows
// does not overwrite an executable that runs: that is put aside.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	const mode = 0o755
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if os.Rename(f.Name(), path) == nil {
		return nil
	}
	old, err := putOff(path)
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Rename(old, path))
	}
	_ = os.Remove(old) // it may run
	return nil
}

// discard removes a file. Windows renames an executable that runs, but does not remove it:
// that is left to the next call for the same file.
func discard(path string) error {
	if strings.HasSuffix(path, oldSuffix) {
		return os.Remove(path)
	}
	old, err := putOff(path)
	if err != nil {
		return err
	}
	_ = os.Remove(old) // it may run
	return nil
}

// putOff gives a file the name of one that waits for its removal, in the place of one that
// has waited before.
func putOff(path string) (old string, err error) {
	old = path + oldSuffix
	if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s still runs: %w", old, err)
	}
	return old, os.Rename(path, old)
}

// Verify runs STATUS of all plugins of a configuration as containerd will. Nobody asks that of
// a configuration below CNI 1.1.0: there those of Bulkhead's answer that execute no IPAM
// plugin, which may not know STATUS. asked is false where there is none.
func Verify(ctx context.Context, d Dirs, name string) (asked bool, err error) {
	list, err := libcni.ConfListFromFile(filepath.Join(d.Conf, name))
	if err != nil {
		return false, err
	}
	known, err := version.GreaterThanOrEqualTo(list.CNIVersion, statusVersion)
	if err != nil {
		return false, err
	}
	if !known {
		list.CNIVersion = statusVersion
		list.Plugins = slices.DeleteFunc(list.Plugins, func(p *libcni.PluginConfig) bool {
			program, err := programAt(filepath.Join(d.Bin, exe(p.Network.Type)))
			executes := !slices.Contains([]string{"", config.HostLocal, config.Static}, p.Network.IPAM.Type)
			return err != nil || !program.Ours || executes
		})
	}
	return len(list.Plugins) > 0, libcni.NewCNIConfig([]string{d.Bin}, nil).GetStatusNetworkList(ctx, list)
}
