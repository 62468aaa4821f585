// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// readStatic puts the addresses of static together. Those of CNI_ARGS come on top of
// the section's; args.cni.ips takes the place of both, and runtimeConfig.ips of all
// (containernetworking/plugins, plugins/ipam/static).
func readStatic(doc document, c *Config, ipam *IPAM) error {
	var w wireStatic
	if err := decode("ipam", doc["ipam"], &w); err != nil {
		return err
	}
	fromEnv, err := c.args.addresses()
	if err != nil {
		return err
	}
	var fromRuntime []string
	if err := doc.runtime("ips", &fromRuntime); err != nil {
		return err
	}
	args, err := doc.args()
	if err != nil {
		return err
	}
	path := "ipam.addresses"
	switch {
	case len(fromRuntime) > 0:
		path = "runtimeConfig.ips"
		ipam.Addresses, err = parseAddresses(path, withoutGateways(fromRuntime))
	case len(args.IPs) > 0:
		path = "args.cni.ips"
		ipam.Addresses, err = parseAddresses(path, withoutGateways(args.IPs))
	default:
		ipam.Addresses, err = parseAddresses(path, w.Addresses)
	}
	if err != nil {
		return err
	}
	var paths []string
	for i := range ipam.Addresses {
		paths = append(paths, index(path, i))
	}
	if path == "ipam.addresses" {
		for i := range fromEnv {
			paths = append(paths, index("CNI_ARGS IP", i))
		}
		ipam.Addresses = append(ipam.Addresses, fromEnv...)
	}
	if ipam.Routes, err = parseIPAMRoutes(w.Routes); err != nil {
		return err
	}
	servers, err := parseServers("ipam.dns.nameservers", w.DNS.Nameservers)
	if err != nil {
		return err
	}
	ipam.DNS = hns.DNS{Domain: w.DNS.Domain, Search: w.DNS.Search, Servers: servers, Options: w.DNS.Options}
	if err := c.checkAddresses(*ipam, paths); err != nil {
		return err
	}
	var all []NamedAddr
	for i, a := range ipam.Addresses {
		all = append(all, NamedAddr{paths[i], a.Prefix.Addr()})
	}
	return oneOfAFamily(all)
}

// checkAddresses refuses addresses of static that are something else's, and gateways
// that cannot be one.
func (c Config) checkAddresses(ipam IPAM, paths []string) error {
	c.IPAM = ipam
	for i, a := range ipam.Addresses {
		addr := a.Prefix.Addr()
		if err := c.checkInSubnets(paths[i], addr); err != nil {
			return err
		}
		if a.Gateway == addr {
			return invalid(paths[i], "%s is its own gateway", addr)
		}
		if named := c.NamedAt(addr); named != "" {
			return invalid(paths[i], "%s cannot be the pod's: it is %s", addr, named)
		}
		if c.Network == nil || !a.Gateway.IsValid() {
			continue // the network tells
		}
		for _, s := range c.Network.Subnets {
			if why := s.NotNextHop(a.Gateway); s.Prefix.Contains(addr) && why != "" {
				return invalid(paths[i]+".gateway", "%s", why)
			}
		}
	}
	return nil
}

func withoutGateways(ips []string) []wireAddress {
	var out []wireAddress
	for _, ip := range ips {
		out = append(out, wireAddress{Address: ip})
	}
	return out
}

// parseAddresses reads the addresses of one source.
func parseAddresses(path string, in []wireAddress) ([]IPAMAddress, error) {
	var out []IPAMAddress
	for i, w := range in {
		p, err := netip.ParsePrefix(w.Address)
		if err != nil {
			return nil, invalid(index(path, i), "%q is not an address with a prefix length, as in 10.0.0.5/24", w.Address)
		}
		if a := p.Addr(); a.Is4In6() {
			if p.Bits() < 96 {
				return nil, invalid(index(path, i), "%q is IPv4 written as IPv6; write it as IPv4", w.Address)
			}
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96) // as in ::ffff:10.0.0.5/120
		}
		parsed := IPAMAddress{Prefix: p}
		if w.Gateway != "" {
			if parsed.Gateway, err = parseAddr(index(path, i)+".gateway", w.Gateway); err != nil {
				return nil, err
			}
		}
		out = append(out, parsed)
	}
	return out, nil
}

// addresses reads IP and GATEWAY of CNI_ARGS. A gateway there is that of every
// address there whose subnet it is in, whatever the order.
func (a cniArgs) addresses() ([]IPAMAddress, error) {
	out, err := parseAddresses("CNI_ARGS IP", withoutGateways(splitList(a.ip)))
	if err != nil {
		return nil, err
	}
	for i, s := range splitList(a.gateway) {
		gw, err := parseAddr(index("CNI_ARGS GATEWAY", i), s)
		if err != nil {
			return nil, err
		}
		found := false
		for i := range out {
			if out[i].Prefix.Contains(gw) {
				out[i].Gateway, found = gw, true
			}
		}
		if !found {
			return nil, invalid(index("CNI_ARGS GATEWAY", i), "%s is in the subnet of no address of CNI_ARGS IP", gw)
		}
	}
	return out, nil
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.Split(s, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}
