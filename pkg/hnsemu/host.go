// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// Host is an emulated Windows node with its HNS. Many processes may call it at
// once.
type Host struct {
	profile Profile
	now     func() time.Time

	// turn holds a token while calls that change anything are to be served one
	// at a time.
	turn chan struct{}

	// mu guards everything below. It is never held while a call sleeps or hangs.
	mu       sync.Mutex
	unknowns Unknowns
	node     Node
	stopped  bool
	// run counts the starts of the service. A call is cut off when the run that
	// it began in has ended.
	run     int
	store   store
	journal journal
	faults  []*armedFault
	hangs   map[*hang]bool
	late    []pending
	latency time.Duration
	serial  bool
	watch   func(State)

	// watching is held while watch is called.
	watching sync.Mutex
}

var _ Caller = (*Host)(nil)

// New returns a node with one network adapter and nothing on it.
func New(p Profile) *Host {
	if p.AddressTaken == 0 {
		p.AddressTaken = hns.CodeAddressReserved
	}
	return &Host{
		profile: p,
		now:     time.Now,
		turn:    make(chan struct{}, 1),
		node: Node{Adapters: []Adapter{{
			Name: "Ethernet", Address: netip.MustParsePrefix("192.168.1.5/24"), Index: 7,
		}}},
		store: newStore(),
		hangs: map[*hang]bool{},
	}
}

// Profile returns the profile that the node was made with.
func (h *Host) Profile() Profile { return h.profile }

// Call carries out one native call.
func (h *Host) Call(ctx context.Context, c Call) (Reply, error) {
	entry, fault := h.begin(c)
	reply, reason, err := h.serve(ctx, c, fault)
	h.end(entry, reply, reason, err)
	return reply, err
}

// serve applies the fault of a call and carries the call out.
func (h *Host) serve(ctx context.Context, c Call, fault *Fault) (Reply, string, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, "", err
	}
	if fault != nil && !fault.After {
		if reply, done, err := h.act(ctx, c, *fault); done {
			return reply, "", err
		}
	}
	reply, reason, err := h.carryOut(ctx, c)
	if err != nil || fault == nil || !fault.After {
		return reply, reason, err
	}
	if lost, done, err := h.act(ctx, c, *fault); done {
		return lost, reason, err
	}
	return reply, reason, nil
}

// carryOut waits for the latency and then executes the call. A caller that
// gives up meanwhile does not stop HNS: the call is carried out all the same.
func (h *Host) carryOut(ctx context.Context, c Call) (Reply, string, error) {
	h.mu.Lock()
	latency, serial, run := h.latency, h.serial, h.run
	h.mu.Unlock()
	if latency == 0 && !serial {
		return h.execute(c, run)
	}
	type result struct {
		reply  Reply
		reason string
		err    error
	}
	answer := make(chan result, 1)
	go func() {
		if serial && mutates(c) {
			h.turn <- struct{}{}
			defer func() { <-h.turn }()
		}
		time.Sleep(latency)
		reply, reason, err := h.execute(c, run)
		if ctx.Err() != nil {
			h.discard(reply.Handle)
		}
		answer <- result{reply, reason, err}
	}()
	select {
	case r := <-answer:
		return r.reply, r.reason, r.err
	case <-ctx.Done():
		return Reply{}, "", ctx.Err()
	}
}

// execute carries out a call at once, if the service still runs as it did when
// the call began.
func (h *Host) execute(c Call, run int) (Reply, string, error) {
	if mutates(c) {
		defer h.changed()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.run != run {
		return Reply{}, "the service ended during the call", ErrCut
	}
	reply, err := h.dispatch(c)
	if err != nil {
		return h.failed(c.Proc, schema.CodeOf(err)), schema.ReasonOf(err), nil
	}
	return reply, "", nil
}

// Watch has f called with the state at once and after each change, one call at a time and
// before whoever made the change is answered. f must not call the Host.
func (h *Host) Watch(f func(State)) {
	h.mu.Lock()
	h.watch = f
	h.mu.Unlock()
	h.changed()
}

// changed tells who watches.
func (h *Host) changed() {
	h.mu.Lock()
	watch := h.watch
	h.mu.Unlock()
	if watch == nil {
		return
	}
	h.watching.Lock()
	defer h.watching.Unlock()
	s, _ := h.State() // never fails on a Host
	watch(s)
}

// dispatch runs the function. One that does not exist is not implemented.
func (h *Host) dispatch(c Call) (Reply, error) {
	p, ok := procs[c.Proc]
	switch {
	case !ok:
		return Reply{}, schema.Errorf(schema.CodeNotImplemented, "no function %s", c.Proc)
	case h.stopped:
		return Reply{}, schema.Errorf(hns.CodeServiceNotActive, "the service is stopped")
	case len(c.Args) != p.args:
		return Reply{}, schema.Errorf(schema.CodeInvalidParameter, "%s takes %d arguments, got %d", c.Proc, p.args, len(c.Args))
	}
	return p.run(h, c)
}

// failed is the answer of a function that failed. HNSCall has no error record:
// it answers an HRESULT, or with some profiles an error in its body.
func (h *Host) failed(proc string, code hns.HRESULT) Reply {
	switch {
	case proc != procHNSCall:
		return Reply{Code: code, Record: schema.ErrorRecord(code)}
	case h.profile.ErrorsInBody:
		return Reply{Out: schema.Marshal(schema.AnswerV1{Error: schema.Text(code)})}
	}
	return Reply{Code: code}
}

// discard drops the handle of an answer that nobody received.
func (h *Host) discard(handle uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.store.handles, handle)
}

// ForgetClient notes that a process is gone: its handles are closed and its
// hanging calls are cut off. A client that was never seen is no error.
func (h *Host) ForgetClient(client string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release(client, true)
	h.keepHandles(client)
	h.closeHandles(client)
}

// closeHandles closes the handles of a client.
func (h *Host) closeHandles(client string) {
	for n, handle := range h.store.handles {
		if handle.client == client {
			delete(h.store.handles, n)
		}
	}
}

// OpenHandles returns how many handles a client has not closed.
func (h *Host) OpenHandles(client string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, handle := range h.store.handles {
		if handle.client == client {
			n++
		}
	}
	return n
}

// SetUnknowns chooses between answers where the real one is not known.
func (h *Host) SetUnknowns(u Unknowns) error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unknowns = u
	return nil
}

// Node returns the machine that HNS runs on.
func (h *Host) Node() Node {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Node{slices.Clone(h.node.Adapters), slices.Clone(h.node.BoundPorts)}
}

// SetNode replaces the machine that HNS runs on.
func (h *Host) SetNode(n Node) error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.node = Node{slices.Clone(n.Adapters), slices.Clone(n.BoundPorts)}
	return nil
}

// SetLatency delays every call. With serialise, calls that change anything are
// served one at a time, delay included.
func (h *Host) SetLatency(perCall time.Duration, serialise bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latency, h.serial = perCall, serialise
	return nil
}

// sameName compares names of networks or endpoints.
func (h *Host) sameName(a, b string) bool {
	if h.unknowns.NamesIgnoreCase {
		return equalFold(a, b)
	}
	return a == b
}

// parseHandle reads a handle, which travels in decimal.
func parseHandle(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, schema.Errorf(hns.CodeInvalidHandle, "%q is not a handle", s)
	}
	return n, nil
}
