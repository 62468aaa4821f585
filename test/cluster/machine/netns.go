// SPDX-License-Identifier: Apache-2.0

// Package machine makes machines of Linux namespaces: a process id namespace, with whose
// first process everything in it ends, and network namespaces, which are there as long as
// the mount namespace that their files are mounted in.
package machine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// In runs f on a thread that is in the network namespace of a file.
func In(path string, f func() error) error {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer ns.Close()
	return netspace.Do(ns, f)
}

// NewNet makes a network namespace with its loopback up, and mounts it at path.
func NewNet(path string) error {
	ns, err := netspace.New(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	return netspace.Do(ns, func() error { return Up("lo") })
}

// Up brings an interface of the present namespace up.
func Up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return netlink.LinkSetUp(link)
}

// Bridge makes a bridge with addresses in the present namespace.
func Bridge(name string, addresses ...netip.Prefix) error {
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	if err := addAddresses(name, addresses); err != nil {
		return err
	}
	return Up(name)
}

// Cable connects the present namespace, by an interface, with "eth0" of the namespace at
// path. The interface becomes one of the bridge, if that is named.
func Cable(name, bridge, path string) error {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns))}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if bridge != "" {
		of, err := netlink.LinkByName(bridge)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMaster(link, of); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// Address gives an interface of the present namespace addresses, brings it up, and makes
// routes to everything by the gateways that are valid.
func Address(name string, addresses []netip.Prefix, gateways ...netip.Addr) error {
	if err := addAddresses(name, addresses); err != nil {
		return err
	}
	if err := Up(name); err != nil {
		return err
	}
	for _, gw := range gateways {
		if err := Route(netip.PrefixFrom(gw, 0).Masked(), name, gw); err != nil {
			return err
		}
	}
	return nil
}

func addAddresses(name string, addresses []netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	for _, p := range addresses {
		a := &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
		if err := netlink.AddrReplace(link, a); err != nil {
			return fmt.Errorf("address %s of %s: %w", p, name, err)
		}
	}
	return nil
}

// Route makes a route in the present namespace. A gateway of zero is none; one need not be
// on the interface's network.
func Route(to netip.Prefix, name string, gateway netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to)}
	if gateway.IsValid() {
		r.Gw, r.Flags = gateway.AsSlice(), int(netlink.FLAG_ONLINK)
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	if err := netlink.RouteReplace(r); err != nil {
		return fmt.Errorf("route %s by %s: %w", to, name, err)
	}
	return nil
}

// Unroute takes a route of the present namespace away. One that is not there is no error.
func Unroute(to netip.Prefix) error {
	err := netlink.RouteDel(&netlink.Route{Dst: ipNet(to)})
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Set sets a sysctl of the present namespace: "net/ipv4/ip_forward".
func Set(name, value string) error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
