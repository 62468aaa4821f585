// SPDX-License-Identifier: Apache-2.0

package acl_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

// meant is the obvious reading of a set: walk the rules in the order that they
// count in, and take the first that is about the packet.
func meant(t acl.Target, s acl.Spec, p acl.Packet) bool {
	if p.Direction == hns.Out && t.Driver.HasVFP() && len(t.Source) > 0 &&
		!slices.ContainsFunc(t.Source, func(x netip.Prefix) bool { return x.Contains(p.Local) }) {
		return false
	}
	rules := slices.Clone(s.Rules)
	slices.SortStableFunc(rules, func(a, b acl.Rule) int {
		switch {
		case a.Priority == b.Priority:
			return 0
		case a.Priority == 0:
			return 1
		case b.Priority == 0:
			return -1
		}
		return cmp.Compare(a.Priority, b.Priority)
	})
	for _, r := range rules {
		if about(r, p) {
			return r.Action == hns.Allow
		}
	}
	if p.Direction == hns.Out {
		return !s.DenyOutbound
	}
	opened := !s.MappedByRules && slices.Contains(t.Mapped, acl.Port{Protocol: p.Protocol, Number: p.Port})
	switch {
	case s.DenyInbound:
		return !s.DenyHost && slices.Contains(t.Host, p.Remote) && serves(s.HostTo, p) || opened
	case t.Isolation == hns.HyperV:
		return true
	}
	return slices.Contains([]int{1, 2, 6, 17, 58}, p.Protocol)
}

// serves reports whether the node reaches it.
func serves(to []acl.Service, p acl.Packet) bool {
	return len(to) == 0 || slices.ContainsFunc(to, func(s acl.Service) bool {
		return about(acl.Rule{Direction: p.Direction, Protocols: s.Protocols, Ports: s.Ports}, p)
	})
}

func about(r acl.Rule, p acl.Packet) bool {
	if r.Direction != p.Direction || len(r.Protocols) > 0 && !slices.Contains(r.Protocols, p.Protocol) {
		return false
	}
	if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(x hns.PortRange) bool { return x.First <= p.Port && p.Port <= x.Last }) {
		return false
	}
	return len(r.Remote) == 0 || slices.ContainsFunc(r.Remote, func(x netip.Prefix) bool { return x.Contains(p.Remote) })
}

// A small world, so that random rules and packets meet.
var (
	worldProtocols = []int{1, 2, 6, 17, 47, 58, 132}
	worldPorts     = []uint16{22, 80, 443, 8080}
	worldPrefixes  = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.1.2.3/32"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fd00:1::/64"),
	}
	worldRemotes = []netip.Addr{
		netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("192.168.1.1"),
		netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("fd00:1::9"), netip.MustParseAddr("2001:db8::1"),
	}
)

// own is an address of the pod, stolen one of another's.
var (
	ownPrefix = netip.MustParsePrefix("172.16.0.10/32")
	own       = ownPrefix.Addr()
	stolen    = netip.MustParseAddr("172.16.0.11")
)

func some[T any](r *rand.Rand, list []T, most int) []T {
	var out []T
	for range r.IntN(most + 1) {
		out = append(out, list[r.IntN(len(list))])
	}
	return out
}

