// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// swapped is a node on which bulkhead.exe took the place of another plugin.
type swapped struct {
	*node
	typ, members string
	network      hns.Network
}

// swappedNodes runs a subtest for each plugin whose files Bulkhead reads.
func swappedNodes(t *testing.T, f func(*testing.T, swapped)) {
	for _, tt := range []struct {
		typ     string
		driver  hns.Driver
		members string
	}{
		{"win-bridge", hns.L2Bridge, `"apiVersion":2,` + rangeIn},
		{"win-overlay", hns.Overlay, rangeIn},
		{"sdnbridge", hns.L2Bridge, `"optionalFlags":{"enableDualStack":true},` + rangeIn},
		{"sdnoverlay", hns.Overlay, `"master":"Ethernet"`},
		{"nat", hns.NAT, `"master":"Ethernet"`},
	} {
		t.Run(tt.typ, func(t *testing.T) {
			s := swapped{node: newNode(t, "2022"), typ: tt.typ}
			s.members = strings.ReplaceAll(tt.members, "DIR", s.dir)
			subnet := hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1")}
			if tt.driver == hns.Overlay {
				subnet.VSID = 4096
			}
			var err error
			s.network, err = s.hns.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: tt.driver, Subnets: []hns.Subnet{subnet}})
			if err != nil {
				t.Fatal(err)
			}
			s.namespace(netns1)
			s.namespace(netns2)
			f(t, s)
		})
	}
}

const rangeIn = `"ipam":{"type":"host-local","dataDir":"DIR","ranges":[[{"subnet":"10.1.0.0/24"}]]}`

