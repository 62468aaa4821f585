// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"fmt"
)

// String returns the kind and the moment: "hang before".
func (f Fault) String() string {
	if f.After {
		return string(f.Kind) + " after"
	}
	return string(f.Kind) + " before"
}

// validate refuses faults that could never act or would not be noticed.
func (f Fault) validate() error {
	if f.Nth < 1 {
		return fmt.Errorf("fault: nth %d is not 1 or more", f.Nth)
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

// matches reports whether the fault counts the call.
func (f Fault) matches(c Call) bool {
	return (f.Proc == "" || f.Proc == c.Proc) && (f.Client == "" || f.Client == c.Client)
}

// armedFault is a fault and how many calls it has counted.
type armedFault struct {
	Fault
	seen int
}

// due counts a matching call and reports whether it is to go wrong.
func (f *armedFault) due() bool {
	f.seen++
	return f.seen == f.Nth || f.Every && f.seen > f.Nth
}

// hang is a call that does not answer.
type hang struct {
	client string
	cut    bool
	done   chan struct{}
}

// AddFault arms one fault. It fails when the fault is none that could act.
func (h *Host) AddFault(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, &armedFault{Fault: f})
	return nil
}

// ClearFaults disarms all faults and lets calls that hang go on.
func (h *Host) ClearFaults() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = nil
	h.release("", false)
	return nil
}

// strike returns the fault that is to act on the call: the first added of those
// that are due. Every matching fault counts the call.
func (h *Host) strike(c Call) *Fault {
	var hit *Fault
	for _, f := range h.faults {
		if f.matches(c) && f.due() && hit == nil {
			fault := f.Fault
			hit = &fault
		}
	}
	return hit
}

// act lets a fault take its course. The call goes on unless done.
func (h *Host) act(ctx context.Context, c Call, f Fault) (reply Reply, done bool, err error) {
	switch f.Kind {
	case FaultFail:
		return h.failed(c.Proc, f.Code), true, nil
	case FaultCut:
		return Reply{}, true, ErrCut
	}
	waiting := &hang{client: c.Client, done: make(chan struct{})}
	h.mu.Lock()
	h.hangs[waiting] = true
	h.mu.Unlock()
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-waiting.done:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.hangs, waiting)
	if waiting.cut {
		err = ErrCut
	}
	return Reply{}, err != nil, err
}

// release ends the hanging calls of a client, or all when it is empty: they go
// on, or are cut off.
func (h *Host) release(client string, cut bool) {
	for waiting := range h.hangs {
		if client == "" || client == waiting.client {
			waiting.cut = cut
			close(waiting.done)
			delete(h.hangs, waiting)
		}
	}
}
