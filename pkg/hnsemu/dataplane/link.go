// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// link is the veth pair of an endpoint. Both ends have its name.
type link struct {
	netSwitch string
	mac       string // aa-bb-cc-dd-ee-ff
	addresses []netip.Prefix
	gateways  []netip.Addr
	routes    []route
	// private says that others have no need of a way to the pod: they have none to a nat
	// network's, and an overlay's tunnel is one.
	private bool
	// tunnel is that of the network, empty for none.
	tunnel string
	// egress is the most that the pod may send, in bytes a second, 0 for any.
	egress uint64
	// ruled is what the rules are made of.
	ruled packet.Endpoint
	// modified counts updates of the policies.
	modified int
}

// route is a way of a pod's past its gateway.
type route struct {
	to  netip.Prefix
	hop netip.Addr
}

// sameWire reports whether two links differ at most in their rules and their limit.
func (l link) sameWire(other link) bool {
	l.ruled, l.egress, l.modified = other.ruled, other.egress, other.modified
	return reflect.DeepEqual(l, other)
}

// sameRules reports whether two links have the same rules, though they may be made of
// something else.
func (l link) sameRules(other link) bool {
	return reflect.DeepEqual(l.ruled, other.ruled) || reflect.DeepEqual(filtersOf(l.ruled), filtersOf(other.ruled))
}

// linkOf says what link the endpoint of a pod is to have.
func linkOf(s hnsemu.State, e hnsemu.EndpointState, n hnsemu.NetworkState) link {
	var limit struct{ MaximumOutgoingBandwidthInBytes uint64 }
	settingsOf(e.Policies, schema.PolicyQOS, &limit)
	return link{
		netSwitch: switchOf(e, n), mac: e.MAC, addresses: e.Addresses, gateways: gatewaysOf(e, n), routes: routesOf(s, e),
		private: n.Driver == hns.NAT, egress: limit.MaximumOutgoingBandwidthInBytes, ruled: s.PacketEndpoint(e), modified: e.Modified,
	}
}

// settingsOf reads the first policy of a type, and leaves settings alone without one.
func settingsOf(policies []hnsemu.PolicyState, kind string, settings any) {
	if i := slices.IndexFunc(policies, func(p hnsemu.PolicyState) bool { return p.Type == kind }); i >= 0 {
		_ = json.Unmarshal(policies[i].Settings, settings) // HNS has read them
	}
}

// switchOf returns the name of the switch that an endpoint is at.
func switchOf(e hnsemu.EndpointState, n hnsemu.NetworkState) string {
	return switchName(n.ID, vlanOf(e, n))
}

// vlanOf returns the VLAN of an endpoint: its own, else that of its subnet.
func vlanOf(e hnsemu.EndpointState, n hnsemu.NetworkState) uint32 {
	var own struct {
		ID uint32 `json:"IsolationId"`
	}
	if settingsOf(e.Policies, schema.PolicyVLAN, &own); own.ID != 0 || len(e.Addresses) == 0 {
		return own.ID
	}
	for _, sub := range n.Subnets {
		if sub.Prefix.Contains(e.Addresses[0].Addr()) {
			return sub.VLAN
		}
	}
	return 0
}

// vlansOf returns those of a network's subnets, 0 for none.
func vlansOf(n hnsemu.NetworkState) []uint32 {
	if len(n.Subnets) == 0 {
		return []uint32{0}
	}
	var out []uint32
	for _, sub := range n.Subnets {
		out = append(out, sub.VLAN)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// routesOf returns the SDN routes of an endpoint whose next hop is in a subnet of it. What
// others are about leaves the pod by its gateway, and the node's routes decide.
func routesOf(s hnsemu.State, e hnsemu.EndpointState) []route {
	var out []route
	add := func(to, hop string) {
		prefix, ok := prefixOf(to)
		by, err := netip.ParseAddr(hop)
		near := slices.ContainsFunc(e.Addresses, func(a netip.Prefix) bool { return a.Masked().Contains(by) && a.Addr() != by })
		if ok && err == nil && near && family(by) == family(prefix.Addr()) {
			out = append(out, route{prefix, by})
		}
	}
	for _, p := range e.Policies {
		var own schema.SDNRouteSetting
		if p.Type == "SDNRoute" && json.Unmarshal(p.Settings, &own) == nil {
			add(own.DestinationPrefix, own.NextHop)
		}
	}
	for _, r := range s.Routes {
		if slices.Contains(r.Endpoints, e.ID) {
			for _, to := range r.Routes {
				add(to.Destination, to.NextHop)
			}
		}
	}
	return out
}

// gatewaysOf returns an endpoint's way out in each family: its own route to everything,
// else the gateway of its subnet.
func gatewaysOf(e hnsemu.EndpointState, n hnsemu.NetworkState) []netip.Addr {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && !a.IsUnspecified() && !slices.ContainsFunc(out, func(o netip.Addr) bool { return o.Is4() == a.Is4() }) {
			out = append(out, a)
		}
	}
	for _, r := range e.Routes {
		if to, err := netip.ParsePrefix(r.Destination); err == nil && to.Bits() == 0 {
			hop, _ := netip.ParseAddr(r.NextHop) // none when it says something else
			add(hop)
		}
	}
	for _, a := range e.Addresses {
		for _, sub := range n.Subnets {
			if sub.Prefix.Contains(a.Addr()) {
				add(sub.Gateway)
			}
		}
	}
	return out
}
