// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// behindNode returns a pod that leaves its subnet by the node's own endpoint.
func (n *node) behindNode(containerID, netns, ipam string) config.Config {
	n.Helper()
	if ipam == "" {
		ipam = fmt.Sprintf(`{"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/16"}]]}`, n.dir)
	}
	return n.configured(`"driver": "l2bridge", "network": {"gatewayEndpoint": true,
		"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]}, "ipam": `+ipam, containerID, netns)
}

// ofNode returns the node's own endpoint, which must be there once.
func (n *node) ofNode(when string) hnsemu.EndpointState {
	n.Helper()
	var found []hnsemu.EndpointState
	for _, e := range n.state().Endpoints {
		if e.Name == "net1_ep" {
			found = append(found, e)
		}
	}
	if len(found) != 1 || found[0].System != "Host" || len(found[0].Addresses) != 1 || found[0].Addresses[0] != netip.MustParsePrefix("10.1.0.2/16") {
		n.Fatalf("%s: the node's endpoints are %+v; want one with 10.1.0.2, attached to the node", when, found)
	}
	return found[0]
}

// The first pod's ADD makes the node's endpoint, and it outlives every pod.
func TestNodeEndpoint(t *testing.T) {
	for _, p := range hnsemu.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			n := newNode(t, p.Name)
			if err := n.host.SetUnknowns(hnsemu.Unknowns{IgnoreID: p.Name == "2019"}); err != nil {
				t.Fatal(err)
			}
			n.namespace(netns1)
			n.namespace(netns2)
			first, second := n.behindNode("c1", netns1, ""), n.behindNode("c2", netns2, "")
			r := n.mustAdd(first)
			n.attached(first, r)
			made := n.ofNode("after the first ADD")
			if got := r.Endpoint; got.Gateway(netip.IPv4Unspecified()) != netip.MustParseAddr("10.1.0.2") || got.Addresses[0].Addr() != netip.MustParseAddr("10.1.0.3") {
				t.Errorf("the pod has %v and %v", got.Addresses, got.Routes)
			}
			n.attached(second, n.mustAdd(second))
			if err := n.attacher(first).Check(context.Background(), first, config.Promise{Addresses: []ipam.Address{{Prefix: r.Endpoint.Addresses[0]}}}); err != nil {
				t.Errorf("CHECK: %v", err)
			}
			n.mustDel(first)
			if err := n.gc(second); err != nil {
				t.Errorf("GC: %v", err)
			}
			if again := n.ofNode("after all pods"); again.ID != made.ID {
				t.Error("the node's endpoint was made anew")
			}
			if was, err := n.networks().Remove(context.Background(), first.Name); err != nil || was.Driver != hns.L2Bridge {
				t.Errorf("remove the network: %v", err)
			}
			if s := n.state(); len(s.Networks)+len(s.Endpoints) > 0 {
				t.Errorf("left: %+v", s)
			}
		})
	}
}

// What earlier ADDs, agents or configurations left in its place.
func TestNodeEndpointFound(t *testing.T) {
	tests := []struct {
		name, address string
		attached      bool
		refused       string
	}{
		{name: "as wanted", address: "10.1.0.2/16", attached: true},
		{name: "not attached", address: "10.1.0.2/16"},
		{name: "another agent's", address: "10.1.0.9/16", attached: true, refused: "another agent's endpoint of that name has 10.1.0.9;"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			ctx := context.Background()
			n.network(hns.L2Bridge, "10.1.0.0/16")
			net1, err := n.hns.Network(ctx, "net1")
			if err != nil {
				t.Fatal(err)
			}
			old, err := n.hns.CreateEndpoint(ctx, hns.Endpoint{Name: "net1_ep", NetworkID: net1.ID, Addresses: []netip.Prefix{netip.MustParsePrefix(tt.address)}})
			if err == nil && tt.attached {
				err = n.hns.AttachHost(ctx, old)
			}
			if err != nil {
				t.Fatal(err)
			}
			n.namespace(netns1)
			_, err = n.add(n.behindNode("c1", netns1, ""))
			if tt.refused == "" && err != nil || tt.refused != "" && (!errors.Is(err, network.ErrDiffers) || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("got %v", err)
			}
			e, err := n.hns.Endpoint(ctx, old)
			if err != nil || e.Addresses[0].String() != tt.address {
				t.Errorf("the endpoint that was there: %v, %v", e, err)
			}
			if tt.refused == "" {
				n.ofNode("after ADD")
			} else if got := n.addresses(); len(got) > 0 {
				t.Errorf("IPAM holds %v", got)
			}
		})
	}
}

