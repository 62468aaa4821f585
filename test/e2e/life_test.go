// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// CHECK of a healthy pod is silent, of a pod that lost its endpoint a refusal.
func TestCheck(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.Overlay)}
	r := p.run(c)
	result, err := added(r)
	if err != nil {
		t.Fatal(err)
	}
	c.verb, c.conf = "CHECK", p.conf(hns.Overlay, `"prevResult":`+r.Stdout)
	if err := deleted(p.run(c)); err != nil {
		t.Errorf("CHECK of a healthy pod: %v", err)
	}
	without := c
	without.conf = p.conf(hns.Overlay)
	if e, err := refused(p.run(without)); err != nil || e.Code != 7 || !strings.Contains(e.Msg, "prevResult: missing") {
		t.Errorf("CHECK without prevResult: %+v, %v", e, err)
	}
	endpoints, err := p.hns.EndpointsNamed(context.Background(), "c1_net1")
	if err != nil || len(endpoints) != 1 {
		t.Fatalf("%v, %v", endpoints, err)
	}
	if err := p.hns.SetPolicies(context.Background(), endpoints[0].ID, nil); err != nil {
		t.Fatal(err)
	}
	e, err := refused(p.run(c))
	if err != nil || e.Code != 108 || !strings.Contains(e.Details, "bulkhead-pod-switch-in-tail") {
		t.Errorf("CHECK of a pod without ACLs: %+v, %v", e, err)
	}
	if err := p.hns.DeleteEndpoint(context.Background(), endpoints[0].ID); err != nil {
		t.Fatal(err)
	}
	if e, err := refused(p.run(c)); err != nil || e.Code != 107 {
		t.Errorf("CHECK of a pod without endpoint: %+v, %v", e, err)
	}
	if result.Interfaces[0].Sandbox != c.netns {
		t.Errorf("sandbox %s, want %s", result.Interfaces[0].Sandbox, c.netns)
	}
}

// GC leaves the valid attachment and takes the other; without a list it refuses.
func TestGC(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	version := func(conf string) string { return strings.Replace(conf, `"1.0.0"`, `"1.1.0"`, 1) }
	for _, id := range []string{"c1", "c2"} {
		if _, err := added(p.run(call{verb: "ADD", id: id, netns: p.namespace(), conf: version(p.conf(hns.L2Bridge))})); err != nil {
			t.Fatal(err)
		}
	}
	e, err := refused(p.run(call{verb: "GC", conf: version(p.conf(hns.L2Bridge))}))
	if err != nil || e.Code != 7 || len(p.addresses()) != 2 {
		t.Errorf("GC without a list: %+v, %v, %v", e, err, p.left())
	}
	r := p.run(call{verb: "GC", conf: version(p.conf(hns.L2Bridge, `"cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}]`))})
	if err := deleted(r); err != nil {
		t.Error(err)
	}
	left := p.left()
	if len(left) != 3 || left[0] != "address 10.1.0.11" || left[1] != "endpoint c2_net1" && left[2] != "endpoint c2_net1" {
		t.Errorf("left: %v, want c2's endpoint, resource and address", left)
	}
}
