// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	bpflink "github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// trunkNetworks are on both nodes: two of one VLAN, and one of another with the same subnets
// as the first.
var trunkNetworks = []struct {
	name     string
	vlan     uint16
	prefixes [2]netip.Prefix
}{
	{"ten", 10, [2]netip.Prefix{netip.MustParsePrefix("172.20.0.0/24"), netip.MustParsePrefix("fd00:20::/64")}},
	{"twenty", 20, [2]netip.Prefix{netip.MustParsePrefix("172.20.0.0/24"), netip.MustParsePrefix("fd00:20::/64")}},
	{"more", 10, [2]netip.Prefix{netip.MustParsePrefix("172.21.0.0/24"), netip.MustParsePrefix("fd00:21::/64")}},
}

// TestTrunks: pods of one VLAN on two nodes meet on layer 2, and those of two do not, though
// their subnets are the same; the tags are on the wire between the nodes, and each node's
// gateway is for its own pods. When the networks are gone, so is all that was made for them.
func TestTrunks(t *testing.T) {
	for _, driver := range []hns.Driver{hns.Transparent, hns.L2Bridge} {
		t.Run(string(driver), func(t *testing.T) { trunks(t, driver) })
	}
}

func trunks(t *testing.T, driver hns.Driver) {
	nodes := []*lab{newLab(t, driver), newLab(t, driver)}
	nodes[0].join(nodes[1])
	wire := nodes[0].socket(nodes[0].outside, unix.AF_PACKET, unix.SOCK_RAW, int(network16(unix.ETH_P_ALL)), func(fd int) error {
		const room = 16 << 20 // for all frames of the test
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room))
	})
	want := map[string][]uint16{}
	pods := [2][3]*pod{}
	ids := [2][3]string{}
	for i, l := range nodes {
		for j, n := range trunkNetworks {
			of := hns.Network{Name: n.name, Driver: driver}
			pod := hns.Endpoint{MAC: hns.MAC(fmt.Sprintf("00:15:5d:00:%02x:%02x", i, j))}
			for _, p := range n.prefixes {
				of.Subnets = append(of.Subnets, hns.Subnet{Prefix: p, Gateway: p.Addr().Next(), VLAN: n.vlan})
				address := p.Addr().AsSlice()
				address[len(address)-1] = byte(16*(i+1) + j)
				own, _ := netip.AddrFromSlice(address)
				pod.Addresses = append(pod.Addresses, netip.PrefixFrom(own, p.Bits()))
			}
			network, err := l.hns.CreateNetwork(context.Background(), of)
			if err != nil {
				t.Fatal(err)
			}
			ids[i][j], pod.NetworkID = network.ID, network.ID
			pods[i][j] = l.podWith(hns.Process, pod)
			l.answer(pods[i][j].ns, fmt.Sprint(n.name, i), 80)
			want[string(pod.MAC)] = []uint16{n.vlan}
		}
	}
	for j := range trunkNetworks {
		for i := range nodes {
			from, to := pods[i][j], pods[1-i][j]
			for _, address := range from.endpoint.Addresses {
				// The node has a way back to one of two networks with one subnet only.
				gateway, wait := address.Masked().Addr().Next(), moment
				if trunkNetworks[j].name == "more" {
					wait = patience
				}
				if !from.pings(gateway, wait) && wait == patience {
					t.Errorf("from %s: the gateway %s does not answer", trunkNetworks[j].name, gateway)
				}
			}
			meet(t, from, to, fmt.Sprint(trunkNetworks[j].name, 1-i))
			other := pods[1-i][(j+1)%2] // in the other VLAN
			for _, address := range other.endpoint.Addrs() {
				if from.pings(address, moment) {
					t.Errorf("%s reaches %s of node %d", trunkNetworks[j].name, address, 1-i)
				}
			}
		}
	}
	// What is not in want is a gateway's.
	if diff := cmp.Diff(want, tagsOnWire(t, wire, want)); diff != "" {
		t.Errorf("tags by the frames' source (-want +got):\n%s", diff)
	}
	pods[1][0].serve(81)
	c, err := dial(pods[0][0].ns, pods[1][0].address(true), 81, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := echoLarge(c, 1<<20); err != nil {
		t.Errorf("a large stream: %v", err)
	}

	first := nodes[0]
	if err := first.hns.DeleteNetwork(context.Background(), ids[0][2]); err != nil {
		t.Fatal(err)
	}
	first.apply()
	meet(t, pods[0][0], pods[1][0], "ten1")
	if got := programs(t, first.node, "Ethernet"); len(got) != 2 {
		t.Errorf("programs %v at the adapter, want those of two networks", got)
	}
	for _, l := range nodes {
		if err := l.plane.Apply(hnsemu.State{}); err != nil {
			t.Fatal(err)
		}
		if got, want := links(t, l.node), []string{"lo", "Ethernet"}; !slices.Equal(got, want) {
			t.Errorf("links %v, want %v", got, want)
		}
		if got := programs(t, l.node, "Ethernet"); len(got) > 0 {
			t.Errorf("programs %v are left at the adapter", got)
		}
	}
}

