// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// wires carry out on Linux what the node's HNS is told.
type wires struct {
	dir   string
	node  netns.NsHandle
	plane *dataplane.Plane
}

// openWires makes a network namespace for the node and carries out there what its HNS is
// told from now on.
func openWires(host *hnsemu.Host) (w *wires, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("--packets makes network namespaces and needs root")
	}
	dir, err := os.MkdirTemp("", "bulkhead-demo")
	if err != nil {
		return nil, err
	}
	w = &wires{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	path := filepath.Join(dir, "node")
	if w.node, err = netspace.New(path); err != nil {
		return w, err
	}
	// The node's adapter, as far as pods see it.
	adapter := host.Node().Adapters[0].Address
	err = netspace.Do(w.node, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		own := &net.IPNet{IP: adapter.Addr().AsSlice(), Mask: net.CIDRMask(32, 32)}
		return errors.Join(netlink.LinkSetUp(lo), netlink.AddrAdd(lo, &netlink.Addr{IPNet: own}))
	})
	if err != nil {
		return w, err
	}
	if w.plane, err = dataplane.Open(filepath.Join(dir, "pods"), path, dataplane.Unknowns{}); err != nil {
		return w, err
	}
	host.Watch(func(s hnsemu.State) {
		if err := w.plane.Apply(s); err != nil {
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
	})
	return w, nil
}

func (w *wires) close() error {
	var failed []error
	if w.plane != nil {
		failed = append(failed, w.plane.Close())
	}
	if w.node > 0 {
		failed = append(failed, w.node.Close(), netspace.Remove(filepath.Join(w.dir, "node")))
	}
	return errors.Join(append(failed, os.RemoveAll(w.dir))...)
}

// answerTime is how long a packet may take.
const answerTime = 3 * time.Second

// printTraffic sends packets to the first pod, from the second and from the node, and tells
// what came of them.
func (n *node) printTraffic() error {
	s, err := n.host.State()
	if err != nil {
		return err
	}
	to, err := endpointOf(s, n.pods[0])
	if err != nil {
		return err
	}
	target := to.Addresses[0].Addr()
	web, err := netns.GetFromPath(n.wires.plane.Namespace(n.pods[0].netns))
	if err != nil {
		return err
	}
	defer web.Close()
	db, err := netns.GetFromPath(n.wires.plane.Namespace(n.pods[1].netns))
	if err != nil {
		return err
	}
	defer db.Close()
	end, err := answer(web)
	if err != nil {
		return err
	}
	defer end()
	rows := [][]string{{"SENT", "WHAT CAME OF IT"}}
	for _, from := range []struct {
		name string
		ns   netns.NsHandle
	}{{"pod " + n.pods[1].name, db}, {"the node", n.wires.node}} {
		for _, network := range []string{"tcp", "udp"} {
			rows = append(rows, []string{network + " from " + from.name, ask(from.ns, network, netip.AddrPortFrom(target, servedPort))})
		}
	}
	gre, err := n.sendGRE(web, to, target)
	if err != nil {
		return err
	}
	rows = append(rows, []string{"GRE from the node", gre})
	return table(fmt.Sprintf("Packets sent to pod %s, %s port %d", n.pods[0].name, target, servedPort), rows)
}

const servedPort = 80

// answer answers TCP and UDP in a namespace with the address of the client.
func answer(ns netns.NsHandle) (end func(), err error) {
	var l net.Listener
	var c net.PacketConn
	err = netspace.Do(ns, func() (err error) {
		if l, err = net.Listen("tcp", fmt.Sprintf(":%d", servedPort)); err != nil {
			return err
		}
		c, err = net.ListenPacket("udp", fmt.Sprintf(":%d", servedPort))
		return err
	})
	if err != nil {
		return nil, err
	}
	seen := func(a net.Addr) []byte {
		return []byte(netip.MustParseAddrPort(a.String()).Addr().Unmap().String())
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = client.Write(seen(client.RemoteAddr())) // the client tells what it got
			client.Close()
		}
	}()
	go func() {
		for {
			_, from, err := c.ReadFrom(make([]byte, 1))
			if err != nil {
				return
			}
			_, _ = c.WriteTo(seen(from), from)
		}
	}()
	return func() {
		l.Close()
		c.Close()
	}, nil
}

// ask sends to an address, and tells what came of it.
func ask(ns netns.NsHandle, network string, to netip.AddrPort) string {
	var c net.Conn
	err := netspace.Do(ns, func() (err error) {
		c, err = net.DialTimeout(network, to.String(), answerTime)
		return err
	})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err.Error()
	}
	if network == "udp" {
		if _, err := c.Write([]byte{0}); err != nil {
			return err.Error()
		}
	}
	buf := make([]byte, 64)
	got, err := c.Read(buf)
	if err != nil {
		return err.Error()
	}
	return "answered; the pod sees " + string(buf[:got])
}

// sendGRE sends a packet of a protocol that has no ports to a pod.
func (n *node) sendGRE(pod netns.NsHandle, e hnsemu.EndpointState, to netip.Addr) (string, error) {
	socket := func(ns netns.NsHandle) (fd int, err error) {
		err = netspace.Do(ns, func() (err error) {
			fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_GRE)
			return err
		})
		return fd, err
	}
	in, err := socket(pod)
	if err != nil {
		return "", err
	}
	defer unix.Close(in)
	out, err := socket(n.wires.node)
	if err != nil {
		return "", err
	}
	defer unix.Close(out)
	before, err := n.wires.plane.Drops(e.NamespaceID, e.ID)
	if err != nil {
		return "", err
	}
	if err := unix.Sendto(out, make([]byte, 8), 0, &unix.SockaddrInet4{Addr: to.As4()}); err != nil {
		return "", err
	}
	for deadline := time.Now().Add(answerTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, _, err := unix.Recvfrom(in, make([]byte, 64), 0); err == nil {
			return "arrived", nil
		}
		after, err := n.wires.plane.Drops(e.NamespaceID, e.ID)
		if err != nil {
			return "", err
		}
		for by, packets := range after {
			if packets > before[by] {
				return "dropped by " + map[hns.RuleType]string{hns.Host: "the Windows Firewall", hns.Switch: "VFP"}[by.At], nil
			}
		}
	}
	return "neither arrived nor dropped", nil
}
