// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// node is all that a node is to have: the switches and tunnels by name, the pods by the id
// of their HCN namespace, and how addresses change on the way through the node itself.
type node struct {
	switches map[string]netSwitch
	tunnels  map[string]tunnel
	pods     map[string]*pod
	nat      translation
}

// netSwitch is the bridge of a network, or of one of its VLANs.
type netSwitch struct {
	// gateways are the addresses of the bridge, with the lengths of their subnets: the
	// network's gateways, and those of the node's own endpoints on it.
	gateways []netip.Prefix
	// source is the address that the node has for its pods, zero for the gateway.
	source netip.Addr
	// answers says that the switch answers for addresses beyond it, though they are in its
	// subnet: VFP does on an overlay.
	answers bool
	// tag is the VLAN that it is on the outer network, 0 for none.
	tag uint32
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

// sameRules reports whether two pods have the same rules.
func (p *pod) sameRules(other *pod) bool {
	return maps.EqualFunc(p.links, other.links, link.sameRules)
}

// cuts reports whether the change from one to another ends the pod's connections.
func (p *pod) cuts(other *pod) bool {
	for name, has := range p.links {
		is, ok := other.links[name]
		changed := ok && !has.sameRules(is)
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

// planOf says what a node with that state is to have. HCN namespaces get their network
// namespace when HNS gives them a compartment, which is when a container starts.
func planOf(s hnsemu.State, u Unknowns) node {
	out := node{switches: map[string]netSwitch{}, tunnels: map[string]tunnel{}, pods: map[string]*pod{}}
	networks := map[string]hnsemu.NetworkState{}
	for _, n := range s.Networks {
		networks[n.ID] = n
		for _, vlan := range vlansOf(n) {
			name := switchName(n.ID, vlan)
			own := netSwitch{source: n.ManagementIP, answers: n.Driver == hns.Overlay, tag: tagOf(n, vlan)}
			for _, sub := range n.Subnets {
				if sub.Gateway.IsValid() && sub.VLAN == vlan {
					own.gateways = append(own.gateways, netip.PrefixFrom(sub.Gateway, sub.Prefix.Bits()))
				}
			}
			out.switches[name] = own
		}
		if t, ok := tunnelOf(n); ok {
			out.tunnels[tunnelName(n.ID)] = t
		}
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
		way, tunneled := out.tunnels[tunnelName(n.ID)]
		if e.Remote {
			if tunneled {
				way.remotes = append(way.remotes, way.beyond(e)...)
				out.tunnels[tunnelName(n.ID)] = way
			}
			continue
		}
		at := switchOf(e, n)
		sw, made := out.switches[at]
		if !made { // a VLAN that no subnet has gets one without a gateway
			sw = netSwitch{source: n.ManagementIP, tag: tagOf(n, vlanOf(e, n))}
		}
		if e.System == "Host" || own[e.NamespaceID] || e.NamespaceID == "" && balancers.answersTo(e) {
			sw.gateways = append(sw.gateways, e.Addresses...)
			out.switches[at] = sw
			continue
		}
		p := out.pods[e.NamespaceID]
		if p == nil {
			continue
		}
		out.switches[at] = sw
		of := linkOf(s, e, n)
		if tunneled {
			of.private, of.tunnel = true, tunnelName(n.ID)
		}
		p.links[LinkName(e.ID)] = of
		leaves := outboundNATOf(e, n)
		p.forwards = append(p.forwards, balancers.direct[n.ID]...)
		p.loopback = append(p.loopback, leaves.loopback...)
		out.nat.forwards = append(out.nat.forwards, mappingsOf(e, n)...)
		out.nat.masquerades = append(out.nat.masquerades, leaves.masquerades...)
	}
	out.nat.switches = slices.Sorted(maps.Keys(out.switches))
	out.nat.forwards = append(out.nat.forwards, balancers.all...)
	if u.TunnelNeedsPod {
		maps.DeleteFunc(out.tunnels, func(name string, _ tunnel) bool { return !out.inUse(name) })
	}
	return out
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

// Names of links are limited to 15 bytes; ids differ early.
const digits = 10

// LinkName returns the name of both ends of an endpoint's veth pair.
func LinkName(endpointID string) string { return name("ep", endpointID) }

func tunnelName(networkID string) string { return name("vx", networkID) }

// switchName returns the name of a network's switch, or of the one of a VLAN.
func switchName(networkID string, vlan uint32) string {
	if vlan == 0 {
		return name("sw", networkID)
	}
	return name(fmt.Sprintf("v%03x", vlan), networkID)
}

func name(kind, id string) string {
	return kind + strings.ToLower(strings.ReplaceAll(id, "-", ""))[:digits]
}
