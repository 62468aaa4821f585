// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"slices"
	"sync"
	"time"
)

// Calls are the native calls of a verb. Its methods can be called from several goroutines,
// also by calls that end after the log was written. A nil *Calls has none.
type Calls struct {
	mu      sync.Mutex
	calls   []call
	omitted int
}

type call struct {
	verb, about string
	start       time.Time
	took        time.Duration
	err         error
}

// mostCalls is more than a verb makes on any node of a usual size: one that lists
// thousands of endpoints must not fill the log with them.
const mostCalls = 500

// Trace is an hcn.Trace.
func (c *Calls) Trace(verb, about string) (done func(error)) {
	start := time.Now()
	return func(err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.calls) == mostCalls {
			c.omitted++
			return
		}
		c.calls = append(c.calls, call{verb, about, start, time.Since(start), err})
	}
}

// all returns the calls that have ended, and how many more there were.
func (c *Calls) all() (calls []call, omitted int) {
	if c == nil {
		return nil, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls), c.omitted
}
