// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"encoding/json"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// translation is how the addresses of packets change.
type translation struct {
	// switches are those between whose ports a forward may lead.
	switches    []string
	forwards    []forward
	masquerades []masquerade
}

// forward sends new connections to an address and a port on to backends: a port mapping
// or a port of a load balancer.
type forward struct {
	// to is the address, zero for all that are the node's.
	to       netip.Addr
	family   int // 4 or 6
	protocol int
	port     uint16
	backends []netip.AddrPort
	// sticky keeps a client with its backend.
	sticky bool
	// hidden says that backends do not see the client, but source, or the address of the
	// interface by which the packet leaves when that is zero.
	hidden bool
	source netip.Addr
	// remoteOnly leaves out what the node itself sends.
	remoteOnly bool
}

// masquerade gives packets that leave by another way than they came another source.
type masquerade struct {
	from       netip.Addr
	netSwitch  string // that they come from
	exceptions []netip.Prefix
	protocols  []int // empty for any
	// to is the new source, zero for the address of the interface that they leave by.
	to netip.Addr
}

// translates reports whether it is about packets to an address.
func (m masquerade) translates(to netip.Addr, protocol int) bool {
	return family(to) == family(m.from) && (len(m.protocols) == 0 || slices.Contains(m.protocols, protocol)) &&
		!slices.ContainsFunc(m.exceptions, func(p netip.Prefix) bool { return p.Contains(to) })
}

// mappingsOf returns the port mappings of an endpoint, of each family that it has. Without
// LocalRoutedVIP the node itself does not get through, but on a nat network.
func mappingsOf(e hnsemu.EndpointState, n hnsemu.NetworkState) []forward {
	var out []forward
	for _, m := range e.PortMappings {
		f := forward{
			protocol: int(m.Protocol), port: m.ExternalPort, family: 4,
			remoteOnly: m.Flags&hns.LocalRoutedVIP == 0 && n.Driver != hns.NAT,
		}
		if vip, err := netip.ParseAddr(m.VIP); err == nil && !vip.IsUnspecified() {
			f.to = vip
		}
		if m.Flags&hns.IPv6 != 0 || f.to.Is6() {
			f.family = 6
		}
		if own := firstOf(e, f.family); own.IsValid() {
			f.backends = []netip.AddrPort{netip.AddrPortFrom(own, m.InternalPort)}
			out = append(out, f)
		}
	}
	return out
}

