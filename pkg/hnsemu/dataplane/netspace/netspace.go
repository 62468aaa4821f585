// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package netspace makes Linux network namespaces that a file keeps, and runs code in them.
package netspace

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Do runs f on a thread that is in a network namespace. What f starts is in it, too, and so
// are the sockets that it opens.
func Do(ns netns.NsHandle, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// New makes a network namespace and mounts it at a path where no file may be.
func New(path string) (netns.NsHandle, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return netns.None(), err
	}
	file.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
	})
	if err != nil {
		return netns.None(), errors.Join(fmt.Errorf("make a network namespace: %w", err), os.Remove(path))
	}
	return netns.GetFromPath(path)
}

// Remove takes what New made away. The namespace lives on as long as a process is in it.
// One that is gone is no error.
func Remove(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// onThread runs f on a thread that ends with it. The main thread would not end, and stay in
// the namespace: whoever opens /proc/PID/ns/net finds the main thread's.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			err := onThread(f) // on another one, since this one is taken
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}
