// SPDX-License-Identifier: Apache-2.0

package hnstest

import (
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var endpointCases = []testCase{
	{name: "endpoints: absent", run: absentEndpoint},
	{name: "endpoints: HNS fills in", run: leastEndpoint},
	{name: "endpoints: read back", run: fullEndpoint},
	{name: "endpoints: prefix length is HNS's", run: prefixLength},
	{name: "endpoints: names are not unique", run: sameNames},
	{name: "endpoints: of a network", run: endpointsOf},
	{name: "endpoints: ids in any letter case", run: endpointIDCase},
	{name: "endpoints: address taken", run: addressTaken},
	{name: "endpoints: address outside of the subnets", run: addressOutside},
	{name: "endpoints: host port taken", run: hostPortTaken},
	{name: "endpoints: remote", run: remoteEndpoint, makesNetworks: true},
	{name: "endpoints: the node's own", run: nodeEndpoint, makesNetworks: true},
	{name: "endpoints: delete", run: deleteEndpoint},
}

func absentEndpoint(e *env) {
	ctx := e.Context()
	_, err := e.Endpoint(ctx, hns.NewGUID())
	e.fails("Endpoint", err, hns.ErrNotFound)
	_, err = e.Endpoint(ctx, "none")
	e.fails("Endpoint of no id", err, hns.ErrInvalid)
	e.fails("DeleteEndpoint", e.DeleteEndpoint(ctx, hns.NewGUID()), hns.ErrNotFound)
	e.fails("DeleteEndpoint of no id", e.DeleteEndpoint(ctx, ""), hns.ErrInvalid)
	e.fails("AttachHost", e.AttachHost(ctx, hns.NewGUID()), hns.ErrNotFound)
	e.fails("AttachHost of no id", e.AttachHost(ctx, "none"), hns.ErrInvalid)
	e.fails("SetPolicies", e.SetPolicies(ctx, hns.NewGUID(), nil), hns.ErrNotFound)
	if got, err := e.EndpointsNamed(ctx, e.name()); err != nil || len(got) > 0 {
		e.Errorf("EndpointsNamed = %v, %v; want none", got, err)
	}
	if got, err := e.EndpointsOf(ctx, hns.NewGUID()); err != nil || len(got) > 0 {
		e.Errorf("EndpointsOf a network that does not exist = %v, %v; want none", got, err)
	}
	id, err := e.CreateEndpoint(ctx, hns.Endpoint{Name: e.name(), NetworkID: hns.NewGUID()})
	e.fails("CreateEndpoint on a network that does not exist", err, hns.ErrNotFound)
	if id != "" {
		e.Errorf("a failure came with id %s", id)
	}
}

func leastEndpoint(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	got := e.createEndpoint(want)
	e.sameEndpoint(want, got)
	if len(n.Subnets) == 0 {
		return
	}
	if len(got.Addresses) == 0 || !n.Subnets[0].Prefix.Contains(got.Addresses[0].Addr()) ||
		got.Addresses[0].Bits() != n.Subnets[0].Prefix.Bits() {
		e.Errorf("endpoint got %v out of %s", got.Addresses, n.Subnets[0].Prefix)
	}
	if len(got.Addresses) > 0 && got.Addresses[0].Addr() == n.Subnets[0].Gateway {
		e.Errorf("endpoint got the gateway's address")
	}
	if len(got.Routes) == 0 || got.Routes[0].NextHop != n.Subnets[0].Gateway {
		e.Errorf("endpoint got the routes %v, want one by %s", got.Routes, n.Subnets[0].Gateway)
	}
}

func fullEndpoint(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	want.Addresses = []netip.Prefix{e.freeAddress(n)}
	want.MAC = "00:15:5d:52:c0:77"
	want.Routes = []hns.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: n.Subnets[0].Gateway}}
	want.DNS = hns.DNS{
		Domain: "pod.test", Search: []string{"svc.test", "test"},
		Servers: []string{"10.96.0.10", "10.96.0.11"}, Options: []string{"ndots:5"},
	}
	found := e.createEndpoint(want)
	e.sameEndpoint(want, found)
	named, err := e.EndpointsNamed(e.Context(), want.Name)
	if err != nil || len(named) != 1 || !equal(found, named[0]) {
		e.Errorf("EndpointsNamed = %+v, %v; want %+v", named, err, found)
	}
}

func prefixLength(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	address := e.freeAddress(n)
	want.Addresses = []netip.Prefix{netip.PrefixFrom(address.Addr(), -1)}
	got := e.createEndpoint(want)
	if len(got.Addresses) != 1 || got.Addresses[0] != address {
		e.Errorf("got %v, want %s", got.Addresses, address)
	}
}

func sameNames(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	a, b := e.createEndpoint(want), e.createEndpoint(want)
	if a.ID == b.ID {
		e.Fatalf("two endpoints have the id %s", a.ID)
	}
	got, err := e.EndpointsNamed(e.Context(), want.Name)
	e.must(err)
	if want := sorted(a.ID, b.ID); !equal(want, ids(got)) {
		e.Errorf("got %v, want %v", ids(got), want)
	}
	e.must(e.DeleteEndpoint(e.Context(), a.ID))
	got, err = e.EndpointsNamed(e.Context(), want.Name)
	if err != nil || !equal([]string{b.ID}, ids(got)) {
		e.Errorf("after one was deleted: %v, %v; want %s", ids(got), err, b.ID)
	}
}

