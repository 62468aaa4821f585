// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alexflint/go-filemutex"

	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
)

// defaultDataDir is host-local's own (backend/disk), on the drive of the current
// directory.
const defaultDataDir = "/var/lib/cni/networks"

// book is a network's directory as host-local keeps it: one file for every
// reserved address, a lock, and the last reservation of each range set. A
// directory that does not exist is an empty book.
type book struct {
	dir string
}

// bookOf needs no more of a configuration than where the files are.
func bookOf(conf []byte) (book, error) {
	var c struct {
		Name string
		IPAM struct{ DataDir string }
	}
	if err := json.Unmarshal(conf, &c); err != nil {
		return book{}, fmt.Errorf("%w: ipam: %w", ErrConfig, err)
	}
	return bookIn(c.IPAM.DataDir, c.Name), nil
}

func bookIn(dataDir, network string) book {
	if dataDir == "" {
		dataDir = defaultDataDir
	}
	return book{filepath.Join(dataDir, network)}
}

// locked runs f while no other process changes the book. When ctx ends first, f
// is not run any more, so that a call which was given up cannot reserve or
// release behind the back of the one that follows it; or it runs to its end
// under the lock.
func (b book) locked(ctx context.Context, f func() error) error {
	return b.within(ctx, "wait for the lock of", func() error {
		lock, err := b.makeLock()
		if err != nil {
			return err
		}
		return b.underLock(ctx, lock, f)
	})
}

// change is locked, unless nothing can be reserved in the book: it was never
// written to, or is lost.
func (b book) change(ctx context.Context, f func() error) error {
	return b.within(ctx, "wait for the lock of", func() error {
		lock, err := b.openLock()
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return b.underLock(ctx, lock, f)
	})
}

// within gives up on f when ctx ends: a file's disk, and who holds its lock, may
// never answer.
func (b book) within(ctx context.Context, doing string, f func() error) error {
	_, err := bounded.Do(ctx, func() (struct{}, error) { return struct{}{}, f() })
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return fmt.Errorf("%s the address files in %s: %w", doing, b.dir, err)
	}
	return err
}

// underLock takes a lock that was opened, runs f, and closes it.
func (b book) underLock(ctx context.Context, lock *filemutex.FileMutex, f func() error) error {
	defer func() { _ = lock.Close() }()
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("take the lock %s: %w", b.lock(), err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f()
}

// lock is host-local's own (backend/disk, NewFileLock), which looks at the directory
// first.
func (b book) lock() string { return filepath.Join(b.dir, "lock") }

// openLock fails with an error of missing where there is no directory.
func (b book) openLock() (*filemutex.FileMutex, error) {
	lock, err := filemutex.New(b.lock())
	if err != nil {
		return nil, fmt.Errorf("open the lock %s: %w", b.lock(), err)
	}
	return lock, nil
}

// makeLock makes the directory where it is missing.
func (b book) makeLock() (*filemutex.FileMutex, error) {
	lock, err := b.openLock()
	if !missing(err) {
		return lock, err
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the address files: %w", err)
	}
	return b.openLock()
}

// usable tells why Add could not open the book. It neither waits nor makes a
// directory.
func (b book) usable() error {
	for path := b.dir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		switch {
		case missing(err) && filepath.Dir(path) != path:
			continue // Add makes it.
		case err != nil:
			return fmt.Errorf("open the address files: %w", err)
		case !info.IsDir():
			return fmt.Errorf("open the address files in %s: %s is not a directory", b.dir, path)
		case path != b.dir:
			return nil
		}
		lock, err := b.openLock()
		if err != nil {
			return err
		}
		return lock.Close()
	}
}

// missing reports that a path does not exist, be it that a file stands where one
// of its directories should: Windows does not tell the two apart.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// entry is what reserves an address: a file, or, in a damaged book, anything
// else of that name.
type entry struct {
	addr netip.Addr
	path string
	mode fs.FileMode
}

// entries lists the reserved addresses.
func (b book) entries() ([]entry, error) {
	files, err := os.ReadDir(b.dir)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the address files: %w", err)
	}
	var out []entry
	for _, f := range files {
		if addr, ok := addressNamed(f.Name()); ok {
			out = append(out, entry{addr: addr, path: filepath.Join(b.dir, f.Name()), mode: f.Type()})
		}
	}
	return out, nil
}

// addressNamed tells the files of addresses from the lock and the last
// reservations; on Windows host-local writes the colons of IPv6 as underscores.
func addressNamed(file string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.ReplaceAll(file, "_", ":"))
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// read returns whom the entry reserves its address for, as it was written. What
// has no content to read, or has gone meanwhile, names nobody.
func (e entry) read() (string, error) {
	if e.mode&(fs.ModeDir|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return "", nil
	}
	content, err := os.ReadFile(e.path)
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read who holds address %s: %w", e.addr, err)
	}
	return string(content), nil
}

// remove gives the address back. A directory is removed only when it is empty.
func (e entry) remove() error {
	if err := os.Remove(e.path); err != nil && !missing(err) {
		return fmt.Errorf("release address %s: %w", e.addr, err)
	}
	return nil
}
