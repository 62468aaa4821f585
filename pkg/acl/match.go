// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// match is a set of packets of one direction. An empty list is any.
type match struct {
	protocols []int
	ports     []hns.PortRange
	remote    []netip.Prefix
}

// isAny reports whether every packet is in the set.
func (m match) isAny() bool {
	return len(m.protocols) == 0 && len(m.ports) == 0 && len(m.remote) == 0
}

// and returns the packets that are in both sets, and false when none is.
func (m match) and(o match) (match, bool) {
	protocols, some := both(m.protocols, o.protocols, bothProtocols)
	ports, somePorts := both(m.ports, o.ports, bothPorts)
	remote, someRemote := both(m.remote, o.remote, bothPrefixes)
	return match{protocols, ports, remote}, some && somePorts && someRemote
}

// overlaps reports whether a packet is in both sets.
func (m match) overlaps(o match) bool {
	_, ok := m.and(o)
	return ok
}

// both intersects two lists of which an empty one is any.
func both[T any](a, b []T, and func(a, b T) (T, bool)) ([]T, bool) {
	switch {
	case len(a) == 0:
		return b, true
	case len(b) == 0:
		return a, true
	}
	var out []T
	for _, x := range a {
		for _, y := range b {
			if z, ok := and(x, y); ok {
				out = append(out, z)
			}
		}
	}
	return out, len(out) > 0
}

func bothProtocols(a, b int) (int, bool) { return a, a == b }

func bothPorts(a, b hns.PortRange) (hns.PortRange, bool) {
	r := hns.PortRange{First: max(a.First, b.First), Last: min(a.Last, b.Last)}
	return r, r.First <= r.Last
}

// bothPrefixes returns the longer of two prefixes, which lies in the other one
// if they share anything.
func bothPrefixes(a, b netip.Prefix) (netip.Prefix, bool) {
	if a.Bits() < b.Bits() {
		a, b = b, a
	}
	return a, a.Overlaps(b)
}

// minimal returns the prefixes, in their order, without those that are in another one.
func minimal(prefixes []netip.Prefix) []netip.Prefix {
	sorted := slices.SortedFunc(slices.Values(prefixes), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	keep := map[netip.Prefix]bool{}
	var last netip.Prefix
	for _, p := range sorted {
		if !last.IsValid() || !last.Overlaps(p) {
			keep[p], last = true, p
		}
	}
	var out []netip.Prefix
	for _, p := range prefixes {
		if keep[p] {
			out = append(out, p)
			delete(keep, p)
		}
	}
	return out
}

// merged returns the ports of ranges that overlap as one, in order of the numbers; ranges
// that do not stay as they are.
func merged(ports []hns.PortRange) []hns.PortRange {
	sorted := slices.SortedFunc(slices.Values(ports), func(a, b hns.PortRange) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	})
	var out []hns.PortRange
	for _, p := range sorted {
		if n := len(out); n > 0 && p.First <= out[n-1].Last {
			out[n-1].Last = max(out[n-1].Last, p.Last)
			continue
		}
		out = append(out, p)
	}
	if len(out) == len(ports) {
		return ports
	}
	return out
}

// perProtocol returns the protocols to make a rule of each for: HNS takes one a
// rule, and none for any.
func (m match) perProtocol() []int {
	if len(m.protocols) == 0 {
		return []int{hns.ProtocolAny}
	}
	return slices.Compact(slices.Sorted(slices.Values(m.protocols)))
}

// chunks splits a list so that no part is longer than HNS bears. An empty list
// is one empty part.
func chunks[T any](list []T) [][]T {
	if len(list) == 0 {
		return [][]T{nil}
	}
	return slices.Collect(slices.Chunk(list, maxEntries))
}

// maxEntries is how many addresses or ports a rule holds at most (Microsoft's
// advice, in Calico's policysets.go).
const maxEntries = 4000
