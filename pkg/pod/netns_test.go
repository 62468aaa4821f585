// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// noNamespaces fails when a namespace of our own is left.
func (n *node) noNamespaces(when string) {
	n.Helper()
	for _, ns := range n.state().Namespaces {
		if plan.IsOwnNamespace(ns.ID) {
			n.Errorf("%s: namespace %s is left, with containers %v", when, ns.ID, ns.Containers)
		}
	}
}

func (n *node) containers(namespace string) []string {
	n.Helper()
	ns, err := n.hns.Namespace(context.Background(), namespace)
	if err != nil {
		n.Fatal(err)
	}
	return ns.Containers
}

// A runtime that makes no namespace gets one of ours, the same for every verb.
func TestOwnNamespace(t *testing.T) {
	for _, p := range hnsemu.Profiles() {
		for _, d := range hns.Drivers() {
			for _, netns := range []string{"", "none"} {
				t.Run(p.Name+" "+string(d)+" "+netns, func(t *testing.T) {
					n := newNode(t, p.Name)
					a := n.attachment(d, "c1", netns)
					r := n.mustAdd(a)
					if r.Namespace != plan.OwnNamespace("c1") || r.Endpoint.NamespaceID != r.Namespace {
						t.Errorf("the result says %s, the endpoint is in %s, want %s", r.Namespace, r.Endpoint.NamespaceID, plan.OwnNamespace("c1"))
					}
					if again := n.mustAdd(a); !same(again, r) || again.Namespace != r.Namespace {
						t.Errorf("repeated ADD: %+v, want %+v", again, r)
					}
					if err := n.check(a, promised(r)); err != nil {
						t.Errorf("CHECK: %v", err)
					}
					n.mustDel(a)
					n.nothingLeft("after DEL")
					n.noNamespaces("after DEL")
					n.mustDel(a)
				})
			}
		}
	}
}

// The runtime may pass the GUID that it read from the result.
func TestOwnNamespaceByItsGUID(t *testing.T) {
	n := newNode(t, "2022")
	r := n.mustAdd(n.attachment(hns.L2Bridge, "c1", "none"))
	a := n.attachment(hns.L2Bridge, "c1", strings.ToUpper(r.Namespace))
	if again := n.mustAdd(a); !same(again, r) {
		t.Errorf("ADD by GUID made %+v, not %+v", again, r)
	}
	n.mustDel(a)
	n.nothingLeft("after DEL")
	n.noNamespaces("after DEL")
}

// A namespace of our own goes with its last interface, on whatever network.
func TestOwnNamespaceOfSeveralInterfaces(t *testing.T) {
	n := newNode(t, "2022")
	eth0 := n.attachment(hns.L2Bridge, "c1", "none")
	eth1 := eth0
	eth1.IfName = "eth1"
	other := n.named("net2", `"driver":"l2bridge",`+n.numbered(hns.L2Bridge, 2), "c1", "none")
	for _, a := range []config.Config{eth0, eth1, other} {
		n.mustAdd(a)
	}
	n.mustDel(eth0)
	n.mustDel(other)
	if got := n.state().Namespaces; len(got) != 1 || len(got[0].Endpoints) != 1 {
		t.Errorf("with one interface left, namespaces are %+v", got)
	}
	n.mustDel(eth1)
	n.nothingLeft("after all DELs")
	n.noNamespaces("after all DELs")
}

// A stale container that HNS still lists (microsoft/Windows-Containers#485) does not
// keep a namespace of our own.
func TestOwnNamespaceWithStaleContainer(t *testing.T) {
	n := newNode(t, "2022")
	a := n.attachment(hns.L2Bridge, "c1", "none")
	r := n.mustAdd(a)
	if err := n.host.StartContainer(hnsemu.Container{ID: "c1", NamespaceID: r.Namespace, Leaks: true}); err != nil {
		t.Fatal(err)
	}
	if err := n.host.StopContainer("c1"); err != nil {
		t.Fatal(err)
	}
	if got := n.containers(r.Namespace); len(got) != 1 {
		t.Fatalf("the emulator leaked %v", got)
	}
	n.mustDel(a)
	n.noNamespaces("after DEL")
}

