// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// NodeEndpoint returns the node's own endpoint on an l2bridge network, and whether
// the configuration asks for one. Its route leads nowhere: what the node sends
// goes by the network's gateway, as flannel (pkg/backend/hostgw) and Calico do.
func NodeEndpoint(c config.Config, n hns.Network) (hns.Endpoint, bool) {
	if !hasNodeEndpoint(c) {
		return hns.Endpoint{}, false
	}
	want := hns.Endpoint{Name: NodeEndpointName(n.Name), NetworkID: n.ID}
	for _, s := range c.Network.Subnets {
		a := s.NodeAddress()
		want.Addresses = append(want.Addresses, netip.PrefixFrom(a, s.Prefix.Bits()))
		want.Routes = append(want.Routes, defaultRoute(unspecified(a)))
	}
	return want, true
}

func hasNodeEndpoint(c config.Config) bool { return c.Network != nil && c.Network.GatewayEndpoint }

func unspecified(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// GatewaysOf returns the addresses of a network that the configuration makes its pods'
// gateways: the second of each subnet of a family that it says so of.
func GatewaysOf(c config.Config, n hns.Network) []netip.Addr {
	var out []netip.Addr
	for _, s := range n.Subnets {
		if a := s.NodeAddress(); a.IsValid() && c.Gateways.Of(a.Is6()).Node {
			out = append(out, a)
		}
	}
	return out
}

// ReservedByHNS returns the addresses of a network that HNS or the node has: of each
// subnet the gateway (hcsshim hcn/hcnnetwork.go, DoNotReserveGatewayAddress), the first
// address and, in IPv4, the last; and the node's address under an overlay.
func ReservedByHNS(n hns.Network) []netip.Addr {
	out := []netip.Addr{n.ProviderAddress}
	for _, s := range n.Subnets {
		if !s.Prefix.IsValid() {
			continue
		}
		out = append(out, s.Gateway, s.Prefix.Masked().Addr())
		if s.Prefix.Addr().Is4() {
			out = append(out, s.Last())
		}
	}
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return !a.IsValid() })
}
