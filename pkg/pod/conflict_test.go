// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// contested is the address that IPAM gives first.
var contested = netip.MustParsePrefix("10.1.0.10/16")

// holder makes an endpoint that has the contested address.
func (n *node) holder(a config.Config, e hns.Endpoint) hns.Endpoint {
	n.Helper()
	ctx := context.Background()
	network, err := n.hns.Network(ctx, a.Name)
	if err != nil {
		n.Fatal(err)
	}
	e.NetworkID, e.Addresses = network.ID, []netip.Prefix{contested}
	id, err := n.hns.CreateEndpoint(ctx, e)
	if err != nil {
		n.Fatal(err)
	}
	made, err := n.hns.Endpoint(ctx, id)
	if err != nil {
		n.Fatal(err)
	}
	return made
}

// Whoever holds the address that IPAM gave: the dead and kube-proxy's remote
// ones make room, the living keep it, and the admin is told.
func TestAddressConflict(t *testing.T) {
	tests := []struct {
		name   string
		holder hns.Endpoint
		// in is the namespace that the holder is attached to; lost removes it.
		in     string
		lost   bool
		evicts bool
		notice string
	}{
		{name: "ours, in no namespace", holder: hns.Endpoint{Name: "old_net1"}, evicts: true, notice: "removed the endpoint old_net1 of a container that is gone, which held 10.1.0.10"},
		{name: "ours, eth1", holder: hns.Endpoint{Name: "old_net1_eth1"}, evicts: true, notice: "old_net1_eth1"},
		{name: "ours, its namespace gone", holder: hns.Endpoint{Name: "old_net1"}, in: netns2, lost: true, evicts: true, notice: "old_net1"},
		{name: "ours and alive", holder: hns.Endpoint{Name: "old_net1"}, in: netns2, notice: "took another address: 10.1.0.10 is held by the endpoint old_net1 in namespace " + netns2},
		{name: "kube-proxy's remote one", holder: hns.Endpoint{Remote: true, MAC: "00:15:5d:00:00:99"}, evicts: true, notice: "removed the remote endpoint"},
		{name: "another plugin's", holder: hns.Endpoint{Name: "Ethernet"}, notice: "took another address: 10.1.0.10 is held by the endpoint Ethernet"},
		{name: "another plugin's, attached", holder: hns.Endpoint{Name: "azure-eth0"}, in: netns2, notice: "azure-eth0"},
	}
	for _, p := range hnsemu.Profiles() {
		for _, d := range []hns.Driver{hns.L2Bridge, hns.Overlay} {
			for _, tt := range tests {
				t.Run(p.Name+" "+string(d)+" "+tt.name, func(t *testing.T) {
					n := newNode(t, p.Name)
					ctx := context.Background()
					n.namespace(netns1)
					n.namespace(netns2)
					a := n.attachment(d, "c1", netns1)
					n.mustAdd(a)
					n.mustDel(a) // the network is there now
					n.forget()
					held := n.holder(a, tt.holder)
					if tt.in != "" {
						if err := n.hns.Attach(ctx, tt.in, held.ID); err != nil {
							t.Fatal(err)
						}
					}
					if tt.lost {
						if err := n.hns.DeleteNamespace(ctx, tt.in); err != nil {
							t.Fatal(err)
						}
					}
					r := n.mustAdd(a)
					n.attached(a, r)
					if got := r.Endpoint.Addresses[0]; (got == contested) != tt.evicts {
						t.Errorf("the pod has %s", got)
					}
					if _, err := n.hns.Endpoint(ctx, held.ID); errors.Is(err, hns.ErrNotFound) != tt.evicts {
						t.Errorf("the holder: %v", err)
					}
					if !slices.ContainsFunc(r.Notices, func(s string) bool { return strings.Contains(s, tt.notice) }) {
						t.Errorf("notices %q lack %q", r.Notices, tt.notice)
					}
					if got := n.addresses(); len(got) != 1 {
						t.Errorf("IPAM holds %v", got)
					}
				})
			}
		}
	}
}

