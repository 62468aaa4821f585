// SPDX-License-Identifier: Apache-2.0

package hcnwin

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hns/hnstest"
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

// callTimeout lets an HNS that hangs fail the suite instead of hanging it.
const callTimeout = 2 * time.Minute

func open(t *testing.T) hns.Client {
	t.Helper()
	c, err := Open(callTimeout)
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
	_, err := c.ListNetworks(t.Context())
	if !errors.Is(err, hns.ErrUnsupported) || !strings.Contains(err.Error(), "HNSCall") {
		t.Errorf("ListNetworks: %v, want ErrUnsupported that names the function", err)
	}
}

// TestMissingFunction: a DLL that is there and too old.
func TestMissingFunction(t *testing.T) {
	err := findProc(windows.NewLazySystemDLL("kernel32.dll").NewProc("HNSCall"))
	var e *hns.Error
	if !errors.As(err, &e) || !errors.Is(err, hns.ErrUnsupported) || !strings.Contains(err.Error(), "too old") {
		t.Errorf("got %v, want ErrUnsupported for an old one", err)
	}
}

func TestInvalidArgument(t *testing.T) {
	_, err := native{}.Call(t.Context(), "GET", "/networks/\x00", nil)
	var e *hns.Error
	if !errors.As(err, &e) || !errors.Is(err, hns.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

// nodeVar says what TestUnderWine has done to the emulated HNS.
const nodeVar = "HNSEMU_NODE"

// TestNamesOutsideASCII: HNS speaks UTF-16.
func TestNamesOutsideASCII(t *testing.T) {
	if os.Getenv(nodeVar) != "podnet 以太网 𝟙" {
		t.Skip("SKIPPED: there is no network of such a name")
	}
	list, err := open(t).ListNetworks(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != os.Getenv(nodeVar) {
		t.Errorf("got %+v, %v; want %q", list, err, os.Getenv(nodeVar))
	}
}

func TestStopped(t *testing.T) {
	if os.Getenv(nodeVar) != "stopped" {
		t.Skip("SKIPPED: the emulated HNS runs, if any")
	}
	c := open(t)
	_, features := c.Features(t.Context())
	_, networks := c.ListNetworks(t.Context())
	_, namespaces := c.ListNamespaces(t.Context())
	for what, err := range map[string]error{"Features": features, "ListNetworks": networks, "ListNamespaces": namespaces} {
		var e *hns.Error
		if !errors.As(err, &e) || !errors.Is(err, hns.ErrUnavailable) || e.Code != hns.CodeServiceNotActive {
			t.Errorf("%s: %v, want %s", what, err, hns.CodeServiceNotActive)
		}
	}
}
