// SPDX-License-Identifier: Apache-2.0

package nodelock

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/windows"
)

// global is the namespace of kernel objects that all logon sessions share: a
// name without it would not exclude an admin's shell from containerd's session.
const global = `Global\`

// acquire holds a named mutex until the returned function is called, once. Such a mutex belongs to a thread, so a goroutine
// with a thread of its own waits for it, holds it and releases it.
func acquire(ctx context.Context, name string) (func(), error) {
	acquired, done, freed := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(freed)
		hold(ctx, name, acquired, done)
	}()
	if err := <-acquired; err != nil {
		return nil, err
	}
	return func() {
		close(done)
		<-freed
	}, nil
}

// hold sends nil once it has the mutex, which it then keeps until done is closed,
// or the reason why it has not.
func hold(ctx context.Context, name string, acquired chan<- error, done <-chan struct{}) {
	runtime.LockOSThread()
	mutex, err := open(name)
	if err != nil {
		runtime.UnlockOSThread()
		acquired <- err
		return
	}
	defer windows.CloseHandle(mutex) //nolint:errcheck // there is nothing else to do with it
	err = wait(ctx, name, mutex)
	acquired <- err
	if err == nil {
		<-done
		err = windows.ReleaseMutex(mutex)
		if err != nil {
			return // without unlocking: the thread ends, which frees its mutexes
		}
	}
	runtime.UnlockOSThread()
}

// rights are those to ask for, in turn. CreateMutex would ask for all, which
// Administrators do not have to a mutex that SYSTEM made. Waiting is the one that
// is needed; whether releasing needs another, Microsoft's pages disagree.
var rights = []uint32{windows.SYNCHRONIZE | windows.MUTEX_MODIFY_STATE, windows.SYNCHRONIZE}

// open opens the mutex or makes it.
func open(name string) (mutex windows.Handle, err error) {
	object := global + objectName(name)
	utf16, err := windows.UTF16PtrFromString(object)
	if err != nil {
		return 0, openError(name, object, err)
	}
	for _, access := range rights {
		mutex, err = windows.CreateMutexEx(nil, utf16, 0, access)
		if !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			break
		}
	}
	if err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return 0, openError(name, object, err)
	}
	return mutex, nil
}

func openError(name, object string, err error) error {
	reason := "create the mutex " + object
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		reason = "another user made the mutex " + object + " and lets nobody else wait for it: run as SYSTEM or as an administrator"
	case errors.Is(err, windows.ERROR_INVALID_HANDLE):
		reason = "another program has an object named " + object + " that is no mutex: end that program"
	}
	return fmt.Errorf("lock %q of this node: %s: %w", name, reason, err)
}

// wait waits for the mutex and for the end of ctx, as two objects: waiting in
// slices would be late for the one and wake up for nothing for the other.
func wait(ctx context.Context, name string, mutex windows.Handle) error {
	ended, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return fmt.Errorf("lock %q of this node: create event: %w", name, err)
	}
	defer windows.CloseHandle(ended) //nolint:errcheck // there is nothing else to do with it
	// On the heap, since the goroutine that ends the wait has it, too: x/sys hides
	// the address from the runtime, which could move a stack meanwhile.
	objects := []windows.Handle{ended, mutex}
	defer runtime.KeepAlive(objects)
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		_ = windows.SetEvent(objects[0]) // the handle is good: it is closed after told
	})
	defer func() {
		if !stop() {
			<-told
		}
	}()
	// Of two that are ready the first one counts: no lock for who has given up.
	got, err := windows.WaitForMultipleObjects(objects, false, windows.INFINITE)
	switch {
	case err != nil:
		return fmt.Errorf("lock %q of this node: wait: %w", name, err)
	case got == windows.WAIT_OBJECT_0:
		return waitError(name, ctx.Err())
	case got == windows.WAIT_OBJECT_0+1, got == windows.WAIT_ABANDONED+1:
		return nil
	default:
		return fmt.Errorf("lock %q of this node: wait: unexpected answer %#x", name, got)
	}
}
