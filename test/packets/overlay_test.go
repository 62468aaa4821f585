// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// A Linux node of the overlay, as flannel sets one up: its pods' subnet, an address in that,
// and the MAC of its VXLAN device.
var (
	linuxSubnet  = netip.MustParsePrefix("10.244.9.0/24")
	linuxPod     = netip.MustParseAddr("10.244.9.7")
	linuxRouter  = "02-42-0a-f4-09-00"
	vsid         = uint32(4096)
	windowsRange = subnets[0].Prefix
	linuxRemote  = fmt.Sprintf(`{"DestinationPrefix":%q,"IsolationId":%d,"ProviderAddress":%q,"DistributedRouterMacAddress":%q}`,
		linuxSubnet, vsid, outsideAddresses[0].Addr(), linuxRouter)
)

// flannelLinux makes the machine outside a Linux node of the overlay with flannel's device,
// its forwarding entry, neighbour and route for the Windows node's subnet (flannel,
// pkg/backend/vxlan/vxlan_network.go).
func (l *lab) flannelLinux() {
	l.Helper()
	router := ""
	for _, p := range l.state().Networks[0].Policies {
		var s struct{ Address string }
		if p.Type == "DrMacAddress" {
			if err := json.Unmarshal(p.Settings, &s); err != nil {
				l.Fatal(err)
			}
			router = s.Address
		}
	}
	windows, err := net.ParseMAC(strings.ReplaceAll(router, "-", ":"))
	if err != nil {
		l.Fatal(err)
	}
	own, err := net.ParseMAC(strings.ReplaceAll(linuxRouter, "-", ":"))
	if err != nil {
		l.Fatal(err)
	}
	err = netspace.Do(l.outside, func() error {
		to := ipNet(windowsRange)
		if err := netlink.RouteDel(&netlink.Route{Dst: to}); err != nil {
			return fmt.Errorf("the way without an overlay: %w", err)
		}
		device := &netlink.Vxlan{
			LinkAttrs: netlink.LinkAttrs{Name: "flannel.4096", HardwareAddr: own}, VxlanId: int(vsid), SrcAddr: outsideAddresses[0].Addr().AsSlice(), Port: 4789,
		}
		if err := netlink.LinkAdd(device); err != nil {
			return err
		}
		index, gateway := device.Attrs().Index, net.IP(windowsRange.Addr().AsSlice())
		for _, a := range []netip.Addr{linuxSubnet.Addr(), linuxPod} {
			if err := netlink.AddrAdd(device, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))}); err != nil {
				return err
			}
		}
		if err := netlink.LinkSetUp(device); err != nil {
			return err
		}
		for _, n := range []*netlink.Neigh{
			{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: gateway, HardwareAddr: windows},
			{LinkIndex: index, State: netlink.NUD_PERMANENT, Family: unix.AF_BRIDGE, Flags: netlink.NTF_SELF, IP: nodeAddresses[0].Addr().AsSlice(), HardwareAddr: windows},
		} {
			if err := netlink.NeighSet(n); err != nil {
				return err
			}
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: to, Gw: gateway, Flags: int(netlink.FLAG_ONLINK), Src: linuxPod.AsSlice()})
	})
	if err != nil {
		l.Fatal(err)
	}
}

