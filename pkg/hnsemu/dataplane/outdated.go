// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// outdated are forwards that have changed. It matches what the kernel remembers of UDP
// packets to them that went elsewhere than to a backend of now: a client that goes on to
// send from one port would never reach another. VFP judges the packets of a known flow anew
// after each change of its rules (Firestone, "VFP: A Virtual Switch Platform for Host SDN in
// the Public Cloud", NSDI 2017, on flow reconciliation). A TCP connection stays where it is.
type outdated []forward

// changed returns those of want that are not the same in has.
func changed(has, want []forward) outdated {
	return slices.DeleteFunc(slices.Clone(want), func(f forward) bool {
		return f.protocol != unix.IPPROTO_UDP || slices.ContainsFunc(has, func(old forward) bool { return reflect.DeepEqual(old, f) })
	})
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (o outdated) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	to, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	by, _ := netip.AddrFromSlice(flow.Reverse.SrcIP)
	to, by = to.Unmap(), by.Unmap()
	return slices.ContainsFunc(o, func(f forward) bool {
		return flow.Forward.Protocol == unix.IPPROTO_UDP && flow.Forward.DstPort == f.port && family(to) == f.family &&
			(!f.to.IsValid() || f.to == to) && !slices.Contains(f.backends, netip.AddrPortFrom(by, flow.Reverse.SrcPort))
	})
}

// forget removes what the kernel remembers of packets to the forwards.
func (o outdated) forget(h *netlink.Handle) error {
	families := map[int]netlink.InetFamily{4: unix.AF_INET, 6: unix.AF_INET6}
	for of, inet := range families {
		if !slices.ContainsFunc(o, func(f forward) bool { return f.family == of }) {
			continue
		}
		if _, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, inet, o); err != nil {
			return err
		}
	}
	return nil
}
