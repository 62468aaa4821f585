// SPDX-License-Identifier: Apache-2.0

package acl_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/acl/acltest"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

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
	target := acltest.Target(r)
	specs := []acl.Spec{acltest.Spec(r)}
	if r.IntN(3) == 0 {
		specs = append(specs, acltest.Spec(r))
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
		p := acltest.Packet(r)
		want := true
		for i, s := range specs {
			// The pod may cut off the node from more.
			for _, pod := range specs[1:] {
				s.DenyHost = s.DenyHost || i == 0 && (pod.DenyHost || !acltest.Serves(pod.HostTo, p))
			}
			want = want && acltest.Meant(target, s, p)
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
	p := acl.Packet{Direction: hns.In, Protocol: 6, Remote: acltest.Remotes[0], Port: 40000, From: 443}
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
		target, conflist, annotation := acltest.Target(r), acltest.Spec(r), acltest.Spec(r)
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
		for _, protocol := range acltest.Protocols {
			for _, remote := range acltest.Remotes {
				for _, port := range append([]uint16{1}, acltest.Ports...) {
					out = append(out, acl.Packet{Direction: d, Protocol: protocol, Remote: remote, Port: port, From: 40000})
				}
			}
		}
	}
	return out
}
