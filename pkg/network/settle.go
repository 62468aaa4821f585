// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// How long a new network may leave the node without its address, how often HNS is
// asked meanwhile, and how many failures in a row are taken for its last word.
const (
	settleTime     = 20 * time.Second
	settleEvery    = 250 * time.Millisecond
	settleFailures = 3
)

// settle waits until the node has its address back, which it loses when its adapter
// becomes part of a switch. Calico and flannel wait for it, too. It fails only when
// ctx ends: not every HNS tells the address of every network, and the network is
// there. Then a notice says so.
func (k Keeper) settle(ctx context.Context, n hns.Network) ([]string, error) {
	if n.Driver == hns.NAT {
		return nil, nil // its switch is internal
	}
	limit := time.NewTimer(settleTime)
	defer limit.Stop()
	failures := 0
	for {
		all, err := k.HNS.ListNetworks(ctx)
		if nodeAddress(all, n.ID).IsValid() {
			return nil, nil
		}
		if err == nil {
			failures = 0
		} else if failures++; failures == settleFailures {
			return unsettled(n, err), nil
		}
		select {
		case <-ctx.Done():
			return nil, problem.New(nil, ctx.Err(), "wait for the node's address after making the network %q", n.Name)
		case <-limit.C:
			return unsettled(n, fmt.Errorf("it tells none after %s", settleTime)), nil
		case <-time.After(settleEvery):
		}
	}
}

// Settled returns all networks of the node, once no other process makes the one that is
// asked for: while that waits for the node's address, HNS tells none.
func (k Keeper) Settled(ctx context.Context, n hns.Network) ([]hns.Network, error) {
	all, err := k.HNS.ListNetworks(ctx)
	if err != nil || n.Driver == hns.NAT || nodeAddress(all, n.ID).IsValid() {
		return all, err
	}
	release, _, err := k.turn(ctx, n.Name)
	if err != nil {
		return nil, err
	}
	release()
	return k.HNS.ListNetworks(ctx)
}

func unsettled(n hns.Network, why error) []string {
	return []string{fmt.Sprintf("made the network %q, but HNS does not tell the node's address on it, so the node may be cut off: %v", n.Name, why)}
}

// nodeAddress returns the node's address on a network, zero while it has none. One that it
// chose for want of DHCP is none (RFC 3927).
func nodeAddress(all []hns.Network, id string) netip.Addr {
	i := slices.IndexFunc(all, func(n hns.Network) bool { return n.ID == id })
	if i < 0 || all[i].ManagementAddress.IsLinkLocalUnicast() {
		return netip.Addr{}
	}
	return all[i].ManagementAddress
}
