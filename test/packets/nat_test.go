// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// answer answers in a namespace with a name and the address that the client is seen with,
// on TCP and UDP, until the end of the test.
func (l *lab) answer(ns netns.NsHandle, name string, port int) {
	l.Helper()
	err := netspace.Do(ns, func() error {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		l.Cleanup(func() { listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s %s", name, seen(c.RemoteAddr()))
				c.Close()
			}
		}()
		// A socket of each family: one of both may answer from another address.
		for _, network := range []string{"udp4", "udp6"} {
			packets, err := net.ListenPacket(network, fmt.Sprintf(":%d", port))
			if err != nil {
				return err
			}
			l.Cleanup(func() { packets.Close() })
			go func() {
				for {
					_, from, err := packets.ReadFrom(make([]byte, 16))
					if err != nil {
						return
					}
					_, _ = packets.WriteTo(fmt.Appendf(nil, "%s %s", name, seen(from)), from)
				}
			}()
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
}

func seen(a net.Addr) netip.Addr {
	return netip.MustParseAddrPort(a.String()).Addr().Unmap()
}

// ask asks an address in a namespace, and returns who answers and whom that one sees; "" when
// nobody does in time.
func ask(ns netns.NsHandle, network string, to netip.Addr, port int, patience time.Duration) (name, client string) {
	var c net.Conn
	err := netspace.Do(ns, func() (err error) {
		c, err = net.DialTimeout(network, netip.AddrPortFrom(to, uint16(port)).String(), patience)
		return err
	})
	if err != nil {
		return "", ""
	}
	defer c.Close()
	buf := make([]byte, 100)
	if network == "udp" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", ""
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", ""
	}
	n, err := c.Read(buf)
	if err != nil {
		return "", ""
	}
	_, _ = fmt.Sscan(string(buf[:n]), &name, &client) // what is not there stays empty
	return name, client
}

// families are those that a pod of a lab has.
func (p *pod) families() []int {
	var out []int
	for i, a := range p.endpoint.Addresses {
		if family(a.Addr()) == 4+2*i {
			out = append(out, i)
		}
	}
	return out
}

// TestOutboundNAT: the machine outside sees a pod's own address, or the node's where a policy
// or the driver has it translated, and the pod's for exceptions.
func TestOutboundNAT(t *testing.T) {
	outside := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00:9::/64")}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd00:19::/64")}
	policies := func(exceptions []netip.Prefix) []hns.Policy {
		return []hns.Policy{hns.OutboundNAT{Exceptions: exceptions[:1]}, hns.OutboundNAT{Exceptions: exceptions[1:]}}
	}
	for _, driver := range hns.Drivers() {
		t.Run(string(driver), func(t *testing.T) {
			l := newLab(t, driver)
			l.answer(l.outside, "outside", 80)
			check := func(kind string, p *pod, translated bool) {
				t.Helper()
				for _, i := range p.families() {
					want := p.endpoint.Addresses[i].Addr()
					if translated {
						want = nodeAddresses[i].Addr()
					}
					for network, protocol := range map[string]int{"tcp": 6, "udp": 17} {
						if _, client := ask(p.ns, network, outsideAddresses[i].Addr(), 80, patience); client != want.String() {
							t.Errorf("%s, %s: seen as %q, want %s", kind, network, client, want)
						}
						told := dataplane.SeenAs(l.state(), l.endpoint(p), outsideAddresses[i].Addr(), protocol)
						if told != want && (told.IsValid() || want != nodeAddresses[i].Addr()) {
							t.Errorf("%s, %s: said to be seen as %s, want %s", kind, network, told, want)
						}
					}
				}
			}
			check("no policy", l.pod(hns.Process), driver == hns.NAT)
			if driver == hns.NAT || driver == hns.Transparent {
				return // they have no such policy
			}
			check("policy", l.pod(hns.Process, policies(elsewhere)...), true)
			check("exception", l.pod(hns.Process, policies(outside)...), false)
			other := netip.MustParseAddr("10.0.0.5")
			l.configure(l.node, []netip.Prefix{netip.PrefixFrom(other, 24)})
			p := l.pod(hns.Process, hns.OutboundNAT{VirtualIP: other})
			if _, client := ask(p.ns, "tcp", outsideAddresses[0].Addr(), 80, patience); client != other.String() {
				t.Errorf("seen as %q, want the policy's address", client)
			}
		})
	}
}

// endpoint is a pod's as HNS has it.
func (l *lab) endpoint(p *pod) hnsemu.EndpointState {
	l.Helper()
	for _, e := range l.state().Endpoints {
		if e.ID == p.endpoint.ID {
			return e
		}
	}
	l.Fatalf("no endpoint %s", p.endpoint.ID)
	return hnsemu.EndpointState{}
}

