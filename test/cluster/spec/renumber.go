// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// quoted is a JSON string that may be an address or a range of addresses.
var quoted = regexp.MustCompile(`"[0-9a-fA-F:.]+(/[0-9]+)?"`)

// Renumber returns a conflist for the n-th node: each range of pods that the file has, a
// /24 of IPv4 or a /64 of IPv6, is the first node's, and those after it are the others'.
// Wider ranges, such as the cluster's, stay.
func Renumber(conflist string, n int) (string, error) {
	own, err := ranges(conflist)
	if err != nil {
		return "", err
	}
	var failure error
	out := quoted.ReplaceAllStringFunc(conflist, func(s string) string {
		text := s[1 : len(s)-1]
		p, err := netip.ParsePrefix(text)
		isPrefix := err == nil
		if !isPrefix {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return s
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		for _, of := range own {
			if p.Bits() < of.Bits() || !of.Contains(p.Addr()) {
				continue
			}
			moved, err := move(p.Addr(), n-1)
			if err != nil {
				failure = err
				return s
			}
			if isPrefix {
				return fmt.Sprintf("%q", netip.PrefixFrom(moved, p.Bits()))
			}
			return fmt.Sprintf("%q", moved)
		}
		return s
	})
	return out, failure
}

// Subnets returns the ranges of pods of the n-th node, as Renumber moves them, IPv4 first.
func Subnets(conflist string, n int) ([]netip.Prefix, error) {
	own, err := ranges(conflist)
	if err != nil {
		return nil, err
	}
	for i, p := range own {
		a, err := move(p.Addr(), n-1)
		if err != nil {
			return nil, err
		}
		own[i] = netip.PrefixFrom(a, p.Bits())
	}
	slices.SortFunc(own, netip.Prefix.Compare)
	return slices.Compact(own), nil
}

// ranges returns the ranges of pods that a conflist has, in any order, perhaps twice.
func ranges(conflist string) ([]netip.Prefix, error) {
	var doc any
	if err := json.Unmarshal([]byte(conflist), &doc); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	var own []netip.Prefix
	collect(doc, func(p netip.Prefix) {
		if p.Bits() == 24 && p.Addr().Is4() || p.Bits() == 64 && p.Addr().Is6() {
			own = append(own, p.Masked())
		}
	})
	return own, nil
}

// collect finds the ranges of pods: what the keys prefix and subnet say.
func collect(v any, found func(netip.Prefix)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collect(e, found)
		}
	case map[string]any:
		for key, e := range v {
			text, _ := e.(string)
			if p, err := netip.ParsePrefix(text); err == nil && (key == "prefix" || key == "subnet") {
				found(p)
			}
			collect(e, found)
		}
	}
}

// move moves an address by so many /24 or /64.
func move(a netip.Addr, by int) (netip.Addr, error) {
	b := a.AsSlice()
	at := 2
	if a.Is6() {
		at = 7
	}
	if int(b[at])+by > 255 {
		return netip.Addr{}, fmt.Errorf("no range for node %d after that of %s", by+1, a)
	}
	b[at] += byte(by)
	out, _ := netip.AddrFromSlice(b)
	return out, nil
}