// TestAdapterReplaced: trunks are at the adapter that has the node's address now, and at none
// while there is none.
func TestAdapterReplaced(t *testing.T) {
	l := newLab(t, hns.Transparent)
	l.vlanNetwork()
	l.apply()
	without := len(links(t, l.node)) - 3 // the adapter and both ends of the trunk
	for range 2 {
		if got := programs(t, l.node, "Ethernet"); len(got) != 1 {
			t.Errorf("programs %v at the adapter, want one", got)
		}
		err := netspace.Do(l.node, func() error {
			adapter, err := netlink.LinkByName("Ethernet")
			if err != nil {
				return err
			}
			return netlink.LinkDel(adapter)
		})
		if err != nil {
			t.Fatal(err)
		}
		l.apply()
		if got := links(t, l.node); len(got) != without {
			t.Errorf("links %v without an adapter, want %d", got, without)
		}
		l.cable()
		l.apply()
	}
}

// TestKilled: the programs of a plane that is killed end with it, and the next removes the
// devices.
func TestKilled(t *testing.T) {
	const killed = "PACKETS_KILLED" // a plane's directory, its node and the file of the state
	if of := strings.Fields(os.Getenv(killed)); len(of) > 0 {
		applyAndDie(t, of[0], of[1], of[2])
	}
	l := newLab(t, hns.Transparent)
	l.vlanNetwork()
	text, err := json.Marshal(l.state())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, node := filepath.Dir(l.plane.Namespace("x")), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.node)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), killed+"="+strings.Join([]string{dir, node, file}, " "))
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("the plane was not killed: %v: %s", err, out)
	}
	if left := links(t, l.node); len(left) < 4 {
		t.Errorf("links %v are left: the test proves nothing", left)
	}
	next, err := dataplane.Open(dir, node, dataplane.Unknowns{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := links(t, l.node), []string{"lo", "Ethernet"}; !slices.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
	if got := programs(t, l.node, "Ethernet"); len(got) > 0 {
		t.Errorf("programs %v are left at the adapter", got)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

// applyAndDie is a plane that is killed when it has carried out a state, and not before there
// is a program at the adapter.
func applyAndDie(t *testing.T, dir, node, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var state hnsemu.State
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatal(err)
	}
	plane, err := dataplane.Open(dir, node, dataplane.Unknowns{})
	if err != nil {
		t.Fatal(err)
	}
	if err := plane.Apply(state); err != nil {
		t.Fatal(err)
	}
	ns, err := netns.GetFromPath(node)
	if err != nil {
		t.Fatal(err)
	}
	if got := programs(t, ns, "Ethernet"); len(got) == 0 {
		t.Fatal("there is no program at the adapter")
	}
	t.Fatal(unix.Kill(os.Getpid(), unix.SIGKILL))
}

// vlanNetwork adds a network in VLAN 10.
func (l *lab) vlanNetwork() {
	l.Helper()
	p := trunkNetworks[0].prefixes[0]
	_, err := l.hns.CreateNetwork(context.Background(), hns.Network{Name: "vlan", Driver: l.network.Driver, Subnets: []hns.Subnet{{Prefix: p, Gateway: p.Addr().Next(), VLAN: 10}}})
	if err != nil {
		l.Fatal(err)
	}
}

// join makes the machine outside a switch that another lab's node is at, too. Both nodes have
// the same address, so that no route leads from one to the other.
func (l *lab) join(other *lab) {
	l.Helper()
	const port = "Ethernet2"
	err := netspace.Do(other.outside, func() error {
		end, err := netlink.LinkByName("Ethernet")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetDown(end); err != nil {
			return err
		}
		if err := netlink.LinkSetName(end, port); err != nil {
			return err
		}
		return netlink.LinkSetNsFd(end, int(l.outside))
	})
	if err != nil {
		l.Fatal(err)
	}
	err = netspace.Do(l.outside, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return err
		}
		for _, name := range []string{"Ethernet", port} {
			end, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetMaster(end, bridge); err != nil {
				return err
			}
			if err := netlink.LinkSetUp(end); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(bridge)
	})
	if err != nil {
		l.Fatal(err)
	}
}

// meet tries ICMP, TCP and UDP from a pod to another.
func meet(t *testing.T, from, to *pod, name string) {
	t.Helper()
	for i, address := range to.endpoint.Addrs() {
		if !from.pings(address, patience) {
			t.Errorf("%s at %s does not answer ICMP", name, address)
		}
		for _, network := range []string{"tcp", "udp"} {
			if got, client := ask(from.ns, network, address, 80, patience); got != name || client != from.endpoint.Addrs()[i].String() {
				t.Errorf("%s %s at %s: answered by %q, which sees %q", network, name, address, got, client)
			}
		}
	}
}

// pings sends an echo request, again and again, and reports whether an answer came in time.
func (p *pod) pings(to netip.Addr, patience time.Duration) bool {
	p.lab.Helper()
	number := map[bool]int{true: unix.IPPROTO_ICMP, false: unix.IPPROTO_ICMPV6}[to.Is4()]
	own, buf := p.address(to.Is4()), make([]byte, 2048)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		request := transport(number, own, to, 0, 0)
		if err := unix.Sendto(p.own[family(to)], packet(number, own, to, request), 0, sockaddr(to)); err != nil {
			p.lab.Fatalf("ping %s: %v", to, err)
		}
		for wait := time.Now().Add(moment); time.Now().Before(wait); time.Sleep(time.Millisecond) {
			n, _, err := unix.Recvfrom(p.into[proto{family(to), number}], buf, 0)
			if err == nil && bytes.HasSuffix(buf[:n], request[8:]) {
				return true
			}
		}
	}
	return false
}

