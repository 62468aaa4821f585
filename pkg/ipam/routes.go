// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// routesFrom converts the list of routes at path. What HNS has no word for is
// refused: a route without it would be another one.
func routesFrom(path string, in []*types.Route) ([]hns.Route, error) {
	var out []hns.Route
	for i, r := range in {
		at := fmt.Sprintf("%s[%d]", path, i)
		if r == nil {
			continue
		}
		if word := beyondHNS(*r); word != "" {
			return nil, fmt.Errorf("%s.%s: HNS has nothing like it; remove it", at, word)
		}
		converted, err := route(*r)
		if err != nil {
			return nil, fmt.Errorf("%s%w", at, err)
		}
		out = append(out, converted)
	}
	return out, nil
}

// beyondHNS names what a route has that an endpoint's cannot have.
func beyondHNS(r types.Route) string {
	switch {
	case r.MTU != 0:
		return "mtu"
	case r.AdvMSS != 0:
		return "advmss"
	case r.Priority != 0:
		return "priority"
	case r.Table != nil:
		return "table"
	case r.Scope != nil:
		return "scope"
	default:
		return ""
	}
}

// route's errors begin with the rest of the path.
func route(r types.Route) (hns.Route, error) {
	dst, err := address(r.Dst, r.GW)
	if err != nil {
		return hns.Route{}, fmt.Errorf(".dst: %w", err)
	}
	if p := dst.Prefix; p != p.Masked() {
		return hns.Route{}, fmt.Errorf(".dst: %q has host bits set; write %s", p, p.Masked())
	}
	if gw := dst.Gateway; gw.IsValid() && gw.Is4() != dst.Prefix.Addr().Is4() {
		return hns.Route{}, fmt.Errorf(".gw: %s is not of the family of %s", gw, dst.Prefix)
	}
	return hns.Route{Destination: dst.Prefix, NextHop: dst.Gateway}, nil
}

// lead adds the routes at path to the result. The next hop of a default route is
// the gateway of the family's addresses that have none; it contradicts those
// that have another, unless one has it. A default route without a next hop says
// nothing: the pod has one.
func (r *Result) lead(path string, routes []hns.Route) error {
	for i, route := range routes {
		if route.Destination.Bits() > 0 {
			r.Routes = append(r.Routes, route)
			continue
		}
		if has := r.leadOut(route.NextHop); has.IsValid() {
			return fmt.Errorf("%s[%d].gw: the default route leads to %s, but the gateway is %s; make them the same", path, i, route.NextHop, has)
		}
	}
	return nil
}

// leadOut makes hop the gateway where there is none, or returns which one there
// is instead.
func (r *Result) leadOut(hop netip.Addr) (instead netip.Addr) {
	if !hop.IsValid() {
		return netip.Addr{}
	}
	led := false
	for i, a := range r.Addresses {
		if a.Prefix.Addr().Is4() != hop.Is4() {
			continue
		}
		if !a.Gateway.IsValid() {
			r.Addresses[i].Gateway = hop
		}
		if got := r.Addresses[i].Gateway; got == hop {
			led = true
		} else {
			instead = got
		}
	}
	if led {
		return netip.Addr{}
	}
	return instead
}

// dnsFrom converts what stands behind path, which ends with a dot or is empty. HNS takes any text for a name server, and the
// pod would then have none.
func dnsFrom(path string, d types.DNS) (hns.DNS, error) {
	var failures []error
	for i, s := range d.Nameservers {
		if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" {
			failures = append(failures, fmt.Errorf("%snameservers[%d]: %q is not an address", path, i, s))
		}
	}
	return hns.DNS{Domain: d.Domain, Search: d.Search, Servers: d.Nameservers, Options: d.Options}, errors.Join(failures...)
}
