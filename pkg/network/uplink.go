// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// resolved returns the configuration with the adapter that network.adapter means: one
// that is named by an address of the node, or by the node's interface of a virtual
// switch, is the physical one behind it.
func (k Keeper) resolved(c config.Config) (config.Config, error) {
	if c.Network == nil || k.Uplink == nil || !uplink.Indirect(c.Network.Adapter) {
		return c, nil
	}
	all, err := k.Uplink.Adapters()
	if err != nil {
		return config.Config{}, problem.New(nil, err, "network.adapter is %q", c.Network.Adapter)
	}
	name, err := uplink.Resolve(c.Network.Adapter, all)
	if err != nil {
		return config.Config{}, problem.New(config.ErrInvalid, nil, "network.adapter: %s", err)
	}
	return onAdapter(c, name), nil
}

// comparable returns the configuration for comparing it with a network that is there.
// Which adapter it names by an address cannot be told while the node is without that
// address, as when the network is just being made: then the adapter is not compared.
func (k Keeper) comparable(c config.Config) config.Config {
	out, err := k.resolved(c)
	if err != nil {
		return onAdapter(c, "")
	}
	return out
}

func onAdapter(c config.Config, name string) config.Config {
	n := *c.Network
	n.Adapter = name
	c.Network = &n
	return c
}

// choice is how the adapter of a new network was chosen.
type choice struct {
	// asked is false where the network needs no adapter, or nobody tells of them.
	asked    bool
	best     string
	rejected []uplink.Rejection
	listing  error
}

// chooseAdapter names the adapter that carries a new network, unless its
// configuration does or the network needs none.
func (k Keeper) chooseAdapter(want *hns.Network) choice {
	if want.Driver == hns.NAT || k.Uplink == nil {
		return choice{}
	}
	all, err := k.Uplink.Adapters()
	best, rejected := uplink.Choose(all)
	if want.Adapter == "" && !want.ProviderAddress.IsValid() {
		want.Adapter = best
	}
	return choice{asked: true, best: best, rejected: rejected, listing: err}
}

// explain adds what adapters there are to HNS's answer that none can carry a network.
func (c choice) explain(failure error) error {
	var native *hns.Error
	if !c.asked || !errors.As(failure, &native) || native.Code != hns.CodeNoAdapter {
		return failure
	}
	if c.listing != nil {
		return errors.Join(failure, c.listing)
	}
	best := c.best
	if best == "" {
		best = "none"
	}
	return fmt.Errorf("%w; set network.adapter to one of this node: the default route is on %s; not taken: %s", failure, best, uplink.Table(c.rejected))
}

// routes returns the node's routes before a network is made, none where that makes
// no switch on an adapter or the node does not tell.
func (k Keeper) routes(want hns.Network) []uplink.Route {
	if want.Driver == hns.NAT || k.Uplink == nil {
		return nil
	}
	routes, err := k.Uplink.Routes()
	if err != nil {
		return nil // there is nothing to compare with then
	}
	return routes
}

// restoreRoutes makes the routes again that the node lost with its adapter, and says
// so. The network is there whatever becomes of them. The adapter is the one that was
// asked for: HNS does not tell every one that it chose.
func (k Keeper) restoreRoutes(before []uplink.Route, made hns.Network, adapter string) []string {
	if len(before) == 0 {
		return nil
	}
	after, err := k.Uplink.Routes()
	if err != nil {
		return []string{fmt.Sprintf("made the network %q, but cannot see whether the node kept its routes: %v", made.Name, err)}
	}
	var out []string
	for _, r := range uplink.Lost(before, after) {
		if adapter == "" {
			out = append(out, fmt.Sprintf("making the network %q lost the node's route %s; make it again by hand: HNS chose the adapter and does not tell which", made.Name, r))
			continue
		}
		on := uplink.SwitchInterface(adapter)
		if err := k.Uplink.AddRoute(r, on); err != nil {
			out = append(out, fmt.Sprintf("making the network %q lost the node's route %s; make it again by hand on %q: %v", made.Name, r, on, err))
			continue
		}
		out = append(out, fmt.Sprintf("restored the node's route %s on %q, which making the network %q had lost", r, on, made.Name))
	}
	return out
}
