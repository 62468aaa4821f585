// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// balancer is a load balancer as kube-proxy writes it.
type balancer struct {
	endpoints []string
	vip       netip.Addr // zero for a node port
	source    netip.Addr
	port      uint16
	direct    bool
	six       bool
	sticky    bool
}

// balance makes a load balancer to port 80 of endpoints, TCP and UDP, and returns its id.
func (l *lab) balance(b balancer) string {
	l.Helper()
	type port struct {
		Protocol, InternalPort, ExternalPort, DistributionType, Flags int
	}
	doc := struct {
		HostComputeEndpoints []string
		SourceVIP            string   `json:",omitempty"`
		FrontendVIPs         []string `json:",omitempty"`
		PortMappings         []port
		Flags                int
		SchemaVersion        map[string]int
	}{HostComputeEndpoints: b.endpoints, SchemaVersion: map[string]int{"Major": 2}}
	if b.vip.IsValid() {
		doc.FrontendVIPs = []string{b.vip.String()}
	}
	if b.source.IsValid() {
		doc.SourceVIP = b.source.String()
	}
	if b.direct {
		doc.Flags |= 1
	}
	if b.six {
		doc.Flags |= 2
	}
	for _, protocol := range []int{6, 17} {
		p := port{Protocol: protocol, InternalPort: 80, ExternalPort: int(b.port)}
		if b.sticky {
			p.DistributionType = 2
		}
		doc.PortMappings = append(doc.PortMappings, p)
	}
	settings, err := json.Marshal(doc)
	if err != nil {
		l.Fatal(err)
	}
	l.call("HcnCreateLoadBalancer", "", string(settings))
	l.apply()
	state := l.state()
	return state.LoadBalancers[len(state.LoadBalancers)-1].ID
}

// backends asks until every backend has answered, and returns the clients that they saw.
func (l *lab) backends(what string, ns netns.NsHandle, network string, to netip.Addr, port int, want ...string) []string {
	l.Helper()
	clients := map[string]bool{}
	got := map[string]bool{}
	for range 60 {
		name, client := ask(ns, network, to, port, patience)
		if name == "" {
			l.Errorf("%s: nobody answers on %s %s port %d", what, network, to, port)
			return nil
		}
		got[name], clients[client] = true, true
		if len(got) == len(want) {
			break
		}
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		l.Errorf("%s: %s %s port %d is answered by %v, want %v", what, network, to, port, names, want)
	}
	return slices.Sorted(maps.Keys(clients))
}

// serviceAddresses are outside all networks.
var serviceAddresses = []netip.Addr{netip.MustParseAddr("10.96.0.7"), netip.MustParseAddr("fd00:96::7")}

// TestServices: a service's address leads pods, the node and others to each of its backends,
// on the node and beyond, which see the pod with direct server return, and else the node.
func TestServices(t *testing.T) {
	for _, direct := range []bool{true, false} {
		l := newLab(t, hns.L2Bridge)
		client, backend := l.pod(hns.Process), l.pod(hns.Process)
		l.answer(backend.ns, "pod", 80)
		l.answer(l.outside, "remote", 80)
		for i, vip := range serviceAddresses {
			ctx, own := context.Background(), backend.endpoint.ID
			bits := vip.BitLen()
			remote, err := l.hns.CreateEndpoint(ctx, hns.Endpoint{
				Name: "remote" + vip.String(), NetworkID: l.network.ID, Remote: true, MAC: hns.MAC("02-11-22-33-44-5" + strconv.Itoa(i)),
				Addresses: []netip.Prefix{netip.PrefixFrom(outsideAddresses[i].Addr(), bits)},
			})
			if err != nil {
				t.Fatal(err)
			}
			six := i == 1
			l.balance(balancer{endpoints: []string{own, remote}, vip: vip, source: nodeAddresses[i].Addr(), port: 90, direct: direct, six: six})
			l.balance(balancer{endpoints: []string{own, remote}, port: 30090, six: six})
			for network, protocol := range map[string]int{"tcp": 6, "udp": 17} {
				told, ok := dataplane.Forward(l.state(), netip.AddrPortFrom(vip, 90), protocol, nil)
				if !ok || len(told.Backends) != 2 || told.Direct != direct || !direct && told.Source != nodeAddresses[i].Addr() {
					t.Errorf("%s port 90, %s: said to go to %+v, %t", vip, network, told, ok)
				}
				want := []string{client.endpoint.Addresses[i].Addr().String()}
				if !direct {
					want[0] = nodeAddresses[i].Addr().String()
				}
				if got := l.backends("pod", client.ns, network, vip, 90, "pod", "remote"); !slices.Equal(got, want) {
					t.Errorf("direct %t, %s: backends see %v, want %v", direct, network, got, want)
				}
				if l.backends("the node", l.node, network, vip, 90, "pod", "remote"); t.Failed() {
					t.Fatalf("direct %t", direct)
				}
				l.backends("pod, node port", client.ns, network, nodeAddresses[i].Addr(), 30090, "pod", "remote")
				l.backends("node port", l.node, network, nodeAddresses[i].Addr(), 30090, "pod", "remote")
				// Without a source VIP it is the node's address.
				got := l.backends("outside, node port", l.outside, network, nodeAddresses[i].Addr(), 30090, "pod", "remote")
				if !slices.Contains(got, nodeAddresses[i].Addr().String()) || slices.Contains(got, outsideAddresses[i].Addr().String()) {
					t.Errorf("node port, %s: backends see %v", network, got)
				}
			}
		}
	}
}

