// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package packets proves with real packets what the emulator and pkg/acl say of rules.
package packets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

// lab is a node with one network, in a network namespace of its own, and a machine outside.
type lab struct {
	testing.TB
	host    *hnsemu.Host
	hns     hns.Client
	plane   *dataplane.Plane
	node    netns.NsHandle
	outside netns.NsHandle
	network hns.Network
	pods    int
}

// needsRoot skips a test that makes network namespaces where that is not allowed. CI does
// not let it skip.
func needsRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("packets need root")
	}
	t.Skip("packets need root")
}

var subnets = []hns.Subnet{
	{Prefix: netip.MustParsePrefix("172.16.0.0/16"), Gateway: netip.MustParseAddr("172.16.0.1")},
	{Prefix: netip.MustParsePrefix("fd01::/64"), Gateway: netip.MustParseAddr("fd01::1")},
}

// The node's addresses, and those of the machine outside. That has ways to the pods, so that
// only their addresses tell whether those were translated.
var (
	nodeAddresses    = []netip.Prefix{netip.MustParsePrefix("10.0.0.4/24"), netip.MustParsePrefix("fd00:9::4/64")}
	outsideAddresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24"), netip.MustParsePrefix("fd00:9::9/64")}
)

// newLab returns a node with a network of a driver, of both families where it has them.
func newLab(t testing.TB, driver hns.Driver) *lab { return newLabWith(t, driver, dataplane.Unknowns{}) }

func newLabWith(t testing.TB, driver hns.Driver, unknowns dataplane.Unknowns) *lab {
	t.Helper()
	needsRoot(t)
	profile, err := hnsemu.ProfileNamed("2025") // it has sets and tiers
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{TB: t, host: hnsemu.New(profile), node: newNetns(t), outside: newNetns(t)}
	if err := l.host.SetNode(hnsemu.Node{Adapters: []hnsemu.Adapter{{Name: "Ethernet", Address: nodeAddresses[0], Index: 7}}}); err != nil {
		t.Fatal(err)
	}
	l.cable()
	l.hns = emuclient.New(l.host, "test")
	of := hns.Network{Name: "net", Driver: driver, Subnets: subnets[:1:1]}
	switch driver {
	case hns.Overlay:
		of.Subnets[0].VSID = 4096
	case hns.L2Bridge, hns.L2Tunnel, hns.Transparent:
		of.Subnets = subnets
	}
	if l.network, err = l.hns.CreateNetwork(context.Background(), of); err != nil {
		t.Fatal(err)
	}
	l.plane, err = dataplane.Open(filepath.Join(t.TempDir(), "netns"), fmt.Sprintf("/proc/self/fd/%d", l.node), unknowns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.plane.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// cable connects the node's adapter with the machine outside.
func (l *lab) cable() {
	l.Helper()
	err := netspace.Do(l.node, func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "Ethernet"}, PeerName: "Ethernet", PeerNamespace: netlink.NsFd(int(l.outside))})
	})
	if err != nil {
		l.Fatal(err)
	}
	l.configure(l.node, nodeAddresses)
	l.configure(l.outside, outsideAddresses)
	err = netspace.Do(l.node, func() error {
		for _, gateway := range outsideAddresses {
			if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(netip.PrefixFrom(gateway.Addr(), 0).Masked()), Gw: gateway.Addr().AsSlice()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	err = netspace.Do(l.outside, func() error {
		for i, s := range subnets {
			if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(s.Prefix), Gw: nodeAddresses[i].Addr().AsSlice()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
}

// configure gives the adapter of a namespace addresses.
func (l *lab) configure(ns netns.NsHandle, addresses []netip.Prefix) {
	l.Helper()
	err := netspace.Do(ns, func() error {
		var failed []error
		for _, name := range []string{"lo", "Ethernet"} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			failed = append(failed, netlink.LinkSetUp(link))
			for _, a := range addresses {
				if name != "lo" {
					failed = append(failed, netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}))
				}
			}
		}
		return errors.Join(failed...)
	})
	if err != nil {
		l.Fatal(err)
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// newNetns returns a network namespace that ends with the test.
func newNetns(t testing.TB) netns.NsHandle {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node")
	ns, err := netspace.New(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ns.Close(), netspace.Remove(path)); err != nil {
			t.Error(err)
		}
	})
	// An address is there at once.
	err = netspace.Do(ns, func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0) })
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// pod is a pod with one endpoint.
type pod struct {
	lab           *lab
	endpoint      hns.Endpoint
	namespace     string
	ns            netns.NsHandle
	conntrack     []*netlink.Handle // the pod's and the node's
	fromNode, own senders
	into          map[proto]int
	out           int
}

// proto is a protocol of a family.
type proto struct{ family, number int }

// senders are sockets that take whole packets, by family.
type senders map[int]int

// pod starts a pod with the next addresses of the lab's network. Its endpoint has the policies.
func (l *lab) pod(isolation hns.Isolation, policies ...hns.Policy) *pod {
	l.Helper()
	want := hns.Endpoint{NetworkID: l.network.ID, Policies: policies}
	for i, s := range l.network.Subnets {
		a := []netip.Addr{netip.AddrFrom4([4]byte{172, 16, 0, byte(10 + l.pods)}), netip.MustParseAddr(fmt.Sprintf("fd01::%d", 10+l.pods))}[i]
		want.Addresses = append(want.Addresses, netip.PrefixFrom(a, s.Prefix.Bits()))
	}
	return l.podWith(isolation, want)
}

// podWith starts a pod with an endpoint.
func (l *lab) podWith(isolation hns.Isolation, want hns.Endpoint) *pod {
	l.Helper()
	l.pods++
	ctx := context.Background()
	p := &pod{lab: l, fromNode: senders{}, own: senders{}, into: map[proto]int{}}
	namespace, err := l.hns.CreateNamespace(ctx, "")
	if err != nil {
		l.Fatal(err)
	}
	p.namespace = namespace.ID
	want.Name = fmt.Sprintf("pod%d_net", l.pods)
	id, err := l.hns.CreateEndpoint(ctx, want)
	if err != nil {
		l.Fatal(err)
	}
	if err := l.hns.Attach(ctx, p.namespace, id); err != nil {
		l.Fatal(err)
	}
	if err := l.host.StartContainer(hnsemu.Container{ID: fmt.Sprintf("c%d", l.pods), NamespaceID: p.namespace, Isolation: isolation}); err != nil {
		l.Fatal(err)
	}
	if p.endpoint, err = l.hns.Endpoint(ctx, id); err != nil {
		l.Fatal(err)
	}
	l.apply()
	if p.ns, err = netns.GetFromPath(l.plane.Namespace(p.namespace)); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { p.ns.Close() })
	for _, ns := range []netns.NsHandle{p.ns, l.node} {
		h, err := netlink.NewHandleAt(ns, unix.NETLINK_NETFILTER)
		if err != nil {
			l.Fatal(err)
		}
		l.Cleanup(h.Close)
		p.conntrack = append(p.conntrack, h)
	}
	p.open()
	return p
}

