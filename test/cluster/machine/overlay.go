// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Peer is a machine of an overlay network.
type Peer struct {
	// Subnet has the machine's pods, and its first address is the machine's own.
	Subnet netip.Prefix
	// Provider is the machine's address under the overlay, Router its MAC address on it.
	Provider netip.Addr
	Router   net.HardwareAddr
}

// Overlay puts the present namespace on an overlay network, as flannel does with a Linux node
// (flannel, pkg/backend/vxlan/vxlan_network.go), by a VXLAN device that takes the place of
// the one with its name. Without others there is no device.
func Overlay(name string, vni uint32, own Peer, others []Peer) error {
	if old, err := netlink.LinkByName(name); err == nil {
		if err := netlink.LinkDel(old); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	} else if !errors.As(err, &netlink.LinkNotFoundError{}) {
		return err
	}
	if len(others) == 0 {
		return nil
	}
	const port = 4789 // Windows' and RFC 7348's
	device := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: own.Router}, VxlanId: int(vni), SrcAddr: own.Provider.AsSlice(), Port: port,
	}
	if err := netlink.LinkAdd(device); err != nil {
		return fmt.Errorf("VXLAN %s: %w", name, err)
	}
	if err := Address(name, []netip.Prefix{netip.PrefixFrom(own.Subnet.Addr(), own.Subnet.Addr().BitLen())}); err != nil {
		return err
	}
	for _, p := range others {
		index, router := device.Attrs().Index, p.Subnet.Addr()
		for _, n := range []*netlink.Neigh{
			{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: router.AsSlice(), HardwareAddr: p.Router},
			{LinkIndex: index, State: netlink.NUD_PERMANENT, Family: unix.AF_BRIDGE, Flags: netlink.NTF_SELF, IP: p.Provider.AsSlice(), HardwareAddr: p.Router},
		} {
			if err := netlink.NeighSet(n); err != nil {
				return fmt.Errorf("neighbour %s by %s: %w", n.IP, name, err)
			}
		}
		if err := Route(p.Subnet, name, router); err != nil {
			return err
		}
	}
	return nil
}
