// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netspace

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestMainThread: however many run in a namespace, and whoever gets the main thread, that
// stays where it was, and so does the namespace that others see of the process.
func TestMainThread(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	path := filepath.Join(t.TempDir(), "ns")
	ns, err := New(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
		ns.Close()
	})
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			err := Do(ns, func() error {
				in, err := os.Readlink("/proc/thread-self/ns/net")
				if in == before {
					t.Error("it ran outside of the namespace")
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	after, err := os.Readlink("/proc/self/ns/net")
	if err != nil || after != before {
		t.Errorf("the process is in %s, and was in %s: %v", after, before, err)
	}
}
