// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// codeServerUnavailable is what RPC answers when nobody listens.
const codeServerUnavailable hns.HRESULT = 0x800706ba

// Client calls an emulator in another process. Any number of goroutines may use
// it; each call that is on its way has a connection of its own.
type Client struct {
	addr string
	name string

	mu     sync.Mutex
	idle   map[string][]*link // by client name, latest used last
	closed bool
}

var _ hnsemu.Caller = (*Client)(nil)

var dials atomic.Uint64

// Dial connects to the server at addr. Each Client is a calling process to the
// emulator: handles got through one are unknown to the next.
func Dial(addr string) (*Client, error) {
	stamp := strconv.FormatInt(time.Now().UnixNano(), 36)
	c := &Client{
		addr: addr,
		name: fmt.Sprintf("%d@%s.%d", os.Getpid(), stamp, dials.Add(1)),
		idle: map[string][]*link{},
	}
	l, err := c.open(context.Background(), c.name)
	if err != nil {
		return nil, err
	}
	c.put(l)
	return c, nil
}

// Close ends the idle connections, and those of calls that are on their way when
// they are done.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for _, links := range c.idle {
		for _, l := range links {
			errs = append(errs, l.conn.Close())
		}
	}
	c.idle = nil
	return errors.Join(errs...)
}

// Call carries out a native call. When nobody listens any more it answers
// 0x800706ba, as RPC does. An empty Client stands for this Client.
func (c *Client) Call(ctx context.Context, call hnsemu.Call) (hnsemu.Reply, error) {
	name := call.Client
	if name == "" {
		name = c.name
	}
	l := c.take(name)
	if l == nil {
		var err error
		if l, err = c.open(ctx, name); ctx.Err() != nil {
			return hnsemu.Reply{}, fmt.Errorf("%s: %w", call.Proc, ctx.Err())
		} else if err != nil {
			return hnsemu.Reply{Code: codeServerUnavailable}, nil
		}
	}
	reply, err := l.exchange(ctx, call)
	if err != nil {
		l.conn.Close()
		return hnsemu.Reply{}, fmt.Errorf("%s: %w", call.Proc, err)
	}
	c.put(l)
	return reply, nil
}

func (c *Client) take(name string) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	links := c.idle[name]
	if len(links) == 0 {
		return nil
	}
	l := links[len(links)-1]
	c.idle[name] = links[:len(links)-1]
	return l
}

func (c *Client) put(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		l.conn.Close()
		return
	}
	c.idle[l.name] = append(c.idle[l.name], l)
}

func (c *Client) open(ctx context.Context, name string) (*link, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the emulator: %w", err)
	}
	if err := writeFrame(conn, helloFrame(name)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet the emulator: %w", err)
	}
	return &link{name: name, conn: conn, r: bufio.NewReader(conn)}, nil
}

// link is one connection, used by one call at a time.
type link struct {
	name string
	conn net.Conn
	r    *bufio.Reader
}

// exchange fails with the context's error or ErrCut; the connection is of no
// use then.
func (l *link) exchange(ctx context.Context, call hnsemu.Call) (hnsemu.Reply, error) {
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	reply, err := l.roundTrip(call)
	if !stop() && err == nil {
		// The context ended together with the call, and took the connection.
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return reply, nil
	case ctx.Err() != nil:
		return hnsemu.Reply{}, ctx.Err()
	default:
		return hnsemu.Reply{}, fmt.Errorf("%w: %w", hnsemu.ErrCut, err)
	}
}

func (l *link) roundTrip(call hnsemu.Call) (hnsemu.Reply, error) {
	if err := writeFrame(l.conn, requestFrame(call.Proc, call.Args)); err != nil {
		return hnsemu.Reply{}, err
	}
	payload, err := readFrame(l.r)
	if err != nil {
		return hnsemu.Reply{}, err
	}
	return parseReply(payload)
}
