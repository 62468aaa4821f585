// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// span is a range of keys of one length in network byte order, both ends included.
type span struct{ first, last []byte }

// after returns the key after the span, or nil when there is none.
func (s span) after() []byte {
	out := slices.Clone(s.last)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]++
		if out[i] != 0 {
			return out
		}
	}
	return nil
}

// disjoint returns spans that hold the same keys, in order and not touching each other:
// the kernel refuses others.
func disjoint(all []span) []span {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b span) int { return bytes.Compare(a.first, b.first) })
	var out []span
	for _, s := range all {
		if n := len(out); n > 0 {
			end := &out[n-1]
			after := end.after()
			if after == nil || bytes.Compare(s.first, after) <= 0 {
				if bytes.Compare(s.last, end.last) > 0 {
					end.last = s.last
				}
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

func ofPrefixes(list []netip.Prefix) []span {
	var out []span
	for _, p := range list {
		first := p.Masked().Addr().AsSlice()
		last := slices.Clone(first)
		for i := p.Bits(); i < len(last)*8; i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		out = append(out, span{first, last})
	}
	return out
}

func ofPorts(list []hns.PortRange) []span {
	var out []span
	for _, r := range list {
		out = append(out, span{binary.BigEndian.AppendUint16(nil, r.First), binary.BigEndian.AppendUint16(nil, r.Last)})
	}
	return out
}

// ofNumbers is for numbers of a byte.
func ofNumbers(list []int) []span {
	var out []span
	for _, n := range list {
		out = append(out, span{[]byte{byte(n)}, []byte{byte(n)}})
	}
	return out
}
