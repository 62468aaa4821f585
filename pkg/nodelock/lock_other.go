// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package nodelock

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock is a file. It stays: whoever removed it could remove one that others wait for.
type lock struct{ *os.File }

func open(object string) (lock, error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), object+".lock"), os.O_CREATE|os.O_RDONLY, 0o644)
	return lock{f}, err
}

func (l lock) try() (bool, error) {
	err := syscall.Flock(int(l.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}

func (l lock) close() { l.Close() }
