// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// macRange is a range of MAC addresses, both ends included, as numbers.
type macRange struct {
	first, last uint64
}

// macRange reads a range. Both ends must be there, in order.
func (d macRangeDoc) macRange() (macRange, error) {
	first, err := parseMAC(d.StartMacAddress)
	if err != nil {
		return macRange{}, err
	}
	last, err := parseMAC(d.EndMacAddress)
	if err != nil {
		return macRange{}, err
	}
	if first > last {
		return macRange{}, refuse(codeInvalidNetwork, "MAC range %s-%s", d.StartMacAddress, d.EndMacAddress)
	}
	return macRange{first, last}, nil
}

// doc writes the range as HNS does, whatever the client's spelling was.
func (r macRange) doc() macRangeDoc {
	return macRangeDoc{formatMAC(r.first), formatMAC(r.last)}
}

// parseMAC accepts hyphens and colons, as clients send both.
func parseMAC(text string) (uint64, error) {
	m, err := hns.ParseMAC(text)
	if err != nil || m == "" {
		return 0, refuse(codeInvalidJSON, "%q is not a MAC address", text)
	}
	var n uint64
	b, _ := hex.DecodeString(strings.ReplaceAll(string(m), ":", ""))
	for _, octet := range b {
		n = n<<8 | uint64(octet)
	}
	return n, nil
}

// formatMAC writes a MAC address as HNS does: 00-15-5D-52-C0-00.
func formatMAC(n uint64) string {
	s := fmt.Sprintf("%012X", n)
	return s[:2] + "-" + s[2:4] + "-" + s[4:6] + "-" + s[6:8] + "-" + s[8:10] + "-" + s[10:]
}

// fillPool gives a network without a MAC pool one of 4096 addresses (hns.md
// section 4.1), different on each node.
func (n *network) fillPool(*Host) error {
	if len(n.pool) > 0 {
		return nil
	}
	b, err := hex.DecodeString(n.id[:4])
	if err != nil {
		return refuse(codeInvalidNetwork, "id %s", n.id)
	}
	first := uint64(0x00155d)<<24 | uint64(b[0])<<16 | uint64(b[1]&0xf0)<<8
	n.pool = []macRange{{first, first + 0xfff}}
	return nil
}

// freeMAC returns the first address of the pool that no endpoint has.
func (n *network) freeMAC(h *Host) (string, error) {
	used := map[string]bool{}
	for _, e := range n.endpoints(h) {
		used[e.mac] = true
	}
	for _, r := range n.pool {
		for m := r.first; m <= r.last; m++ {
			if mac := formatMAC(m); !used[mac] {
				return mac, nil
			}
		}
	}
	return "", refuse(codeInvalidEndpoint, "the MAC pool of network %q is used up", n.name)
}

// lastAddr returns the last address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// reserved says why an address of the subnet is not to be had, empty when it is
// (hns.md section 4.2).
func (s *subnet) reserved(h *Host, a netip.Addr) string {
	switch {
	case a == s.prefix.Addr():
		return "the address of the subnet"
	case a.Is4() && a == lastAddr(s.prefix):
		return "the broadcast address"
	case a == s.gateway && s.flags&subnetNoGateway == 0:
		return "the gateway"
	}
	for _, adapter := range h.node.Adapters {
		if adapter.Address.Addr() == a {
			return "the node's own address"
		}
	}
	return ""
}

// owner returns the endpoint of the network that has an address, or nil.
func (n *network) owner(h *Host, a netip.Addr) *endpoint {
	for _, e := range n.endpoints(h) {
		for _, p := range e.addresses {
			if p.Addr() == a {
				return e
			}
		}
	}
	return nil
}

// freeAddr returns the lowest address of the subnet that is free.
func (n *network) freeAddr(h *Host, s *subnet) (netip.Prefix, error) {
	used := map[netip.Addr]bool{}
	for _, e := range n.endpoints(h) {
		for _, p := range e.addresses {
			used[p.Addr()] = true
		}
	}
	for a := s.prefix.Addr(); s.prefix.Contains(a); a = a.Next() {
		if !used[a] && s.reserved(h, a) == "" {
			return netip.PrefixFrom(a, s.prefix.Bits()), nil
		}
	}
	return netip.Prefix{}, refuse(codeNoSubnet, "subnet %s of network %q is used up", s.prefix, n.name)
}

// allocate picks an address of each family that the network has. With several
// subnets of one family it does not know which (hns.md section 3.2).
func (n *network) allocate(h *Host) ([]netip.Prefix, error) {
	var picked []netip.Prefix
	for _, is4 := range []bool{true, false} {
		var found *subnet
		for _, s := range n.subnets {
			if s.prefix.Addr().Is4() != is4 {
				continue
			}
			if found != nil {
				return nil, refuse(codeNoSubnet, "network %q has several subnets and no address was asked for", n.name)
			}
			found = s
		}
		if found == nil {
			continue
		}
		p, err := n.freeAddr(h, found)
		if err != nil {
			return nil, err
		}
		picked = append(picked, p)
	}
	return picked, nil
}

// claim checks an address that the client chose and completes its length.
func (n *network) claim(h *Host, a netip.Addr, length int) (netip.Prefix, error) {
	s := n.subnetFor(a)
	if a.Is6() && !n.takesIPv6(h.profile.Version) {
		return netip.Prefix{}, refuse(codeNoSubnet, "HNS %s has no IPv6", h.profile.Version)
	}
	if s == nil && len(n.subnets) > 0 {
		return netip.Prefix{}, n.strayAddr(a)
	}
	if s == nil && length == 0 {
		return netip.Prefix{}, refuse(codeNoSubnet, "network %q has no subnet to take the prefix length from", n.name)
	}
	if s != nil {
		if why := s.reserved(h, a); why != "" {
			return netip.Prefix{}, refuse(h.profile.AddressTaken, "%s is %s", a, why)
		}
		if length == 0 {
			length = s.prefix.Bits()
		}
	}
	if e := n.owner(h, a); e != nil {
		return netip.Prefix{}, refuse(h.profile.AddressTaken, "%s is the address of endpoint %q", a, e.name)
	}
	return h.withLength(a, length)
}

// strayAddr is the answer to an address in no subnet: of a family that the
// network does not have (Windows-Containers#82), or outside its range.
func (n *network) strayAddr(a netip.Addr) error {
	for _, s := range n.subnets {
		if s.prefix.Addr().Is4() == a.Is4() {
			return refuse(codeInvalidIP, "%s is in no subnet of network %q", a, n.name)
		}
	}
	return refuse(codeNoSubnet, "network %q has no subnet of the family of %s", n.name, a)
}

// withLength checks the prefix length of an endpoint's address, which need not
// be the subnet's: hcsshim sends what its caller says.
func (h *Host) withLength(a netip.Addr, length int) (netip.Prefix, error) {
	if length < 1 || length > a.BitLen() {
		return netip.Prefix{}, refuse(codeInvalidPrefix, "prefix length %d of %s", length, a)
	}
	// Single-address prefixes came with 9.3 and 10.4 (hns.md section 2.10).
	v := h.profile.Version
	if length == a.BitLen() && !v.AtLeast(10, 4) && (v.Major != 9 || v.Minor < 3) {
		return netip.Prefix{}, refuse(codeInvalidPrefix, "HNS %s has no endpoints of length %d", v, length)
	}
	return netip.PrefixFrom(a, length), nil
}
