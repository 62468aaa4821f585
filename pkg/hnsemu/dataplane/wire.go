// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// alias marks the links of a data plane.
const alias = "bulkhead-dataplane"

// wire makes links in the network namespace of a node.
type wire struct{ h *netlink.Handle }

// prepareNode is for the node's namespace: it forwards, and bridges do not filter.
func prepareNode() error {
	err := set(map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1", "net/ipv6/conf/default/accept_dad": "0",
		"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0",
	})
	for _, family := range []string{"", "6"} {
		// Without the bridge filter there is nothing to turn off.
		_ = set(map[string]string{"net/bridge/bridge-nf-call-ip" + family + "tables": "0"})
	}
	return err
}

// preparePod is for a pod's namespace. A TCP segment of a connection that conntrack does
// not know is none of a new one.
func preparePod() error {
	err := set(map[string]string{
		"net/ipv6/conf/default/accept_dad": "0", "net/ipv6/conf/default/accept_ra": "0",
		"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0",
		"net/netfilter/nf_conntrack_tcp_loose": "0",
	})
	if err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// addSwitch makes a bridge, or gives one that is there other addresses.
func (w wire) addSwitch(name string, s netSwitch) error {
	bridge, err := w.switchNamed(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		attributes := netlink.LinkAttrs{Name: name, HardwareAddr: switchMAC(name)}
		if err := w.h.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
			return fmt.Errorf("switch %s: %w", name, err)
		}
		if bridge, err = w.h.LinkByName(name); err != nil {
			return err
		}
		err = w.mark(bridge)
	}
	if err != nil {
		return err
	}
	old, err := w.h.AddrList(bridge, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range old {
		keep := slices.ContainsFunc(s.gateways, func(p netip.Prefix) bool { return ipNet(p).String() == a.IPNet.String() })
		if !keep && !a.IP.IsLinkLocalUnicast() {
			if err := w.h.AddrDel(bridge, &a); err != nil {
				return fmt.Errorf("switch %s: %w", name, err)
			}
		}
	}
	if err := w.h.LinkSetUp(bridge); err != nil {
		return err
	}
	for _, gateway := range s.gateways {
		if err := w.h.AddrReplace(bridge, &netlink.Addr{IPNet: ipNet(gateway), Flags: unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE}); err != nil {
			return fmt.Errorf("address %s of switch %s: %w", gateway, name, err)
		}
		r := &netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: ipNet(gateway.Masked()), Scope: netlink.SCOPE_LINK}
		if r.Src, err = w.source(s.source, gateway.Addr().Is4()); err != nil {
			return err
		}
		if err := w.h.RouteReplace(r); err != nil {
			return fmt.Errorf("route to %s by switch %s from the node's address %v: %w", gateway.Masked(), name, s.source, err)
		}
	}
	return nil
}

// switchNamed returns a switch that is there.
func (w wire) switchNamed(name string) (netlink.Link, error) {
	bridge, err := w.h.LinkByName(name)
	if err == nil && bridge.Attrs().Alias != alias {
		err = errors.New("a link of that name is somebody else's")
	}
	if err != nil {
		return nil, fmt.Errorf("switch %s: %w", name, err)
	}
	return bridge, nil
}

// source returns the node's address in a family, by the one that HNS knows: that of the other
// family is beside it. It is nil for none.
func (w wire) source(known netip.Addr, is4 bool) (net.IP, error) {
	if !known.IsValid() || known.Is4() == is4 {
		return known.AsSlice(), nil
	}
	adapter, err := w.adapter(known)
	if err != nil {
		return nil, err
	}
	all, err := w.h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.LinkIndex == adapter && a.Flags&unix.IFA_F_TENTATIVE == 0 && a.IP.IsGlobalUnicast() && (a.IP.To4() != nil) == is4 {
			return a.IP, nil
		}
	}
	return nil, nil
}

// adapter returns the index of the link that has an address, 0 for none.
func (w wire) adapter(address netip.Addr) (int, error) {
	all, err := w.h.AddrList(nil, netlink.FAMILY_ALL)
	for _, a := range all {
		if a.IP.Equal(address.AsSlice()) {
			return a.LinkIndex, nil
		}
	}
	return 0, err
}

// answerBeyond makes a switch answer at once for what the node has a way to.
func answerBeyond(name string) error {
	return set(map[string]string{"net/ipv4/conf/" + name + "/proxy_arp": "1", "net/ipv4/neigh/" + name + "/proxy_delay": "0"})
}

// switchMAC is fixed: a bridge without one takes that of a pod, and connections through
// the gateway break when the pod goes.
func switchMAC(name string) net.HardwareAddr {
	mac := net.HardwareAddr{2}
	return append(mac, name[len(name)-5:]...)
}

