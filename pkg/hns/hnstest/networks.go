// SPDX-License-Identifier: Apache-2.0

package hnstest

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var networkCases = []testCase{
	{name: "networks: absent", run: absentNetwork},
	{name: "networks: read back", run: readNetworkBack, makesNetworks: true},
	{name: "networks: every wish is kept", run: fullNetwork, makesNetworks: true},
	{name: "networks: dual stack", run: dualStackNetwork, makesNetworks: true},
	{name: "networks: nat without a subnet", run: natWithoutSubnet, makesNetworks: true},
	{name: "networks: list", run: listNetworks},
	{name: "networks: name taken", run: networkNameTaken},
	{name: "networks: invalid", run: invalidNetwork},
	{name: "networks: delete", run: deleteNetwork, makesNetworks: true},
	{name: "networks: delete takes the endpoints along", run: deleteNetworkCascades, makesNetworks: true},
}

func absentNetwork(e *env) {
	_, err := e.Network(e.Context(), e.name())
	e.fails("Network", err, hns.ErrNotFound)
	e.fails("DeleteNetwork", e.DeleteNetwork(e.Context(), hns.NewGUID()), hns.ErrNotFound)
	e.fails("DeleteNetwork of no id", e.DeleteNetwork(e.Context(), "none"), hns.ErrInvalid)
}

func readNetworkBack(e *env) {
	for _, driver := range hns.Drivers() {
		want := e.network(driver)
		created, err := e.CreateNetwork(e.Context(), want)
		if err != nil {
			e.Errorf("%s: %v", driver, err)
			continue
		}
		e.sameNetwork(want, created)
		found, err := e.Network(e.Context(), want.Name)
		if err != nil {
			e.Errorf("%s: %v", driver, err)
		} else if !equal(created, found) {
			e.Errorf("%s: made as %+v, found as %+v", driver, created, found)
		}
		e.listed(found)
		// One adapter carries one external switch, so they take turns.
		e.must(e.DeleteNetwork(e.Context(), upper(created.ID)))
	}
}

func fullNetwork(e *env) {
	first := e.createNetwork(e.network(hns.L2Bridge))
	adapter := first.Adapter
	e.must(e.DeleteNetwork(e.Context(), first.ID))

	bridge := e.network(hns.L2Bridge)
	bridge.Adapter = adapter
	bridge.NonPersistent = true
	bridge.Subnets[0].VLAN = 7
	bridge.MACPool = []hns.MACRange{{Start: "00:15:5d:52:c0:00", End: "00:15:5d:52:c0:ff"}}
	bridge.DNS = hns.DNS{
		Domain: "cluster.local", Search: []string{"svc.cluster.local"},
		Servers: []string{"10.96.0.10"}, Options: []string{"ndots:5"},
	}
	got := e.createNetwork(bridge)
	e.sameNetwork(bridge, got)
	e.listed(got)
	if mac := e.createEndpoint(e.endpoint(got)).MAC; mac < bridge.MACPool[0].Start || mac > bridge.MACPool[0].End {
		e.Errorf("endpoint has MAC %s, which is not in the pool", mac)
	}
	e.must(e.DeleteNetwork(e.Context(), got.ID))

	overlay := e.network(hns.Overlay)
	if e.features.VXLANPort() {
		overlay.VXLANPort = 8472
	}
	overlay.HostRoute = true
	overlay.RemoteSubnets = []hns.RemoteSubnet{{
		Prefix: netip.MustParsePrefix("10.77.0.0/24"), VSID: overlay.Subnets[0].VSID,
		ProviderAddress: netip.MustParseAddr("192.168.77.6"), MAC: "00:15:5d:00:77:06",
	}}
	got = e.createNetwork(overlay)
	e.sameNetwork(overlay, got)
	e.listed(got)
}

func dualStackNetwork(e *env) {
	if !e.features.IPv6() {
		e.Skipf("HNS %s has no dual stack", e.features.Version)
	}
	want := e.network(hns.L2Bridge)
	want.Subnets = append(want.Subnets, hns.Subnet{
		Prefix: netip.MustParsePrefix("fd00:213::/64"), Gateway: netip.MustParseAddr("fd00:213::1"),
	})
	n := e.createNetwork(want)
	e.sameNetwork(want, n)
	e.listed(n)

	pod := e.endpoint(n)
	pod.Addresses = []netip.Prefix{
		e.freeAddress(n),
		netip.PrefixFrom(netip.MustParseAddr("fd00:213::77"), -1),
	}
	pod.Routes = []hns.Route{
		{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: n.Subnets[0].Gateway},
		{Destination: netip.MustParsePrefix("::/0"), NextHop: n.Subnets[1].Gateway},
	}
	got := e.createEndpoint(pod)
	e.sameEndpoint(pod, got)
	if len(got.Addresses) == 2 && got.Addresses[1].Bits() != 64 {
		e.Errorf("HNS gave %s, want the prefix length of its subnet", got.Addresses[1])
	}
}

