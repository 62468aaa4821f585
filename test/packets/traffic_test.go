// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netns"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// serve answers TCP connections in a pod with what they say, until the end of the test.
func (p *pod) serve(port int) {
	p.lab.Helper()
	p.accept(port, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

// accept takes TCP connections in a pod, and closes each after do, until the end of the test.
func (p *pod) accept(port int, do func(net.Conn)) {
	p.lab.Helper()
	err := netspace.Do(p.ns, func() error {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		p.lab.Cleanup(func() { listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					do(c)
				}()
			}
		}()
		return nil
	})
	if err != nil {
		p.lab.Fatal(err)
	}
}

// dial connects from a namespace to an address.
func dial(ns netns.NsHandle, to netip.Addr, port int, patience time.Duration) (c net.Conn, err error) {
	err = netspace.Do(ns, func() (err error) {
		c, err = net.DialTimeout("tcp", netip.AddrPortFrom(to, uint16(port)).String(), patience)
		return err
	})
	return c, err
}

// moment is how long something may take that must not happen.
const moment = 100 * time.Millisecond

// echo sends something on a connection and reads it back.
func echo(c net.Conn, patience time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("word")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return err
}

// TestTraffic: pods of a node reach each other and are reached by the node, in both
// families, and a rule that denies a port denies that port.
func TestTraffic(t *testing.T) {
	for _, driver := range hns.Drivers() {
		t.Run(string(driver), func(t *testing.T) {
			l := newLab(t, driver)
			a, b := l.pod(hns.Process), l.pod(hns.Process)
			want := map[netip.Addr]bool{}
			if driver != hns.NAT && driver != hns.Overlay {
				for _, own := range append(a.endpoint.Addrs(), b.endpoint.Addrs()...) {
					want[own] = true
				}
			}
			if got := l.plane.Addresses(); !maps.Equal(got, want) {
				t.Errorf("others need a way to %v, want %v", got, want)
			}
			a.serve(80)
			a.serve(81)
			rules := []hns.ACL{
				{ID: "closed", Direction: hns.In, Action: hns.Block, Protocol: 6, LocalPorts: []hns.PortRange{{First: 81, Last: 90}}},
				{ID: "in", Direction: hns.In, Action: hns.Allow, Protocol: hns.ProtocolAny},
				{ID: "out", Direction: hns.Out, Action: hns.Allow, Protocol: hns.ProtocolAny},
			}
			for i := range rules {
				rules[i].RuleType = hns.Host
				if driver.HasVFP() {
					rules[i].RuleType, rules[i].Priority = hns.Switch, uint16(1000+i)
				}
			}
			a.program(rules)
			for _, from := range []netns.NsHandle{b.ns, l.node, a.ns} {
				for _, to := range a.endpoint.Addrs() {
					c, err := dial(from, to, 80, patience)
					if err != nil {
						t.Errorf("to %s: %v", to, err)
						continue
					}
					if err := echo(c, patience); err != nil {
						t.Errorf("to %s: %v", to, err)
					}
					c.Close()
					if c, err := dial(from, to, 81, moment); from != a.ns && err == nil {
						c.Close()
						t.Errorf("to %s: the port is open", to)
					}
				}
			}
		})
	}
}

// TestMatches: each rule counts the connections that it decided on.
func TestMatches(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	p := l.pod(hns.Process)
	p.serve(80)
	p.program([]hns.ACL{
		{ID: "closed", Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Protocol: 6, Priority: 1000, LocalPorts: []hns.PortRange{{First: 81, Last: 81}}},
		{ID: "in", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: 1001},
	})
	for range 3 {
		c, err := dial(l.node, p.address(true), 80, patience)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if c, err := dial(l.node, p.address(true), 81, moment); err == nil {
		c.Close()
		t.Error("the port is open")
	}
	got, err := l.plane.Matches(p.namespace, p.endpoint.ID)
	if err != nil {
		t.Fatal(err)
	}
	by := dataplane.Drop{EndpointID: p.endpoint.ID, At: hns.Switch, Direction: hns.In}
	if in, closed := got[dataplane.Match{Drop: by, Rule: "in"}], got[dataplane.Match{Drop: by, Rule: "closed"}]; in != 3 || closed != 1 {
		t.Errorf("matched %v", got)
	}
}

// TestManyAddresses: a rule may be about more addresses than a message of the kernel's holds.
func TestManyAddresses(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	p := l.pod(hns.Process)
	rule := hns.ACL{ID: "r", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 17, Priority: 1000}
	const many = 6000
	address := func(i int, is4 bool) netip.Addr {
		if is4 {
			return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(2 * i)})
	}
	for i := range many {
		for _, is4 := range []bool{true, false} {
			a := address(i, is4)
			rule.Remote = append(rule.Remote, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	p.program([]hns.ACL{rule})
	for _, is4 := range []bool{true, false} {
		for i, want := range map[int]string{0: "", 499: "", 500: "", many / 2: "", many - 1: "", many: "Switch"} {
			if got := p.send(hns.In, 17, address(i, is4), p.address(is4), 1, 2); got != want {
				t.Errorf("from address %d, %s: dropped by %q, want %q", i, address(i, is4), got, want)
			}
		}
	}
}

// TestTwoInterfaces: rules are an endpoint's, not its pod's: with two networks on a pod, one
// interface's do not decide for the other, in both families.
func TestTwoInterfaces(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	ctx := context.Background()
	p := l.pod(hns.Process)
	other, err := l.hns.CreateNetwork(ctx, hns.Network{Name: "other", Driver: hns.L2Bridge, Subnets: []hns.Subnet{
		{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Gateway: netip.MustParseAddr("172.17.0.1")},
		{Prefix: netip.MustParsePrefix("fd02::/64"), Gateway: netip.MustParseAddr("fd02::1")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := l.hns.CreateEndpoint(ctx, hns.Endpoint{Name: "pod1_other", NetworkID: other.ID, Addresses: []netip.Prefix{
		netip.MustParsePrefix("172.17.0.10/16"), netip.MustParsePrefix("fd02::10/64"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.hns.Attach(ctx, p.namespace, id); err != nil {
		t.Fatal(err)
	}
	p.program([]hns.ACL{
		{ID: "closed", Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Protocol: 6, Priority: 1000},
		{ID: "in", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1001},
		{ID: "out", Direction: hns.Out, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1001},
	})
	p.serve(80)
	second, err := l.hns.Endpoint(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range p.endpoint.Addrs() {
		if c, err := dial(l.node, to, 80, moment); err == nil {
			c.Close()
			t.Errorf("%s is open", to)
		}
	}
	for _, to := range second.Addrs() {
		c, err := dial(l.node, to, 80, patience)
		if err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		c.Close()
	}
}

// TestNodeEndpoint: an endpoint of the node's own on a network is the gateway of pods that
// name it, and coming and going it disturbs no connection of the node with a pod.
func TestNodeEndpoint(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	p := l.pod(hns.Process)
	p.serve(80)
	c, err := dial(l.node, p.address(true), 80, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, own := context.Background(), netip.MustParseAddr("172.16.0.2")
	id, err := l.hns.CreateEndpoint(ctx, hns.Endpoint{Name: "net_ep", NetworkID: l.network.ID, Addresses: []netip.Prefix{netip.PrefixFrom(own, 16)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.hns.AttachHost(ctx, id); err != nil {
		t.Fatal(err)
	}
	l.apply()
	var listener net.Listener
	err = netspace.Do(l.node, func() (err error) {
		listener, err = net.Listen("tcp", netip.AddrPortFrom(own, 90).String())
		return err
	})
	if err != nil {
		t.Fatalf("the node does not have its endpoint's address: %v", err)
	}
	defer listener.Close()
	if to, err := dial(p.ns, own, 90, patience); err != nil {
		t.Errorf("from the pod: %v", err)
	} else {
		to.Close()
	}
	if err := l.hns.DeleteEndpoint(ctx, id); err != nil {
		t.Fatal(err)
	}
	l.apply()
	if to, err := dial(p.ns, own, 90, moment); err == nil {
		to.Close()
		t.Error("the address stays when the endpoint is gone")
	}
	if err := echo(c, patience); err != nil {
		t.Errorf("the node's connection with the pod: %v", err)
	}
}

// TestLiveConnection: connections that were let through go on when rules change, also when
// the new ones would not let them through. Whether Windows cuts them is not known: it may, at
// a change, or at every update.
func TestLiveConnection(t *testing.T) {
	for _, unknowns := range []dataplane.Unknowns{{}, {ChangedRulesCut: true}, {EqualRulesCut: true}, {ChangedRulesCut: true, EqualRulesCut: true}} {
		l := newLabWith(t, hns.L2Bridge, unknowns)
		a, b := l.pod(hns.Process), l.pod(hns.Process)
		a.serve(80)
		open := []hns.ACL{
			{ID: "in", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1000},
			{ID: "out", Direction: hns.Out, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1000},
		}
		closed := slices.Clone(open)
		closed[0].Action = hns.Block
		a.program(open)
		for _, tt := range []struct {
			what  string
			rules []hns.ACL
			times int
			cut   bool
		}{{"the same", open, 5, unknowns.EqualRulesCut}, {"blocking", closed, 1, unknowns.ChangedRulesCut}} {
			c, err := dial(b.ns, a.address(true), 80, patience)
			if err != nil {
				t.Fatal(err)
			}
			for range tt.times {
				a.program(tt.rules)
			}
			wait := patience
			if tt.cut {
				a.program(open) // it does not come back with rules that let it through
				wait = 5 * moment
			}
			if err := echo(c, wait); (err != nil) != tt.cut {
				t.Errorf("%+v, %s rules: %v", unknowns, tt.what, err)
			}
			c.Close()
		}
		a.program(closed)
		if c, err := dial(b.ns, a.address(true), 80, moment); err == nil {
			c.Close()
			t.Errorf("%+v: a new connection passes rules that block it", unknowns)
		}
		before := a.drops()
		a.program(open)
		if diff := cmp.Diff(before, a.drops()); diff != "" {
			t.Errorf("%+v: counters do not go on: %s", unknowns, diff)
		}
	}
}

// TestRestart: pods go on running when HNS restarts and does not know their endpoints any more,
// with their rules, until they end.
func TestRestart(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	a, b := l.pod(hns.Process), l.pod(hns.Process)
	a.serve(80)
	a.serve(81)
	a.program([]hns.ACL{
		{ID: "in", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: 1000, LocalPorts: []hns.PortRange{{First: 80, Last: 80}}},
	})
	c, err := dial(b.ns, a.address(true), 80, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := l.host.RestartService(); err != nil {
		t.Fatal(err)
	}
	l.apply()
	if n := len(l.state().Endpoints); n > 0 {
		t.Fatalf("HNS has %d endpoints: the test proves nothing", n)
	}
	if err := echo(c, patience); err != nil {
		t.Errorf("the connection: %v", err)
	}
	if c, err := dial(l.node, a.address(true), 80, patience); err != nil {
		t.Errorf("a new connection: %v", err)
	} else {
		c.Close()
	}
	if c, err := dial(l.node, a.address(true), 81, moment); err == nil {
		c.Close()
		t.Error("the rules are gone")
	}
	if err := l.host.StopContainer("c1"); err != nil {
		t.Fatal(err)
	}
	l.apply()
	if _, err := os.Stat(l.plane.Namespace(a.namespace)); err == nil {
		t.Error("the pod's network is there when it has ended")
	}
}

// TestEgress: a pod sends as fast as its QOS policy lets it, and no policy is about what it
// gets. The policy changes under a live pod.
func TestEgress(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	const slow, fast = 1 << 20, 4 << 20
	p, other := l.pod(hns.Process, hns.QOS{Egress: slow}), l.pod(hns.Process)
	swallow := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	other.accept(80, swallow)
	p.accept(80, swallow)
	if got := rate(t, p.ns, other.address(true), slow); got < slow*6/10 || got > slow*12/10 {
		t.Errorf("sends %.0f bytes a second, want about %d", got, slow)
	}
	if got := rate(t, other.ns, p.address(true), 16*slow); got < 4*slow {
		t.Errorf("gets %.0f bytes a second, though nothing limits that", got)
	}
	ctx := context.Background()
	if err := l.host.SetUnknowns(hnsemu.Unknowns{UpdateReplacesAll: true}); err != nil {
		t.Fatal(err) // else no update takes a limit away
	}
	for _, tt := range []struct {
		policies   []hns.Policy
		bytes      int
		low, above float64
	}{{[]hns.Policy{hns.QOS{Egress: fast}}, fast, fast * 0.6, fast * 1.2}, {nil, 4 * fast, fast * 2, 1 << 40}} {
		if err := l.hns.SetPolicies(ctx, p.endpoint.ID, tt.policies); err != nil {
			t.Fatal(err)
		}
		l.apply()
		if got := rate(t, p.ns, other.address(true), tt.bytes); got < tt.low || got > tt.above {
			t.Errorf("with %v: sends %.0f bytes a second, want %.0f to %.0f", tt.policies, got, tt.low, tt.above)
		}
	}
}

// rate sends so many bytes and returns how many a second arrive.
func rate(t *testing.T, from netns.NsHandle, to netip.Addr, bytes int) float64 {
	t.Helper()
	c, err := dial(from, to, 80, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	if _, err := c.Write(make([]byte, bytes)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // it ends when all is there
	return float64(bytes) / time.Since(began).Seconds()
}