func TestFailedAddRemovesItsNamespace(t *testing.T) {
	for _, proc := range []string{"HcnCreateNamespace", "HcnCreateEndpoint", "HcnModifyNamespace"} {
		n := newNode(t, "2022")
		if err := n.host.AddFault(hnsemu.Fault{Proc: proc, Nth: 1, Kind: hnsemu.FaultCut, After: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.add(n.attachment(hns.L2Bridge, "c1", "none")); err == nil {
			t.Errorf("%s was cut off, but ADD succeeded", proc)
		}
		n.nothingLeft(proc)
		n.noNamespaces(proc)
	}
}

// What a killed ADD left is collected; what a valid container has is not.
func TestGCOfOwnNamespaces(t *testing.T) {
	n := newNode(t, "2022")
	ctx := context.Background()
	alive := n.attachment(hns.L2Bridge, "alive", "none")
	r := n.mustAdd(alive)
	n.mustAdd(n.attachment(hns.L2Bridge, "dead", "none"))
	if _, err := n.hns.CreateNamespace(ctx, plan.OwnNamespace("killed")); err != nil {
		t.Fatal(err)
	}
	if err := n.hns.AttachContainer(ctx, plan.OwnNamespace("killed"), "worker"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.hns.CreateNamespace(ctx, plan.OwnNamespace("starting")); err != nil {
		t.Fatal(err)
	}
	n.namespace(netns1)
	if err := n.gc(alive, config.Attachment{ContainerID: "alive", IfName: "eth0"}, config.Attachment{ContainerID: "starting", IfName: "eth0"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ns := range n.state().Namespaces {
		got = append(got, ns.ID)
	}
	slices.Sort(got)
	want := []string{netns1, r.Namespace, plan.OwnNamespace("starting")}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("namespaces are %v, want %v", got, want)
	}
	if err := n.check(alive, promised(r)); err != nil {
		t.Errorf("CHECK of the valid: %v", err)
	}
}

// chosenIDs is an HNS that does not let its callers choose a namespace's id.
type chosenIDs struct{ hns.Client }

func (c chosenIDs) CreateNamespace(ctx context.Context, _ string) (hns.Namespace, error) {
	return c.Client.CreateNamespace(ctx, "")
}

func TestOwnNamespaceNeedsItsID(t *testing.T) {
	n := newNode(t, "2022")
	n.hns = chosenIDs{n.hns}
	if _, err := n.add(n.attachment(hns.L2Bridge, "c1", "none")); !errors.Is(err, plan.ErrFeature) {
		t.Errorf("got %v", err)
	}
	n.nothingLeft("after ADD")
	if got := n.state().Namespaces; len(got) > 0 {
		t.Errorf("namespaces are left: %+v", got)
	}
}

// A worker joins its sandbox's namespace by the sandbox's id, and only its place
// there goes with it.
func TestWorkerByContainer(t *testing.T) {
	for _, netns := range []string{"none", netns1} {
		for name, sandboxFirst := range map[string]bool{"worker ends first": false, "sandbox ends first": true} {
			t.Run(netns+" "+name, func(t *testing.T) {
				n := newNode(t, "2022")
				n.namespace(netns1)
				sandbox := n.attachment(hns.L2Bridge, "sandbox", netns)
				worker := n.attachment(hns.L2Bridge, "worker", "container:sandbox")
				first := n.mustAdd(sandbox)
				for range 2 {
					second := n.mustAdd(worker)
					if !same(first, second) || second.Namespace != first.Namespace {
						t.Errorf("the worker got %+v, the sandbox has %+v", second, first)
					}
				}
				if got := n.containers(first.Namespace); !slices.Equal(got, []string{"worker"}) {
					t.Errorf("the namespace has the containers %v", got)
				}
				if got := n.addresses(); len(got) != 1 {
					t.Errorf("a pod of two containers holds %v", got)
				}
				if err := n.check(worker, promised(first)); err != nil {
					t.Errorf("CHECK of the worker: %v", err)
				}
				if sandboxFirst {
					n.mustDel(sandbox)
					n.mustDel(worker)
				} else {
					n.mustDel(worker)
					if got := n.containers(first.Namespace); len(got) != 0 {
						t.Errorf("the namespace still has %v", got)
					}
					if err := n.check(sandbox, promised(first)); err != nil {
						t.Errorf("CHECK of the sandbox after its worker's DEL: %v", err)
					}
					n.mustDel(worker)
					n.mustDel(sandbox)
				}
				n.nothingLeft("after both DELs")
				n.noNamespaces("after both DELs")
			})
		}
	}
}

// While the sandbox's namespace lives on, for another interface, a worker leaves
// it although the interface that it shared is gone.
func TestWorkerLeavesAfterTheInterface(t *testing.T) {
	n := newNode(t, "2022")
	eth0 := n.attachment(hns.L2Bridge, "sandbox", "none")
	eth1 := eth0
	eth1.IfName = "eth1"
	r := n.mustAdd(eth0)
	n.mustAdd(eth1)
	worker := n.attachment(hns.L2Bridge, "worker", "container:sandbox")
	n.mustAdd(worker)
	n.mustDel(eth0)
	n.mustDel(worker)
	if got := n.containers(r.Namespace); len(got) > 0 {
		t.Errorf("the namespace still has %v", got)
	}
}

// losing is an HNS in which the namespace goes away before the endpoint is put
// into it.
type losing struct{ hns.Client }

func (c losing) Attach(ctx context.Context, namespaceID, endpointID string) error {
	if err := c.DeleteNamespace(ctx, namespaceID); err != nil {
		return err
	}
	return c.Client.Attach(ctx, namespaceID, endpointID)
}

func TestNamespaceThatGoesAway(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	n.hns = losing{n.hns}
	_, err := n.add(n.attachment(hns.L2Bridge, "c1", netns1))
	if !errors.Is(err, pod.ErrNamespace) {
		t.Errorf("got %v, want ErrNamespace", err)
	}
	n.nothingLeft("after ADD")
}

func TestWorkerWithoutSandbox(t *testing.T) {
	n := newNode(t, "2022")
	worker := n.attachment(hns.L2Bridge, "worker", "container:sandbox")
	_, err := n.add(worker)
	if !errors.Is(err, pod.ErrNamespace) || !strings.Contains(err.Error(), "add the sandbox first") {
		t.Errorf("ADD: %v", err)
	}
	if err := n.check(worker, config.Promise{}); err == nil {
		t.Error("CHECK found nothing wrong")
	}
	n.mustDel(worker)
	n.nothingLeft("after DEL")
}

func TestCheckFindsLostWorker(t *testing.T) {
	n := newNode(t, "2022")
	r := n.mustAdd(n.attachment(hns.L2Bridge, "sandbox", "none"))
	worker := n.attachment(hns.L2Bridge, "worker", "container:sandbox")
	n.mustAdd(worker)
	if err := n.hns.DetachContainer(context.Background(), r.Namespace, "worker"); err != nil {
		t.Fatal(err)
	}
	if err := n.check(worker, promised(r)); !errors.Is(err, pod.ErrDiffers) || !strings.Contains(err.Error(), "worker") {
		t.Errorf("got %v", err)
	}
}

func TestNetNSRefusals(t *testing.T) {
	for _, netns := range []string{"container:", "container:c1", "/var/run/netns/x", hns.ZeroGUID, "None"} {
		n := newNode(t, "2022")
		a := n.attachment(hns.L2Bridge, "c1", netns)
		if _, err := n.add(a); !errors.Is(err, pod.ErrNamespace) || !strings.Contains(err.Error(), "CNI_NETNS") {
			t.Errorf("%q: ADD: %v", netns, err)
		}
		if calls, err := n.host.Calls(); err != nil || len(calls) > 0 {
			t.Errorf("%q: ADD made %d native calls (%v)", netns, len(calls), err)
		}
		n.mustDel(a)
	}
}