func natWithoutSubnet(e *env) {
	want := e.network(hns.NAT)
	want.Subnets = nil
	n := e.createNetwork(want)
	e.sameNetwork(want, n)
	if len(n.Subnets) != 1 || !n.Subnets[0].Prefix.Contains(n.Subnets[0].Gateway) {
		e.Fatalf("HNS chose no subnet with a gateway: %+v", n.Subnets)
	}
	pod := e.createEndpoint(e.endpoint(n))
	if len(pod.Addresses) != 1 || !n.Subnets[0].Prefix.Contains(pod.Addresses[0].Addr()) {
		e.Errorf("endpoint got %v out of %s", pod.Addresses, n.Subnets[0].Prefix)
	}
}

func listNetworks(e *env) {
	n := e.anyNetwork()
	e.listed(n)
	list, err := e.ListNetworks(e.Context())
	e.must(err)
	seen := map[string]bool{}
	for _, n := range list {
		e.isID("network", n.ID)
		if seen[n.ID] {
			e.Errorf("network %s %s is listed twice", n.Name, n.ID)
		}
		seen[n.ID] = true
	}
}

func networkNameTaken(e *env) {
	n := e.anyNetwork()
	want := e.network(n.Driver)
	want.Name = n.Name
	got, err := e.CreateNetwork(e.Context(), want)
	if err == nil {
		e.must(e.DeleteNetwork(e.Context(), got.ID))
	}
	e.fails("CreateNetwork", err, hns.ErrExists)
	if again, err := e.Network(e.Context(), n.Name); err != nil || again.ID != n.ID {
		e.Errorf("the network of that name is now %s, %v", again.ID, err)
	}
}

func invalidNetwork(e *env) {
	for _, c := range []struct {
		what   string
		change func(*hns.Network)
	}{
		{"no gateway", func(n *hns.Network) { n.Subnets[0].Gateway = netip.Addr{} }},
		{"gateway elsewhere", func(n *hns.Network) { n.Subnets[0].Gateway = netip.MustParseAddr("192.0.2.1") }},
		{"subnet with host bits", func(n *hns.Network) { n.Subnets[0].Prefix = netip.PrefixFrom(n.Subnets[0].Gateway, 24) }},
		{"driver nobody heard of", func(n *hns.Network) { n.Driver = "l3bridge" }},
	} {
		want := e.network(hns.NAT)
		c.change(&want)
		got, err := e.CreateNetwork(e.Context(), want)
		if err == nil {
			e.must(e.DeleteNetwork(e.Context(), got.ID))
		}
		e.fails(c.what, err, hns.ErrInvalid)
		_, err = e.Network(e.Context(), want.Name)
		e.fails(c.what+": what was refused", err, hns.ErrNotFound)
	}
}

func deleteNetwork(e *env) {
	n := e.createNetwork(e.network(hns.NAT))
	e.must(e.DeleteNetwork(e.Context(), n.ID))
	_, err := e.Network(e.Context(), n.Name)
	e.fails("Network", err, hns.ErrNotFound)
	if got, err := e.inList(n.ID); err != nil || got != nil {
		e.Errorf("a network that is gone is listed: %+v, %v", got, err)
	}
	e.fails("DeleteNetwork again", e.DeleteNetwork(e.Context(), n.ID), hns.ErrNotFound)
	again := e.network(hns.NAT)
	again.Name = n.Name
	if got := e.createNetwork(again); got.ID == n.ID {
		e.Errorf("a new network has the id of the old one, %s", n.ID)
	}
}

func deleteNetworkCascades(e *env) {
	n := e.createNetwork(e.network(hns.L2Bridge))
	pod := e.createEndpoint(e.endpoint(n))
	ns := e.createNamespace("")
	e.must(e.Attach(e.Context(), ns.ID, pod.ID))
	e.must(e.DeleteNetwork(e.Context(), n.ID))
	_, err := e.Endpoint(e.Context(), pod.ID)
	e.fails("Endpoint", err, hns.ErrNotFound)
	left, err := e.EndpointsOf(e.Context(), n.ID)
	if err != nil || len(left) > 0 {
		e.Errorf("EndpointsOf a network that is gone = %v, %v", left, err)
	}
	after, err := e.Namespace(e.Context(), ns.ID)
	if err != nil || slices.Contains(after.Endpoints, pod.ID) {
		e.Errorf("namespace %+v, %v still has the endpoint", after, err)
	}
}
