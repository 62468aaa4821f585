// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"maps"
	"slices"
)

// journalSize bounds the log. A daemon may run for days, and documents are long.
const journalSize = 1 << 14

// journal is the log of calls. Entries are pointers, since a call is noted when
// it begins and completed when it ends.
type journal struct {
	seq     int
	entries []*LoggedCall
	counts  map[string]int
}

// add notes a call that begins.
func (j *journal) add(c Call) *LoggedCall {
	j.seq++
	entry := &LoggedCall{Seq: j.seq, Client: c.Client, Proc: c.Proc, Args: slices.Clone(c.Args), Pending: true}
	if len(j.entries) == journalSize {
		j.entries = slices.Delete(j.entries, 0, journalSize/2)
	}
	j.entries = append(j.entries, entry)
	if j.counts == nil {
		j.counts = map[string]int{}
	}
	j.counts[c.Proc]++
	return entry
}

// begin notes a call and returns its fault, if it has one.
func (h *Host) begin(c Call) (*LoggedCall, *Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry := h.journal.add(c)
	fault := h.dueFault(c)
	if fault != nil {
		entry.Fault = fault.String()
	}
	return entry, fault
}

// end notes the answer of a call.
func (h *Host) end(entry *LoggedCall, reply Reply, reason string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry.Pending = false
	entry.Code = reply.Code
	entry.Reason = reason
	if err != nil {
		entry.Err = err.Error()
	}
}

// Calls returns the native calls since the log was last reset.
func (h *Host) Calls() ([]LoggedCall, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls := make([]LoggedCall, 0, len(h.journal.entries))
	for _, e := range h.journal.entries {
		c := *e
		c.Args = slices.Clone(e.Args)
		calls = append(calls, c)
	}
	return calls, nil
}

// Counts returns how many native calls each function has had.
func (h *Host) Counts() (map[string]int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal.counts == nil {
		return map[string]int{}, nil
	}
	return maps.Clone(h.journal.counts), nil
}

// ResetLog empties Calls and Counts.
func (h *Host) ResetLog() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.journal.entries, h.journal.counts = nil, nil
	return nil
}
