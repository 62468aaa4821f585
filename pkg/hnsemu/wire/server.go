// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// Host is what a server needs of the emulator; *hnsemu.Host is one.
type Host interface {
	hnsemu.Caller
	hnsemu.Control
	// ForgetClient closes the handles of a client that is gone.
	ForgetClient(client string)
}

// Serve answers the calls that come in through l until ctx ends; then it closes
// l, cuts off every connection, waits until the calls have returned and returns
// nil. A listener that other machines can reach is refused: whoever connects
// commands the emulator.
func Serve(ctx context.Context, l net.Listener, host Host) error {
	defer l.Close()
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return fmt.Errorf("serve on %s: not a loopback address", l.Addr())
	}
	s := &server{host: host, open: map[string]int{}}
	defer s.wait.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve on %s: %w", l.Addr(), err)
		}
		s.wait.Go(func() { s.serve(ctx, conn) })
	}
}

type server struct {
	host Host
	wait sync.WaitGroup

	mu   sync.Mutex
	open map[string]int // connections by client name
}

// serve answers one connection until either side closes it.
func (s *server) serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()

	r := bufio.NewReader(conn)
	payload, err := readFrame(r)
	if err != nil {
		return
	}
	client, err := parseHello(payload)
	if err != nil {
		return
	}
	s.enter(client)
	defer s.leave(client)
	for payload := range s.requests(ctx, cancel, r) {
		proc, args, err := parseRequest(payload)
		if err != nil {
			return
		}
		reply, err := s.call(ctx, hnsemu.Call{Client: client, Proc: proc, Args: args})
		if err != nil {
			return // unanswered: the call was cut off
		}
		if err := writeFrame(conn, replyFrame(reply)); err != nil {
			return
		}
	}
}

// requests reads ahead of the calls, so that the end of the connection ends the
// context of a call that hangs.
func (s *server) requests(ctx context.Context, cancel func(), r *bufio.Reader) <-chan []byte {
	payloads := make(chan []byte)
	s.wait.Go(func() {
		defer close(payloads)
		defer cancel()
		for {
			payload, err := readFrame(r)
			if err != nil {
				return
			}
			select {
			case payloads <- payload:
			case <-ctx.Done():
				return
			}
		}
	})
	return payloads
}

func (s *server) call(ctx context.Context, c hnsemu.Call) (hnsemu.Reply, error) {
	if verb, ok := controlVerb(c.Proc); ok {
		return control(s.host, verb, c.Args), nil
	}
	return s.host.Call(ctx, c)
}

func (s *server) enter(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[client]++
}

func (s *server) leave(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[client]--
	if s.open[client] == 0 {
		delete(s.open, client)
		// Under the lock: a client that comes back at this moment must not
		// lose the handles of its new connection.
		s.host.ForgetClient(client)
	}
}