// firstOf returns an endpoint's first address of a family, the zero Addr when it has none.
func firstOf(e hnsemu.EndpointState, of int) netip.Addr {
	for _, a := range e.Addresses {
		if family(a.Addr()) == of {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// balancers are the load balancers of a node.
type balancers struct {
	// all is what the node does with packets to services.
	all []forward
	// direct is what the ports of a network's switch do, by the network's id: load
	// balancers with direct server return, whose backends see the pod.
	direct map[string][]forward
	// sources are the addresses that backends see, by which the node gets the answers.
	sources []netip.Addr
}

// answersTo reports whether an endpoint holds an address that the node sends from.
func (b balancers) answersTo(e hnsemu.EndpointState) bool {
	return !e.Remote && slices.ContainsFunc(e.Addresses, func(a netip.Prefix) bool { return slices.Contains(b.sources, a.Addr()) })
}

// balancersOf returns what the load balancers of a node do. The ports of a switch carry out
// those with direct server return, so that backends see the pod. The node carries out all:
// with others the source VIP, or its own address, takes the place of the client's.
func balancersOf(s hnsemu.State, networks map[string]hnsemu.NetworkState) balancers {
	out := balancers{direct: map[string][]forward{}}
	endpoints := map[string]hnsemu.EndpointState{}
	for _, e := range s.Endpoints {
		endpoints[e.ID] = e
	}
	for _, b := range s.LoadBalancers {
		var backends []hnsemu.EndpointState
		for _, id := range b.Endpoints {
			if e, ok := endpoints[id]; ok {
				backends = append(backends, e)
			}
		}
		if len(backends) == 0 {
			continue
		}
		network := networks[backends[0].NetworkID]
		source, err := netip.ParseAddr(b.SourceVIP)
		if err != nil { // it has none
			source = network.ManagementIP
		}
		out.sources = append(out.sources, source)
		direct := b.Flags&schema.FlagDSR != 0
		for _, f := range forwardsOf(b, backends) {
			if direct {
				out.direct[network.ID] = append(out.direct[network.ID], f)
			}
			f.hidden = !direct
			if f.hidden && family(source) == f.family {
				f.source = source
			}
			out.all = append(out.all, f)
		}
	}
	return out
}

// forwardsOf returns what a load balancer does: each port of each of its addresses, or of
// the node's own when it has none. Those of other protocols than TCP, UDP and SCTP are not
// carried out.
func forwardsOf(b hnsemu.LoadBalancerState, endpoints []hnsemu.EndpointState) []forward {
	node := forward{family: 4}
	if b.Flags&schema.FlagIPv6 != 0 {
		node.family = 6
	}
	var out []forward
	for _, p := range b.Ports {
		if !schema.HasPorts(int(p.Protocol)) {
			continue
		}
		fronts := []forward{node}
		if len(b.FrontendVIPs) > 0 {
			fronts = nil
		}
		for _, text := range b.FrontendVIPs {
			if vip, err := netip.ParseAddr(text); err == nil { // HNS checked it
				fronts = append(fronts, forward{to: vip, family: family(vip)})
			}
		}
		for _, f := range fronts {
			f.protocol, f.port, f.sticky = int(p.Protocol), p.ExternalPort, p.DistributionType == sourceIP
			for _, e := range endpoints {
				if a := firstOf(e, f.family); a.IsValid() {
					f.backends = append(f.backends, netip.AddrPortFrom(a, p.InternalPort))
				}
			}
			if len(f.backends) > 0 {
				out = append(out, f)
			}
		}
	}
	return out
}

// sourceIP is the distribution that keeps a client with its backend (hcsshim,
// hcn/hcnloadbalancer.go, LoadBalancerDistributionSourceIP).
const sourceIP = 2

// outboundNAT is what becomes of packets that an endpoint sends.
type outboundNAT struct {
	masquerades []masquerade
	// loopback are the endpoint's own addresses under which a service may lead back to it:
	// the Destinations of its policies.
	loopback []netip.Addr
}

// outboundNATOf reads the policies of an endpoint and its network. On a nat network
// everything that leaves the node is translated, on others what a policy says, and TCP and
// UDP only (Microsoft, "Troubleshooting Kubernetes networking": pods there cannot ping
// outside). A policy is about the families of its exceptions, or about IPv4.
func outboundNATOf(e hnsemu.EndpointState, n hnsemu.NetworkState) outboundNAT {
	var out outboundNAT
	of := func(m masquerade, families ...int) {
		for _, a := range e.Addresses {
			if slices.Contains(families, family(a.Addr())) {
				own := m
				own.from = a.Addr()
				if family(own.to) != family(own.from) {
					own.to = netip.Addr{}
				}
				out.masquerades = append(out.masquerades, own)
			}
		}
	}
	if n.Driver == hns.NAT {
		of(masquerade{netSwitch: switchOf(e, n)}, 4, 6)
	}
	for _, p := range slices.Concat(n.Policies, e.Policies) {
		var s struct {
			VirtualIP                netip.Addr
			Exceptions, Destinations []string
		}
		if p.Type != schema.PolicyOutboundNAT || json.Unmarshal(p.Settings, &s) != nil {
			continue
		}
		for _, text := range s.Destinations {
			if a, err := netip.ParseAddr(text); err == nil {
				out.loopback = append(out.loopback, a)
			}
		}
		if len(s.Destinations) > 0 {
			continue
		}
		m := masquerade{netSwitch: switchOf(e, n), protocols: []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP}, to: s.VirtualIP}
		families := []int{}
		for _, text := range s.Exceptions {
			if to, ok := prefixOf(text); ok {
				m.exceptions = append(m.exceptions, to)
				families = append(families, family(to.Addr()))
			}
		}
		if len(families) == 0 {
			families = []int{4}
		}
		if !m.to.IsValid() && slices.Contains(families, family(n.ManagementIP)) {
			m.to = n.ManagementIP
		}
		of(m, families...)
	}
	return out
}

// prefixOf reads a prefix, or an address as one. HNS takes others and does nothing with them.
func prefixOf(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}