// TestBackendsChange: new connections go to the backends of the moment, a client with
// affinity to one and the same, and a service that is gone answers nobody.
func TestBackendsChange(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	client, a, b := l.pod(hns.Process), l.pod(hns.Process), l.pod(hns.Process)
	l.answer(a.ns, "a", 80)
	l.answer(b.ns, "b", 80)
	vip := serviceAddresses[0]
	of := balancer{endpoints: []string{a.endpoint.ID, b.endpoint.ID}, vip: vip, port: 90, direct: true}
	remove := func(id string) {
		t.Helper()
		l.call("HcnDeleteLoadBalancer", id)
		l.apply()
	}
	id := l.balance(of)
	l.backends("two", client.ns, "tcp", vip, 90, "a", "b")
	remove(id)
	of.sticky = true
	id = l.balance(of)
	first, _ := ask(client.ns, "tcp", vip, 90, patience)
	for range 20 {
		if name, _ := ask(client.ns, "tcp", vip, 90, patience); name != first || name == "" {
			t.Fatalf("a client with affinity is answered by %q after %q", name, first)
		}
	}
	remove(id)
	of.endpoints, of.sticky = of.endpoints[:1], false
	id = l.balance(of)
	for range 20 {
		if name, _ := ask(client.ns, "tcp", vip, 90, patience); name != "a" {
			t.Fatalf("%q answers, which is no backend any more", name)
		}
	}
	remove(id)
	if name, _ := ask(client.ns, "tcp", vip, 90, moment); name != "" {
		t.Errorf("%q answers for a service that is gone", name)
	}
}

// TestHairpin: a pod reaches itself through its own service: by the node always, by its
// switch port only when it has loopback for its address (an OutBoundNAT policy with it as
// Destinations). Others reach it all the same.
func TestHairpin(t *testing.T) {
	for _, tt := range []struct {
		direct, loopback bool
		want             string
	}{{false, false, "pod"}, {true, true, "pod"}, {true, false, ""}} {
		l := newLab(t, hns.L2Bridge)
		var policies []hns.Policy
		if tt.loopback {
			policies = append(policies, hns.OutboundNAT{Destinations: []string{"172.16.0.10"}}, hns.OutboundNAT{Destinations: []string{"fd01::10"}})
		}
		p, other := l.pod(hns.Process, policies...), l.pod(hns.Process)
		l.answer(p.ns, "pod", 80)
		for i, vip := range serviceAddresses {
			l.balance(balancer{endpoints: []string{p.endpoint.ID}, vip: vip, source: nodeAddresses[i].Addr(), port: 90, direct: tt.direct, six: i == 1})
			for _, network := range []string{"tcp", "udp"} {
				wait := patience
				if tt.want == "" {
					wait = moment
				}
				if got, _ := ask(p.ns, network, vip, 90, wait); got != tt.want {
					t.Errorf("%+v, %s %s: answered by %q", tt, network, vip, got)
				}
				if got, _ := ask(other.ns, network, vip, 90, patience); got != "pod" {
					t.Errorf("%+v, %s %s: another pod is answered by %q", tt, network, vip, got)
				}
			}
		}
	}
}

