// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
)

func (n *node) gc(a config.Config, valid ...config.Attachment) error {
	return n.attacher(a).GC(context.Background(), a, append([]config.Attachment{}, valid...))
}

// crowded returns a node with the pods c1 (eth0 and eth1), c2 and c3, an
// address that belongs to nobody, and endpoints that are not ours.
func crowded(t *testing.T) (*node, config.Config) {
	t.Helper()
	n := newNode(t, "2022")
	var a config.Config
	for i, id := range []string{"c1", "c2", "c3"} {
		netns := fmt.Sprintf("5e7ec6f4-3d7c-4b6e-8d6e-00000000000%d", i+1)
		n.namespace(netns)
		a = n.attachment(hns.L2Bridge, id, netns)
		r := n.mustAdd(a)
		if id == "c1" {
			second := a
			second.IfName = "eth1"
			n.mustAdd(second)
			n.foreign(r.Endpoint.NetworkID)
		}
	}
	lost := a
	lost.ContainerID = "lost"
	if _, err := ipam.Open("host-local").Add(context.Background(), lost, nil); err != nil {
		t.Fatal(err)
	}
	return n, a
}

// foreign makes endpoints that GC must leave alone: a host gateway, one of Azure
// CNI's, kube-proxy's remote one that even has a name of our form, and a pod of
// another network.
func (n *node) foreign(networkID string) {
	n.Helper()
	other, err := n.hns.CreateNetwork(context.Background(), hns.Network{
		Name: "net2", Driver: hns.L2Bridge,
		Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.2.0.0/16"), Gateway: netip.MustParseAddr("10.2.0.1")}},
	})
	if err != nil {
		n.Fatal(err)
	}
	at := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	for _, e := range []hns.Endpoint{
		{Name: "net1_ep", NetworkID: networkID, Addresses: at("10.1.0.2/16")},
		{Name: "0a1b2c3d-eth0", NetworkID: networkID, Addresses: at("10.1.9.1/16")},
		{Name: "remote_net1", NetworkID: networkID, Addresses: at("10.1.9.2/16"), MAC: "00:15:5d:00:99:01", Remote: true},
		{Name: "c9_net2", NetworkID: other.ID, Addresses: at("10.2.0.9/16")},
	} {
		if _, err := n.hns.CreateEndpoint(context.Background(), e); err != nil {
			n.Fatal(err)
		}
	}
}

var foreignNames = []string{"0a1b2c3d-eth0", "c9_net2", "net1_ep", "remote_net1"}

// names returns the endpoints on the node, sorted by name.
func (n *node) names() []string {
	n.Helper()
	var out []string
	for _, e := range n.state().Endpoints {
		out = append(out, e.Name)
	}
	return slices.Sorted(slices.Values(out))
}

func TestGC(t *testing.T) {
	n, a := crowded(t)
	if err := n.gc(a, config.Attachment{ContainerID: "c1", IfName: "eth1"}, config.Attachment{ContainerID: "c2", IfName: "eth0"}, config.Attachment{ContainerID: "never-seen", IfName: "eth0"}); err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(slices.Values(append([]string{"c1_net1#eth1", "c2_net1"}, foreignNames...)))
	if diff := cmp.Diff(want, n.names()); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10.1.0.11 c1", "10.1.0.12 c2"}, n.addresses()); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestGCOfEverything(t *testing.T) {
	n, a := crowded(t)
	for range 2 {
		if err := n.gc(a); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(foreignNames, n.names()); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if left := n.addresses(); len(left) > 0 {
		t.Errorf("addresses are left: %v", left)
	}
}

// One endpoint that cannot be removed is reported and keeps its address; the
// others go.
func TestGCGoesOn(t *testing.T) {
	n, a := crowded(t)
	if err := n.host.AddFault(hnsemu.Fault{Proc: "HcnDeleteEndpoint", Nth: 2, Kind: hnsemu.FaultFail, Code: 0x80004005}); err != nil {
		t.Fatal(err)
	}
	if err := n.gc(a); err == nil {
		t.Error("the failure is not reported")
	}
	if got := n.names(); len(got) != len(foreignNames)+1 {
		t.Errorf("endpoints %v, want one more than the foreign ones", got)
	}
	if got := n.addresses(); len(got) != 1 {
		t.Errorf("addresses %v, want that of the endpoint that is left", got)
	}
	if err := n.gc(a); err != nil {
		t.Error(err)
	}
	if left := n.addresses(); len(left) > 0 || len(n.names()) != len(foreignNames) {
		t.Errorf("after the second GC: %v, %v", n.names(), left)
	}
}

// While HNS cannot list its endpoints no address is freed; without a network
// there are none.
func TestGCWithoutList(t *testing.T) {
	n, a := crowded(t)
	if err := n.host.StopService(); err != nil {
		t.Fatal(err)
	}
	before := n.addresses()
	if err := n.gc(a); err == nil {
		t.Error("GC succeeds without HNS")
	}
	if diff := cmp.Diff(before, n.addresses()); diff != "" {
		t.Errorf("addresses (-before +after):\n%s", diff)
	}
	if err := n.host.StartService(); err != nil {
		t.Fatal(err)
	}
	if err := n.host.Reboot(); err != nil {
		t.Fatal(err)
	}
	if network, err := n.hns.Network(context.Background(), "net1"); err == nil {
		if err := n.hns.DeleteNetwork(context.Background(), network.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.gc(a); err != nil {
		t.Error(err)
	}
	if left := n.addresses(); len(left) > 0 {
		t.Errorf("after a reboot: %v", left)
	}
}