// A holder of the pod's IPv6 address says nothing about its IPv4 address, which the runtime
// asks for: that stays the pod's.
func TestAddressConflictOfOneFamily(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	n.namespace(netns2)
	a := n.configured(fmt.Sprintf(`"driver":"l2bridge","network":{"subnets":[{"prefix":"10.1.0.0/24","gateway":"10.1.0.1"},{"prefix":"fd00::/64","gateway":"fd00::1"}]},
		"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64","rangeStart":"fd00::10"}]]},
		"runtimeConfig":{"ips":["10.1.0.77"]},"capabilities":{"ips":true}`, n.dir), "c1", netns1)
	first := n.mustAdd(a)
	six := first.Endpoint.Addresses[1]
	n.mustDel(a)
	if err := os.Remove(filepath.Join(n.dir, "net1", "last_reserved_ip.1")); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	id, err := n.hns.CreateEndpoint(ctx, hns.Endpoint{Name: "other", NetworkID: first.Endpoint.NetworkID, Addresses: []netip.Prefix{six}})
	if err == nil {
		err = n.hns.Attach(ctx, netns2, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := n.mustAdd(a)
	if got := r.Endpoint.Addrs(); got[0] != netip.MustParseAddr("10.1.0.77") || got[1] == six.Addr() {
		t.Errorf("the pod has %v", got)
	}
	if held := n.addresses(); len(held) != 2 {
		t.Errorf("IPAM holds %v", held)
	}
}

// forget makes host-local give its first address again.
func (n *node) forget() {
	n.Helper()
	if err := os.Remove(filepath.Join(n.dir, "net1", "last_reserved_ip.0")); err != nil {
		n.Fatal(err)
	}
}

// Where IPAM has no other address the ADD fails, says who holds it, and frees
// what it reserved.
func TestAddressConflictWithoutWayOut(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	members := `"driver":"l2bridge","network":{"subnets":[{"prefix":"10.1.0.0/16","gateway":"10.1.0.1"}]},` +
		`"ipam":{"type":"static","addresses":[{"address":"10.1.0.10/16"}]}`
	a := n.configured(members, "c1", netns1)
	n.mustAdd(a)
	n.mustDel(a)
	held := n.holder(a, hns.Endpoint{Name: "other"})
	_, err := n.add(a)
	if !errors.Is(err, pod.ErrAddressTaken) || !strings.Contains(err.Error(), "10.1.0.10 is held by the endpoint other") {
		t.Errorf("got %v", err)
	}
	if got := n.names(); !slices.Equal(got, []string{held.Name}) {
		t.Errorf("endpoints are %v", got)
	}
}

// Eight living endpoints in a row are too many to go on.
func TestAddressConflictsEnd(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	network := n.mustAdd(a).Endpoint.NetworkID
	n.mustDel(a)
	n.forget()
	n.namespace(netns2)
	for i := range 20 {
		address := netip.MustParsePrefix(fmt.Sprintf("10.1.0.%d/16", 10+i))
		alive, err := n.hns.CreateEndpoint(context.Background(), hns.Endpoint{Name: fmt.Sprintf("o%d_net1", i), NetworkID: network, Addresses: []netip.Prefix{address}})
		if err == nil {
			err = n.hns.Attach(context.Background(), netns2, alive)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.add(a); !errors.Is(err, pod.ErrAddressTaken) {
		t.Errorf("got %v", err)
	}
	if got := n.addresses(); len(got) > 0 {
		t.Errorf("IPAM holds %v", got)
	}
}

// TestRemoteHolderIsLookedForByID: remote endpoints can all have one name, so the
// proof that one is gone must not read them all.
func TestRemoteHolderIsLookedForByID(t *testing.T) {
	n := newNode(t, "2022")
	n.network(hns.L2Bridge, "10.1.0.0/16")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	network, err := n.hns.Network(t.Context(), "net1")
	if err != nil {
		t.Fatal(err)
	}
	const remotes = 50
	for i := range remotes {
		addr := netip.AddrFrom4([4]byte{10, 1, 0, byte(10 + i)})
		if _, err := n.hns.CreateEndpoint(t.Context(), hns.Endpoint{
			Name: "Ethernet", NetworkID: network.ID, Remote: true, MAC: "00-11-22-33-44-55", Addresses: []netip.Prefix{netip.PrefixFrom(addr, 16)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	n.mustAdd(a)
	counts, err := n.host.Counts()
	if err != nil {
		t.Fatal(err)
	}
	// One list, to find the holder of the address.
	if got := counts["HcnOpenEndpoint"]; got > remotes+5 {
		t.Errorf("%d endpoints were opened on a network with %d", got, remotes)
	}
}