// TestSourceVIP: on an overlay backends see the endpoint that kube-proxy makes for that, and
// answers to it come back.
func TestSourceVIP(t *testing.T) {
	l := newLab(t, hns.Overlay)
	client, backend := l.pod(hns.Process), l.pod(hns.Process)
	l.answer(backend.ns, "pod", 80)
	vip, source := serviceAddresses[0], netip.MustParseAddr("172.16.0.200")
	if _, err := l.hns.CreateEndpoint(context.Background(), hns.Endpoint{
		Name: "sourcevip", NetworkID: l.network.ID, Addresses: []netip.Prefix{netip.PrefixFrom(source, 16)},
	}); err != nil {
		t.Fatal(err)
	}
	l.balance(balancer{endpoints: []string{backend.endpoint.ID}, vip: vip, source: source, port: 90})
	for where, ns := range map[string]netns.NsHandle{"pod": client.ns, "the node": l.node, "outside": l.outside} {
		to := vip
		if where == "outside" {
			l.balance(balancer{endpoints: []string{backend.endpoint.ID}, source: source, port: 30090})
			continue
		}
		if name, seen := ask(ns, "tcp", to, 90, patience); name != "pod" || seen != source.String() {
			t.Errorf("%s: answered by %q, which sees %q, want %s", where, name, seen, source)
		}
	}
	if name, seen := ask(l.outside, "tcp", nodeAddresses[0].Addr(), 30090, patience); name != "pod" || seen != source.String() {
		t.Errorf("node port: answered by %q, which sees %q", name, seen)
	}
}

// TestRulesAndServices: a pod's own rules see the service's address or the backend's: both
// are possible on Windows.
func TestRulesAndServices(t *testing.T) {
	for _, backend := range []bool{false, true} {
		l := newLabWith(t, hns.L2Bridge, dataplane.Unknowns{RulesSeeBackend: backend})
		p := l.pod(hns.Process)
		l.answer(p.ns, "pod", 80)
		vip := serviceAddresses[0]
		l.balance(balancer{endpoints: []string{p.endpoint.ID}, vip: vip, port: 90, direct: true})
		for _, allowed := range []netip.Addr{vip, p.address(true)} {
			client := l.pod(hns.Process, hns.ACL{
				ID: "out", Direction: hns.Out, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1000,
				Remote: []netip.Prefix{netip.PrefixFrom(allowed, 32)},
			})
			want, wait := "pod", patience
			if backend != (allowed != vip) {
				want, wait = "", time.Second
			}
			if got, _ := ask(client.ns, "tcp", vip, 90, wait); got != want {
				t.Errorf("rules see the backend: %t; %s is allowed: answered by %q", backend, allowed, got)
			}
		}
	}
}

// TestUDPFlow: a client that sends on from one port reaches a service that got its first
// backend meanwhile, and then the one that took the place of that, in both families, with
// direct server return and without.
func TestUDPFlow(t *testing.T) {
	for _, direct := range []bool{true, false} {
		l := newLab(t, hns.L2Bridge)
		client, a, b := l.pod(hns.Process), l.pod(hns.Process), l.pod(hns.Process)
		l.answer(a.ns, "a", 80)
		l.answer(b.ns, "b", 80)
		for i, vip := range serviceAddresses {
			var from net.PacketConn
			err := netspace.Do(client.ns, func() (err error) {
				from, err = net.ListenPacket("udp", "")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer from.Close()
			service := net.UDPAddrFromAddrPort(netip.AddrPortFrom(vip, 90))
			answers := func(patience time.Duration) string {
				t.Helper()
				if _, err := from.WriteTo([]byte("?"), service); err != nil {
					t.Fatal(err)
				}
				if err := from.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				var name string
				buf := make([]byte, 100)
				n, _, _ := from.ReadFrom(buf)            // nobody answers
				_, _ = fmt.Sscan(string(buf[:n]), &name) // what is not there stays empty
				return name
			}
			if got := answers(moment); got != "" {
				t.Fatalf("%q answers before there is a service", got)
			}
			of := balancer{endpoints: []string{a.endpoint.ID}, vip: vip, port: 90, direct: direct, six: i == 1, source: nodeAddresses[i].Addr()}
			id := l.balance(of)
			if got := answers(patience); got != "a" {
				t.Errorf("direct %t, %s: %q answers, want a", direct, vip, got)
			}
			l.call("HcnDeleteLoadBalancer", id)
			l.apply()
			of.endpoints = []string{b.endpoint.ID}
			l.balance(of)
			if got := answers(patience); got != "b" {
				t.Errorf("direct %t, %s: %q answers, want b", direct, vip, got)
			}
		}
	}
}