// TestPortMappings: a pod is reached by the node's port from outside, the node itself, a pod
// beside it and itself, by the addresses that the mapping is for, and no longer when it is
// gone.
func TestPortMappings(t *testing.T) {
	for _, driver := range []hns.Driver{hns.NAT, hns.L2Bridge, hns.Overlay} {
		t.Run(string(driver), func(t *testing.T) {
			l := newLab(t, driver)
			second := []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("fd00:9::5/64")}
			l.configure(l.node, second)
			flags := hns.LocalRoutedVIP
			if driver == hns.NAT {
				flags = 0
			}
			var mappings []hns.Policy
			for i := range len(l.network.Subnets) {
				six := uint32(i) * hns.IPv6
				for _, protocol := range []int{6, 17} {
					mappings = append(mappings,
						hns.PortMapping{Protocol: protocol, InternalPort: 80, ExternalPort: 8080, Flags: flags | six},
						hns.PortMapping{Protocol: protocol, InternalPort: 80, ExternalPort: 8081, Flags: flags | six, VIP: nodeAddresses[i].Addr()})
				}
			}
			p, beside := l.pod(hns.Process, mappings...), l.pod(hns.Process)
			l.answer(p.ns, "pod", 80)
			from := map[string]netns.NsHandle{"outside": l.outside, "the node": l.node, "a pod beside": beside.ns, "itself": p.ns}
			for where, ns := range from {
				for _, i := range p.families() {
					for _, network := range []string{"tcp", "udp"} {
						for _, to := range []struct {
							address netip.Addr
							port    int
							want    string
						}{
							{nodeAddresses[i].Addr(), 8080, "pod"}, {second[i].Addr(), 8080, "pod"},
							{nodeAddresses[i].Addr(), 8081, "pod"}, {second[i].Addr(), 8081, ""}, {nodeAddresses[i].Addr(), 8082, ""},
						} {
							wait := patience
							if to.want == "" {
								wait = moment
							}
							name, client := ask(ns, network, to.address, to.port, wait)
							if name != to.want {
								t.Errorf("from %s, %s to %s port %d: answered by %q, want %q", where, network, to.address, to.port, name, to.want)
							}
							if where == "outside" && name != "" && client != outsideAddresses[i].Addr().String() {
								t.Errorf("%s: the pod sees %s", network, client)
							}
						}
					}
				}
			}
			if err := l.hns.DeleteEndpoint(context.Background(), p.endpoint.ID); err != nil {
				t.Fatal(err)
			}
			l.apply()
			if name, _ := ask(l.outside, "tcp", nodeAddresses[0].Addr(), 8080, moment); name != "" {
				t.Errorf("%s answers though its endpoint is gone", name)
			}
		})
	}
}

// TestNodeAsksItsPort: without LocalRoutedVIP the node does not reach its own port
// (microsoft/windows-container-networking reports it), others do.
func TestNodeAsksItsPort(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	if err := l.host.SetUnknowns(hnsemu.Unknowns{LaxPortMapping: true}); err != nil {
		t.Fatal(err)
	}
	p := l.pod(hns.Process, hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: 8080})
	l.answer(p.ns, "pod", 80)
	if name, _ := ask(l.outside, "tcp", nodeAddresses[0].Addr(), 8080, patience); name != "pod" {
		t.Errorf("from outside: answered by %q", name)
	}
	if name, _ := ask(l.node, "tcp", nodeAddresses[0].Addr(), 8080, moment); name != "" {
		t.Errorf("the node is answered by %q", name)
	}
}

// TestMappingMoves: a client whose packets went to a pod that is gone reaches the one that has
// its port now, also from the same port of its own.
func TestMappingMoves(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	c := l.udp(l.outside, netip.AddrPortFrom(nodeAddresses[0].Addr(), 8080))
	for i, name := range []string{"first", "second"} {
		p := l.pod(hns.Process, hns.PortMapping{Protocol: 17, InternalPort: 80, ExternalPort: 8080, Flags: hns.LocalRoutedVIP})
		l.answer(p.ns, name, 80)
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if want := name + " " + outsideAddresses[0].Addr().String(); err != nil || string(buf[:n]) != want {
			t.Errorf("pod %d: %q, %v, want %q", i, buf[:n], err, want)
		}
		if err := l.hns.DeleteEndpoint(context.Background(), p.endpoint.ID); err != nil {
			t.Fatal(err)
		}
		l.apply()
	}
}

// udp returns a socket in a namespace that sends to an address, until the end of the test.
func (l *lab) udp(ns netns.NsHandle, to netip.AddrPort) (c net.Conn) {
	l.Helper()
	err := netspace.Do(ns, func() (err error) {
		c, err = net.Dial("udp", to.String())
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { c.Close() })
	return c
}
