// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// node is all that a node is to have: the switches by name, the pods by the id of their
// HCN namespace.
type node struct {
	switches map[string]netSwitch
	pods     map[string]pod
}

// netSwitch is the bridge of a network.
type netSwitch struct {
	// gateways are the addresses of the bridge, with the lengths of their subnets: the
	// network's gateways, and those of the node's own endpoints on it.
	gateways []netip.Prefix
	// source is the address that the node has for its pods, zero for the gateway.
	source netip.Addr
}

// pod is a network namespace: its links by name.
type pod map[string]link

// link is the veth pair of an endpoint. Both ends have its name.
type link struct {
	netSwitch string
	mac       string // aa-bb-cc-dd-ee-ff
	addresses []netip.Prefix
	gateways  []netip.Addr
	// private says that the network is the node's alone.
	private bool
	filters []filter
}

// planOf says what a node with that state is to have. HCN namespaces get their network
// namespace when HNS gives them a compartment, which is when a container starts.
func planOf(s hnsemu.State) node {
	out := node{switches: map[string]netSwitch{}, pods: map[string]pod{}}
	networks := map[string]hnsemu.NetworkState{}
	for _, n := range s.Networks {
		networks[n.ID] = n
		own := netSwitch{source: n.ManagementIP}
		for _, sub := range n.Subnets {
			if sub.Gateway.IsValid() {
				own.gateways = append(own.gateways, netip.PrefixFrom(sub.Gateway, sub.Prefix.Bits()))
			}
		}
		out.switches[switchName(n.ID)] = own
	}
	own := map[string]bool{} // namespaces that are the node's
	for _, ns := range s.Namespaces {
		own[ns.ID] = strings.HasPrefix(ns.Type, "HostDefault")
		if ns.Compartment != 0 && !own[ns.ID] {
			out.pods[ns.ID] = pod{}
		}
	}
	for _, e := range s.Endpoints {
		if e.System == "Host" || own[e.NamespaceID] {
			on := out.switches[switchName(e.NetworkID)]
			on.gateways = append(on.gateways, e.Addresses...)
			out.switches[switchName(e.NetworkID)] = on
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
		p[LinkName(e.ID)] = link{
			netSwitch: switchName(e.NetworkID), mac: e.MAC, addresses: e.Addresses,
			gateways: gatewaysOf(e, networks[e.NetworkID]), private: view.Driver == hns.NAT, filters: filtersOf(view, isolation),
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

// Names of links are limited to 15 bytes; ids differ early.
const digits = 10

// LinkName returns the name of both ends of an endpoint's veth pair.
func LinkName(endpointID string) string { return name("ep", endpointID) }

func switchName(networkID string) string { return name("sw", networkID) }

func name(kind, id string) string {
	return kind + strings.ToLower(strings.ReplaceAll(id, "-", ""))[:digits]
}