// addLink makes the veth pair of an endpoint between its switch and a pod's namespace.
func (w wire) addLink(name string, l link, ns netns.NsHandle) error {
	bridge, err := w.switchNamed(l.netSwitch)
	if err != nil {
		return err
	}
	mac, err := parseMAC(l.mac)
	if err != nil {
		return err
	}
	mtu := ethernet
	if l.tunnel != "" {
		mtu -= overhead
	}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: bridge.Attrs().Index, MTU: mtu},
		PeerName:  name, PeerNamespace: netlink.NsFd(int(ns)), PeerHardwareAddr: mac, PeerMTU: uint32(mtu),
	}
	if err := w.h.LinkAdd(pair); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	own, err := w.h.LinkByName(name)
	if err != nil {
		return err
	}
	if err := w.mark(own); err != nil {
		return err
	}
	if err := w.h.LinkSetUp(own); err != nil {
		return err
	}
	return netspace.Do(ns, func() error { return l.configure(name) })
}

// configure gives a link its addresses and routes, in the pod's namespace.
func (l link) configure(name string) error {
	own, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range l.addresses {
		if err := netlink.AddrReplace(own, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("address %s of %s: %w", a, name, err)
		}
	}
	if err := netlink.LinkSetUp(own); err != nil {
		return err
	}
	for _, gateway := range l.gateways {
		r := &netlink.Route{
			LinkIndex: own.Attrs().Index, Dst: ipNet(netip.PrefixFrom(gateway, 0).Masked()), Gw: gateway.AsSlice(),
			Flags: int(netlink.FLAG_ONLINK), Priority: own.Attrs().Index, // the first link's wins
		}
		if err := netlink.RouteAdd(r); err != nil {
			return fmt.Errorf("route of %s by %s: %w", name, gateway, err)
		}
	}
	for _, r := range l.routes {
		by := &netlink.Route{
			LinkIndex: own.Attrs().Index, Dst: ipNet(r.to), Gw: r.hop.AsSlice(), Flags: int(netlink.FLAG_ONLINK), Priority: own.Attrs().Index,
		}
		if err := netlink.RouteReplace(by); err != nil {
			return fmt.Errorf("route of %s to %s by %s: %w", name, r.to, r.hop, err)
		}
	}
	return nil
}

// limit keeps what a link sends, in the pod's namespace, to so many bytes a second. With 0
// nothing is limited.
func limit(name string, most uint64) error {
	own, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	root := netlink.QdiscAttrs{LinkIndex: own.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)}
	if most == 0 {
		return netlink.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: root, QdiscType: "tbf"})
	}
	// A burst holds the largest packet that the kernel hands over before it cuts it up, and
	// the queue a tenth of a second.
	const largest, queues = 64 << 10, 10
	burst := uint32(max(largest, most/100))
	err = netlink.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: root, Rate: most, Buffer: netlink.Xmittime(most, burst), Limit: burst + uint32(min(most/queues, 1<<30)),
	})
	if err != nil {
		return fmt.Errorf("limit %s to %d bytes a second: %w", name, most, err)
	}
	return nil
}

// mark says whose a link is that was just made. One that cannot be marked is removed.
func (w wire) mark(l netlink.Link) error {
	if err := w.h.LinkSetAlias(l, alias); err != nil {
		return errors.Join(fmt.Errorf("mark %s: %w", l.Attrs().Name, err), w.h.LinkDel(l))
	}
	return nil
}

// remove removes a link. One that is gone, or somebody else's, is no error.
func (w wire) remove(name string) error {
	l, err := w.h.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) || err == nil && l.Attrs().Alias != alias {
		return nil
	}
	if err == nil {
		err = w.h.LinkDel(l)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// removeLink removes the link of an endpoint, and makes the node forget the connections with
// its addresses, which another pod may have in a moment.
func (w wire) removeLink(name string, l link) error {
	failed := []error{w.remove(name)}
	for _, a := range l.addresses {
		ip, of := net.IP(a.Addr().AsSlice()), netlink.InetFamily(unix.AF_INET)
		if a.Addr().Is6() {
			of = unix.AF_INET6
		}
		to, from := &netlink.ConntrackFilter{}, &netlink.ConntrackFilter{}
		err := errors.Join(to.AddIP(netlink.ConntrackReplySrcIP, ip), from.AddIP(netlink.ConntrackOrigSrcIP, ip))
		if err == nil {
			_, err = w.h.ConntrackDeleteFilters(netlink.ConntrackTable, of, to, from)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("forget connections of %s: %w", a.Addr(), err))
		}
	}
	return errors.Join(failed...)
}

// clear removes the links of an earlier data plane.
func (w wire) clear() error {
	links, err := w.h.LinkList()
	if err != nil {
		return err
	}
	var failed []error
	for _, l := range links {
		if l.Attrs().Alias == alias {
			failed = append(failed, w.remove(l.Attrs().Name))
		}
	}
	return errors.Join(failed...)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
