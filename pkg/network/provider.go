// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// ProviderAddress returns the node's address under an overlay network, which every
// endpoint on it needs to be reached from other nodes. It is the network's own, or the
// configuration's where HNS does not tell it, or else the node's on the uplink, as
// win-overlay takes it. HNS may tell its own late (flannel,
// pkg/backend/vxlan/device_windows.go, waits for it), so this waits as long as for a new
// network.
func (k Keeper) ProviderAddress(ctx context.Context, c config.Config, n hns.Network) (netip.Addr, error) {
	given := slices.ContainsFunc(c.Policies, func(p hns.Opaque) bool { return p.Type == "ProviderAddress" })
	if n.Driver != hns.Overlay || n.ProviderAddress.IsValid() || given {
		return n.ProviderAddress, nil
	}
	if c.Network != nil && c.Network.ProviderAddress.IsValid() {
		return c.Network.ProviderAddress, nil
	}
	waiting, stop := context.WithTimeout(ctx, settleTime)
	defer stop()
	for {
		all, err := k.HNS.ListNetworks(ctx)
		if err != nil {
			return netip.Addr{}, err
		}
		if a := nodeAddress(all, n.ID); a.IsValid() {
			return a, nil
		}
		again, err := k.HNS.Network(ctx, n.Name)
		if err != nil {
			return netip.Addr{}, err
		}
		if again.ProviderAddress.IsValid() {
			return again.ProviderAddress, nil
		}
		select {
		case <-ctx.Done():
			return netip.Addr{}, problem.New(nil, ctx.Err(), "wait for the node's address under the overlay network %q", n.Name)
		case <-waiting.Done():
			return netip.Addr{}, problem.New(ErrDiffers, nil, "HNS tells no address of the node under the overlay network %q, without which pods are not reached from other nodes; look at its adapter, or give it by {\"Type\": \"ProviderAddress\", \"Settings\": {\"ProviderAddress\": ...}} in policies", n.Name)
		case <-time.After(settleEvery):
		}
	}
}
