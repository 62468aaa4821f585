// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// ipamRoutes makes an SDN route of each route that IPAM gave. HNS honours only the
// default routes of an endpoint, so a route to the pod's gateway is covered by
// its default route, and any other needs VFP. A route of the configuration goes
// before IPAM's for the same destination.
func ipamRoutes(f Facts) ([]hns.Policy, error) {
	var out []hns.Policy
	for _, r := range f.Routes {
		gw, err := f.gatewayTo(r)
		configured := slices.ContainsFunc(f.Config.Routes, func(c hns.SDNRoute) bool { return c.Destination == r.Destination })
		switch {
		case err != nil:
			return nil, err
		case configured || r.NextHop == gw:
		case !f.Config.Driver.HasVFP():
			return nil, problem.New(ErrConflict, nil, "IPAM gave the route %s, but a pod on a %s network has no other route than its default route; take it out of ipam.routes", r, f.Config.Driver)
		default:
			out = append(out, hns.SDNRoute{Destination: r.Destination, NextHop: r.NextHop})
		}
	}
	return out, nil
}

// gatewayTo returns the pod's gateway of a route's family; where the route has no
// next hop it is the next hop.
func (f Facts) gatewayTo(r hns.Route) (netip.Addr, error) {
	six := r.Destination.Addr().Is6()
	i := slices.IndexFunc(f.Addresses, func(a Address) bool { return a.Addr.Is6() == six })
	if i < 0 {
		return netip.Addr{}, problem.New(ErrConflict, nil, "IPAM gave the route %s, but no address of its family", r)
	}
	subnet, err := subnetOf(f.Network, f.Addresses[i].Addr)
	if err != nil {
		return netip.Addr{}, err
	}
	gw := gatewayOf(f.Addresses[i], subnet, f.Config)
	if r.NextHop.IsValid() {
		return gw, nil
	}
	if !gw.IsValid() {
		return netip.Addr{}, problem.New(ErrConflict, nil, "IPAM gave the route %s, but the network %q has no gateway; name the next hop (gw) in ipam.routes", r, f.Network.Name)
	}
	return netip.Addr{}, nil
}
