// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestParallelPods: many processes set up and tear down pods at once, while
// others look at the node and break it. What they do not clean up must be
// nothing.
func TestParallelPods(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("L2Bridge", "n")
	before := c.dump()
	if err := c.SetLatency(10*time.Microsecond, true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var bystanders, pods sync.WaitGroup
	bystanders.Go(func() { c.meddle(ctx) })
	for i := range 24 {
		pods.Go(func() {
			pod := client{t, c.Host, fmt.Sprint("process ", i)}
			for range 3 {
				pod.setUpAndTearDown(n, i)
			}
			c.ForgetClient(pod.name)
		})
	}
	pods.Wait()
	cancel()
	bystanders.Wait()
	if got := c.dump(); got != before {
		t.Errorf("left behind:\n%s", got)
	}
	counts, _ := c.Counts()
	if got := counts["HcnCreateEndpoint"]; got != 24*3 {
		t.Errorf("%d endpoints were made", got)
	}
}

// setUpAndTearDown is what a pod's life looks like to HNS.
func (c client) setUpAndTearDown(network string, i int) {
	s := c.create("Namespace", `{}`)
	e := c.createEndpoint(network, v2(fmt.Sprintf(`"Name":"pod%d","Policies":[{"Type":"PortMapping","Settings":{"Protocol":6,
		"InternalPort":80,"ExternalPort":%d,"Flags":1}}]`, i, 8000+i)))
	if got := c.attach(s, e); got != 0 {
		c.Errorf("attach: %s", got)
	}
	id := fmt.Sprint("container", i)
	if err := c.StartContainer(Container{ID: id, NamespaceID: s}); err != nil {
		c.Error(err)
	}
	if _, err := c.Evaluate(Packet{EndpointID: e, Direction: hns.In, Protocol: 6, Remote: netip.MustParseAddr("10.0.0.9")}); err != nil {
		c.Error(err)
	}
	if err := c.StopContainer(id); err != nil {
		c.Error(err)
	}
	c.must("HcnDeleteEndpoint", e)
	c.must("HcnDeleteNamespace", s)
}

// meddle looks at the node and adds and clears faults for a client that there is
// not.
func (c client) meddle(ctx context.Context) {
	for ctx.Err() == nil {
		_, err1 := c.Dump()
		_, err2 := c.State()
		_, err3 := c.Calls()
		err4 := c.AddFault(Fault{Nth: 1, Kind: FaultHang, Client: "nobody"})
		err5 := c.ClearFaults()
		err6 := c.SetUnknowns(Unknowns{})
		for _, err := range []error{err1, err2, err3, err4, err5, err6} {
			if err != nil {
				c.Error(err)
			}
		}
		c.must("HNSCall", "GET", "/endpoints/", "")
		c.must("HcnEnumerateEndpoints", "")
	}
}

// TestOneAddressEach: addresses that are chosen at the same time differ.
func TestOneAddressEach(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("Overlay", "n")
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			pod := client{t, c.Host, fmt.Sprint(i)}
			pod.createEndpoint(n, v2(`"Name":"e"`))
		})
	}
	group.Wait()
	state, _ := c.State()
	seen := map[netip.Prefix]bool{}
	macs := map[string]bool{}
	for _, e := range state.Endpoints {
		seen[e.Addresses[0]] = true
		macs[e.MAC] = true
	}
	if len(seen) != 50 || len(macs) != 50 {
		t.Errorf("%d addresses and %d MAC addresses for 50 endpoints", len(seen), len(macs))
	}
}
