// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// machine is what surrounds an emulated node.
type machine struct {
	adapters func() ([]uplink.Adapter, error)
	// routes are the answers to each question, the last one to all that follow.
	routes [][]uplink.Route
	lost   error
	stuck  error
	added  []string
}

func (m *machine) Adapters() ([]uplink.Adapter, error) { return m.adapters() }

func (m *machine) Routes() ([]uplink.Route, error) {
	if len(m.routes) == 0 {
		return nil, m.lost
	}
	now := m.routes[0]
	m.routes = m.routes[1:]
	return now, nil
}

func (m *machine) AddRoute(r uplink.Route, on string) error {
	m.added = append(m.added, r.String()+" on "+on)
	return m.stuck
}

// What the node loses with its adapter is made again, or told of.
func TestRoutesRestored(t *testing.T) {
	metadata := uplink.Route{Destination: netip.MustParsePrefix("169.254.169.254/32"), NextHop: netip.MustParseAddr("192.168.1.1"), Metric: 5}
	site := uplink.Route{Destination: netip.MustParsePrefix("10.9.0.0/16"), NextHop: netip.MustParseAddr("192.168.1.9")}
	tests := []struct {
		name   string
		driver hns.Driver
		of     machine
		added  string
		notice string
	}{
		{
			name: "one lost", driver: hns.L2Bridge, of: machine{routes: [][]uplink.Route{{metadata, site}, {site}}},
			added:  "169.254.169.254/32 via 192.168.1.1 metric 5 on vEthernet (Ethernet)",
			notice: `restored the node's route 169.254.169.254/32 via 192.168.1.1 metric 5 on "vEthernet (Ethernet)"`,
		},
		{name: "none lost", driver: hns.L2Bridge, of: machine{routes: [][]uplink.Route{{metadata}, {metadata}}}},
		{name: "there are none", driver: hns.L2Bridge, of: machine{}},
		{name: "no switch on an adapter", driver: hns.NAT, of: machine{routes: [][]uplink.Route{{metadata}, {}}}},
		{
			name: "cannot be made again", driver: hns.Overlay, of: machine{routes: [][]uplink.Route{{metadata}, {}}, stuck: errors.New("no")},
			added:  "169.254.169.254/32 via 192.168.1.1 metric 5 on vEthernet (Ethernet)",
			notice: `lost the node's route 169.254.169.254/32 via 192.168.1.1 metric 5; make it again by hand on "vEthernet (Ethernet)": no`,
		},
		{
			name: "not told afterwards", driver: hns.L2Bridge, of: machine{routes: [][]uplink.Route{{metadata}}, lost: errors.New("no table")},
			notice: "cannot see whether the node kept its routes: no table",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			a := n.attachment(tt.driver, "c1", netns1)
			at := n.attacher(a)
			tt.of.adapters = func() ([]uplink.Adapter, error) {
				return []uplink.Adapter{{Name: "Ethernet", Type: 6, Up: true, DefaultRoute: true}}, nil
			}
			at.Uplink = &tt.of
			r, err := at.Add(context.Background(), a)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(tt.of.added, "; "); got != tt.added {
				t.Errorf("added %q, want %q", got, tt.added)
			}
			if got := strings.Join(r.Notices, "\n"); tt.notice == "" && got != "" || !strings.Contains(got, tt.notice) {
				t.Errorf("notices %q, want %q", got, tt.notice)
			}
		})
	}
}

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
			n.twoAdapters()
			a := n.attachment(tt.driver, "c1", netns1)
			a.Network.Adapter = tt.adapter
			at := n.attacher(a)
			of := &machine{adapters: func() ([]uplink.Adapter, error) { return []uplink.Adapter{slow, fast}, nil }}
			if tt.adapters != nil {
				of.adapters = tt.adapters
			}
			at.Uplink = of
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
