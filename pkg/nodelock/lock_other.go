// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package nodelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// slice is how long to wait before asking again: flock(2) cannot be told to give
// up.
const slice = 5 * time.Millisecond

// acquire holds a lock on a file until the returned function is called, once.
// The file stays: whoever removed it could remove
// one that others wait for.
func acquire(ctx context.Context, name string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), objectName(name)+".lock"), os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %q of this node: %w", name, err)
	}
	if err := wait(ctx, name, f); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func wait(ctx context.Context, name string, f *os.File) error {
	again := time.NewTicker(slice)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("lock %q of this node: lock %s: %w", name, f.Name(), err)
		}
		select {
		case <-ctx.Done():
			return waitError(name, ctx.Err())
		case <-again.C:
		}
	}
}
