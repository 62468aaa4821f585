// SPDX-License-Identifier: Apache-2.0

package nodelock

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"github.com/bulkhead-cni/bulkhead/pkg/adminonly"
)

// dir is where the file is. A named mutex would be anybody's: a program that makes it
// first, or waits for it longest, holds up the pods of the node.
func dir() string {
	return filepath.Join(cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`), "bulkhead")
}

// open opens the one file that all locks are in, which nobody but SYSTEM and
// Administrators can.
func open(object string) (lock, error) {
	if err := adminonly.MakeDir(dir()); err != nil {
		return lock{}, err
	}
	path := filepath.Join(dir(), "lock")
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return lock{}, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	file, err := windows.CreateFile(name, windows.GENERIC_READ, share, nil, windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return lock{}, fmt.Errorf("open %s: run as SYSTEM or as an administrator: %w", path, err)
	}
	if err != nil {
		return lock{}, fmt.Errorf("open %s: %w", path, err)
	}
	sum := sha256.Sum256([]byte(object))
	at := binary.BigEndian.Uint64(sum[:]) >> 1 // Windows counts with a sign
	return lock{file, windows.Overlapped{Offset: uint32(at), OffsetHigh: uint32(at >> 32)}}, nil
}

// lock is a byte of the file, far behind its end. Windows frees it when the process that
// has it ends (Microsoft, LockFileEx).
type lock struct {
	file windows.Handle
	at   windows.Overlapped
}

func (l lock) try() (bool, error) {
	err := windows.LockFileEx(l.file, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &l.at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

// close frees the lock at once: that the handle is closed would do so some time later.
func (l lock) close() {
	_ = windows.UnlockFileEx(l.file, 0, 1, 0, &l.at) // it may not be held
	_ = windows.CloseHandle(l.file)
}
