// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// creates counts the endpoints that HNS was asked to make.
func (n *node) creates() int {
	n.Helper()
	calls, err := n.host.Calls()
	if err != nil {
		n.Fatal(err)
	}
	count := 0
	for _, c := range calls {
		if c.Proc == "HcnCreateEndpoint" {
			count++
		}
	}
	return count
}

// The first address of the range is not for pods: ADD does not even try it.
func TestReservedAddresses(t *testing.T) {
	tests := []struct {
		name    string
		drivers []hns.Driver
		ranges  string
		subnet  hns.Subnet
		// held are endpoints that are there already.
		held map[string]string
		want string
		// tries is how often HNS is asked.
		tries int
	}{
		{
			name: "gateway", drivers: []hns.Driver{hns.L2Bridge, hns.Overlay, hns.Transparent}, ranges: `[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.10"}]]`,
			subnet: hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.10")}, want: "10.1.0.11/16", tries: 1,
		},
		{
			name: "broadcast and network of a subnet that is narrower than the range's", drivers: []hns.Driver{hns.L2Bridge, hns.Overlay}, ranges: `[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.255","rangeEnd":"10.1.0.255"},{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.0","rangeEnd":"10.1.0.9"}]]`,
			subnet: hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1")}, want: "10.1.0.2/24", tries: 1,
		},
		{
			name: "the node's own endpoint", drivers: []hns.Driver{hns.L2Bridge, hns.L2Tunnel}, ranges: `[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.2"}]]`,
			subnet: hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")},
			held:   map[string]string{"net1_ep": "10.1.0.2"}, want: "10.1.0.3/16", tries: 1,
		},
		{
			name: "others' are learnt of once", drivers: []hns.Driver{hns.L2Bridge, hns.Overlay}, ranges: `[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.20"}]]`,
			subnet: hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")},
			held:   map[string]string{"azure-a": "10.1.0.20", "azure-b": "10.1.0.21", "azure-c": "10.1.0.22"}, want: "10.1.0.23/16", tries: 2,
		},
	}
	for _, tt := range tests {
		for _, d := range tt.drivers {
			t.Run(string(d)+" "+tt.name, func(t *testing.T) {
				n := newNode(t, "2022")
				n.namespace(netns1)
				n.foreignNetwork(d, tt.subnet, tt.held)
				a := n.configured(fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"ranges":%s}`, n.dir, tt.ranges), "c1", netns1)
				before := n.creates()
				r := n.mustAdd(a)
				if got := r.Endpoint.Addresses; len(got) != 1 || got[0].String() != tt.want {
					t.Errorf("the pod has %v, want %s", got, tt.want)
				}
				if got := n.creates() - before; got != tt.tries {
					t.Errorf("HNS was asked %d times, want %d; notices %q", got, tt.tries, r.Notices)
				}
				n.mustDel(a)
			})
		}
	}
}

// foreignNetwork makes a network that is not ours, with endpoints of others.
func (n *node) foreignNetwork(d hns.Driver, s hns.Subnet, held map[string]string) {
	n.Helper()
	ctx := context.Background()
	if d == hns.Overlay {
		s.VSID = 4096
	}
	network, err := n.hns.CreateNetwork(ctx, hns.Network{Name: "net1", Driver: d, Subnets: []hns.Subnet{s}})
	if err != nil {
		n.Fatal(err)
	}
	for name, address := range held {
		p := netip.PrefixFrom(netip.MustParseAddr(address), s.Prefix.Bits())
		if _, err := n.hns.CreateEndpoint(ctx, hns.Endpoint{Name: name, NetworkID: network.ID, Addresses: []netip.Prefix{p}}); err != nil {
			n.Fatal(err)
		}
	}
}

// HNS that cannot say whether the node has an endpoint fails the ADD, which
// leaves nothing.
func TestReservedAddressesUnknown(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	if err := n.host.AddFault(hnsemu.Fault{Proc: "HcnEnumerateEndpoints", Nth: 2, Kind: hnsemu.FaultFail, Code: 0x80070426}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.add(n.attachment(hns.L2Bridge, "c1", netns1)); err == nil {
		t.Error("ADD gave an address that may be the node's")
	}
	n.nothingLeft("after ADD")
}