func one[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func randomTarget(r *rand.Rand) acl.Target {
	t := acl.Target{
		Driver:    one(r, hns.Drivers()...),
		Isolation: one(r, hns.Process, hns.Process, hns.HyperV),
		Host:      some(r, worldRemotes, 2),
	}
	if r.IntN(3) == 0 {
		t.Source = []netip.Prefix{ownPrefix}
	}
	for _, port := range some(r, worldPorts, 2) {
		t.Mapped = append(t.Mapped, acl.Port{Protocol: one(r, 6, 17), Number: port})
	}
	return t
}

func randomSpec(r *rand.Rand) acl.Spec {
	s := acl.Spec{DenyInbound: r.IntN(2) == 0, DenyOutbound: r.IntN(3) == 0, DenyHost: r.IntN(3) == 0, MappedByRules: r.IntN(4) == 0}
	for range r.IntN(3) {
		s.HostTo = append(s.HostTo, acl.Service{Protocols: some(r, worldProtocols, 2)})
		if r.IntN(2) == 0 {
			port := one(r, worldPorts...)
			s.HostTo[len(s.HostTo)-1] = acl.Service{Protocols: []int{one(r, 6, 17)}, Ports: []hns.PortRange{{First: port, Last: port}}}
		}
	}
	for i := range r.IntN(6) {
		rule := acl.Rule{
			Name:      fmt.Sprintf("acl.rules[%d]", i),
			Direction: one(r, hns.In, hns.Out),
			Action:    one(r, hns.Allow, hns.Block),
			Protocols: some(r, worldProtocols, 2),
			Remote:    some(r, worldPrefixes, 2),
			Priority:  one(r, 0, 0, 100, 2000, uint16(hns.PriorityMax)),
		}
		if r.IntN(3) == 0 {
			rule.Protocols = []int{one(r, 6, 17)}
			for _, p := range some(r, worldPorts, 2) {
				rule.Ports = append(rule.Ports, hns.PortRange{First: p, Last: p + uint16(r.IntN(400))})
			}
		}
		s.Rules = append(s.Rules, rule)
	}
	return s
}

func randomPacket(r *rand.Rand) acl.Packet {
	p := acl.Packet{Direction: one(r, hns.In, hns.Out), Protocol: one(r, worldProtocols...), Remote: one(r, worldRemotes...), Local: one(r, own, own, stolen)}
	if p.Protocol == 6 || p.Protocol == 17 {
		p.Port, p.From = one(r, worldPorts...), 40000
	}
	return p
}

// emulated is an endpoint on an emulated node for each driver.
type emulated map[hns.Driver]endpoint

type endpoint struct {
	host   *hnsemu.Host
	client hns.Client
	id     string
}

func emulate(t testing.TB) emulated {
	profile, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	e := emulated{}
	for _, d := range hns.Drivers() {
		host := hnsemu.New(profile)
		client := emuclient.New(host, "test")
		subnet := hns.Subnet{Prefix: netip.MustParsePrefix("172.16.0.0/16"), Gateway: netip.MustParseAddr("172.16.0.1")}
		if d == hns.Overlay {
			subnet.VSID = 4096
		}
		n, err := client.CreateNetwork(context.Background(), hns.Network{Name: string(d), Driver: d, Subnets: []hns.Subnet{subnet}})
		if err != nil {
			t.Fatal(err)
		}
		id, err := client.CreateEndpoint(context.Background(), hns.Endpoint{Name: string(d), NetworkID: n.ID})
		if err != nil {
			t.Fatal(err)
		}
		e[d] = endpoint{host, client, id}
	}
	return e
}

// program gives the set to HNS.
func (e emulated) program(t testing.TB, set acl.Set) {
	var policies []hns.Policy
	for _, r := range set.Rules {
		policies = append(policies, r)
	}
	if err := e[set.Target.Driver].client.SetPolicies(context.Background(), e[set.Target.Driver].id, policies); err != nil {
		t.Fatalf("HNS refuses the set: %v\n%s", err, describe(set))
	}
}

// passes asks the emulator.
func (e emulated) passes(t testing.TB, target acl.Target, p acl.Packet) hnsemu.Verdict {
	q := hnsemu.Packet{
		EndpointID: e[target.Driver].id, Direction: p.Direction, Protocol: p.Protocol, Remote: p.Remote, Local: p.Local,
		LocalPort: p.Port, RemotePort: p.From, Isolation: target.Isolation,
	}
	if p.Direction == hns.Out {
		q.LocalPort, q.RemotePort = p.From, p.Port
	}
	v, err := e[target.Driver].host.Evaluate(q)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func describe(set acl.Set) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", set.Target)
	for _, r := range set.Rules {
		fmt.Fprintf(&b, "  %+v  %s\n", r, set.Origins[r.ID])
	}
	return b.String()
}

// agree compares the three witnesses on packets and returns how many passed.
func agree(t *testing.T, e emulated, r *rand.Rand, packets int) (compiled bool, passed int) {
	target := randomTarget(r)
	specs := []acl.Spec{randomSpec(r)}
	if r.IntN(3) == 0 {
		specs = append(specs, randomSpec(r))
	}
	set, err := acl.Compile(target, specs[0], specs[1:]...)
	if err != nil {
		if !errors.Is(err, acl.ErrUnenforceable) || target.Driver.HasVFP() {
			t.Fatalf("%+v: %v", target, err)
		}
		return false, 0
	}
	e.program(t, set)
	for i := range specs[1:] {
		// What the file leaves to rules is left to rules.
		specs[i+1].MappedByRules = specs[i+1].MappedByRules || specs[0].MappedByRules
	}
	for range packets {
		p := randomPacket(r)
		want := true
		for i, s := range specs {
			// The pod may cut off the node from more.
			for _, pod := range specs[1:] {
				s.DenyHost = s.DenyHost || i == 0 && (pod.DenyHost || !serves(pod.HostTo, p))
			}
			want = want && meant(target, s, p)
		}
		if len(acl.EnforcedBy(target.Driver, target.Isolation)) == 0 {
			want = true
		}
		got, emulated := set.Verdict(p), e.passes(t, target, p)
		if got.Allowed != want || emulated.Allowed != want {
			t.Fatalf("%+v\nmeant %v\nVerdict %+v\nemulator %+v\nspecs %+v\n%s", p, want, got, emulated, specs, describe(set))
		}
		if want {
			passed++
		}
	}
	return true, passed
}

// FuzzWitnesses: whatever a user writes, what Compile makes of it means the same
// to the user, to Verdict and to the emulator, and with several sets a packet
// passes only where each of them lets it.
func FuzzWitnesses(f *testing.F) {
	for i := range uint64(50) {
		f.Add(i, i)
	}
	e := emulate(f)
	f.Fuzz(func(t *testing.T, a, b uint64) { agree(t, e, rand.New(rand.NewPCG(a, b)), 20) })
}

// TestWitnesses is the same with many sets and tells how much it saw.
func TestWitnesses(t *testing.T) {
	const sets, packets = 1500, 40
	e := emulate(t)
	r := rand.New(rand.NewPCG(1, 2))
	compiled, passed := 0, 0
	for range sets {
		ok, n := agree(t, e, r, packets)
		if ok {
			compiled++
		}
		passed += n
	}
	judged := compiled * packets
	t.Logf("%d sets, of which %d compile; %d packets, of which %d pass", sets, compiled, judged, passed)
	if compiled < sets/2 || passed < judged/4 || passed > judged*3/4 {
		t.Error("too few sets compile, or the packets are too much alike to prove anything")
	}
}

// A reply passes when what it answers does.
func TestReplies(t *testing.T) {
	set, err := acl.Compile(acl.Target{Driver: hns.L2Bridge, Isolation: hns.Process}, acl.Spec{DenyInbound: true, DenyHost: true})
	if err != nil {
		t.Fatal(err)
	}
	p := acl.Packet{Direction: hns.In, Protocol: 6, Remote: worldRemotes[0], Port: 40000, From: 443}
	if v := set.Verdict(p); v.Allowed {
		t.Errorf("unasked: %+v", v)
	}
	p.Reply = true
	if v := set.Verdict(p); !v.Allowed || !strings.HasPrefix(v.Why, "it answers a packet that passes: ") {
		t.Errorf("asked: %+v", v)
	}
}

// Whatever a pod's annotation says, it lets through no packet that the conflist's
// set denies.
func TestTighterNeverLoosens(t *testing.T) {
	const pairs = 600
	r := rand.New(rand.NewPCG(5, 6))
	denied, tightened := 0, 0
	for range pairs {
		target, conflist, annotation := randomTarget(r), randomSpec(r), randomSpec(r)
		wide, err := acl.Compile(target, conflist)
		if err != nil {
			continue
		}
		narrow, err := acl.Compile(target, conflist, annotation)
		if err != nil {
			continue
		}
		for _, p := range everyPacket() {
			before, after := wide.Verdict(p), narrow.Verdict(p)
			if after.Allowed && !before.Allowed {
				t.Fatalf("%+v\nconflist %+v\nannotation %+v\nbefore %+v\nafter %+v", p, conflist, annotation, before, after)
			}
			if !before.Allowed {
				denied++
			}
			if before.Allowed && !after.Allowed {
				tightened++
			}
		}
	}
	t.Logf("%d pairs, %d packets that the conflist denies, %d that the annotation denies besides", pairs, denied, tightened)
	if denied < pairs || tightened < pairs {
		t.Error("too few packets are denied to prove anything")
	}
}

// everyPacket returns every packet of the small world.
func everyPacket() []acl.Packet {
	var out []acl.Packet
	for _, d := range []hns.Direction{hns.In, hns.Out} {
		for _, protocol := range worldProtocols {
			for _, remote := range worldRemotes {
				for _, port := range append([]uint16{1}, worldPorts...) {
					out = append(out, acl.Packet{Direction: d, Protocol: protocol, Remote: remote, Port: port, From: 40000})
				}
			}
		}
	}
	return out
}
