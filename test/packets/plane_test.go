// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
)

// serve answers TCP connections in a pod with what they say, until the end of the test.
func (p *pod) serve(port int) {
	p.lab.Helper()
	err := in(p.ns, func() error {
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
					_, _ = io.Copy(c, c)
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
	err = in(ns, func() (err error) {
		c, err = net.DialTimeout("tcp", netip.AddrPortFrom(to, uint16(port)).String(), patience)
		return err
	})
	return c, err
}

// moment is how long something may take that must not happen.
const moment = 100 * time.Millisecond

// echo sends something on a connection and reads it back.
func echo(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
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
					if err := echo(c); err != nil {
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
	err = in(l.node, func() (err error) {
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
	if err := echo(c); err != nil {
		t.Errorf("the node's connection with the pod: %v", err)
	}
}

// TestLiveConnection: connections that were let through go on when rules change, also when
// the new ones would not let them through.
func TestLiveConnection(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	a, b := l.pod(hns.Process), l.pod(hns.Process)
	a.serve(80)
	open := []hns.ACL{
		{ID: "in", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1000},
		{ID: "out", Direction: hns.Out, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1000},
	}
	a.program(open)
	c, err := dial(b.ns, a.address(true), 80, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 20 {
		a.program(open)
		if err := echo(c); err != nil {
			t.Fatalf("after the same rules: %v", err)
		}
	}
	closed := slices.Clone(open)
	closed[0].Action = hns.Block
	a.program(closed)
	if err := echo(c); err != nil {
		t.Errorf("after rules that block it: %v", err)
	}
	if c, err := dial(b.ns, a.address(true), 80, moment); err == nil {
		c.Close()
		t.Error("a new connection passes rules that block it")
	}
	before := a.drops()
	a.program(open)
	if diff := cmp.Diff(before, a.drops()); diff != "" {
		t.Errorf("counters do not go on: %s", diff)
	}
}

// counted is what a counter has counted.
var counted = regexp.MustCompile(`packets \d+ bytes \d+`)

// look describes all that a plane has made, for comparison.
func look(t *testing.T, l *lab) string {
	t.Helper()
	var b strings.Builder
	describe := func(h *netlink.Handle) {
		links, err := h.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		names := map[int]string{}
		for _, of := range links {
			names[of.Attrs().Index] = of.Attrs().Name
		}
		slices.SortFunc(links, func(a, b netlink.Link) int { return strings.Compare(a.Attrs().Name, b.Attrs().Name) })
		for _, of := range links {
			a := of.Attrs()
			var all []string
			addresses, err := h.AddrList(of, netlink.FAMILY_ALL)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range addresses {
				if !x.IP.IsLinkLocalUnicast() {
					all = append(all, x.IPNet.String())
				}
			}
			slices.Sort(all)
			routes, err := h.RouteList(of, netlink.FAMILY_ALL)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range routes {
				if r.Gw != nil {
					all = append(all, r.Dst.String()+" via "+r.Gw.String())
				}
			}
			mac := ""
			if strings.HasPrefix(a.Name, "sw") || a.Alias == "" {
				mac = a.HardwareAddr.String() // the host's end has any
			}
			fmt.Fprintf(&b, "  %s %s %q of %q up %t %v\n", a.Name, mac, a.Alias, names[a.MasterIndex], a.Flags&net.FlagUp != 0, all)
		}
	}
	h, err := netlink.NewHandleAt(l.node)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	describe(h)
	files, err := filepath.Glob(l.plane.Namespace("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fmt.Fprintln(&b, filepath.Base(f))
		ns, err := netns.GetFromPath(f)
		if err != nil {
			t.Fatal(err)
		}
		h, err := netlink.NewHandleAt(ns)
		if err != nil {
			t.Fatal(err)
		}
		describe(h)
		h.Close()
		err = in(ns, func() error {
			out, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
			b.Write(counted.ReplaceAll(out, nil))
			return err
		})
		ns.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestSteps: after any sequence of changes the node has what a plane that is made anew from
// the state makes.
func TestSteps(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("there is no nft to read what was written")
	}
	l := newLab(t, hns.L2Bridge)
	r := rand.New(rand.NewPCG(7, 7))
	ctx := context.Background()
	var namespaces, endpoints []string
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const steps = 60
	for step := range steps {
		switch r.IntN(7) {
		case 0, 1:
			n, err := l.hns.CreateNamespace(ctx, "")
			must(err)
			e, err := l.hns.CreateEndpoint(ctx, hns.Endpoint{Name: fmt.Sprint("e", step), NetworkID: l.network.ID, Policies: rulesOf(r)})
			must(err)
			must(l.hns.Attach(ctx, n.ID, e))
			must(l.host.StartContainer(hnsemu.Container{ID: fmt.Sprint("c", step), NamespaceID: n.ID, Isolation: isolations[r.IntN(2)]}))
			namespaces, endpoints = append(namespaces, n.ID), append(endpoints, e)
		case 2, 3:
			if len(endpoints) > 0 {
				must(l.hns.SetPolicies(ctx, endpoints[r.IntN(len(endpoints))], rulesOf(r)))
			}
		case 4: // a second interface
			if len(namespaces) > 0 {
				e, err := l.hns.CreateEndpoint(ctx, hns.Endpoint{Name: fmt.Sprint("e", step), NetworkID: l.network.ID, Policies: rulesOf(r)})
				must(err)
				must(l.hns.Attach(ctx, namespaces[r.IntN(len(namespaces))], e))
				endpoints = append(endpoints, e)
			}
		case 5:
			if len(endpoints) > 2 {
				i := r.IntN(len(endpoints))
				must(l.hns.DeleteEndpoint(ctx, endpoints[i]))
				endpoints = slices.Delete(endpoints, i, i+1)
			}
		case 6:
			if r.IntN(8) == 0 {
				must(l.host.Reboot())
				namespaces, endpoints = nil, nil
			}
		}
		l.apply()
	}
	l.apply()
	got := look(t, l)
	state, err := l.host.State()
	must(err)
	must(l.plane.Apply(hnsemu.State{}))
	if empty := look(t, l); strings.Contains(empty, "ep") || strings.Contains(empty, "sw") {
		t.Errorf("left: %s", empty)
	}
	must(l.plane.Apply(state))
	if diff := cmp.Diff(look(t, l), got); diff != "" {
		t.Errorf("-anew +after %d steps: %s", steps, diff)
	}
	if strings.Count(got, "ep") < 10 {
		t.Errorf("too little was there to prove anything:\n%s", got)
	}
}

// rulesOf returns random rules.
func rulesOf(r *rand.Rand) []hns.Policy {
	var out []hns.Policy
	for range r.IntN(3) {
		rule := hns.ACL{ID: fmt.Sprint("r", r.IntN(100)), Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: uint16(200 + r.IntN(9))}
		rule.Remote = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), 0, 0}), 16), netip.MustParsePrefix("10.0.0.0/15")}
		if r.IntN(2) == 0 {
			rule.LocalPorts = []hns.PortRange{{First: 80, Last: 80}, {First: 81, Last: 90}, {First: 85, Last: 99}}
		}
		out = append(out, rule)
	}
	return out
}

// TestNamesTaken: a link of somebody else's that has a pod's or a switch's name is an error
// and stays, and when it is gone the next Apply makes the pod.
func TestNamesTaken(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	p := l.pod(hns.Process)
	state, err := l.host.State()
	if err != nil {
		t.Fatal(err)
	}
	h, err := netlink.NewHandleAt(l.node)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range links {
		name := of.Attrs().Name
		if name == "lo" {
			continue
		}
		if err := l.plane.Apply(hnsemu.State{}); err != nil {
			t.Fatal(err)
		}
		foreign := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
		if err := h.LinkAdd(foreign); err != nil {
			t.Fatal(err)
		}
		if err := l.plane.Apply(state); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is taken: %v", name, err)
		}
		if err := h.LinkDel(foreign); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		l.apply()
	}
	p.ns.Close()
	if p.ns, err = netns.GetFromPath(l.plane.Namespace(p.namespace)); err != nil {
		t.Fatal(err)
	}
	p.serve(80)
	c, err := dial(l.node, p.address(true), 80, patience)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestLeavings: what a plane that was killed left is removed by the next, and nothing of
// anybody else's.
func TestLeavings(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	l.pod(hns.Process)
	h, err := netlink.NewHandleAt(l.node)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "sw0123456789"}}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(l.plane.Namespace("x"))
	next, err := dataplane.Open(dir, fmt.Sprintf("/proc/self/fd/%d", l.node))
	if err != nil {
		t.Fatal(err)
	}
	links, err := h.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, of := range links {
		names = append(names, of.Attrs().Name)
	}
	if want := []string{"lo", "sw0123456789"}; !slices.Equal(names, want) {
		t.Errorf("links %v, want %v", names, want)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}
