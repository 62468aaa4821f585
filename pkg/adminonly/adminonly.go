// SPDX-License-Identifier: Apache-2.0

// Package adminonly keeps a directory for those who run the node: SYSTEM and
// Administrators on Windows. What Bulkhead reads there decides which pod has which
// address, and what it writes there it writes as SYSTEM.
package adminonly

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrUnsafe says that somebody else can change what is in a directory.
var ErrUnsafe = errors.New("unsafe directory")

// MakeDir makes a directory, with those above it that are missing, for SYSTEM and
// Administrators alone. It fails as Check does, and leaves one that is there as it is.
func MakeDir(path string) error {
	missing, err := walk(path)
	if err != nil {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := mkdir(missing[i]); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make directory %s: %w", missing[i], err)
		}
	}
	return nil
}

// Check fails with ErrUnsafe when a directory, or one above it but the drive's own,
// belongs to somebody else or is a link. What is not there yet is no failure.
func Check(path string) error {
	_, err := walk(path)
	return err
}

// walk checks what is there of a path and returns what is not, from the bottom up.
func walk(path string) (missing []string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	for dir := path; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		switch _, err := os.Lstat(dir); {
		case errors.Is(err, os.ErrNotExist):
			missing = append(missing, dir)
		case err != nil:
			return nil, err
		default:
			if err := check(dir); err != nil {
				return nil, err
			}
		}
	}
	return missing, nil
}

// link is the error about a directory that is a link.
func link(path string) error {
	return fmt.Errorf("%w: %s is a link, and whoever made it chooses where bulkhead writes; name the directory itself", ErrUnsafe, path)
}
