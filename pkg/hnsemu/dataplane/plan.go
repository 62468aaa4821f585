// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// node is all that a node is to have: the switches and tunnels by name, the pods by the id
// of their HCN namespace, and how addresses change on the way through the node itself.
type node struct {
	switches map[string]netSwitch
	tunnels  map[string]tunnel
	pods     map[string]*pod
	nat      translation
}

// netSwitch is the bridge of a network.
type netSwitch struct {
	// gateways are the addresses of the bridge, with the lengths of their subnets: the
	// network's gateways, and those of the node's own endpoints on it.
	gateways []netip.Prefix
	// source is the address that the node has for its pods, zero for the gateway.
	source netip.Addr
	// answers says that the switch answers for addresses beyond it, though they are in its
	// subnet: VFP does on an overlay.
	answers bool
}

// pod is a network namespace: its links by name, and what its switch ports do with the
// addresses of services before a packet leaves them.
type pod struct {
	Unknowns
	links    map[string]link
	forwards []forward
	// loopback are the pod's addresses under which a service may lead back to it.
	loopback []netip.Addr
}

// link is the veth pair of an endpoint. Both ends have its name.
type link struct {
	netSwitch string
	mac       string // aa-bb-cc-dd-ee-ff
	addresses []netip.Prefix
	gateways  []netip.Addr
	// private says that others have no need of a way to the pod: they have none to a nat
	// network's, and an overlay's tunnel is one.
	private bool
	// tunnel is that of the network, empty for none.
	tunnel string
	// egress is the most that the pod may send, in bytes a second, 0 for any.
	egress  uint64
	filters []filter
	// modified counts updates of the policies.
	modified int
}

// sameRules reports whether two pods have the same rules.
func (p *pod) sameRules(other *pod) bool {
	return maps.EqualFunc(p.links, other.links, func(a, b link) bool { return reflect.DeepEqual(a.filters, b.filters) })
}

// cuts reports whether the change from one to another ends the pod's connections.
func (p *pod) cuts(other *pod) bool {
	for name, has := range p.links {
		is, ok := other.links[name]
		changed := ok && !reflect.DeepEqual(has.filters, is.filters)
		equal := ok && !changed && has.modified != is.modified
		if changed && p.ChangedRulesCut || equal && p.EqualRulesCut {
			return true
		}
	}
	return false
}

// sameServices reports whether two pods do the same with services.
func (p *pod) sameServices(other *pod) bool {
	return reflect.DeepEqual(p.forwards, other.forwards) && slices.Equal(p.loopback, other.loopback) &&
		maps.EqualFunc(p.links, other.links, func(a, b link) bool { return slices.Equal(a.addresses, b.addresses) })
}

// sameWire reports whether two links differ at most in their rules and their limit.
func (l link) sameWire(other link) bool {
	l.filters, l.egress, l.modified = other.filters, other.egress, other.modified
	return reflect.DeepEqual(l, other)
}

// planOf says what a node with that state is to have. HCN namespaces get their network
// namespace when HNS gives them a compartment, which is when a container starts.
func planOf(s hnsemu.State, u Unknowns) node {
	out := node{switches: map[string]netSwitch{}, tunnels: map[string]tunnel{}, pods: map[string]*pod{}}
	networks := map[string]hnsemu.NetworkState{}
	for _, n := range s.Networks {
		networks[n.ID] = n
		own := netSwitch{source: n.ManagementIP, answers: n.Driver == hns.Overlay}
		for _, sub := range n.Subnets {
			if sub.Gateway.IsValid() {
				own.gateways = append(own.gateways, netip.PrefixFrom(sub.Gateway, sub.Prefix.Bits()))
			}
		}
		out.switches[switchName(n.ID)] = own
		if t, ok := tunnelOf(n); ok {
			out.tunnels[tunnelName(n.ID)] = t
		}
		out.nat.switches = append(out.nat.switches, switchName(n.ID))
	}
	balancers := balancersOf(s, networks)
	own := map[string]bool{} // namespaces that are the node's
	for _, ns := range s.Namespaces {
		own[ns.ID] = strings.HasPrefix(ns.Type, "HostDefault")
		if ns.Compartment != 0 && !own[ns.ID] {
			out.pods[ns.ID] = &pod{Unknowns: u, links: map[string]link{}}
		}
	}
	for _, e := range s.Interfaces() {
		n, there := networks[e.NetworkID]
		if !there {
			continue // lost with its network
		}
		if e.System == "Host" || own[e.NamespaceID] || e.NamespaceID == "" && balancers.answersTo(e) {
			on := out.switches[switchName(n.ID)]
			on.gateways = append(on.gateways, e.Addresses...)
			out.switches[switchName(n.ID)] = on
			continue
		}
		p := out.pods[e.NamespaceID]
		if p == nil || e.Remote {
			continue
		}
		view := s.PacketEndpoint(e)
		isolation := view.Isolation
		if isolation == "" {
			isolation = hns.Process
		}
		own := link{
			netSwitch: switchName(n.ID), mac: e.MAC, addresses: e.Addresses,
			gateways: gatewaysOf(e, n), private: n.Driver == hns.NAT, egress: egressOf(e), filters: filtersOf(view, isolation), modified: e.Modified,
		}
		if _, ok := out.tunnels[tunnelName(n.ID)]; ok {
			own.private, own.tunnel = true, tunnelName(n.ID)
		}
		p.links[LinkName(e.ID)] = own
		leaves := outboundNATOf(e, n)
		p.forwards = append(p.forwards, balancers.direct[n.ID]...)
		p.loopback = append(p.loopback, leaves.loopback...)
		out.nat.forwards = append(out.nat.forwards, mappingsOf(e, n)...)
		out.nat.masquerades = append(out.nat.masquerades, leaves.masquerades...)
	}
	out.nat.forwards = append(out.nat.forwards, balancers.all...)
	if u.TunnelNeedsPod {
		maps.DeleteFunc(out.tunnels, func(name string, _ tunnel) bool { return !out.inUse(name) })
	}
	return out
}

// egressOf returns what an endpoint's QOS policy allows it to send.
func egressOf(e hnsemu.EndpointState) uint64 {
	for _, p := range e.Policies {
		var s struct{ MaximumOutgoingBandwidthInBytes uint64 }
		if p.Type == schema.PolicyQOS && json.Unmarshal(p.Settings, &s) == nil {
			return s.MaximumOutgoingBandwidthInBytes
		}
	}
	return 0
}

// inUse reports whether a pod is on the network of a tunnel.
func (n node) inUse(tunnel string) bool {
	for _, p := range n.pods {
		for _, l := range p.links {
			if l.tunnel == tunnel {
				return true
			}
		}
	}
	return false
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

// Names of links are limited to 15 bytes; ids differ early.
const digits = 10

// LinkName returns the name of both ends of an endpoint's veth pair.
func LinkName(endpointID string) string { return name("ep", endpointID) }

func tunnelName(networkID string) string { return name("vx", networkID) }

func switchName(networkID string) string { return name("sw", networkID) }

func name(kind, id string) string {
	return kind + strings.ToLower(strings.ReplaceAll(id, "-", ""))[:digits]
}
