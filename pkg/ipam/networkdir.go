// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// defaultDataDir is host-local's own (backend/disk). That is on the drive of the current
// directory, whatever that is, so the system's drive is named.
func defaultDataDir() string {
	drive := ""
	if runtime.GOOS == "windows" {
		drive = os.Getenv("SystemDrive")
	}
	return filepath.FromSlash(drive + "/var/lib/cni/networks")
}

// networkDir is where host-local keeps the reservations of one network: a file for
// each address, a lock, and the last reservation of each range set. A directory
// that does not exist has no reservations.
type networkDir struct {
	dataDir, network string
}

func networkDirOf(c config.Config) networkDir {
	return networkDir{cmp.Or(c.IPAM.DataDir, defaultDataDir()), c.Name}
}

// Directory returns where host-local keeps the addresses of a configuration's network.
func Directory(c config.Config) string { return networkDirOf(c).path() }

// path returns the directory itself.
func (d networkDir) path() string { return filepath.Join(d.dataDir, d.network) }

// locked opens host-local's store, which makes the directory, and runs f under its
// lock. When ctx ends before the lock is there, f does not run any more: a call that
// was given up must not reserve or release behind the back of the one that follows.
func (d networkDir) locked(ctx context.Context, f func(*disk.Store) error) error {
	if err := d.checkPlain("lock"); err != nil {
		return err
	}
	store, err := disk.New(d.network, d.dataDir)
	if err != nil {
		return fmt.Errorf("open the address files in %s: %w", d.path(), err)
	}
	defer store.Close() // gives the lock back
	if err := store.Lock(); err != nil {
		return fmt.Errorf("lock the address files in %s: %w", d.path(), err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f(store)
}

// bounded waits for f until ctx ends. Neither a disk nor the holder of a lock is sure
// to answer.
func (d networkDir) bounded(ctx context.Context, f func() error) error {
	_, err := bounded.Do(ctx, func() (struct{}, error) { return struct{}{}, f() })
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return fmt.Errorf("wait for the address files in %s: %w", d.path(), err)
	}
	return err
}

// exists reports whether the network has reservations at all.
func (d networkDir) exists() (bool, error) {
	info, err := os.Stat(d.path())
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the address files: %w", err)
	}
	return info.IsDir(), nil
}

// usable tells why Add could not open the store. It neither waits nor makes a
// directory.
func (d networkDir) usable() error {
	for path := d.path(); ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		switch {
		case missing(err) && filepath.Dir(path) != path:
			continue // Add makes it.
		case err != nil:
			return fmt.Errorf("open the address files: %w", err)
		case !info.IsDir():
			return fmt.Errorf("open the address files in %s: %s is not a directory", d.path(), path)
		case path != d.path():
			return nil
		}
		lock, err := disk.NewFileLock(path)
		if err != nil {
			return fmt.Errorf("open the lock of the address files in %s: %w", path, err)
		}
		return lock.Close()
	}
}

// missing reports that a path does not exist. A file in the place of one of its
// directories counts, too: Windows does not tell the two apart.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// reservation is the file that reserves an address.
type reservation struct {
	addr netip.Addr
	path string
	// dir is true for a directory in the place of the file.
	dir bool
}

// maxReservations is more than a node has pods, by far. Other names count for nothing.
const maxReservations = 20_000

// reservations lists the reserved addresses, in their order, without reading who holds
// them.
func (d networkDir) reservations() ([]reservation, error) {
	dir, err := os.Open(d.path())
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the address files: %w", err)
	}
	defer dir.Close()
	var out []reservation
	for {
		const atOnce = 1024 // whoever filled the directory must not fill the memory
		files, err := dir.ReadDir(atOnce)
		for _, f := range files {
			if addr, ok := addressNamed(f.Name()); ok {
				out = append(out, reservation{addr, filepath.Join(d.path(), f.Name()), f.IsDir()})
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			slices.SortFunc(out, func(a, b reservation) int { return a.addr.Compare(b.addr) })
			return out, nil
		case missing(err):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read the address files: %w", err)
		case len(out) > maxReservations:
			return nil, fmt.Errorf("read the address files: %s has more than %d; remove those that no pod of the node has", d.path(), maxReservations)
		}
	}
}

// addressNamed tells the files of addresses from the lock and the last
// reservations. On Windows host-local writes the colons of IPv6 as underscores.
func addressNamed(file string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.ReplaceAll(file, "_", ":"))
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// content returns what the file says. One that was removed meanwhile is
// fs.ErrNotExist.
func (r reservation) content() (string, error) {
	text, err := r.read()
	if err != nil {
		return "", fmt.Errorf("read who holds address %s: %w", r.addr, err)
	}
	return string(text), nil
}

// checkPlain fails when a file of the directory that host-local's library reads or writes
// by itself is there and is no regular file of its size.
func (d networkDir) checkPlain(files ...string) error {
	for _, name := range files {
		path := filepath.Join(d.path(), name)
		info, err := os.Lstat(path)
		if missing(err) || err == nil && info.IsDir() {
			continue // the library says so
		}
		if err == nil {
			err = plain(path, info)
		}
		if err != nil {
			return fmt.Errorf("open the address files: %w", err)
		}
	}
	return nil
}

// removeHuge removes the address files that nobody can have written as one: host-local's
// GC would read them whole.
func (d networkDir) removeHuge() error {
	all, err := d.reservations()
	if err != nil {
		return err
	}
	var failures []error
	for _, r := range all {
		if info, err := os.Lstat(r.path); err == nil && info.Mode().IsRegular() && info.Size() > maxContent {
			failures = append(failures, r.remove())
		}
	}
	return errors.Join(failures...)
}

// plain fails when a file is none that host-local can have written.
func plain(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() || info.Size() > maxContent {
		return fmt.Errorf("%s is not a file that host-local wrote (%s, %d bytes); remove it", path, info.Mode(), info.Size())
	}
	return nil
}

// maxContent is more than a container's id and an interface's name have.
const maxContent = 4 << 10

// read reads a regular file and not more of it than it can have: whoever can write into
// the directory must not stop Bulkhead by a pipe or a file without end.
func (r reservation) read() ([]byte, error) {
	info, err := os.Lstat(r.path)
	if err != nil {
		return nil, err
	}
	if err := plain(r.path, info); err != nil {
		return nil, err // also before opening it: a pipe would hold that up
	}
	file, err := os.Open(r.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if err := plain(r.path, info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, maxContent))
}

// remove gives the address back.
func (r reservation) remove() error {
	if err := os.Remove(r.path); err != nil && !missing(err) {
		return fmt.Errorf("release address %s: %w", r.addr, err)
	}
	return nil
}

// Reservation is an address that host-local has given away, as its file says.
type Reservation struct {
	Network string
	Addr    netip.Addr
	// Attachment is empty where the file is blank or cannot be read.
	Attachment config.Attachment
	// Since is when the file was written, zero where that cannot be read.
	Since time.Time
}

// Reservations reads host-local's reservations for the network of a configuration. A
// directory that does not exist has none.
func Reservations(c config.Config) ([]Reservation, error) {
	all, err := networkDirOf(c).reservations()
	if err != nil {
		return nil, err
	}
	var out []Reservation
	var failures []error
	for _, file := range all {
		content, err := file.content()
		if missing(err) {
			continue
		}
		failures = append(failures, err)
		r := Reservation{Network: c.Name, Addr: file.addr}
		if !blank(content) {
			r.Attachment = holderIn(content)
		}
		if info, err := os.Lstat(file.path); err == nil {
			r.Since = info.ModTime()
		}
		out = append(out, r)
	}
	return out, errors.Join(failures...)
}
