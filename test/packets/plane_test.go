// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"encoding/json"
	"fmt"
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

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// counted is what a counter has counted.
var counted = regexp.MustCompile(`packets \d+ bytes \d+`)

// madeName is a link's that a plane has made.
var madeName = regexp.MustCompile(`(ep|sw|vx|[vpt]00a)[0-9a-f]{10}`)

// look describes all that a plane has made, for comparison.
func look(t *testing.T, l *lab) string {
	t.Helper()
	var b strings.Builder
	describe := func(ns netns.NsHandle, h *netlink.Handle) {
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
			routes, err := h.RouteList(of, netlink.FAMILY_ALL)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range routes {
				if r.Gw != nil {
					all = append(all, r.Dst.String()+" via "+r.Gw.String())
				}
			}
			for _, family := range []int{netlink.FAMILY_ALL, unix.AF_BRIDGE} {
				neighbours, err := h.NeighList(a.Index, family)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range neighbours {
					if n.State == netlink.NUD_PERMANENT && strings.HasPrefix(a.Name, "vx") {
						all = append(all, fmt.Sprintf("%s is %s", n.IP, n.HardwareAddr))
					}
				}
			}
			limits, err := h.QdiscList(of)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range limits {
				if limit, ok := q.(*netlink.Tbf); ok {
					all = append(all, fmt.Sprintf("%d bytes a second, %d queued", limit.Rate, limit.Limit))
				}
			}
			for _, name := range programs(t, ns, a.Name) {
				all = append(all, "program "+name)
			}
			mac := ""
			if _, pair := of.(*netlink.Veth); !pair || a.Alias == "" {
				mac = a.HardwareAddr.String() // the host's end has any, and so have a trunk's
			}
			slices.Sort(all)
			fmt.Fprintf(&b, "  %s %s %q of %q up %t %v\n", a.Name, mac, a.Alias, names[a.MasterIndex], a.Flags&net.FlagUp != 0, all)
		}
	}
	h, err := netlink.NewHandleAt(l.node)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	describe(l.node, h)
	b.WriteString(tables(t, l.node))
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
		describe(ns, h)
		h.Close()
		b.WriteString(tables(t, ns))
		ns.Close()
	}
	return b.String()
}

