// SPDX-License-Identifier: Apache-2.0

package attach_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/attach"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
)

// slowIPAM takes a second for an address.
type slowIPAM struct{ ipam.Plugin }

func (p slowIPAM) Add(ctx context.Context, r ipam.Request) (ipam.Result, error) {
	time.Sleep(time.Second)
	return p.Plugin.Add(ctx, r)
}

// noIPAM never has an address.
type noIPAM struct{ ipam.Plugin }

func (noIPAM) Add(context.Context, ipam.Request) (ipam.Result, error) {
	return ipam.Result{}, errors.New("no address")
}

// slowHNS takes two for its version, and may panic then.
type slowHNS struct {
	hns.Client
	panics bool
}

func (c slowHNS) Features(ctx context.Context) (hns.Features, error) {
	time.Sleep(2 * time.Second)
	if c.panics {
		panic("version")
	}
	return c.Client.Features(ctx)
}

// TestVersionIsAskedMeanwhile: HNS's version and an address are waited for at once.
func TestVersionIsAskedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "2022")
		a := n.attachment(hns.L2Bridge, "c1", netns1)
		at := attach.Attacher{HNS: slowHNS{Client: n.hns}, IPAM: slowIPAM{ipam.Open("host-local")}, Lock: n.lock}
		n.network(hns.L2Bridge, "10.1.0.0/16")
		n.namespace(netns1)
		start := time.Now()
		if _, err := at.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %s, want 2s", took)
		}
	})
}

// Whatever becomes of the address, nothing goes on behind the back of ADD, and a panic
// is the caller's.
func TestVersionIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "2022")
		n.network(hns.L2Bridge, "10.1.0.0/16")
		n.namespace(netns1)
		a := n.attachment(hns.L2Bridge, "c1", netns1)
		at := attach.Attacher{HNS: slowHNS{Client: n.hns}, IPAM: noIPAM{ipam.Open("host-local")}, Lock: n.lock}
		if err := n.host.ResetLog(); err != nil {
			t.Fatal(err)
		}
		if _, err := at.Add(t.Context(), a); !errors.Is(err, attach.ErrIPAM) {
			t.Errorf("got %v, want ErrIPAM", err)
		}
		calls, err := n.host.Calls()
		if err != nil {
			t.Fatal(err)
		}
		var procs []string
		for _, c := range calls {
			procs = append(procs, c.Proc)
		}
		if at := slices.Index(procs, "HNSCall"); at < 0 || at == len(procs)-1 {
			t.Errorf("the version is not asked for, or answered after the undoing: %v", procs)
		}
		at.HNS = slowHNS{n.hns, true}
		defer func() {
			if r := recover(); r != "version" {
				t.Errorf("recovered %v", r)
			}
		}()
		_, _ = at.Add(t.Context(), a)
	})
}
