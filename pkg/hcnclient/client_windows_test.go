// SPDX-License-Identifier: Apache-2.0

package hcnclient

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnstest"
)

// TestContract runs against the emulated HNS behind the DLLs of test/shim when
// HNSEMU_ADDR is set, and against this machine's HNS when HNSTEST_NETWORK is:
// see package hnstest.
func TestContract(t *testing.T) {
	network := os.Getenv("HNSTEST_NETWORK")
	var opts []hnstest.Option
	switch {
	case network != "":
		opts = append(opts, hnstest.OnNetwork(network))
	case os.Getenv("HNSEMU_ADDR") == "":
		t.Skip("SKIPPED: neither HNSTEST_NETWORK names a disposable network of this machine nor is HNSEMU_ADDR set")
	}
	hnstest.Run(t, open, opts...)
}

func open(t *testing.T) hns.Client {
	t.Helper()
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWithoutHNS holds where there is no HNS: Wine without the shim, or Windows
// without the feature Containers.
func TestWithoutHNS(t *testing.T) {
	if err := syscall.NewLazyDLL("computenetwork.dll").Load(); err == nil {
		t.Skip("this machine has a computenetwork.dll")
	}
	c := open(t)
	if _, err := c.Network(t.Context(), "podnet"); !errors.Is(err, hns.ErrUnsupported) {
		t.Errorf("Network: %v, want ErrUnsupported", err)
	}
	if _, err := c.Features(t.Context()); !errors.Is(err, hns.ErrUnsupported) {
		t.Errorf("Features: %v, want ErrUnsupported", err)
	}
}