func endpointsOf(e *env) {
	n := e.anyNetwork()
	before, err := e.EndpointsOf(e.Context(), n.ID)
	e.must(err)
	a, b := e.createEndpoint(e.endpoint(n)), e.createEndpoint(e.endpoint(n))
	if e.suite.onNetwork == "" {
		e.createEndpoint(e.endpoint(e.createNetwork(e.network(hns.NAT))))
	}
	got, err := e.EndpointsOf(e.Context(), upper(n.ID))
	e.must(err)
	if want := sorted(append(ids(before), a.ID, b.ID)...); !equal(want, ids(got)) {
		e.Errorf("got %v, want %v", ids(got), want)
	}
	for _, x := range got {
		if x.NetworkID != n.ID {
			e.Errorf("%s is on network %s", x.Name, x.NetworkID)
		}
	}
}

func endpointIDCase(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	want.NetworkID = upper(n.ID)
	pod := e.createEndpoint(want)
	if pod.NetworkID != n.ID {
		e.Errorf("network id %s, want %s", pod.NetworkID, n.ID)
	}
	got, err := e.Endpoint(e.Context(), "{"+upper(pod.ID)+"}")
	if err != nil || got.ID != pod.ID {
		e.Errorf("got %s, %v; want %s", got.ID, err, pod.ID)
	}
	e.must(e.SetPolicies(e.Context(), upper(pod.ID), nil))
	e.must(e.DeleteEndpoint(e.Context(), upper(pod.ID)))
}

func addressTaken(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	want.Addresses = []netip.Prefix{e.freeAddress(n)}
	e.createEndpoint(want)
	e.refused(want, "address taken", hns.ErrExists, hns.ErrInvalid)
	want.Addresses = []netip.Prefix{netip.PrefixFrom(n.Subnets[0].Gateway, n.Subnets[0].Prefix.Bits())}
	e.refused(want, "address of the gateway", hns.ErrExists, hns.ErrInvalid)
}

func addressOutside(e *env) {
	want := e.endpoint(e.anyNetwork())
	want.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}
	e.refused(want, "address outside", hns.ErrInvalid)
}

func hostPortTaken(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	mapping := hns.PortMapping{Protocol: 17, InternalPort: 56789, ExternalPort: 45678}
	if n.Driver != hns.NAT {
		mapping.Flags = hns.LocalRoutedVIP
	}
	want.Policies = []hns.Policy{mapping}
	e.createEndpoint(want)
	e.refused(want, "host port taken", hns.ErrExists)
}

// refused checks that an endpoint is not made, and nothing of it left behind.
func (e *env) refused(want hns.Endpoint, what string, kinds ...error) {
	e.Helper()
	want.Name = e.name()
	id, err := e.CreateEndpoint(e.Context(), want)
	if err == nil {
		e.must(e.DeleteEndpoint(e.Context(), id))
	}
	e.fails(what, err, kinds...)
	e.Logf("%s: %v", what, err)
	if left, err := e.EndpointsNamed(e.Context(), want.Name); err != nil || len(left) > 0 {
		e.Errorf("%s: was refused and left %v, %v", what, left, err)
	}
}

func remoteEndpoint(e *env) {
	n := e.createNetwork(e.network(hns.Overlay))
	want := e.endpoint(n)
	want.Remote = true
	want.MAC = "0e:2a:0a:d5:00:77"
	want.Addresses = []netip.Prefix{e.freeAddress(n)}
	want.Policies = []hns.Policy{hns.ProviderAddress{Address: netip.MustParseAddr("192.168.1.6")}}
	got := e.createEndpoint(want)
	e.sameEndpoint(want, got)
	list, err := e.EndpointsOf(e.Context(), n.ID)
	if err != nil || len(list) != 1 || !list[0].Remote {
		e.Errorf("EndpointsOf = %+v, %v; want the remote endpoint", list, err)
	}
	err = e.Attach(e.Context(), e.createNamespace("").ID, got.ID)
	e.fails("Attach of a remote endpoint", err, hns.ErrUnsupported)
}

func deleteEndpoint(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	e.must(e.DeleteEndpoint(e.Context(), pod.ID))
	_, err := e.Endpoint(e.Context(), pod.ID)
	e.fails("Endpoint", err, hns.ErrNotFound)
	e.fails("DeleteEndpoint again", e.DeleteEndpoint(e.Context(), pod.ID), hns.ErrNotFound)
	e.fails("SetPolicies", e.SetPolicies(e.Context(), pod.ID, nil), hns.ErrNotFound)
}

// nodeEndpoint is how flannel and Calico give the node an address on an l2bridge
// network, again at each start of the agent.
func nodeEndpoint(e *env) {
	n := e.createNetwork(e.network(hns.L2Bridge))
	want := e.endpoint(n)
	want.Addresses = []netip.Prefix{netip.PrefixFrom(n.Subnets[0].NodeAddress(), n.Subnets[0].Prefix.Bits())}
	want.Routes = []hns.Route{{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), NextHop: netip.IPv4Unspecified()}}
	got := e.createEndpoint(want)
	e.must(e.AttachHost(e.Context(), got.ID))
	e.fails("AttachHost again", e.AttachHost(e.Context(), upper(got.ID)), hns.ErrAttached)
	found, err := e.Endpoint(e.Context(), got.ID)
	e.must(err)
	e.sameEndpoint(want, found)
	if found.NamespaceID != "" {
		e.Errorf("the node's endpoint is in namespace %s", found.NamespaceID)
	}
	e.must(e.DeleteEndpoint(e.Context(), got.ID))
}