// apply carries out what HNS has.
func (l *lab) apply() {
	l.Helper()
	if err := l.plane.Apply(l.state()); err != nil {
		l.Fatal(err)
	}
}

// state is what HNS has.
func (l *lab) state() hnsemu.State {
	l.Helper()
	state, err := l.host.State()
	if err != nil {
		l.Fatal(err)
	}
	return state
}

// socket opens a socket in a namespace until the end of the test.
func (l *lab) socket(ns netns.NsHandle, family, kind, number int, more func(fd int) error) int {
	l.Helper()
	fd := -1
	err := netspace.Do(ns, func() (err error) {
		if fd, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, number); err == nil && more != nil {
			err = more(fd)
		}
		return err
	})
	if err != nil {
		l.Fatalf("socket %d %d %d: %v", family, kind, number, err)
	}
	l.Cleanup(func() { unix.Close(fd) })
	return fd
}

// protocols are those that the tests send.
var protocols = []int{1, 2, 6, 17, 47, 58, 89, 132, 253}

// open opens the sockets that packets are sent and seen with: those into the pod by a
// socket of the protocol in it, which is behind all rules, those out of it on the wire.
func (p *pod) open() {
	l := p.lab
	for _, family := range []int{4, 6} {
		af := map[int]int{4: unix.AF_INET, 6: unix.AF_INET6}[family]
		p.fromNode[family] = l.socket(l.node, af, unix.SOCK_RAW, unix.IPPROTO_RAW, nil)
		p.own[family] = l.socket(p.ns, af, unix.SOCK_RAW, unix.IPPROTO_RAW, nil)
		for _, n := range protocols {
			p.into[proto{family, n}] = l.socket(p.ns, af, unix.SOCK_RAW, n, nil)
		}
	}
	p.out = l.socket(l.node, unix.AF_PACKET, unix.SOCK_DGRAM, int(network16(unix.ETH_P_ALL)), func(fd int) error {
		link, err := netlink.LinkByName(dataplane.LinkName(p.endpoint.ID))
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network16(unix.ETH_P_ALL), Ifindex: link.Attrs().Index})
	})
}

