// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// Ten ADDs that race make one network.
func TestAddRace(t *testing.T) {
	n := newNode(t, "2022")
	if err := n.host.SetLatency(time.Millisecond, false); err != nil {
		t.Fatal(err)
	}
	const pods = 10
	var all []config.Config
	for i := range pods {
		netns := fmt.Sprintf("5e7ec6f4-3d7c-4b6e-8d6e-0000000001%02d", i)
		n.namespace(netns)
		all = append(all, n.attachment(hns.L2Bridge, fmt.Sprint("c", i), netns))
	}
	var wg sync.WaitGroup
	for _, a := range all {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := n.add(a); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	s := n.state()
	if len(s.Networks) != 1 || len(s.Endpoints) != pods || len(n.addresses()) != pods {
		t.Errorf("%d networks, %d endpoints, %d addresses; want 1, %d, %d", len(s.Networks), len(s.Endpoints), len(n.addresses()), pods, pods)
	}
	counts, err := n.host.Counts()
	if err != nil || counts["HcnCreateNetwork"] != 1 {
		t.Errorf("%d calls of HcnCreateNetwork (%v), want 1", counts["HcnCreateNetwork"], err)
	}
}

// Who waits for the network's maker goes on in time, and says so.
func TestNetworkLockIsBounded(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	release, err := n.lock(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	r, err := n.attacher(a).Add(ctx, a)
	if err != nil || !strings.Contains(strings.Join(r.Notices, "\n"), "without waiting for others") {
		t.Errorf("got %q, %v", r.Notices, err)
	}
	n.attached(a, r)
	release()
}

// A create that hangs is not waited for longer than a call may take, and then
// the lock is free; the next ADD finds what the create made.
func TestNetworkLockOfAHangingCreate(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	if err := n.host.AddFault(hnsemu.Fault{Proc: "HcnCreateNetwork", Nth: 1, Kind: hnsemu.FaultHang, After: true}); err != nil {
		t.Fatal(err)
	}
	n.limit(hangTime)
	// The network was made, only the answer is missing: it is found.
	n.attached(a, n.mustAdd(a))
	if len(n.locked) > 0 {
		t.Error("the lock is still held")
	}
}