// TestOverlay: pods reach those of a Linux node as flannel sets one up, and are reached, with
// their own addresses, also with more than a packet holds; on the wire is VXLAN with the
// network's VSID. When the remote subnet goes, so does the way.
func TestOverlay(t *testing.T) {
	l := newLab(t, hns.Overlay)
	l.flannelLinux()
	p := l.pod(hns.Process)
	l.answer(p.ns, "pod", 80)
	l.answer(l.outside, "linux", 81)
	l.remoteSubnet("Add", linuxRemote)
	wire := l.socket(l.outside, unix.AF_PACKET, unix.SOCK_DGRAM, int(network16(unix.ETH_P_IP)), nil)
	for _, network := range []string{"tcp", "udp"} {
		if name, client := ask(p.ns, network, linuxPod, 81, patience); name != "linux" || client != p.address(true).String() {
			t.Errorf("%s out: answered by %q, which sees %q", network, name, client)
		}
		if name, client := ask(l.outside, network, p.address(true), 80, patience); name != "pod" || client != linuxPod.String() {
			t.Errorf("%s in: answered by %q, which sees %q", network, name, client)
		}
	}
	if got := vsidOnWire(t, wire); got != vsid {
		t.Errorf("VSID %d is on the wire, want %d", got, vsid)
	}
	p.serve(82)
	c, err := dial(l.outside, p.address(true), 82, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := echoLarge(c, 1<<20); err != nil {
		t.Errorf("a large stream: %v", err)
	}
	l.echoPackets(p.ns, 83)
	u := l.udp(l.outside, netip.AddrPortFrom(p.address(true), 83))
	if err := echoLarge(u, 60_000); err != nil {
		t.Errorf("a large datagram: %v", err)
	}
	l.remoteSubnet("Remove", linuxRemote)
	vsidOnWire(t, wire) // all that was there before
	ask(p.ns, "tcp", linuxPod, 81, moment)
	if got := vsidOnWire(t, wire); got != 0 {
		t.Errorf("VSID %d is on the wire, though the remote subnet is gone", got)
	}
}

// TestProviderAddress: a remote endpoint that names a node is reached there, though its subnet
// is another node's.
func TestProviderAddress(t *testing.T) {
	l := newLab(t, hns.Overlay)
	l.flannelLinux()
	p := l.pod(hns.Process)
	l.answer(l.outside, "linux", 81)
	l.remoteSubnet("Add", strings.Replace(linuxRemote, outsideAddresses[0].Addr().String(), "10.0.0.77", 1))
	if name, _ := ask(p.ns, "tcp", linuxPod, 81, moment); name != "" {
		t.Fatal("the subnet leads to the endpoint: the test proves nothing")
	}
	ctx := context.Background()
	id, err := l.hns.CreateEndpoint(ctx, hns.Endpoint{
		Name: "moved", NetworkID: l.network.ID, MAC: "02:42:0a:f4:09:00", Remote: true, Addresses: []netip.Prefix{netip.PrefixFrom(linuxPod, 24)},
		Policies: []hns.Policy{hns.ProviderAddress{Address: outsideAddresses[0].Addr()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.apply()
	if name, client := ask(p.ns, "tcp", linuxPod, 81, patience); name != "linux" || client != p.address(true).String() {
		t.Errorf("answered by %q, which sees %q", name, client)
	}
	if err := l.hns.DeleteEndpoint(ctx, id); err != nil {
		t.Fatal(err)
	}
	// kube-proxy.exe makes such endpoints of a service's backends that are not on the overlay:
	// of an address that it takes for a public one, and of a node's.
	outside := outsideAddresses[0]
	for _, provider := range []netip.Addr{nodeAddresses[0].Addr(), outside.Addr()} {
		id, err = l.hns.CreateEndpoint(ctx, hns.Endpoint{
			Name: "node", NetworkID: l.network.ID, Remote: true, Addresses: []netip.Prefix{outside}, Policies: []hns.Policy{hns.ProviderAddress{Address: provider}},
		})
		if err != nil {
			t.Fatal(err)
		}
		l.apply()
		if name, _ := ask(p.ns, "tcp", linuxPod, 81, moment); name != "" {
			t.Error("the way stays when the endpoint is gone")
		}
		if name, _ := ask(l.node, "tcp", outside.Addr(), 81, patience); name != "linux" {
			t.Errorf("the way to a node with the provider address %s leads over the overlay", provider)
		}
		if err := l.hns.DeleteEndpoint(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTunnelNeedsPod: whether a node without a pod on an overlay reaches other nodes' pods is
// not known.
func TestTunnelNeedsPod(t *testing.T) {
	for _, needs := range []bool{false, true} {
		l := newLabWith(t, hns.Overlay, dataplane.Unknowns{TunnelNeedsPod: needs})
		l.flannelLinux()
		wire := l.socket(l.outside, unix.AF_PACKET, unix.SOCK_DGRAM, int(network16(unix.ETH_P_IP)), nil)
		l.remoteSubnet("Add", linuxRemote)
		for _, pods := range []int{0, 1} {
			ask(l.node, "tcp", linuxPod, 81, moment)
			if got := vsidOnWire(t, wire); (got == vsid) != (pods > 0 || !needs) {
				t.Errorf("needs a pod: %t; with %d pods VSID %d is on the wire", needs, pods, got)
			}
			l.pod(hns.Process)
		}
	}
}

// remoteSubnet adds or removes a RemoteSubnetRoute of the network.
func (l *lab) remoteSubnet(kind, settings string) {
	l.Helper()
	l.native("HcnModifyNetwork", "HcnOpenNetwork", l.network.ID,
		`{"ResourceType":"Policy","RequestType":"`+kind+`","Settings":{"Policies":[{"Type":"RemoteSubnetRoute","Settings":`+settings+`}]}}`)
	l.apply()
}

// vsidOnWire returns that of the last VXLAN packet that a socket has got.
func vsidOnWire(t *testing.T, fd int) uint32 {
	t.Helper()
	const ip, udp, port = 20, 8, 4789
	var out uint32
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return out
		}
		if n > ip+udp+8 && buf[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(buf[ip+2:]) == port {
			out = binary.BigEndian.Uint32(buf[ip+udp+4:]) >> 8
		}
	}
}

// echoLarge sends bytes in one piece and reads them back.
func echoLarge(c net.Conn, size int) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	want := bytes.Repeat([]byte("0123456789"), size/10)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- err
	}()
	var got []byte
	buf := make([]byte, 1<<16)
	for len(got) < len(want) {
		n, err := c.Read(buf)
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", len(got), err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("other bytes came back")
	}
	return <-sent
}

// echoPackets sends datagrams back in a namespace, until the end of the test.
func (l *lab) echoPackets(ns netns.NsHandle, port int) {
	l.Helper()
	var c net.PacketConn
	err := netspace.Do(ns, func() (err error) {
		c, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(buf[:n], from)
		}
	}()
}
