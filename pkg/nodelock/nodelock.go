// SPDX-License-Identifier: Apache-2.0

// Package nodelock excludes the processes and goroutines of one node from each
// other. It decides nothing about what a lock guards, keeps no state of its own,
// and must never outlive its holder: a process that is killed frees its locks.
package nodelock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Lock is what Acquire does. Tests take the place of it.
type Lock func(ctx context.Context, name string) (release func(), err error)

// Acquire waits until no other process or goroutine of this node holds the lock
// of that name, or until ctx ends; the error then wraps ctx.Err(). Names that
// differ in letter case only are the same lock, as HNS compares them. Nothing is
// known of how the last holder ended: read what the lock guards anew.
//
// release frees the lock and returns when it is free. It may be called from any
// goroutine and more than once. The lock is not recursive.
func Acquire(ctx context.Context, name string) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, waitError(name, err)
	}
	turn := turnOf(objectName(name))
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, waitError(name, ctx.Err())
	}
	held, err := acquire(ctx, name)
	if err != nil {
		<-turn
		return nil, err
	}
	return sync.OnceFunc(func() {
		held.close()
		<-turn
	}), nil
}

// slice is how long to wait before trying again: neither flock(2) nor LockFileEx can be
// told to give up.
const slice = 5 * time.Millisecond

// acquire takes the platform's lock, which other processes wait for.
func acquire(ctx context.Context, name string) (lock, error) {
	l, err := open(objectName(name))
	if err != nil {
		return lock{}, fmt.Errorf("lock %q of this node: %w", name, err)
	}
	again := time.NewTicker(slice)
	defer again.Stop()
	for {
		got, err := l.try()
		switch {
		case got:
			return l, nil
		case err != nil:
			l.close()
			return lock{}, fmt.Errorf("lock %q of this node: %w", name, err)
		}
		select {
		case <-ctx.Done():
			l.close()
			return lock{}, waitError(name, ctx.Err())
		case <-again.C:
		}
	}
}

// Share returns how long to wait for a lock that one can do without: the time that its
// holder may need, and not more than a third of what is left of ctx.
func Share(ctx context.Context, most time.Duration) time.Duration {
	const part = 3
	if deadline, ok := ctx.Deadline(); ok {
		return min(most, time.Until(deadline)/part)
	}
	return most
}

// turns has a channel for each name that this process has used. Its goroutines
// take turns in memory first: the platform's locks are no synchronisation in the
// sense of Go's memory model, so one could read what another had not yet written.
var turns sync.Map

func turnOf(object string) chan struct{} {
	turn, _ := turns.LoadOrStore(object, make(chan struct{}, 1))
	return turn.(chan struct{})
}

// waitError tells that the time was up, and why there was a wait.
func waitError(name string, err error) error {
	return fmt.Errorf("lock %q of this node: wait for whoever holds it: %w", name, err)
}

// longest is how long a name may be that is used as it is: far below MAX_PATH
// with all that is put in front of it.
const longest = 64

// objectName returns the name of the lock for the kernel or the file system: the
// name itself where that is short and plain, else its hash. The sign before the
// hash is in no plain name.
func objectName(name string) string {
	folded := strings.Map(fold, name)
	if len(folded) <= longest && strings.IndexFunc(folded, odd) < 0 {
		return "bulkhead-" + folded
	}
	sum := sha256.Sum256([]byte(folded))
	return "bulkhead-#" + hex.EncodeToString(sum[:])
}

// fold maps all letters that strings.EqualFold holds for equal to one of them.
func fold(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}

func odd(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
}
