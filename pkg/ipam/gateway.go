// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/json"
	"net"
	"slices"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// gateways are those that a configuration names: its ranges', and its network's.
type gateways struct {
	ofRanges, ofNetwork []net.IP
	// behindNode says that pods go by the node's own endpoint instead of the
	// network's gateway.
	behindNode bool
}

type rangeGateway struct {
	Gateway net.IP `json:"gateway"`
}

// gatewaysIn reads a configuration that host-local has parsed already, so what
// does not parse here is none.
func gatewaysIn(conf []byte) gateways {
	var c struct {
		IPAM struct {
			rangeGateway
			Ranges [][]rangeGateway `json:"ranges"`
		} `json:"ipam"`
		RuntimeConfig struct {
			IPRanges [][]rangeGateway `json:"ipRanges"`
		} `json:"runtimeConfig"`
		Network struct {
			Subnets         []rangeGateway `json:"subnets"`
			GatewayEndpoint bool           `json:"gatewayEndpoint"`
		} `json:"network"`
	}
	if err := json.Unmarshal(conf, &c); err != nil {
		return gateways{}
	}
	out := gateways{ofRanges: []net.IP{c.IPAM.Gateway}, behindNode: c.Network.GatewayEndpoint}
	for _, sets := range [][][]rangeGateway{c.IPAM.Ranges, c.RuntimeConfig.IPRanges} {
		for _, set := range sets {
			for _, r := range set {
				out.ofRanges = append(out.ofRanges, r.Gateway)
			}
		}
	}
	for _, s := range c.Network.Subnets {
		out.ofNetwork = append(out.ofNetwork, s.Gateway)
	}
	return out
}

// has reports whether the configuration names the gateway as that of pods.
func (g gateways) has(ip net.IP) bool {
	return contains(g.ofRanges, ip) || !g.behindNode && contains(g.ofNetwork, ip)
}

// besides leaves the network's gateways out where default routes name others.
func (g gateways) besides(routes []hns.Route) gateways {
	g.ofNetwork = slices.DeleteFunc(slices.Clone(g.ofNetwork), func(gw net.IP) bool {
		return slices.ContainsFunc(routes, func(r hns.Route) bool {
			return r.Destination.Bits() == 0 && r.NextHop.IsValid() && r.NextHop.Is4() == (gw.To4() != nil)
		})
	})
	return g
}

func contains(list []net.IP, ip net.IP) bool {
	for _, i := range list {
		if i != nil && i.Equal(ip) {
			return true
		}
	}
	return false
}

// useNetworkGateways gives every range without a gateway of its own that of the
// network, in the place of host-local's guess, the first address: the allocator
// then hands out the guess and withholds the gateway.
func useNetworkGateways(conf *allocator.IPAMConfig, raw []byte) {
	known := gatewaysIn(raw)
	for _, set := range conf.Ranges {
		for i := range set {
			if contains(known.ofRanges, set[i].Gateway) {
				continue
			}
			subnet := net.IPNet(set[i].Subnet)
			for _, gw := range known.ofNetwork {
				if gw != nil && subnet.Contains(gw) {
					set[i].Gateway = gw
				}
			}
		}
	}
}
