// SPDX-License-Identifier: Apache-2.0

package attach_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// On a node with two adapters HNS does not know which to take; the one with the
// default route carries the network, unless the configuration names another.
func TestUplink(t *testing.T) {
	slow := uplink.Adapter{Name: "Ethernet", Type: 6, Up: true}
	fast := uplink.Adapter{Name: "Ethernet 2", Type: 6, Up: true, DefaultRoute: true}
	tests := []struct {
		name, adapter, want string
		driver              hns.Driver
		adapters            func() ([]uplink.Adapter, error)
		refused             string
	}{
		{name: "default route", driver: hns.L2Bridge, want: "Ethernet 2"},
		{name: "default route of an overlay", driver: hns.Overlay, want: "Ethernet 2"},
		{name: "named", driver: hns.L2Bridge, adapter: "Ethernet", want: "Ethernet"},
		{name: "none needed", driver: hns.NAT},
		{name: "not known", driver: hns.L2Bridge, adapter: "Ethernet 3", refused: "set network.adapter to one of this node: the default route is on Ethernet 2; not taken: Ethernet: no default route"},
		{
			name: "no default route", driver: hns.L2Bridge, refused: "the default route is on none; not taken: Ethernet: no default route",
			adapters: func() ([]uplink.Adapter, error) { return []uplink.Adapter{slow}, nil },
		},
		{
			name: "no list", driver: hns.L2Bridge, refused: "no list of adapters",
			adapters: func() ([]uplink.Adapter, error) { return nil, errors.New("no list of adapters") },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			if err := n.host.SetNode(hnsemu.Node{Adapters: []hnsemu.Adapter{
				{Name: "Ethernet", Address: netip.MustParsePrefix("192.168.1.5/24"), Index: 7},
				{Name: "Ethernet 2", Address: netip.MustParsePrefix("172.16.1.5/24"), Index: 8},
			}}); err != nil {
				t.Fatal(err)
			}
			a := n.attachment(tt.driver, "c1", netns1)
			a.Config.Network.Adapter = tt.adapter
			at := n.attacher(a)
			at.Adapters = func() ([]uplink.Adapter, error) { return []uplink.Adapter{slow, fast}, nil }
			if tt.adapters != nil {
				at.Adapters = tt.adapters
			}
			_, err := at.Add(context.Background(), a)
			if tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("got %v, want %q", err, tt.refused)
				}
				n.nothingLeft("after the refusal")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := n.state().Networks[0].Adapter; got != tt.want {
				t.Errorf("the network is on %q, want %q", got, tt.want)
			}
			// The same configuration finds the network as it is.
			if _, err := at.Add(context.Background(), a); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}
