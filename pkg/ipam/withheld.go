// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// withheld are the addresses that are never handed out, and why not.
type withheld []withholding

type withholding struct {
	netip.Prefix
	why string
}

// withheldFrom returns what ipam.exclude names, in the order written, what else the
// configuration names, and what the caller of Add reserves.
func withheldFrom(c config.Config, reserved []netip.Addr) withheld {
	var out withheld
	for i, p := range c.IPAM.Exclude {
		out = append(out, withholding{p, fmt.Sprintf("ipam.exclude[%d] excludes it", i)})
	}
	for _, n := range c.Named() {
		out = append(out, withholding{netip.PrefixFrom(n.Addr, n.Addr.BitLen()), "it is " + n.Path})
	}
	for _, a := range reserved {
		a = a.Unmap().WithZone("")
		out = append(out, withholding{netip.PrefixFrom(a, a.BitLen()), "the network or the node has it"})
	}
	return out
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
		first, last := h.Addr(), hns.Subnet{Prefix: h.Prefix}.Last()
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
