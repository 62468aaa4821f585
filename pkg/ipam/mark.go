// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// A mark is a file that names the addresses which one interface may hold, so that
// ADD and DEL need not read the files of all others. It is made before the file of
// an address and removed after it: an interface that has none holds nothing that
// this package reserved. host-local's executable passes over marks and makes none,
// so what it reserved is found by reading everything.
const (
	markPrefix = "holder-"
	// markLine begins each line. No container's id has a space in it, so the
	// executable takes no mark for the file of an address.
	markLine = "address "
)

// digest is short. Holders that share one are told apart by the addresses' files.
func (h Holder) digest() string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(h.String())) // never fails
	return fmt.Sprintf("%016x", sum.Sum64())
}

func (b book) mark(h Holder) string { return filepath.Join(b.dir, markPrefix+h.digest()) }

// hasMark is true also where that cannot be told.
func (b book) hasMark(h Holder) bool {
	_, err := os.Lstat(b.mark(h))
	return !missing(err)
}

// addMark notes that h may hold the address of a file.
func (b book) addMark(h Holder, file string) error {
	f, err := os.OpenFile(b.mark(h), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(markLine + file + "\n")
	return errors.Join(err, f.Close())
}

// markedFor returns the names of the files that a mark names.
func (b book) markedFor(h Holder) ([]string, error) {
	content, err := os.ReadFile(b.mark(h))
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(content)) {
		if file, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), markLine); ok {
			if _, ok := addressNamed(file); ok {
				out = append(out, file)
			}
		}
	}
	return out, nil
}

func (b book) removeMark(h Holder) error {
	if err := os.Remove(b.mark(h)); err != nil && !missing(err) {
		return fmt.Errorf("remove the list of the addresses of %s of container %s: %w", h.IfName, h.ContainerID, err)
	}
	return nil
}

// keepMarks removes the marks of all but those holders.
func (b book) keepMarks(keep []Holder) error {
	files, err := os.ReadDir(b.dir)
	if missing(err) {
		return nil
	}
	failures := []error{err}
	for _, f := range files {
		digest, ok := strings.CutPrefix(f.Name(), markPrefix)
		if ok && !slices.ContainsFunc(keep, func(h Holder) bool { return h.trimmed().digest() == digest }) {
			failures = append(failures, os.Remove(filepath.Join(b.dir, f.Name())))
		}
	}
	return errors.Join(failures...)
}

// releaseMarked frees what the mark of the request's interface names, when that is
// all that it can hold: the caller knows its addresses, the mark names each, and
// each file is as it was written. Otherwise it does nothing and returns false.
func (b book) releaseMarked(r Request) (bool, error) {
	h := r.holder()
	files, err := b.markedFor(h)
	if err != nil {
		return false, nil //nolint:nilerr // whatever is wrong with the mark, the files tell
	}
	var own []entry
	left := r.known()
	for _, file := range files {
		e := entry{path: filepath.Join(b.dir, file)}
		e.addr, _ = addressNamed(file)
		content, err := os.ReadFile(e.path)
		if err == nil && string(content) == h.String() {
			own = append(own, e)
			delete(left, e.addr)
		}
	}
	if len(left) > 0 || len(r.Addresses) == 0 {
		return false, nil
	}
	var failures []error
	for _, e := range own {
		failures = append(failures, e.remove())
	}
	if err := errors.Join(failures...); err != nil {
		return true, err
	}
	return true, b.removeMark(h)
}

// holdsAll reports whether the request's addresses are known and the interface
// holds each, in a file of the usual name. It looks at these files only.
func (b book) holdsAll(r Request) bool {
	known := r.known()
	for a := range known {
		content, err := os.ReadFile(disk.GetEscapedPath(b.dir, a.String()))
		if err != nil || !r.holder().holds(string(content)) {
			return false
		}
	}
	return len(known) > 0
}
