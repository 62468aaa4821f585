// SPDX-License-Identifier: Apache-2.0

package nodelock

import (
	"errors"
	"testing"

	"golang.org/x/sys/windows"
)

// Wine lets everybody wait for every mutex, so the refusal is made here.
func TestAccessDenied(t *testing.T) {
	got := openError("net1", `Global\bulkhead-net1`, windows.ERROR_ACCESS_DENIED)
	want := `lock "net1" of this node: another user made the mutex Global\bulkhead-net1 and lets nobody else wait for it: ` +
		"run as SYSTEM or as an administrator: " + windows.ERROR_ACCESS_DENIED.Error()
	if got.Error() != want || !errors.Is(got, windows.ERROR_ACCESS_DENIED) {
		t.Errorf("got %v, want %s", got, want)
	}
}
