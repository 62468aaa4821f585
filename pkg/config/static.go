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
	if err := decodeLax("ipam", doc["ipam"], &w); err != nil {
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
	fromArgs, err := doc.argsIPs()
	if err != nil {
		return err
	}
	path := "ipam.addresses"
	switch {
	case len(fromRuntime) > 0:
		path = "runtimeConfig.ips"
		ipam.Addresses, err = parseAddresses(path, withoutGateways(fromRuntime))
	case len(fromArgs) > 0:
		path = "args.cni.ips"
		ipam.Addresses, err = parseAddresses(path, withoutGateways(fromArgs))
	default:
		ipam.Addresses, err = parseAddresses(path, w.Addresses)
	}
	if err != nil {
		return err
	}
	for i, a := range ipam.Addresses {
		if err := c.checkInSubnets(index(path, i), a.Prefix.Addr()); err != nil {
			return err
		}
	}
	if path == "ipam.addresses" {
		for i, a := range fromEnv {
			if err := c.checkInSubnets(index("CNI_ARGS IP", i), a.Prefix.Addr()); err != nil {
				return err
			}
		}
		ipam.Addresses = append(ipam.Addresses, fromEnv...)
	}
	if err := ipam.checkOneOfAFamily(c.CNIVersion, func(count func(netip.Addr)) {
		for _, a := range ipam.Addresses {
			count(a.Prefix.Addr())
		}
	}); err != nil {
		return err
	}
	if ipam.Routes, err = parseIPAMRoutes(w.Routes); err != nil {
		return err
	}
	servers, err := parseServers("ipam.dns.nameservers", w.DNS.Nameservers)
	ipam.DNS = hns.DNS{Domain: w.DNS.Domain, Search: w.DNS.Search, Servers: servers, Options: w.DNS.Options}
	return err
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
		for i := range out {
			if out[i].Prefix.Contains(gw) {
				out[i].Gateway = gw
			}
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
