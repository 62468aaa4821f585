// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// tunnel is the VXLAN device of an overlay network, by which its pods reach those of other
// nodes: with the address and the MAC of the node's distributed router, as flannel sets it
// up on Linux (flannel, pkg/backend/vxlan/vxlan_network.go).
type tunnel struct {
	vni  uint32
	port uint16
	// provider is the node's address under the overlay, router the MAC on it.
	provider netip.Addr
	router   string
	remotes  []remoteSubnet
}

// remoteSubnet is where the pods of another node are.
type remoteSubnet struct {
	prefix   netip.Prefix
	provider netip.Addr
	router   string
}

// ianaPort is VXLAN's (RFC 7348), and Windows'.
const ianaPort = 4789

// ethernet is how long a packet on Ethernet may be, overhead what VXLAN adds to one.
const (
	ethernet = 1500
	overhead = 50
)

// tunnelOf returns the tunnel of an overlay network whose addresses are known. A remote
// subnet of another VSID is none of it.
func tunnelOf(n hnsemu.NetworkState) (tunnel, bool) {
	t := tunnel{port: ianaPort, provider: n.ManagementIP}
	if n.Driver != hns.Overlay || len(n.Subnets) == 0 {
		return t, false
	}
	t.vni = n.Subnets[0].VSID
	for _, p := range n.Policies {
		var s struct {
			Address, DistributedRouterMacAddress string
			DestinationPrefix                    string
			ProviderAddress                      netip.Addr
			IsolationID                          uint32 `json:"IsolationId"`
			Port                                 uint16
		}
		if json.Unmarshal(p.Settings, &s) != nil {
			continue // a type with other settings
		}
		switch p.Type {
		case "ProviderAddress":
			t.provider = s.ProviderAddress
		case "DrMacAddress":
			t.router = s.Address
		case "VxlanPort":
			t.port = cmp.Or(s.Port, ianaPort)
		case "RemoteSubnetRoute":
			if to, ok := prefixOf(s.DestinationPrefix); ok && s.IsolationID == t.vni {
				t.remotes = append(t.remotes, remoteSubnet{to, s.ProviderAddress, s.DistributedRouterMacAddress})
			}
		}
	}
	return t, t.vni != 0 && t.provider.IsValid() && t.router != ""
}

// beyond returns the ways to a remote endpoint whose provider address is another than that of
// its subnet: by the endpoint's own MAC. One with this node's provider address, or with its own
// address as that, is not on the overlay (Kubernetes, pkg/proxy/winkernel/proxier.go, "assuming
// it is a public IP" and "Endpoints are IP addresses of a remote node").
func (t tunnel) beyond(e hnsemu.EndpointState) []remoteSubnet {
	var own struct{ ProviderAddress netip.Addr }
	settingsOf(e.Policies, "ProviderAddress", &own)
	var out []remoteSubnet
	for _, a := range e.Addresses {
		at := slices.IndexFunc(t.remotes, func(r remoteSubnet) bool { return r.prefix.Contains(a.Addr()) })
		under := own.ProviderAddress == t.provider || own.ProviderAddress == a.Addr()
		if own.ProviderAddress.IsValid() && !under && (at < 0 || t.remotes[at].provider != own.ProviderAddress) {
			out = append(out, remoteSubnet{netip.PrefixFrom(a.Addr(), a.Addr().BitLen()), own.ProviderAddress, e.MAC})
		}
	}
	return out
}

// same reports whether two tunnels differ at most in their remote subnets.
func (t tunnel) same(other tunnel) bool {
	return t.vni == other.vni && t.port == other.port && t.provider == other.provider && t.router == other.router
}

// addTunnel makes a VXLAN device, or gives one that is there other remote subnets.
func (w wire) addTunnel(name string, has, want tunnel) error {
	if !has.same(want) {
		if err := w.remove(name); err != nil {
			return err
		}
		mac, err := parseMAC(want.router)
		if err != nil {
			return err
		}
		err = w.h.LinkAdd(&netlink.Vxlan{
			LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: mac},
			VxlanId:   int(want.vni), SrcAddr: want.provider.AsSlice(), Port: int(want.port),
		})
		if err != nil {
			return fmt.Errorf("VXLAN %s of VSID %d: %w", name, want.vni, err)
		}
		has.remotes = nil
	}
	device, err := w.h.LinkByName(name)
	if err != nil {
		return err
	}
	if device.Attrs().Alias != alias {
		if err := w.mark(device); err != nil {
			return err
		}
	}
	if err := w.h.LinkSetUp(device); err != nil {
		return err
	}
	for _, r := range has.remotes {
		if !slices.Contains(want.remotes, r) {
			if err := w.removeRemote(device, r); err != nil {
				return err
			}
		}
	}
	for _, r := range want.remotes {
		if err := w.addRemote(device, r); err != nil {
			return fmt.Errorf("remote subnet %s of %s: %w", r.prefix, name, err)
		}
	}
	return nil
}

// addRemote makes the way to a subnet: a route by the other node's router, where that one is
// on the overlay, and where under it.
func (w wire) addRemote(device netlink.Link, r remoteSubnet) error {
	neighbours, route, err := r.entries(device)
	if err != nil {
		return err
	}
	for _, n := range neighbours {
		if err := w.h.NeighSet(n); err != nil {
			return err
		}
	}
	return w.h.RouteReplace(route)
}

func (w wire) removeRemote(device netlink.Link, r remoteSubnet) error {
	neighbours, route, err := r.entries(device)
	if err != nil {
		return err
	}
	// Two subnets may share an entry: the first that goes takes it, and what is still wanted
	// makes it anew.
	failed := []error{gone(w.h.RouteDel(route))}
	for _, n := range neighbours {
		failed = append(failed, gone(w.h.NeighDel(n)))
	}
	return errors.Join(failed...)
}

// gone returns no error for what was not there to be removed.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// entries are a subnet's in the tables of a device. The router is called by the first
// address of the subnet.
func (r remoteSubnet) entries(device netlink.Link) ([]*netlink.Neigh, *netlink.Route, error) {
	mac, err := parseMAC(r.router)
	if err != nil {
		return nil, nil, err
	}
	index, router := device.Attrs().Index, net.IP(r.prefix.Addr().AsSlice())
	return []*netlink.Neigh{
			{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: router, HardwareAddr: mac},
			{LinkIndex: index, State: netlink.NUD_PERMANENT, Family: unix.AF_BRIDGE, Flags: netlink.NTF_SELF, IP: r.provider.AsSlice(), HardwareAddr: mac},
		}, &netlink.Route{
			LinkIndex: index, Dst: ipNet(r.prefix), Gw: router, Flags: int(netlink.FLAG_ONLINK),
		}, nil
}

// parseMAC reads a MAC address as HNS writes it: aa-bb-cc-dd-ee-ff.
func parseMAC(text string) (net.HardwareAddr, error) {
	return net.ParseMAC(strings.ReplaceAll(text, "-", ":"))
}
