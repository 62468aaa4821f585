// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// BenchmarkPods starts and removes a pod with 20 rules beside others that are there. It tells
// how long HNS's callers wait for the data plane, in all the calls of a pod's life together.
func BenchmarkPods(b *testing.B) {
	for _, others := range []int{0, 100, 250} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			l := newLab(b, hns.L2Bridge)
			waited := l.watch()
			for i := range others {
				l.start(i)
			}
			var start, removal time.Duration
			for b.Loop() {
				*waited = 0
				namespace, endpoint := l.start(others)
				start += *waited
				*waited = 0
				l.remove(others, namespace, endpoint)
				removal += *waited
			}
			report(b, "ms/start", start)
			report(b, "ms/removal", removal)
		})
	}
}

// BenchmarkRule changes a rule of so many addresses on a live pod.
func BenchmarkRule(b *testing.B) {
	for _, addresses := range []int{10, 1000, 4000} {
		b.Run(fmt.Sprint(addresses), func(b *testing.B) {
			l := newLab(b, hns.L2Bridge)
			waited := l.watch()
			_, endpoint := l.start(0)
			rule := hns.ACL{ID: "r", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: 1000}
			for i := range addresses {
				a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
				rule.Remote = append(rule.Remote, netip.PrefixFrom(a, 32))
			}
			*waited = 0
			for n := 0; b.Loop(); n++ {
				rule.Remote[0] = netip.PrefixFrom(netip.AddrFrom4([4]byte{11, 0, 0, byte(n)}), 32)
				if err := l.hns.SetPolicies(context.Background(), endpoint, []hns.Policy{rule}); err != nil {
					b.Fatal(err)
				}
			}
			report(b, "ms/change", *waited)
		})
	}
}

func report(b *testing.B, unit string, total time.Duration) {
	b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), unit)
}

// watch carries out each change of HNS at once, and counts how long that takes.
func (l *lab) watch() *time.Duration {
	var waited time.Duration
	l.host.Watch(func(s hnsemu.State) {
		began := time.Now()
		if err := l.plane.Apply(s); err != nil {
			l.Error(err)
		}
		waited += time.Since(began)
	})
	return &waited
}

// start starts a pod with 20 rules, by the calls of a runtime and a plugin.
func (l *lab) start(i int) (namespace, endpoint string) {
	l.Helper()
	ctx := context.Background()
	of, err := l.hns.CreateNamespace(ctx, "")
	if err != nil {
		l.Fatal(err)
	}
	want := hns.Endpoint{Name: fmt.Sprint("pod", i), NetworkID: l.network.ID, Addresses: []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(1 + i>>8), byte(i)}), 16),
	}}
	for n := range 20 {
		want.Policies = append(want.Policies, hns.ACL{
			ID: fmt.Sprint("r", n), Direction: []hns.Direction{hns.In, hns.Out}[n%2], Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: uint16(1000 + n),
			Remote: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 0}), 16)},
		})
	}
	if endpoint, err = l.hns.CreateEndpoint(ctx, want); err != nil {
		l.Fatal(err)
	}
	if err := l.hns.Attach(ctx, of.ID, endpoint); err != nil {
		l.Fatal(err)
	}
	if err := l.host.StartContainer(hnsemu.Container{ID: want.Name, NamespaceID: of.ID, Isolation: hns.Process}); err != nil {
		l.Fatal(err)
	}
	return of.ID, endpoint
}

// remove removes a pod.
func (l *lab) remove(i int, namespace, endpoint string) {
	l.Helper()
	ctx := context.Background()
	if err := l.host.StopContainer(fmt.Sprint("pod", i)); err != nil {
		l.Fatal(err)
	}
	if err := l.hns.DeleteEndpoint(ctx, endpoint); err != nil {
		l.Fatal(err)
	}
	if err := l.hns.DeleteNamespace(ctx, namespace); err != nil {
		l.Fatal(err)
	}
}
