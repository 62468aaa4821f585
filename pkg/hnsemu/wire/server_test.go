// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

func TestCall(t *testing.T) {
	host := newSpy()
	c := dial(t, serve(t, host))
	long := strings.Repeat("ß", 1<<20)
	call := hnsemu.Call{Client: "9@1", Proc: "Echo", Args: []string{long, "{}"}}
	got, err := c.Call(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	want := hnsemu.Reply{Code: 0x803b0002, Handle: 1<<63 + 7, Out: long, Record: "{}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]hnsemu.Call{call}, host.received()); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func TestClientsAreToldApart(t *testing.T) {
	addr := serve(t, newSpy())
	a, b := dial(t, addr), dial(t, addr)
	var names []string
	for _, c := range []*Client{a, a, b} {
		reply, err := c.Call(t.Context(), hnsemu.Call{Proc: "Who"})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, reply.Out)
	}
	if names[0] != names[1] || names[0] == names[2] {
		t.Errorf("one client is called %s and %s, another %s", names[0], names[1], names[2])
	}
}

func TestCut(t *testing.T) {
	c := dial(t, serve(t, newSpy()))
	if _, err := c.Call(t.Context(), hnsemu.Call{Proc: "Cut"}); !errors.Is(err, hnsemu.ErrCut) {
		t.Errorf("Call: got %v, want %v", err, hnsemu.ErrCut)
	}
	if _, err := c.Call(t.Context(), hnsemu.Call{Proc: "Who"}); err != nil {
		t.Errorf("the call after a cut: %v", err)
	}
}

func TestHangEndsWithTheCaller(t *testing.T) {
	host := newSpy()
	c := dial(t, serve(t, host))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		receive(t, host.hanging)
		cancel()
	}()
	if _, err := c.Call(ctx, hnsemu.Call{Proc: "Hang"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Call: got %v, want %v", err, context.Canceled)
	}
	if err := receive(t, host.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the call on the host: got %v, want %v", err, context.Canceled)
	}
}

func TestHangEndsWithTheServer(t *testing.T) {
	host := newSpy()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, host) }()
	c := dial(t, l.Addr().String())
	go func() {
		receive(t, host.hanging)
		cancel()
	}()
	if _, err := c.Call(t.Context(), hnsemu.Call{Proc: "Hang"}); !errors.Is(err, hnsemu.ErrCut) {
		t.Errorf("Call: got %v, want %v", err, hnsemu.ErrCut)
	}
	if err := receive(t, served); err != nil {
		t.Errorf("Serve: %v", err)
	}
	got, err := c.Call(t.Context(), hnsemu.Call{Proc: "Who"})
	if want := (hnsemu.Reply{Code: codeServerUnavailable}); err != nil || got != want {
		t.Errorf("Call without a server: got %+v, %v, want %+v", got, err, want)
	}
}

func TestForgetClient(t *testing.T) {
	host := newSpy()
	addr := serve(t, host)
	first, second := dial(t, addr), dial(t, addr)
	for _, c := range []*Client{first, second} {
		if _, err := c.Call(t.Context(), hnsemu.Call{Client: "9@1", Proc: "Who"}); err != nil {
			t.Fatal(err)
		}
	}
	first.Close()
	if got := receive(t, host.forgotten); got != first.name {
		t.Errorf("forgot %s, want %s: 9@1 has a connection left", got, first.name)
	}
	second.Close()
	got := []string{receive(t, host.forgotten), receive(t, host.forgotten)}
	if got[0] != "9@1" && got[1] != "9@1" {
		t.Errorf("forgot %q, want 9@1 among them", got)
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	c := dial(t, serve(t, newSpy()))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 50 {
				want := fmt.Sprint(i, j)
				got, err := c.Call(t.Context(), hnsemu.Call{Proc: "Echo", Args: []string{want, ""}})
				if err != nil || got.Out != want {
					t.Errorf("call %s: got %q, %v", want, got.Out, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestServeRefusesOtherMachines(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), l, newSpy()); err == nil {
		t.Error("Serve accepts a listener on all addresses")
	}
}

// FuzzServer: whatever a peer sends, the server ends the connection when the
// peer does, and the Host sees only calls that follow the format.
func FuzzServer(f *testing.F) {
	hello := sent(f, helloFrame("9@1"))
	f.Add(hello)
	f.Add(append(bytes.Clone(hello), sent(f, requestFrame("Who", nil))...))
	f.Add(append(bytes.Clone(hello), sent(f, requestFrame("hnsemu.Counts", nil))...))
	f.Add(append(bytes.Clone(hello), sent(f, requestFrame("hnsemu.SetLatency", []string{"1", "tru"}))...))
	f.Add(append(bytes.Clone(hello), 0xff, 0xff, 0xff, 0xff))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte(controlPrefix)) && bytes.Contains(in, []byte("Latency")) {
			t.Skip("a latency from the fuzzer would be waited for")
		}
		host := newSpy()
		s := &server{host: host, open: map[string]int{}}
		near, far := net.Pipe()
		s.wait.Go(func() { s.serve(context.Background(), far) })
		go func() { _, _ = io.Copy(io.Discard, near) }()
		if err := near.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = near.Write(in) // the server may hang up in the middle
		near.Close()
		s.wait.Wait()
		for _, c := range host.received() {
			if c.Client == "" || c.Proc == "" {
				t.Errorf("the host was asked for %+v", c)
			}
		}
		if len(s.open) != 0 {
			t.Errorf("connections left: %v", s.open)
		}
	})
}