// tagsOnWire returns which tags the frames had that a socket has got, by their source: of all
// frames with a tag, and of those without one that are from the sources of interest.
func tagsOnWire(t *testing.T, fd int, sources map[string][]uint16) map[string][]uint16 {
	t.Helper()
	const tagged = 0x10 // TP_STATUS_VLAN_VALID
	out := map[string][]uint16{}
	frame, more := make([]byte, 2048), make([]byte, 256)
	for {
		n, nn, _, _, err := unix.Recvmsg(fd, frame, more, 0)
		if err != nil {
			return out
		}
		if n < 12 {
			continue
		}
		messages, err := unix.ParseSocketControlMessage(more[:nn])
		if err != nil {
			t.Fatal(err)
		}
		var tag uint16
		for _, m := range messages {
			if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA {
				if a := (*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0])); a.Status&tagged != 0 {
					tag = a.Vlan_tci
				}
			}
		}
		source := net.HardwareAddr(frame[6:12]).String()
		if _, of := sources[source]; (of || tag != 0) && !slices.Contains(out[source], tag) {
			out[source] = append(out[source], tag)
		}
	}
}

// links returns the names of a namespace's devices.
func links(t *testing.T, ns netns.NsHandle) []string {
	t.Helper()
	var out []string
	err := netspace.Do(ns, func() error {
		list, err := netlink.LinkList()
		for _, of := range list {
			out = append(out, of.Attrs().Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// programs returns the names of the BPF programs that see what arrives at a device.
func programs(t *testing.T, ns netns.NsHandle, device string) []string {
	t.Helper()
	var out []string
	err := netspace.Do(ns, func() error {
		of, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		at, err := bpflink.QueryPrograms(bpflink.QueryOptions{Target: of.Attrs().Index, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			return err
		}
		for _, a := range at.Programs {
			p, err := ebpf.NewProgramFromID(a.ID)
			if err != nil {
				return err
			}
			info, err := p.Info()
			if err != nil {
				return err
			}
			out = append(out, info.Name)
			p.Close()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}
