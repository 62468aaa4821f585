// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// defaultDataDir is host-local's own (backend/disk), on the drive of the current
// directory.
const defaultDataDir = "/var/lib/cni/networks"

// GC removes the files of addresses that nobody in keep holds. host-local itself
// has no GC.
func (hostLocal) GC(ctx context.Context, conf []byte, keep []Holder) error {
	where, err := location(conf)
	if err != nil {
		return err
	}
	dataDir := where.IPAM.DataDir
	if dataDir == "" {
		dataDir = defaultDataDir
	}
	return withStore(ctx, conf, func(store *disk.Store) error {
		if err := store.Lock(); err != nil {
			return fmt.Errorf("lock the address files: %w", err)
		}
		defer func() { _ = store.Unlock() }()
		return collect(filepath.Join(dataDir, where.Name), keep)
	})
}

// collect removes address files in dir, going on after a failure.
func collect(dir string, keep []Holder) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the address files: %w", err)
	}
	var failures []error
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if !isAddress(f.Name()) {
			continue
		}
		owner, err := os.ReadFile(path)
		if err == nil && !held(string(owner), keep) {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			failures = append(failures, fmt.Errorf("release address %s: %w", f.Name(), err))
		}
	}
	return errors.Join(failures...)
}

// isAddress tells the files of addresses from the lock and the last reservations;
// on Windows host-local writes the colons of IPv6 as underscores.
func isAddress(name string) bool {
	return net.ParseIP(strings.ReplaceAll(name, "_", ":")) != nil
}

// held reports whether a file's content names somebody in keep: the container
// and the interface, or, as old versions wrote, the container alone.
func held(content string, keep []Holder) bool {
	owner := strings.TrimSpace(content)
	return slices.ContainsFunc(keep, func(h Holder) bool {
		return owner == h.ContainerID+disk.LineBreak+h.IfName || owner == h.ContainerID
	})
}