func network16(n int) uint16 { return uint16(n)>>8 | uint16(n)<<8 }

// address returns the pod's address in a family.
func (p *pod) address(is4 bool) netip.Addr {
	for _, a := range p.endpoint.Addresses {
		if a.Addr().Is4() == is4 {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// patience is how long a packet may be on its way on a busy machine.
const patience = 5 * time.Second

// send sends a packet to or from the pod, as the first of its flow, and returns what became
// of it: "" when it arrived, else who dropped it.
func (p *pod) send(d hns.Direction, protocol int, remote, local netip.Addr, remotePort, localPort uint16) string {
	l := p.lab
	l.Helper()
	for _, h := range p.conntrack {
		if err := h.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
			l.Fatal(err)
		}
	}
	before := p.drops()
	source, destination, from, seen := remote, local, p.fromNode, p.into[proto{family(local), protocol}]
	sourcePort, destinationPort := remotePort, localPort
	if d == hns.Out {
		source, destination, from, seen = local, remote, p.own, p.out
		sourcePort, destinationPort = localPort, remotePort
	}
	payload := transport(protocol, source, destination, sourcePort, destinationPort)
	if err := unix.Sendto(from[family(local)], packet(protocol, source, destination, payload), 0, sockaddr(destination)); err != nil && err != unix.EPERM {
		l.Fatalf("send %d from %s to %s: %v", protocol, source, destination, err)
	}
	buf := make([]byte, 2048)
	for deadline := time.Now().Add(patience); ; {
		for {
			n, from, err := unix.Recvfrom(seen, buf, 0)
			if err != nil {
				break
			}
			if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype == unix.PACKET_OUTGOING {
				continue // into the pod
			}
			if bytes.HasSuffix(buf[:n], payload) && n-len(payload) <= 40 {
				return ""
			}
		}
		for drop, n := range p.drops() {
			if n > before[drop] {
				return string(drop.At)
			}
		}
		if time.Now().After(deadline) {
			l.Fatalf("%s %d %s <-> %s: neither arrived nor dropped by a rule", d, protocol, remote, local)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (p *pod) drops() map[dataplane.Drop]uint64 {
	p.lab.Helper()
	out, err := p.lab.plane.Drops(p.namespace, p.endpoint.ID)
	if err != nil {
		p.lab.Fatal(err)
	}
	return out
}

// judged is what the emulator says of the same packet, in the words of send.
func (p *pod) judged(d hns.Direction, protocol int, remote, local netip.Addr, remotePort, localPort uint16) (string, hnsemu.Verdict) {
	p.lab.Helper()
	v, err := p.lab.host.Evaluate(hnsemu.Packet{
		EndpointID: p.endpoint.ID, Direction: d, Protocol: protocol, Remote: remote, Local: local, LocalPort: localPort, RemotePort: remotePort,
	})
	if err != nil {
		p.lab.Fatal(err)
	}
	if v.Allowed {
		return "", v
	}
	at := string(v.At)
	if at == "" {
		at = string(hns.Host) // the firewall's default
	}
	return at, v
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

// native changes an object by a native call.
func (l *lab) native(modify, open, id, settings string) {
	l.Helper()
	l.call(modify, fmt.Sprint(l.call(open, id).Handle), settings)
}

// call is a native call that succeeds.
func (l *lab) call(proc string, args ...string) hnsemu.Reply {
	l.Helper()
	reply, err := l.host.Call(context.Background(), hnsemu.Call{Client: "test", Proc: proc, Args: args})
	if err != nil || reply.Code != 0 {
		l.Fatalf("%s: %s %s, %v", proc, reply.Code, reply.Record, err)
	}
	return reply
}
