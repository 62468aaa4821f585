// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
)

// withheld are the addresses that are never handed out, and why not.
type withheld []withholding

type withholding struct {
	netip.Prefix
	why string
}

// withheldFrom returns what ipam.exclude names, in the order written, and what
// the caller of Add reserves. The executable of host-local does not know the
// key and passes over it.
func withheldFrom(r Request) (withheld, error) {
	var c struct {
		IPAM struct{ Exclude json.RawMessage }
	}
	if err := json.Unmarshal(r.Conf, &c); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if raw := c.IPAM.Exclude; raw != nil && json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("ipam.exclude: want a list of CIDRs and addresses, got %s", raw)
	}
	var out withheld
	for i, item := range list {
		path := fmt.Sprintf("ipam.exclude[%d]", i)
		p, err := excluded(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, withholding{p, path + " excludes it"})
	}
	for _, a := range r.Reserved {
		a = a.Unmap().WithZone("")
		out = append(out, withholding{netip.PrefixFrom(a, a.BitLen()), "the network or the node has it"})
	}
	return out, nil
}

// excluded reads one item of ipam.exclude. A CIDR with host bits can be meant as
// an address or as a network.
func excluded(item json.RawMessage) (netip.Prefix, error) {
	var text *string
	if err := json.Unmarshal(item, &text); err != nil || text == nil {
		return netip.Prefix{}, fmt.Errorf("want a CIDR or an address in quotes, got %s", item)
	}
	s := *text
	p, err := netip.ParsePrefix(s)
	if a, aErr := netip.ParseAddr(s); aErr == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither a CIDR such as 10.10.0.0/28 nor an address", s)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is IPv4 written as IPv6; write it as IPv4", s)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has host bits set; write %s, or %s for the one address", s, p.Masked(), p.Addr())
	}
	return p, nil
}

// why says why an address is not handed out, nothing when it is.
func (w withheld) why(a net.IP) string {
	addr, _ := netip.AddrFromSlice(a)
	for _, h := range w {
		if h.Contains(addr.Unmap()) {
			return h.why
		}
	}
	return ""
}

// cut returns a range set without what is withheld. The allocator tries one
// address after the other, so what is withheld may not reach it: an IPv6 prefix
// has no end.
func (w withheld) cut(set allocator.RangeSet) allocator.RangeSet {
	sorted := slices.SortedFunc(slices.Values(w), func(a, b withholding) int { return a.Addr().Compare(b.Addr()) })
	var out allocator.RangeSet
	for _, r := range set {
		out = append(out, withheld(sorted).cutRange(r)...)
	}
	return out
}

// cutRange wants w in the order of the addresses.
func (w withheld) cutRange(r allocator.Range) []allocator.Range {
	start, _ := netip.AddrFromSlice(r.RangeStart)
	end, _ := netip.AddrFromSlice(r.RangeEnd)
	var out []allocator.Range
	piece := func(first, last netip.Addr) {
		p := r
		p.RangeStart, p.RangeEnd = first.AsSlice(), last.AsSlice()
		out = append(out, p)
	}
	for _, h := range w {
		first, last := h.Addr(), lastOf(h.Prefix)
		if first.BitLen() != start.BitLen() || last.Less(start) || end.Less(first) {
			continue
		}
		if start.Less(first) {
			piece(start, first.Prev())
		}
		if !last.Less(end) {
			return out
		}
		start = last.Next()
	}
	piece(start, end)
	return out
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