// giver is an IPAM plugin that gives one address, whatever it is asked.
type giver string

func (g giver) Add(context.Context, config.Config, []netip.Addr) (ipam.Result, error) {
	return ipam.Result{Addresses: []ipam.Address{{Prefix: netip.MustParsePrefix(string(g))}}}, nil
}
func (giver) Validate(context.Context, config.Config) error                { return nil }
func (giver) Del(context.Context, config.Config, []netip.Addr) error       { return nil }
func (giver) Confirm(context.Context, config.Config, []netip.Addr) error   { return nil }
func (giver) Check(context.Context, config.Config, []netip.Addr) error     { return nil }
func (giver) GC(context.Context, config.Config, []config.Attachment) error { return nil }
func (giver) Status(context.Context, config.Config) error                  { return nil }

// Its address is no pod's, whoever gives it.
func TestNodeEndpointAddress(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.behindNode("c1", netns1, `{"type": "static", "addresses": [{"address": "10.1.0.9/16"}]}`)
	n.mustAdd(a)
	n.mustDel(a)
	at := n.attacher(a)
	at.IPAM = giver("10.1.0.2/16")
	if _, err := at.Add(context.Background(), a); !errors.Is(err, pod.ErrIPAM) || !strings.Contains(err.Error(), "10.1.0.2, but that is the node's, by network.gatewayEndpoint") {
		t.Errorf("got %v", err)
	}
	// A pod that had it before the configuration asked for the endpoint.
	if err := n.hns.DeleteEndpoint(context.Background(), n.ofNode("after ADD").ID); err != nil {
		t.Fatal(err)
	}
	before := n.configured(`"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]},
		"ipam": {"type": "static", "addresses": [{"address": "10.1.0.2/16"}]}`, "old", netns1)
	n.mustAdd(before)
	n.namespace(netns2)
	_, err := n.add(n.behindNode("c2", netns2, ""))
	if !errors.Is(err, network.ErrAddressTaken) || !strings.Contains(err.Error(), "old_net1 has it; remove its pod") {
		t.Errorf("got %v", err)
	}
	if got := n.addresses(); len(got) > 0 {
		t.Errorf("IPAM holds %v", got)
	}
	n.mustDel(before)
	n.mustAdd(n.behindNode("c2", netns2, ""))
	n.ofNode("after the retry")
}

// Whatever goes wrong while the endpoint is made, the next ADD has it.
func TestNodeEndpointFaults(t *testing.T) {
	const calls = 40
	for nth := 1; nth <= calls; nth++ {
		for _, after := range []bool{false, true} {
			n := newNode(t, "2022")
			n.namespace(netns1)
			a := n.behindNode("c1", netns1, "")
			if err := n.host.AddFault(hnsemu.Fault{Kind: hnsemu.FaultFail, Nth: nth, After: after, Code: hns.CodeGenFailure}); err != nil {
				t.Fatal(err)
			}
			when := fmt.Sprintf("call %d failed, carried out %t", nth, after)
			if _, err := n.add(a); err == nil {
				n.ofNode(when)
			}
			if err := n.host.ClearFaults(); err != nil {
				t.Fatal(err)
			}
			n.attached(a, n.mustAdd(a))
			n.ofNode(when + ", after the retry")
			n.mustDel(a)
			if left := n.state().Endpoints; len(left) != 1 || len(n.addresses()) > 0 {
				t.Fatalf("%s: left %v, %v", when, left, n.addresses())
			}
		}
	}
}