// attachment returns an interface of a container by the plugin's own file.
func (s swapped) attachment(containerID, ifName, netns string) config.Config {
	s.Helper()
	conf := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"net1","type":%q,%s}`, s.typ, s.members)
	c, err := config.Parse([]byte(conf), config.Env{ContainerID: containerID, IfName: ifName, NetNS: netns})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// before makes an interface as the other plugin did, which named its endpoint for the
// container alone.
func (s swapped) before(containerID, ifName, netns string) config.Config {
	s.Helper()
	ctx, c := context.Background(), s.attachment(containerID, ifName, netns)
	e := hns.Endpoint{Name: containerID + "_net1", NetworkID: s.network.ID}
	if c.IPAM.Type != "" {
		given, err := ipam.Open(c.IPAM.Type).Add(ctx, c, nil)
		if err != nil {
			s.Fatal(err)
		}
		e.Addresses = []netip.Prefix{given.Addresses[0].Prefix}
	}
	id, err := s.hns.CreateEndpoint(ctx, e)
	if err == nil {
		err = s.hns.Attach(ctx, netns, id)
	}
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// DEL finds what the other plugin attached, and frees its address where that plugin's IPAM
// kept it. Whichever interface the runtime called it, host-local's file tells; without one
// GC removes it.
func TestSwappedDel(t *testing.T) {
	swappedNodes(t, func(t *testing.T, s swapped) {
		for _, ifName := range []string{"eth0", "net1"} {
			c := s.before("c1", ifName, netns1)
			s.mustDel(c)
			s.mustDel(c)
			if ifName != "eth0" && c.IPAM.Type == "" {
				if err := s.gc(c); err != nil {
					t.Fatal(err)
				}
			}
			s.nothingLeft("at the end")
		}
	})
}

// unread is an IPAM plugin whose files cannot be read for a moment.
type unread struct{ ipam.Plugin }

func (unread) Confirm(context.Context, config.Config, []netip.Addr) error { return os.ErrPermission }

// An address file that cannot be read does not say that the endpoint is another's: nothing is
// removed, and the next DEL finds both.
func TestSwappedDelWithoutTheFile(t *testing.T) {
	swappedNodes(t, func(t *testing.T, s swapped) {
		c := s.before("c1", "net1", netns1)
		if c.IPAM.Type != config.HostLocal {
			return
		}
		at := s.attacher(c)
		at.IPAM = unread{at.IPAM}
		if err := at.Del(t.Context(), c); !errors.Is(err, pod.ErrIPAM) || !errors.Is(err, os.ErrPermission) {
			t.Errorf("got %v, want ErrIPAM", err)
		}
		if endpoints, held := s.names(), s.addresses(); len(endpoints) != 1 || len(held) != 1 {
			t.Errorf("left are %v and the addresses %v", endpoints, held)
		}
		s.mustDel(c)
		s.nothingLeft("at the end")
	})
}

// DEL of one interface of a container, repeated or after an ADD that failed, leaves the
// container's other interface on that network alone.
func TestSwappedTwoInterfaces(t *testing.T) {
	swappedNodes(t, func(t *testing.T, s swapped) {
		s.mustAdd(s.attachment("c1", "eth0", netns1))
		second := s.attachment("c1", "net1", netns1)
		s.mustAdd(second)
		for range 2 {
			s.mustDel(second)
			if got := s.names(); !slices.Equal(got, []string{"c1_net1"}) {
				t.Fatalf("left are %v", got)
			}
		}
	})
}

// GC keeps whoever is alive, and removes whoever is not.
func TestSwappedGC(t *testing.T) {
	swappedNodes(t, func(t *testing.T, s swapped) {
		c := s.before("c1", "net1", netns1)
		s.before("c2", "eth0", netns2)
		if err := s.gc(c, config.Attachment{ContainerID: "c1", IfName: "net1"}); err != nil {
			t.Fatal(err)
		}
		if got := s.names(); !slices.Equal(got, []string{"c1_net1"}) {
			t.Errorf("left are %v", got)
		}
		if err := s.gc(c); err != nil {
			t.Fatal(err)
		}
		s.nothingLeft("at the end")
	})
}

// CHECK finds it, and an ADD that is repeated returns it. The other plugin's files have
// one interface of each container.
func TestSwappedCheck(t *testing.T) {
	swappedNodes(t, func(t *testing.T, s swapped) {
		for id, netns := range map[string]string{"c1": netns1, "c2": netns2} {
			c := s.before(id, "eth0", netns)
			before := s.names()
			r := s.mustAdd(c)
			if got := s.names(); !slices.Equal(got, before) || r.Endpoint.Name != id+"_net1" {
				t.Errorf("%s: endpoints %v, then %v", id, before, got)
			}
			err := s.attacher(c).Check(context.Background(), c, config.Promise{})
			if err != nil && !strings.Contains(err.Error(), "policies: want") {
				t.Errorf("CHECK of %s: %v", id, err)
			}
		}
	})
}

// No pod of win-bridge's file gets the address that is its gateway.
func TestSwappedGateway(t *testing.T) {
	swappedNodes(t, func(t *testing.T, s swapped) {
		r := s.mustAdd(s.attachment("c1", "eth0", netns1))
		address, gateway := r.Endpoint.Addrs()[0].String(), r.Endpoint.Gateway(r.Endpoint.Addrs()[0]).String()
		want := map[string][2]string{
			"win-bridge": {"10.1.0.3", "10.1.0.2"}, "win-overlay": {"10.1.0.2", "10.1.0.1"}, "sdnbridge": {"10.1.0.2", "10.1.0.1"},
		}[s.typ]
		if want[0] != "" && want != [2]string{address, gateway} {
			t.Errorf("address %s, gateway %s, want %v", address, gateway, want)
		}
		if s.typ == "win-overlay" && r.Endpoint.MAC != "0e:2a:0a:01:00:02" {
			t.Errorf("MAC address %s", r.Endpoint.MAC)
		}
	})
}

// A network that is there is taken as it is, of either type that leads pods through the
// node's adapter, and a missing one is made.
func TestTakeExisting(t *testing.T) {
	const conf = `"driver":"l2bridge","loopbackDSR":false,"network":{"subnets":[{"prefix":"10.9.0.0/24"}],"takeExisting":true}`
	for _, driver := range []hns.Driver{"", hns.L2Bridge, hns.L2Tunnel} {
		n := newNode(t, "2022")
		n.namespace(netns1)
		want := "10.9.0.0/24"
		if driver != "" {
			want = "10.1.0.0/24"
			if _, err := n.hns.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: driver, Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix(want), Gateway: netip.MustParseAddr("10.1.0.1")}}}); err != nil {
				t.Fatal(err)
			}
		}
		a := n.configured(conf, "c1", netns1)
		if err := n.attacher(a).Status(context.Background(), a); err != nil {
			t.Errorf("STATUS on %q: %v", driver, err)
		}
		if r := n.mustAdd(a); r.Endpoint.Addresses[0].Masked().String() != want {
			t.Errorf("on %q: address %s, want one of %s", driver, r.Endpoint.Addresses[0], want)
		}
	}
}

// DEL removes the endpoint that win-bridge made by HNS's v1 schema, for a runtime that makes
// no namespace, and leaves it alone where a worker ends.
func TestSwappedDelOfV1(t *testing.T) {
	swappedNodes(t, func(t *testing.T, s swapped) {
		if s.typ != "win-bridge" && s.typ != "win-overlay" {
			return
		}
		s.members = strings.Replace(s.members, `"apiVersion":2,`, "", 1)
		c := s.attachment("c1", "eth0", "none")
		given, err := ipam.Open(c.IPAM.Type).Add(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.host.Call(t.Context(), hnsemu.Call{Client: s.typ, Proc: "HNSCall", Args: []string{
			"POST", "/endpoints/", fmt.Sprintf(`{"Name":"c1_net1","VirtualNetwork":%q,"IPAddress":%q}`, s.network.ID, given.Addresses[0].Prefix.Addr()),
		}})
		if err != nil || r.Code.Failed() {
			t.Fatalf("%+v, %v", r, err)
		}
		s.mustDel(s.attachment("c2", "eth0", "container:c1"))
		if got := s.names(); !slices.Equal(got, []string{"c1_net1"}) {
			t.Errorf("after the worker's DEL: %v", got)
		}
		s.mustDel(c)
		s.nothingLeft("after DEL")
	})
}
