// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// carried names the adapter that carries a new network, unless its configuration
// does or the network needs none, and returns what explains HNS's refusal of it.
func (at Attacher) carried(want hns.Network) (hns.Network, func(error) error) {
	chosen := want.Adapter != "" || want.ProviderAddress.IsValid()
	if want.Driver == hns.NAT || at.Uplink == nil {
		return want, func(err error) error { return err }
	}
	all, err := at.Uplink.Adapters()
	name, rejected := uplink.Choose(all)
	if !chosen {
		want.Adapter = name
	}
	return want, func(failure error) error { return noAdapter(failure, name, rejected, err) }
}

// noAdapter says what adapters there are when HNS finds none that can carry a
// network.
func noAdapter(failure error, best string, rejected []uplink.Rejection, listing error) error {
	var native *hns.Error
	if !errors.As(failure, &native) || native.Code != hns.CodeNoAdapter {
		return failure
	}
	if listing != nil {
		return errors.Join(failure, listing)
	}
	if best == "" {
		best = "none"
	}
	return fmt.Errorf("%w; set network.adapter to one of this node: the default route is on %s; not taken: %s", failure, best, uplink.Table(rejected))
}

// routes returns the node's routes before a network is made, none where that makes
// no switch on an adapter or the node does not tell.
func (at Attacher) routes(want hns.Network) []uplink.Route {
	if want.Driver == hns.NAT || at.Uplink == nil {
		return nil
	}
	routes, err := at.Uplink.Routes()
	if err != nil {
		return nil // there is nothing to compare with then
	}
	return routes
}

// restore makes the routes again that the node lost with its adapter, and says so.
// The network is there whatever becomes of them. The adapter is the one that was
// asked for: HNS does not say every one that it chose.
func (at Attacher) restore(before []uplink.Route, made hns.Network, adapter string) []string {
	if len(before) == 0 {
		return nil
	}
	after, err := at.Uplink.Routes()
	if err != nil {
		return []string{fmt.Sprintf("made the network %q, but cannot see whether the node kept its routes: %v", made.Name, err)}
	}
	var out []string
	for _, r := range uplink.Lost(before, after) {
		on := uplink.SwitchInterface(adapter)
		if err := at.Uplink.AddRoute(r, on); err != nil {
			out = append(out, fmt.Sprintf("making the network %q lost the node's route %s; make it again by hand on %q: %v", made.Name, r, on, err))
			continue
		}
		out = append(out, fmt.Sprintf("restored the node's route %s on %q, which making the network %q had lost", r, on, made.Name))
	}
	return out
}
