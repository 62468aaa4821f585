// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/hex"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// fillPool gives a network without a MAC pool one of 4096 addresses, as HNS
// does (dump in moby/moby#40128).
func (n *network) fillPool(*Host) error {
	if len(n.MACPool) > 0 {
		return nil
	}
	b, err := hex.DecodeString(n.id[:4])
	if err != nil {
		return schema.Errorf(schema.CodeInvalidNetwork, "id %s", n.id)
	}
	first := uint64(0x00155d)<<24 | uint64(b[0])<<16 | uint64(b[1]&0xf0)<<8
	n.MACPool = []schema.MACRange{{First: first, Last: first + 0xfff}}
	return nil
}

// freeMAC returns the first address of the pool that no endpoint has.
func (n *network) freeMAC(h *Host) (string, error) {
	used := map[string]bool{}
	for _, e := range n.endpoints(h) {
		used[e.MAC] = true
	}
	for _, r := range n.MACPool {
		for m := r.First; m <= r.Last; m++ {
			if mac := schema.FormatMAC(m); !used[mac] {
				return mac, nil
			}
		}
	}
	return "", schema.Errorf(schema.CodeInvalidEndpoint, "the MAC pool of network %q is used up", n.name)
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

// reserved says why no endpoint can have an address of the subnet, "" when one
// can. That the gateway is reserved is in HNS_Schema.md (SubnetFlags); the
// other answers are not documented.
func (h *Host) reserved(s *schema.Subnet, a netip.Addr) string {
	switch {
	case a == s.Prefix.Addr():
		return "the address of the subnet"
	case a.Is4() && a == lastAddr(s.Prefix):
		return "the broadcast address"
	case a == s.Gateway && s.Flags&schema.FlagNoGateway == 0:
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
func (n *network) freeAddr(h *Host, s *schema.Subnet) (netip.Prefix, error) {
	used := map[netip.Addr]bool{}
	for _, e := range n.endpoints(h) {
		for _, p := range e.addresses {
			used[p.Addr()] = true
		}
	}
	for a := s.Prefix.Addr(); s.Prefix.Contains(a); a = a.Next() {
		if !used[a] && h.reserved(s, a) == "" {
			return netip.PrefixFrom(a, s.Prefix.Bits()), nil
		}
	}
	return netip.Prefix{}, schema.Errorf(schema.CodeNoSubnet, "subnet %s of network %q is used up", s.Prefix, n.name)
}

// allocate picks an address of each family that the network has. It refuses to
// choose between several subnets of one family; what HNS does is not
// documented.
func (n *network) allocate(h *Host) ([]netip.Prefix, error) {
	var picked []netip.Prefix
	for _, is4 := range []bool{true, false} {
		var found *schema.Subnet
		for _, s := range n.Subnets {
			if s.Prefix.Addr().Is4() != is4 {
				continue
			}
			if found != nil {
				return nil, schema.Errorf(schema.CodeNoSubnet, "network %q has several subnets and no address was asked for", n.name)
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

// claim checks an address that the client chose and fills in its length.
func (n *network) claim(h *Host, a netip.Addr, length int) (netip.Prefix, error) {
	s := n.SubnetFor(a)
	if a.Is6() && !n.TakesIPv6(h.profile.Version) {
		return netip.Prefix{}, schema.Errorf(schema.CodeNoSubnet, "HNS %s has no IPv6", h.profile.Version)
	}
	if s == nil && len(n.Subnets) > 0 {
		return netip.Prefix{}, n.outsideError(a)
	}
	if s == nil && length == 0 {
		return netip.Prefix{}, schema.Errorf(schema.CodeNoSubnet, "network %q has no subnet to take the prefix length from", n.name)
	}
	if s != nil {
		if why := h.reserved(s, a); why != "" {
			return netip.Prefix{}, schema.Errorf(h.profile.AddressTaken, "%s is %s", a, why)
		}
		if length == 0 {
			length = s.Prefix.Bits()
		}
	}
	if e := n.owner(h, a); e != nil {
		return netip.Prefix{}, schema.Errorf(h.profile.AddressTaken, "%s is the address of endpoint %q", a, e.name)
	}
	return h.withLength(a, length)
}

// outsideError is the answer to an address in no subnet: the network does not
// have its family (microsoft/Windows-Containers#82), or it is outside the
// range.
func (n *network) outsideError(a netip.Addr) error {
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is4() == a.Is4() {
			return schema.Errorf(schema.CodeInvalidIP, "%s is in no subnet of network %q", a, n.name)
		}
	}
	return schema.Errorf(schema.CodeNoSubnet, "network %q has no subnet of the family of %s", n.name, a)
}

// withLength checks the prefix length of an endpoint's address. It need not be
// the subnet's.
func (h *Host) withLength(a netip.Addr, length int) (netip.Prefix, error) {
	if length < 1 || length > a.BitLen() {
		return netip.Prefix{}, schema.Errorf(schema.CodeInvalidPrefix, "prefix length %d of %s", length, a)
	}
	// Prefixes of one address came with 9.3 and 10.4 (hcsshim,
	// hcn/hcnglobals.go).
	v := h.profile.Version
	if length == a.BitLen() && !v.AtLeast(10, 4) && (v.Major != 9 || v.Minor < 3) {
		return netip.Prefix{}, schema.Errorf(schema.CodeInvalidPrefix, "HNS %s has no endpoints of length %d", v, length)
	}
	return netip.PrefixFrom(a, length), nil
}
