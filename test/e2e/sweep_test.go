// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// For every native call that the executable makes in an ADD: the call fails, or
// the connection is cut off before or after it is carried out; the DEL that
// follows leaves nothing. On overlay, which takes the most calls, it suffers all of
// this, on nat, which takes the fewest, the worst: nobody knows what HNS has done.
// What the verbs do on each driver is swept in their own package.
func TestSweepAdd(t *testing.T) {
	t.Parallel()
	worst := hnsemu.Fault{Kind: hnsemu.FaultCut, After: true}
	var mu sync.Mutex
	cases := 0
	t.Run("drivers", func(t *testing.T) {
		for _, tt := range []struct {
			driver hns.Driver
			fault  hnsemu.Fault
		}{
			{hns.NAT, worst}, {hns.Overlay, worst},
			{hns.Overlay, hnsemu.Fault{Kind: hnsemu.FaultFail, Code: 0x80004005}}, {hns.Overlay, hnsemu.Fault{Kind: hnsemu.FaultCut}},
		} {
			t.Run(fmt.Sprintf("%s, %s", tt.driver, tt.fault), func(t *testing.T) {
				t.Parallel()
				calls := 0
				for sweepAdd(t, tt.driver, tt.fault, calls+1) {
					calls++
				}
				if calls < 15 {
					t.Errorf("an ADD made only %d native calls", calls)
				}
				mu.Lock()
				cases += calls
				mu.Unlock()
			})
		}
	})
	t.Logf("sweep: %d cases of (driver, fault, native call)", cases)
}

// sweepAdd makes the nth native call of an ADD suffer the fault and reports
// whether the ADD had that many.
func sweepAdd(t *testing.T, d hns.Driver, f hnsemu.Fault, nth int) bool {
	t.Helper()
	p := newPlugin(t, "2022")
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(d)}
	if err := p.node.Host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	f.Nth = nth
	if err := p.node.Host.AddFault(f); err != nil {
		t.Fatal(err)
	}
	r := p.run(c)
	struck := p.struck()
	if err := p.node.Host.ClearFaults(); err != nil {
		t.Fatal(err)
	}
	when := fmt.Sprintf("%s at call %d (%s)", f, nth, struck)
	if r.Code == 0 {
		if _, err := added(r); err != nil {
			t.Errorf("%s: ADD: %v", when, err)
		}
	} else if _, err := refused(r); err != nil {
		t.Errorf("%s: ADD: %v", when, err)
	}
	c.verb = "DEL"
	if err := deleted(p.run(c)); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	p.nothingLeft(when)
	return struck != ""
}

// struck returns the native call that a fault acted on, empty for none.
func (p *plugin) struck() string {
	p.Helper()
	calls, err := p.node.Host.Calls()
	if err != nil {
		p.Fatal(err)
	}
	for _, c := range calls {
		if c.Fault != "" {
			return c.Proc
		}
	}
	return ""
}

// A call that hangs ends in time, as code 11, and DEL repairs.
func TestHang(t *testing.T) {
	t.Parallel()
	for _, f := range []hnsemu.Fault{
		{Proc: "HcnCreateEndpoint", Nth: 1, Kind: hnsemu.FaultHang, After: true},
		{Proc: "HcnModifyNamespace", Nth: 1, Kind: hnsemu.FaultHang},
	} {
		t.Run(f.Proc, func(t *testing.T) {
			p := newPlugin(t, "2022")
			c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.Overlay, `"timeouts":{"call":"2s"}`)}
			if err := p.node.Host.AddFault(f); err != nil {
				t.Fatal(err)
			}
			r := p.run(c)
			e, err := refused(r)
			if err != nil || e.Code != 11 {
				t.Errorf("got %+v, %v", e, err)
			}
			if r.Elapsed.Seconds() > 20 {
				t.Errorf("took %s with calls of 2s", r.Elapsed)
			}
			if err := p.node.Host.ClearFaults(); err != nil {
				t.Fatal(err)
			}
			c.verb = "DEL"
			if err := deleted(p.run(c)); err != nil {
				t.Error(err)
			}
			p.nothingLeft("after DEL")
		})
	}
}

// killAt kills an invocation when it has reached the call that hangs, and waits
// until HNS knows that nobody waits for that any more: it would go on with it when
// the fault is taken away.
func (p *plugin) killAt(c call) {
	p.Helper()
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	ended := make(chan wine.Result, 1)
	go func() {
		r, err := p.node.Exec(ctx, wine.Cmd{Path: p.exe, Stdin: c.conf, Env: c.environment(p)})
		if err != nil {
			p.Error(err)
		}
		ended <- r
	}()
	for !p.hangs() {
		select {
		case r := <-ended:
			p.Fatalf("the %s ended by itself: %+v", c.verb, r)
		case <-time.After(10 * time.Millisecond):
		}
	}
	kill()
	if r := <-ended; !r.Killed {
		p.Fatalf("the %s was not killed: %+v", c.verb, r)
	}
	for start := time.Now(); p.hangs(); time.Sleep(time.Millisecond) {
		if time.Since(start) > wine.DefaultTimeout {
			p.Fatal("HNS still waits for the killed process")
		}
	}
}

// hangs reports whether HNS has a call that a fault keeps from coming back.
func (p *plugin) hangs() bool {
	p.Helper()
	calls, err := p.node.Host.Calls()
	if err != nil {
		p.Fatal(err)
	}
	return slices.ContainsFunc(calls, func(c hnsemu.LoggedCall) bool { return c.Pending && c.Fault != "" })
}

// kubelet's patience ends, containerd kills the ADD wherever it is: DEL repairs.
func TestKilledAdd(t *testing.T) {
	t.Parallel()
	for _, proc := range []string{"HcnCreateNetwork", "HcnCreateEndpoint", "HcnModifyNamespace", "HcnCloseNamespace"} {
		t.Run(proc, func(t *testing.T) {
			p := newPlugin(t, "2022")
			c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.L2Bridge)}
			if err := p.node.Host.AddFault(hnsemu.Fault{Proc: proc, Nth: 1, Kind: hnsemu.FaultHang, After: true}); err != nil {
				t.Fatal(err)
			}
			p.killAt(c)
			if err := p.node.Host.ClearFaults(); err != nil {
				t.Fatal(err)
			}
			c.verb, c.netns = "DEL", ""
			if err := deleted(p.run(c)); err != nil {
				t.Error(err)
			}
			p.nothingLeft("after DEL")
		})
	}
}
