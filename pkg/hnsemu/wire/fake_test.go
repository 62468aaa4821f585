// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// spy is a Host that answers by proc and remembers what reached it. Its Control
// is that of an emulator, since nothing here depends on what the verbs do.
type spy struct {
	hnsemu.Control

	mu        sync.Mutex
	calls     []hnsemu.Call
	forgotten chan string
	hanging   chan string // procs of calls that began to hang
	ended     chan error  // why they ended
}

func newSpy() *spy {
	return &spy{
		Control:   hnsemu.New(hnsemu.Profiles()[0]),
		forgotten: make(chan string, 64),
		hanging:   make(chan string, 64),
		ended:     make(chan error, 64),
	}
}

func (s *spy) Call(ctx context.Context, c hnsemu.Call) (hnsemu.Reply, error) {
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	switch c.Proc {
	case "Cut":
		return hnsemu.Reply{}, hnsemu.ErrCut
	case "Hang":
		s.hanging <- c.Proc
		<-ctx.Done()
		s.ended <- ctx.Err()
		return hnsemu.Reply{}, ctx.Err()
	case "Echo":
		return hnsemu.Reply{Code: 0x803b0002, Handle: 1<<63 + 7, Out: c.Args[0], Record: c.Args[1]}, nil
	}
	return hnsemu.Reply{Out: c.Client}, nil
}

func (s *spy) ForgetClient(client string) { s.forgotten <- client }

func (s *spy) received() []hnsemu.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]hnsemu.Call(nil), s.calls...)
}

// serve runs a server for the length of the test and returns its address.
func serve(t *testing.T, host Host) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, host) }()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, done); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string) *Client {
	t.Helper()
	c, err := Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receive fails the test when nothing comes in time.
func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 s")
	}
	return got
}
