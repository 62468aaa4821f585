// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// How long a new network may leave the node without its address, how often HNS is
// asked meanwhile, and how many failures in a row are taken for its last word.
const (
	settleTime     = 20 * time.Second
	settleEvery    = 250 * time.Millisecond
	settleFailures = 3
)

// lockNetwork waits until nobody else on this node makes or removes the network.
func (at Attacher) lockNetwork(ctx context.Context, name string) (release func(), err error) {
	release, err = at.Lock(ctx, "network-"+name)
	if err != nil {
		return nil, fmt.Errorf("wait for another process that makes the network %q: %w", name, err)
	}
	return release, nil
}

// settled waits for whoever makes a network that was found: HNS shows it before
// the node has its address back. An ADD that ended before that leaves no mark, so
// the next one goes on at once.
func (at Attacher) settled(ctx context.Context, name string) error {
	release, err := at.lockNetwork(ctx, name)
	if err == nil {
		release()
	}
	return err
}

// settle waits until the node has its address back, which it loses when its
// adapter becomes part of a switch (hns.md 4.1, as Calico and flannel do). It
// fails only when ctx ends: not every HNS tells the address of every network, and
// the network is there. Then it says so in a notice.
func (at Attacher) settle(ctx context.Context, n hns.Network) ([]string, error) {
	if n.Driver == hns.NAT {
		return nil, nil // its switch is internal
	}
	limit := time.NewTimer(settleTime)
	defer limit.Stop()
	failures := 0
	for {
		all, err := at.HNS.ListNetworks(ctx)
		if managed(all, n.ID) {
			return nil, nil
		}
		if err == nil {
			failures = 0
		} else if failures++; failures == settleFailures {
			return unsettled(n, err), nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the node's address after making the network %q: %w", n.Name, ctx.Err())
		case <-limit.C:
			return unsettled(n, fmt.Errorf("it tells none after %s", settleTime)), nil
		case <-time.After(settleEvery):
		}
	}
}

func unsettled(n hns.Network, why error) []string {
	return []string{fmt.Sprintf("made the network %q, but HNS does not tell the node's address on it, so the node may be cut off: %v", n.Name, why)}
}

// managed reports whether the node has an address on the network: one that it
// chose for want of DHCP is none (RFC 3927).
func managed(all []hns.Network, id string) bool {
	return slices.ContainsFunc(all, func(n hns.Network) bool {
		return n.ID == id && n.ManagementAddress.IsValid() && !n.ManagementAddress.IsLinkLocalUnicast()
	})
}
