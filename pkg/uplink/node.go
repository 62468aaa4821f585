// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"fmt"
	"net/netip"
	"slices"
)

// Node is what a machine tells of its adapters and routes.
type Node interface {
	// Adapters returns the adapters, in the system's order.
	Adapters() ([]Adapter, error)
	// Routes returns the routes that an admin made.
	Routes() ([]Route, error)
	// AddRoute makes a route on the interface of that friendly name.
	AddRoute(r Route, name string) error
}

// NoIPv6 is the bit of DisabledComponents that turns IPv6 off on all interfaces but
// tunnels and the loopback.
const NoIPv6 = 0x10

// Route is a route of the node itself.
type Route struct {
	Destination netip.Prefix
	// NextHop is unspecified for what is on the link.
	NextHop netip.Addr
	Metric  uint32
}

// String returns "169.254.169.254/32 via 10.0.0.1 metric 5".
func (r Route) String() string {
	return fmt.Sprintf("%s via %s metric %d", r.Destination, r.NextHop, r.Metric)
}

// Lost returns the routes of before that are not in after: when an adapter becomes
// part of a virtual switch, HNS moves its addresses to the node's new interface,
// but not the routes that an admin made (ovn-kubernetes/ovn-kubernetes#3536,
// antrea-io/antrea#959). A route that is back with another metric is not lost.
func Lost(before, after []Route) []Route {
	var out []Route
	for _, r := range before {
		if !slices.ContainsFunc(after, func(a Route) bool { return a.Destination == r.Destination && a.NextHop == r.NextHop }) {
			out = append(out, r)
		}
	}
	return out
}

// SwitchInterface returns the friendly name of the node's own interface of a
// virtual switch on an adapter.
func SwitchInterface(adapter string) string { return prefix + adapter + suffix }
