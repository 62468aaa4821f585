// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// The containers of a pod share its endpoint: a worker gets the sandbox's
// result, takes no address, and its DEL leaves the endpoint alone, in whichever
// order the two end.
func TestWorkerSharesTheEndpoint(t *testing.T) {
	for _, d := range hns.Drivers() {
		for name, sandboxFirst := range map[string]bool{"worker ends first": false, "sandbox ends first": true} {
			t.Run(string(d)+" "+name, func(t *testing.T) {
				n := newNode(t, "2022")
				n.namespace(netns1)
				sandbox := n.attachment(d, "sandbox", netns1)
				worker := n.attachment(d, "worker", netns1)
				first := n.mustAdd(sandbox)
				second := n.mustAdd(worker)
				if !same(first, second) {
					t.Errorf("the sandbox has %+v, the worker %+v", first.Endpoint, second.Endpoint)
				}
				if held := n.addresses(); len(held) != 1 {
					t.Errorf("a pod of two containers holds %v", held)
				}
				if err := n.check(worker, promised(first)); err != nil {
					t.Errorf("CHECK of the worker: %v", err)
				}
				if sandboxFirst {
					n.mustDel(sandbox)
					n.nothingLeft("after the sandbox's DEL")
					n.mustDel(worker)
				} else {
					n.mustDel(worker)
					n.attached(sandbox, first)
					n.mustDel(sandbox)
				}
				n.nothingLeft("after both DELs")
			})
		}
	}
}

// Another interface, and another network, in the same namespace are not shared.
func TestSeveralInterfacesOfAPod(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	first := n.attachment(hns.L2Bridge, "c1", netns1)
	second := first
	second.IfName = "eth1"
	a, b := n.mustAdd(first), n.mustAdd(second)
	if a.Endpoint.ID == b.Endpoint.ID || a.Endpoint.Name != "c1_net1" || b.Endpoint.Name != "c1_net1#eth1" {
		t.Errorf("eth0 is %s, eth1 is %s", a.Endpoint.Name, b.Endpoint.Name)
	}
	for _, pair := range []struct {
		config.Config
		pod.Result
	}{{first, a}, {second, b}} {
		n.attached(pair.Config, pair.Result)
		if err := n.check(pair.Config, promised(pair.Result)); err != nil {
			t.Error(err)
		}
	}
	n.mustDel(first)
	n.attached(second, b)
	n.mustDel(second)
	n.nothingLeft("after both DELs")
}
