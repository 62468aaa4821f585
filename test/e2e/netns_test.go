// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// A runtime that makes no namespaces: the sandbox gets one of ours, a worker
// joins it by the sandbox's id, and with the sandbox all is gone.
func TestRuntimeWithoutNamespaces(t *testing.T) {
	t.Parallel()
	for _, netns := range []string{"", "none"} {
		t.Run("netns "+netns, func(t *testing.T) {
			p := newPlugin(t, "2022")
			sandbox := call{verb: "ADD", id: "c1", netns: netns, conf: p.conf(hns.L2Bridge)}
			r := p.run(sandbox)
			first, err := added(r)
			if err != nil {
				t.Fatal(err)
			}
			worker := call{verb: "ADD", id: "w1", netns: "container:c1", conf: sandbox.conf}
			second, err := added(p.run(worker))
			if err != nil {
				t.Fatal(err)
			}
			if first.Interfaces[0].Sandbox != second.Interfaces[0].Sandbox || !second.IPs[0].Address.IP.Equal(first.IPs[0].Address.IP) {
				t.Errorf("the worker got %v, the sandbox %v", second, first)
			}
			ns, err := p.hns.Namespace(context.Background(), first.Interfaces[0].Sandbox)
			if err != nil || len(ns.Endpoints) != 1 || len(ns.Containers) != 1 || ns.Containers[0] != "w1" {
				t.Errorf("the namespace is %+v, %v", ns, err)
			}
			for _, c := range []call{sandbox, worker} {
				c.verb, c.conf = "CHECK", p.conf(hns.L2Bridge, `"prevResult":`+r.Stdout)
				if err := deleted(p.run(c)); err != nil {
					t.Errorf("CHECK of %s: %v", c.id, err)
				}
			}
			for _, c := range []call{sandbox, worker, sandbox} {
				c.verb = "DEL"
				if err := deleted(p.run(c)); err != nil {
					t.Errorf("DEL of %s: %v", c.id, err)
				}
			}
			p.nothingLeft("after the DELs")
			if s, err := p.node.Host.State(); err != nil || len(s.Namespaces) > 0 {
				t.Errorf("namespaces are left: %+v (%v)", s.Namespaces, err)
			}
		})
	}
}

// An address that somebody else's endpoint holds is not forced on the pod, and
// the runtime's log says so; the result is a result all the same.
func TestAddressConflictIsTold(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.L2Bridge)}
	if _, err := added(p.run(c)); err != nil {
		t.Fatal(err)
	}
	network, err := p.hns.Network(context.Background(), "net1")
	if err != nil {
		t.Fatal(err)
	}
	// What host-local gives next.
	taken := hns.Endpoint{Name: "azure-eth0", NetworkID: network.ID, Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.11/16")}}
	if _, err := p.hns.CreateEndpoint(context.Background(), taken); err != nil {
		t.Fatal(err)
	}
	r := p.run(call{verb: "ADD", id: "c2", netns: p.namespace(), conf: c.conf})
	told := strings.TrimSpace(r.Stderr)
	if want := "10.1.0.11 is held by the endpoint azure-eth0"; !strings.Contains(told, want) || strings.Contains(told, "\n") {
		t.Errorf("stderr is %q, want one line with %q", r.Stderr, want)
	}
	r.Stderr = ""
	got, err := added(r)
	if err != nil {
		t.Fatal(err)
	}
	if a := got.IPs[0].Address.IP.String(); a != "10.1.0.12" {
		t.Errorf("the pod has %s", a)
	}
}

// Pods that start at once on a fresh node make their network once, and one that
// is killed while it does so does not stop the others for ever.
func TestNetworkIsMadeOnce(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	first := call{verb: "ADD", id: "killed", netns: p.namespace(), conf: p.conf(hns.Overlay)}
	if err := p.node.Host.AddFault(hnsemu.Fault{Proc: "HcnCreateNetwork", Nth: 1, Kind: hnsemu.FaultHang}); err != nil {
		t.Fatal(err)
	}
	p.killAt(first)
	if err := p.node.Host.ClearFaults(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	const pods = 12
	for i := range pods {
		c := call{verb: "ADD", id: "c" + string(rune('a'+i)), netns: p.namespace(), conf: first.conf}
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := p.invoke(c)
			if err == nil {
				_, err = added(r)
			}
			if err != nil {
				t.Errorf("%s: %v", c.id, err)
			}
		}()
	}
	wg.Wait()
	s, err := p.node.Host.State()
	if err != nil || len(s.Networks) != 1 || len(s.Endpoints) != pods {
		t.Errorf("%d networks, %d endpoints (%v), want 1 and %d", len(s.Networks), len(s.Endpoints), err, pods)
	}
	counts, err := p.node.Host.Counts()
	if err != nil || counts["HcnCreateNetwork"] != 2 {
		t.Errorf("%d calls of HcnCreateNetwork (%v), want 2: the killed one's and one more", counts["HcnCreateNetwork"], err)
	}
}
