// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// TestVLANs: pods of one VLAN meet on their switch, those of two by their gateways only, and
// an endpoint may be in another VLAN than its subnet, where it has no gateway.
func TestVLANs(t *testing.T) {
	for _, driver := range []hns.Driver{hns.Transparent, hns.L2Bridge} {
		l := newLab(t, driver)
		ten, twenty := netip.MustParsePrefix("172.20.0.0/24"), netip.MustParsePrefix("172.21.0.0/24")
		network, err := l.hns.CreateNetwork(context.Background(), hns.Network{Name: "vlans", Driver: driver, Subnets: []hns.Subnet{
			{Prefix: ten, Gateway: ten.Addr().Next(), VLAN: 10}, {Prefix: twenty, Gateway: twenty.Addr().Next(), VLAN: 20},
		}})
		if err != nil {
			t.Fatal(err)
		}
		pod := func(address string, policies ...hns.Policy) *pod {
			p := l.podWith(hns.Process, hns.Endpoint{NetworkID: network.ID, Addresses: []netip.Prefix{netip.MustParsePrefix(address)}, Policies: policies})
			l.answer(p.ns, address, 80)
			return p
		}
		other := hns.Opaque{Type: "VLAN", Settings: json.RawMessage(`{"IsolationId":20}`)}
		pods := map[string]*vlanPod{
			"a": {pod("172.20.0.10/24"), 10}, "b": {pod("172.20.0.11/24"), 10}, "c": {pod("172.21.0.10/24"), 20},
			"d": {pod("172.20.0.12/24", other), 20}, "e": {pod("172.20.0.13/24", other), 20},
		}
		for _, tt := range []struct {
			from, to string
			reaches  bool
		}{
			{"a", "b", true}, {"a", "c", true}, {"c", "b", true}, {"d", "e", true},
			{"a", "d", false}, {"d", "a", false}, {"d", "c", false}, {"c", "d", false},
		} {
			wait := moment
			if tt.reaches {
				wait = patience
			}
			from, to := pods[tt.from], pods[tt.to]
			name, client := ask(from.ns, "tcp", to.address(true), 80, wait)
			if (name != "") != tt.reaches || tt.reaches && client != from.address(true).String() {
				t.Errorf("%s: from %s to %s: answered by %q, which sees %q", driver, tt.from, tt.to, name, client)
			}
			if met := from.knows(to); met != (from.vlan == to.vlan && tt.reaches) {
				t.Errorf("%s: %s and %s meet on a switch: %t", driver, tt.from, tt.to, met)
			}
		}
		for _, name := range []string{"a", "c"} {
			if got, _ := ask(l.node, "tcp", pods[name].address(true), 80, patience); got == "" {
				t.Errorf("%s: the node does not reach %s", driver, name)
			}
		}
	}
}

// vlanPod is a pod in a VLAN.
type vlanPod struct {
	*pod
	vlan int
}

// knows reports whether a pod has found another on its switch.
func (p *vlanPod) knows(other *vlanPod) bool {
	p.lab.Helper()
	found := false
	err := netspace.Do(p.ns, func() error {
		list, err := netlink.NeighList(0, netlink.FAMILY_V4)
		for _, n := range list {
			found = found || n.IP.Equal(other.address(true).AsSlice()) && len(n.HardwareAddr) > 0
		}
		return err
	})
	if err != nil {
		p.lab.Fatal(err)
	}
	return found
}

// TestSDNRoutes: what an SDN route of an endpoint is about goes to its next hop in the pod's
// subnet, in both families, and by the gateway when the route names none.
func TestSDNRoutes(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	beyond := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:2::/64")}
	router := l.pod(hns.Process)
	l.answer(router.ns, "router", 80)
	err := netspace.Do(router.ns, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, to := range beyond {
			if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(to.Addr().Next(), to.Addr().BitLen()))}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	routes := func(hops bool) []hns.Policy {
		var out []hns.Policy
		for i, to := range beyond {
			r := hns.SDNRoute{Destination: to, NeedEncap: !hops}
			if hops {
				r.NextHop = router.endpoint.Addresses[i].Addr()
			}
			out = append(out, r)
		}
		return out
	}
	p, without := l.pod(hns.Process, routes(true)...), l.pod(hns.Process, routes(false)...)
	for i, to := range beyond {
		if name, client := ask(p.ns, "tcp", to.Addr().Next(), 80, patience); name != "router" || client != p.endpoint.Addresses[i].Addr().String() {
			t.Errorf("to %s: answered by %q, which sees %q", to, name, client)
		}
		if name, _ := ask(without.ns, "tcp", to.Addr().Next(), 80, moment); name != "" {
			t.Errorf("to %s without a next hop: answered by %q", to, name)
		}
	}
}

// TestNodeAddresses: pods see the node by its own address, in both families.
func TestNodeAddresses(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	p := l.pod(hns.Process)
	l.answer(p.ns, "pod", 80)
	for i, own := range p.endpoint.Addrs() {
		for _, network := range []string{"tcp", "udp"} {
			if _, client := ask(l.node, network, own, 80, patience); client != nodeAddresses[i].Addr().String() {
				t.Errorf("%s to %s: seen as %q, want %s", network, own, client, nodeAddresses[i].Addr())
			}
		}
	}
}