// tables returns the tables of a network namespace in the order of their names.
func tables(t *testing.T, ns netns.NsHandle) string {
	t.Helper()
	var b strings.Builder
	err := netspace.Do(ns, func() error {
		list, err := exec.Command("nft", "list", "tables").Output()
		if err != nil {
			return err
		}
		names := strings.Split(strings.TrimSpace(string(list)), "\n")
		slices.Sort(names)
		for _, name := range names {
			if name == "" {
				continue
			}
			out, err := exec.Command("nft", append([]string{"list"}, strings.Fields(name)...)...).CombinedOutput()
			if err != nil {
				return err
			}
			b.Write(counted.ReplaceAll(out, nil))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSteps: after any sequence of changes the node has what a plane that is made anew from
// the state makes.
func TestSteps(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("there is no nft to read what was written")
	}
	for _, driver := range []hns.Driver{hns.L2Bridge, hns.Overlay} {
		t.Run(string(driver), func(t *testing.T) { steps(t, newLab(t, driver)) })
	}
}

func steps(t *testing.T, l *lab) {
	r := rand.New(rand.NewPCG(7, 7))
	ctx := context.Background()
	var namespaces, endpoints, balancers []string
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const steps = 80
	var remotes []string
	for step := range steps {
		switch r.IntN(10) {
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
				policies := append(rulesOf(r),
					hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: uint16(1000 + step), Flags: hns.LocalRoutedVIP},
					hns.OutboundNAT{Exceptions: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(step), 0, 0}), 16)}})
				if r.IntN(2) == 0 {
					hop := netip.AddrFrom4([4]byte{172, 16, 9, byte(step)})
					policies = append(policies, hns.SDNRoute{Destination: netip.MustParsePrefix("192.0.2.0/24"), NextHop: hop})
				}
				if l.network.Driver == hns.L2Bridge && r.IntN(3) == 0 {
					policies = append(policies, hns.Opaque{Type: "VLAN", Settings: json.RawMessage(`{"IsolationId":10}`)})
				}
				if r.IntN(2) == 0 {
					policies = append(policies, hns.QOS{Egress: uint64(1+r.IntN(3)) << 20})
				}
				must(l.hns.SetPolicies(ctx, endpoints[r.IntN(len(endpoints))], policies))
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
				namespaces, endpoints, balancers = nil, nil, nil
			}
		case 7:
			if len(endpoints) > 1 {
				of := []string{endpoints[0], endpoints[len(endpoints)-1]}
				balancers = append(balancers, l.balance(balancer{endpoints: of, vip: netip.AddrFrom4([4]byte{10, 96, 0, byte(step)}), port: 90, direct: step%2 == 0}))
			}
		case 9:
			if l.network.Driver != hns.Overlay {
				break
			}
			if len(remotes) > 1 {
				l.remoteSubnet("Remove", remotes[0])
				remotes = remotes[1:]
			}
			remote := hns.Endpoint{Name: fmt.Sprint("r", step), NetworkID: l.network.ID, Remote: true, Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 201, 0, byte(step)}), 24)}}
			remote.Policies = []hns.Policy{hns.ProviderAddress{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(step)})}}
			e, err := l.hns.CreateEndpoint(ctx, remote)
			must(err)
			balancers = append(balancers, l.balance(balancer{endpoints: []string{e}, vip: netip.AddrFrom4([4]byte{10, 97, 0, byte(step)}), port: 90}))
			remotes = append(remotes, fmt.Sprintf(`{"DestinationPrefix":"10.200.%d.0/24","IsolationId":%d,"ProviderAddress":"10.0.0.%d","DistributedRouterMacAddress":"02-11-22-33-44-%02x"}`, step, vsid, step+20, step))
			l.remoteSubnet("Add", remotes[len(remotes)-1])
		case 8:
			if len(balancers) > 2 {
				l.call("HcnDeleteLoadBalancer", balancers[0])
				balancers = balancers[1:]
			}
		}
		l.apply()
	}
	l.apply()
	got := look(t, l)
	state := l.state()
	must(l.plane.Apply(hnsemu.State{}))
	if empty := look(t, l); madeName.MatchString(empty) || strings.Contains(empty, "program") {
		t.Errorf("left: %s", empty)
	}
	must(l.plane.Apply(state))
	if diff := cmp.Diff(look(t, l), got); diff != "" {
		t.Errorf("-anew +after %d steps: %s", steps, diff)
	}
	if switched := strings.Contains(got, "  v00a"); switched != (l.network.Driver == hns.L2Bridge) {
		t.Errorf("a switch of a VLAN: %t", switched)
	}
	if len(madeName.FindAllString(got, -1)) < 10 || !strings.Contains(got, "192.0.2.0/24 via 172.16.9.") || !strings.Contains(got, " dnat ") || !strings.Contains(got, " snat ") || !strings.Contains(got, "bytes a second") ||
		(l.network.Driver == hns.L2Bridge) != strings.Contains(got, "program v00a") {
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

// TestNamesTaken: a link of somebody else's that has the name of one to be made is an error
// and stays, and when it is gone the next Apply makes the pod.
func TestNamesTaken(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	p := l.pod(hns.Process)
	l.pod(hns.Process, hns.Opaque{Type: "VLAN", Settings: json.RawMessage(`{"IsolationId":10}`)})
	state := l.state()
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
		if name == "lo" || name == "Ethernet" {
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
		now, err := h.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range now {
			if port.Attrs().MasterIndex == foreign.Attrs().Index {
				t.Errorf("%s of somebody else's has %s as a port", name, port.Attrs().Name)
			}
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
	if tables(t, l.node) == "" {
		t.Fatal("the node has no table: the test proves nothing")
	}
	dir := filepath.Dir(l.plane.Namespace("x"))
	next, err := dataplane.Open(dir, fmt.Sprintf("/proc/self/fd/%d", l.node), dataplane.Unknowns{})
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
	if want := []string{"lo", "Ethernet", "sw0123456789"}; !slices.Equal(names, want) {
		t.Errorf("links %v, want %v", names, want)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
	if left := tables(t, l.node); left != "" {
		t.Errorf("tables %s", left)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}
