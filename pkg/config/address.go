// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// parsePrefix reads a CIDR whose host bits are zero. HNS answers one with host
// bits with 0x803b0030 or takes another prefix than was meant: offer the
// corrected one instead.
func parsePrefix(path, s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, invalid(path, "missing; want a CIDR such as 10.10.0.0/24")
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			return netip.Prefix{}, invalid(path, "%q is an address, not a CIDR; write its length, too: %s", s, likelyPrefix(a))
		}
		return netip.Prefix{}, invalid(path, "%q is not a CIDR such as 10.10.0.0/24", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, invalid(path, "%q is IPv4 written as IPv6; write it as IPv4", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, invalid(path, "%q has host bits set; write %s", s, p.Masked())
	}
	return p, nil
}

// likelyPrefix returns what an address without a length is meant for: as many bytes as
// are not zero at its end, and the one address where none is. In IPv6 a subnet has 64
// bits.
func likelyPrefix(a netip.Addr) netip.Prefix {
	const byteBits, subnet6 = 8, 64
	a = a.Unmap()
	bits := a.BitLen()
	for b := a.AsSlice(); bits > byteBits && b[bits/byteBits-1] == 0; {
		bits -= byteBits
	}
	if a.Is6() && bits < a.BitLen() {
		bits = max(bits, subnet6)
	}
	return netip.PrefixFrom(a, bits)
}

func parsePrefixes(path string, list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, s := range list {
		p, err := parsePrefix(index(path, i), s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// parseAddr reads an address without a zone, which HNS has no place for.
func parseAddr(path, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, invalid(path, "%q is not an IP address", s)
	}
	if a.Zone() != "" {
		return netip.Addr{}, invalid(path, "%q has a zone; write %s", s, a.WithZone(""))
	}
	return a.Unmap(), nil
}

func checkFamily(path string, a netip.Addr, d hns.Driver) error {
	if a.Is6() && !d.HasIPv6() {
		return invalid(path, "%s is IPv6, which %s networks do not have", a, d)
	}
	return nil
}

// inRange checks a number whose absence the caller has dealt with.
func inRange(path string, n, low, high int64) error {
	if n < low || n > high {
		return invalid(path, "%d is not in %d to %d", n, low, high)
	}
	return nil
}
