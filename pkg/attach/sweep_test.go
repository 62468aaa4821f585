// SPDX-License-Identifier: Apache-2.0

package attach_test

import (
	"fmt"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// sweepFaults are what each native call is made to suffer. The codes stand for
// the classes: unspecific, gone, refused, attached already, and away.
var sweepFaults = []hnsemu.Fault{
	{Kind: hnsemu.FaultFail, Code: 0x80004005},
	{Kind: hnsemu.FaultFail, Code: 0x80070490},
	{Kind: hnsemu.FaultFail, Code: 0x803b000d},
	{Kind: hnsemu.FaultFail, Code: 0x803b002b},
	{Kind: hnsemu.FaultFail, Code: 0x800706ba},
	{Kind: hnsemu.FaultFail, Code: 0x80004005, After: true},
	{Kind: hnsemu.FaultCut},
	{Kind: hnsemu.FaultCut, After: true},
	{Kind: hnsemu.FaultHang},
	{Kind: hnsemu.FaultHang, After: true},
}

// For every driver, every native call of an ADD and every fault: the ADD works
// all the same or fails and leaves nothing, and neither does the DEL that follows.
// (After a hang an address may wait for that DEL.)
func TestSweepAdd(t *testing.T) {
	cases := 0
	for _, d := range hns.Drivers() {
		for _, f := range sweepFaults {
			if f.Kind == hnsemu.FaultHang && d != hns.NAT && d != hns.Overlay {
				continue // every case is waited for; these two have the least and the most calls
			}
			t.Run(fmt.Sprintf("%s %s %x", d, f, uint32(f.Code)), func(t *testing.T) {
				for nth := 1; sweepAdd(t, d, f, nth); nth++ {
					cases++
				}
			})
		}
	}
	t.Logf("sweep: %d cases of (driver, fault, native call)", cases)
	if cases < len(hns.Drivers())*(len(sweepFaults)-2)*15 {
		t.Errorf("only %d cases: an ADD has more calls than that", cases)
	}
}

// sweepAdd makes the nth native call of an ADD suffer the fault. It reports
// whether the ADD had that many calls.
func sweepAdd(t *testing.T, d hns.Driver, f hnsemu.Fault, nth int) bool {
	t.Helper()
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(d, "c1", netns1)
	if err := n.host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	f.Nth = nth
	if err := n.host.AddFault(f); err != nil {
		t.Fatal(err)
	}
	if f.Kind == hnsemu.FaultHang {
		n.limit(hangTime)
	}
	r, addErr := n.add(a)
	n.limit(callTime)
	struck := n.struck()
	if err := n.host.ClearFaults(); err != nil {
		t.Fatal(err)
	}
	when := fmt.Sprintf("%s at call %d (%s)", f, nth, struck)
	if addErr == nil {
		n.attached(a, r)
	} else {
		// The fault struck once, so undoing worked. Only when a create was not
		// waited for may its address stay, as HNS can make the endpoint yet.
		if endpoints := n.state().Endpoints; f.Kind != hnsemu.FaultHang || len(endpoints) > 0 {
			n.nothingLeft(when + ", after ADD")
		}
	}
	if err := n.del(a); err != nil {
		t.Errorf("%s: DEL after ADD (%v): %v", when, addErr, err)
	}
	n.nothingLeft(when)
	return struck != ""
}

// struck returns the call that a fault acted on, empty for none.
func (n *node) struck() string {
	n.Helper()
	calls, err := n.host.Calls()
	if err != nil {
		n.Fatal(err)
	}
	for _, c := range calls {
		if c.Fault != "" {
			return c.Proc
		}
	}
	return ""
}

// From the nth native call of an ADD on nothing works, so neither does undoing:
// an endpoint that is left keeps its address, and the DEL that follows, when HNS
// is back, leaves nothing.
func TestSweepAddWithoutUndo(t *testing.T) {
	for _, d := range hns.Drivers() {
		for _, f := range sweepFaults {
			if f.Kind == hnsemu.FaultHang {
				continue // TestSweepAdd waits long enough for those
			}
			f.Every = true
			t.Run(fmt.Sprintf("%s %s %x", d, f, uint32(f.Code)), func(t *testing.T) {
				for nth := 1; sweepWithoutUndo(t, d, f, nth); nth++ {
				}
			})
		}
	}
}

func sweepWithoutUndo(t *testing.T, d hns.Driver, f hnsemu.Fault, nth int) bool {
	t.Helper()
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(d, "c1", netns1)
	if err := n.host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	f.Nth = nth
	if err := n.host.AddFault(f); err != nil {
		t.Fatal(err)
	}
	_, addErr := n.add(a)
	struck := n.struck()
	when := fmt.Sprintf("%s from call %d on (%s)", f, nth, struck)
	if endpoints, held := n.state().Endpoints, n.addresses(); len(endpoints) > 0 && len(held) == 0 {
		t.Errorf("%s: endpoint %s is left but its address was freed", when, endpoints[0].Name)
	}
	if err := n.host.ClearFaults(); err != nil {
		t.Fatal(err)
	}
	if err := n.del(a); err != nil {
		t.Errorf("%s: DEL after ADD (%v): %v", when, addErr, err)
	}
	n.nothingLeft(when)
	return struck != ""
}
