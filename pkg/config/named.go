// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// NamedAddr is an address that the configuration names for something else than a pod.
type NamedAddr struct {
	// Path is where it does, and in words what has the address where no key names it.
	Path string
	Addr netip.Addr
}

// Named returns the addresses that are never a pod's, since the configuration says what
// has them: gateways, next hops, name servers, the node's and other nodes' addresses
// under an overlay, and the sources of NAT.
func (c Config) Named() []NamedAddr {
	var out []NamedAddr
	add := func(a netip.Addr, format string, args ...any) {
		if a.IsValid() && !a.IsUnspecified() {
			out = append(out, NamedAddr{c.origins.text(fmt.Sprintf(format, args...)), a})
		}
	}
	if c.Network != nil {
		for i, s := range c.Network.Subnets {
			add(s.Gateway, "network.subnets[%d].gateway", i)
			add(s.Prefix.Addr(), "the first address of network.subnets[%d].prefix", i)
			if s.Prefix.Addr().Is4() {
				add(s.Last(), "the last address of network.subnets[%d].prefix", i)
			}
			if c.Network.GatewayEndpoint {
				add(s.NodeAddress(), "the node's, by network.gatewayEndpoint, in network.subnets[%d].prefix", i)
			}
		}
		add(c.Network.ProviderAddress, "network.providerAddress")
		for i, r := range c.Network.RemoteSubnets {
			add(r.ProviderAddress, "network.remoteSubnets[%d].providerAddress", i)
		}
	}
	for _, set := range c.IPAM.RangeSets {
		for i, r := range set.Ranges {
			add(r.Gateway, "%s.gateway", index(set.Path, i))
		}
	}
	for i, a := range c.IPAM.Addresses {
		add(a.Gateway, "ipam.addresses[%d].gateway", i)
	}
	for i, r := range c.IPAM.Routes {
		add(r.NextHop, "ipam.routes[%d].gw", i)
	}
	for i, r := range c.Routes {
		add(r.NextHop, "routes[%d].nextHop", i)
	}
	add(c.Gateways.IPv4.Addr, "gateway.ipv4")
	add(c.Gateways.IPv6.Addr, "gateway.ipv6")
	for i, s := range c.nameservers {
		a, _ := netip.ParseAddr(s) // parsed before
		add(a, "dns.nameservers[%d]", i)
	}
	for i, s := range c.IPAM.DNS.Servers {
		a, _ := netip.ParseAddr(s) // parsed before
		add(a, "ipam.dns.nameservers[%d]", i)
	}
	for i, p := range c.Policies {
		key := policyAddresses[p.Type]
		var settings document
		if key == "" || json.Unmarshal(p.Settings, &settings) != nil {
			continue
		}
		text, _ := settings.unquoted(key)
		a, _ := netip.ParseAddr(text)
		add(a.Unmap(), "policies[%d].Settings.%s", i, key)
	}
	return out
}

// policyAddresses are the settings of policies that name an address of somebody else.
var policyAddresses = map[string]string{"OutBoundNAT": "VirtualIP", "ProviderAddress": "ProviderAddress", "SDNRoute": "NextHop"}

// NamedAt returns where the configuration names an address, empty where it does not.
func (c Config) NamedAt(a netip.Addr) string {
	for _, n := range c.Named() {
		if n.Addr == a {
			return n.Path
		}
	}
	return ""
}
