// SPDX-License-Identifier: Apache-2.0

package nodelock_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// utf16 is for Windows.
func utf16(t *testing.T, s string) *uint16 {
	t.Helper()
	p, err := windows.UTF16PtrFromString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closeLater(t *testing.T, h windows.Handle) {
	t.Cleanup(func() {
		if err := windows.CloseHandle(h); err != nil {
			t.Error(err)
		}
	})
}

// An admin's shell is in another session than containerd: the mutex is in the
// namespace that all have.
func TestAllSessions(t *testing.T) {
	acquire(t, "TestAllSessions")
	mutex, err := windows.OpenMutex(windows.SYNCHRONIZE, false, utf16(t, `Global\bulkhead-testallsessions`))
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, mutex)
	if got, err := windows.WaitForSingleObject(mutex, 0); got != uint32(windows.WAIT_TIMEOUT) {
		t.Errorf("got %#x, %v; the mutex is free", got, err)
	}
}

// Who may do no more than wait for another user's mutex has the lock, too.
func TestMutexOfAnotherUser(t *testing.T) {
	sd, err := windows.SecurityDescriptorFromString("D:(A;;0x100000;;;WD)")
	if err != nil {
		t.Fatal(err)
	}
	attributes := &windows.SecurityAttributes{SecurityDescriptor: sd}
	attributes.Length = uint32(unsafe.Sizeof(*attributes))
	object := utf16(t, `Global\bulkhead-testmutexofanotheruser`)
	mutex, err := windows.CreateMutex(attributes, false, object)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, mutex)
	// Else the rights do not count here, and the test could not fail.
	if _, err := windows.CreateMutex(nil, false, object); !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		t.Fatalf("the mutex can be opened for all: %v", err)
	}
	release := acquire(t, "TestMutexOfAnotherUser")
	waiting := other(t, "TestMutexOfAnotherUser")
	release()
	waiting.holds(t)
}

func TestNameTaken(t *testing.T) {
	event, err := windows.CreateEvent(nil, 1, 0, utf16(t, `Global\bulkhead-testnametaken`))
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, event)
	if _, err := nodelock.Acquire(t.Context(), "TestNameTaken"); err == nil || !strings.Contains(err.Error(), "is no mutex") {
		t.Errorf("got %v, want that it is no mutex", err)
	}
}
