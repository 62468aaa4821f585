// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"fmt"
)

// String returns the kind, the moment and whether the call comes late: "hang
// before", "hang before, late".
func (f Fault) String() string {
	switch {
	case f.Late:
		return string(f.Kind) + " before, late"
	case f.After:
		return string(f.Kind) + " after"
	}
	return string(f.Kind) + " before"
}

// validate refuses faults that could never occur or would not be noticed.
func (f Fault) validate() error {
	if f.Nth < 1 {
		return fmt.Errorf("fault: nth %d is not 1 or more", f.Nth)
	}
	if f.Late && (f.Kind != FaultHang || f.After) {
		return fmt.Errorf("fault: %s cannot be late, only a hang before can", Fault{Kind: f.Kind, After: f.After})
	}
	switch f.Kind {
	case FaultFail:
		if !f.Code.Failed() {
			return fmt.Errorf("fault: code %s is no failure", f.Code)
		}
	case FaultHang, FaultCut:
	default:
		return fmt.Errorf("fault: kind %q is not one of fail, hang, cut", f.Kind)
	}
	return nil
}

// matches reports whether the fault is about the call.
func (f Fault) matches(c Call) bool {
	return (f.Proc == "" || f.Proc == c.Proc) && (f.Client == "" || f.Client == c.Client)
}

// armedFault is a fault and how many calls it has seen.
type armedFault struct {
	Fault
	seen int
}

// due counts a matching call and reports whether it fails.
func (f *armedFault) due() bool {
	f.seen++
	return f.seen == f.Nth || f.Every && f.seen > f.Nth
}

// pending is a call that HNS has received and not carried out, and the run of
// the service that received it.
type pending struct {
	call Call
	run  int
}

// hang is a call that does not answer.
type hang struct {
	pending
	ctx  context.Context
	late bool
	done chan struct{}
	// err is why the call does not go on, set before done is closed.
	err error
}

// AddFault adds a fault. It fails when the fault could never occur.
func (h *Host) AddFault(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, &armedFault{Fault: f})
	return nil
}

// ClearFaults removes all faults, lets calls that hang go on and carries out
// those that come late.
func (h *Host) ClearFaults() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = nil
	h.release("", false)
	for _, p := range h.late {
		if p.run == h.run {
			// Nobody waits for the answer.
			reply, _ := h.dispatch(p.call)
			delete(h.store.handles, reply.Handle)
		}
	}
	h.late = nil
	h.closeHandles(noClient)
	return nil
}

// dueFault returns the fault of a call: the first added of those that are due.
// Every matching fault counts the call.
func (h *Host) dueFault(c Call) *Fault {
	var hit *Fault
	for _, f := range h.faults {
		if f.matches(c) && f.due() && hit == nil {
			fault := f.Fault
			hit = &fault
		}
	}
	return hit
}

// act applies a fault. The call goes on unless done.
func (h *Host) act(ctx context.Context, c Call, f Fault) (reply Reply, done bool, err error) {
	switch f.Kind {
	case FaultFail:
		return h.failed(c.Proc, f.Code), true, nil
	case FaultCut:
		return Reply{}, true, ErrCut
	}
	waiting := &hang{pending: pending{call: c}, ctx: ctx, late: f.Late, done: make(chan struct{})}
	h.mu.Lock()
	waiting.run = h.run
	h.hangs[waiting] = true
	h.mu.Unlock()
	select {
	case <-ctx.Done():
		h.mu.Lock()
		h.endHang(waiting, false)
		h.mu.Unlock()
	case <-waiting.done:
	}
	return Reply{}, waiting.err != nil, waiting.err
}

// endHang ends a hang, once. The call goes on, or it fails, since its caller
// has given up or cut is true. A call that fails is dropped, or carried out
// later.
func (h *Host) endHang(waiting *hang, cut bool) {
	if !h.hangs[waiting] {
		return
	}
	delete(h.hangs, waiting)
	if waiting.err = waiting.ctx.Err(); waiting.err == nil && cut {
		waiting.err = ErrCut
	}
	if waiting.err != nil && waiting.late {
		h.late = append(h.late, waiting.pending)
	}
	close(waiting.done)
}

// release ends the hanging calls of a client, or of all clients when it is "".
// They go on, or are cut off.
func (h *Host) release(client string, cut bool) {
	for waiting := range h.hangs {
		if client == "" || client == waiting.call.Client {
			h.endHang(waiting, cut)
		}
	}
}

// noClient is the client of late calls whose caller is gone, and of the handles
// that they need: RPC closes the handles of a process when its last call has
// returned. No process has that name.
const noClient = "\x00"

// keepHandles keeps the handles of a client for its late calls, if it has any.
func (h *Host) keepHandles(client string) {
	hasLate := false
	for i := range h.late {
		if h.late[i].call.Client == client {
			h.late[i].call.Client = noClient
			hasLate = true
		}
	}
	if !hasLate {
		return
	}
	for n, opened := range h.store.handles {
		if opened.client == client {
			opened.client = noClient
			h.store.handles[n] = opened
		}
	}
}
