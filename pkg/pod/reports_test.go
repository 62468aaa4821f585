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
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// TestReportNN are reports of users of Windows nodes; test/reports has most of them.

// HNS does not know what the configuration names: where it chooses the address, ADD looks
// afterwards.
func TestReport02HNSChooses(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a, err := config.Parse([]byte(`{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead", "driver": "l2bridge",
		"network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]}, "dns": {"nameservers": ["10.1.0.2"]}}`),
		config.Env{ContainerID: "c1", IfName: "eth0", NetNS: netns1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.attacher(a).Add(context.Background(), a); !errors.Is(err, plan.ErrConflict) || !strings.Contains(err.Error(), "the address 10.1.0.2, which is dns.nameservers[0]") {
		t.Errorf("got %v", err)
	}
	n.nothingLeft("after the refusal")
}

// A pod on an overlay that another agent made has the node's address under it, whether
// HNS tells that with the network or not.
func TestReport11ProviderAddress(t *testing.T) {
	for _, fills := range []bool{false, true} {
		t.Run(fmt.Sprint("HNS fills it in: ", fills), func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			if err := n.host.SetUnknowns(hnsemu.Unknowns{NoProviderAddress: !fills}); err != nil {
				t.Fatal(err)
			}
			subnet := hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1"), VSID: 4096}
			if _, err := n.hns.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: hns.Overlay, Subnets: []hns.Subnet{subnet}}); err != nil {
				t.Fatal(err)
			}
			a := n.attachment(hns.Overlay, "c1", netns1)
			a.Network = nil
			r := n.mustAdd(a)
			var got []netip.Addr
			for _, p := range r.Endpoint.Policies {
				if pa, ok := p.(hns.ProviderAddress); ok {
					got = append(got, pa.Address)
				}
			}
			if len(got) != 1 || got[0] != netip.MustParseAddr("192.168.1.5") {
				t.Errorf("provider addresses %v", got)
			}
			if err := n.attacher(a).Check(context.Background(), a, config.Promise{Addresses: promisedBy(r), MAC: r.Endpoint.MAC}); err != nil {
				t.Errorf("CHECK: %v", err)
			}
		})
	}
}

// network.adapter may name an adapter by what Windows shows of it.
func TestReport12Adapter(t *testing.T) {
	all := []uplink.Adapter{
		{Name: "Ethernet", Type: 6, Up: true},
		{Name: "Ethernet 2", Type: 6, Up: true, Addresses: []netip.Addr{netip.MustParseAddr("172.16.1.5")}},
		{Name: "vEthernet (Ethernet)", Type: 6, Up: true, Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("fe80::5")}},
		{Name: "vEthernet (Internal)", Type: 6, Up: true},
	}
	const usable = "adapters that would do: Ethernet, Ethernet 2"
	for _, tt := range []struct{ adapter, want, refused string }{
		{adapter: "Ethernet 2", want: "Ethernet 2"},
		{adapter: "vEthernet (Ethernet)", want: "Ethernet"},
		{adapter: "172.16.1.5", want: "Ethernet 2"},
		{adapter: "192.168.1.5", want: "Ethernet"},
		{adapter: "vEthernet (Internal)", refused: `network.adapter: "vEthernet (Internal)" is the node's interface of a virtual switch, and there is no adapter "Internal" below it; ` + usable},
		{adapter: "10.9.9.9", refused: "network.adapter: no adapter of this node has 10.9.9.9; " + usable},
	} {
		t.Run(tt.adapter, func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			n.twoAdapters()
			a := n.attachment(hns.L2Bridge, "c1", netns1)
			a.Network.Adapter = tt.adapter
			at := n.attacher(a)
			at.Uplink = &machine{adapters: func() ([]uplink.Adapter, error) { return all, nil }}
			_, err := at.Add(context.Background(), a)
			status := at.Status(context.Background(), a)
			if tt.refused != "" {
				for _, err := range []error{err, status} {
					if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), tt.refused) {
						t.Errorf("got %v, want %q", err, tt.refused)
					}
				}
				n.nothingLeft("after the refusal")
				return
			}
			if err != nil || status != nil {
				t.Fatalf("%v, STATUS %v", err, status)
			}
			if got := n.state().Networks[0].Adapter; got != tt.want {
				t.Errorf("the network is on %q, want %q", got, tt.want)
			}
			if _, err := at.Add(context.Background(), a); err != nil {
				t.Errorf("again: %v", err)
			}
			a.Network.Adapter = "Ethernet 3"
			if _, err := at.Add(context.Background(), a); !errors.Is(err, network.ErrDiffers) {
				t.Errorf("another adapter: %v", err)
			}
		})
	}
}

// Two networks that share addresses on one wire are told of when the second is made.
func TestReport18NetworksThatShareAddresses(t *testing.T) {
	for _, tt := range []struct {
		name, subnet string
		vlan         uint16
		told         bool
	}{
		{"the same", "10.1.0.0/16", 0, true},
		{"a part", "10.1.128.0/20", 0, true},
		{"another", "10.2.0.0/16", 0, false},
		{"another VLAN", "10.1.0.0/16", 7, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			p := netip.MustParsePrefix(tt.subnet)
			if _, err := n.hns.CreateNetwork(context.Background(), hns.Network{
				Name: "older", Driver: hns.L2Bridge, Adapter: "Ethernet",
				Subnets: []hns.Subnet{{Prefix: p, Gateway: p.Addr().Next(), VLAN: tt.vlan}},
			}); err != nil {
				t.Fatal(err)
			}
			r := n.mustAdd(n.attachment(hns.L2Bridge, "c1", netns1))
			want := fmt.Sprintf("the network \"older\" has %s, too, which overlaps 10.1.0.0/16 of \"net1\"", tt.subnet)
			if got := strings.Join(r.Notices, "\n"); strings.Contains(got, want) != tt.told || !tt.told && got != "" {
				t.Errorf("notices %q", got)
			}
		})
	}
}

// parsed returns a configuration of the tests' l2bridge network for container id.
func parsed(t *testing.T, id, members string) config.Config {
	t.Helper()
	c, err := config.Parse([]byte(`{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead", "driver": "l2bridge", `+members+`}`),
		config.Env{ContainerID: id, IfName: "eth0", NetNS: netns1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const subnet = `"network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]}`

// Where nothing keeps who has an address, an endpoint that is not attached yet may be one
// that another ADD is just making, and a remote one another node's pod.
func TestReport05NobodyIsPushedOut(t *testing.T) {
	for _, held := range []hns.Endpoint{{Name: "c9_net1"}, {Name: "remote", Remote: true, MAC: "00:15:5d:00:99:01"}} {
		n := newNode(t, "2022")
		n.namespace(netns1)
		n.network(hns.L2Bridge, "10.1.0.0/16")
		net1, err := n.hns.Network(context.Background(), "net1")
		if err != nil {
			t.Fatal(err)
		}
		held.NetworkID, held.Addresses = net1.ID, []netip.Prefix{netip.MustParsePrefix("10.1.0.9/16")}
		if _, err := n.hns.CreateEndpoint(context.Background(), held); err != nil {
			t.Fatal(err)
		}
		a := parsed(t, "c1", subnet+`, "runtimeConfig": {"ips": ["10.1.0.9"]}`)
		if _, err := n.attacher(a).Add(context.Background(), a); !errors.Is(err, pod.ErrAddressTaken) || !strings.Contains(err.Error(), held.Name) || !strings.Contains(err.Error(), "which runtimeConfig.ips[0] asks for") {
			t.Errorf("%s: got %v", held.Name, err)
		}
		if got := n.names(); len(got) != 1 || got[0] != held.Name {
			t.Errorf("%s: endpoints %v", held.Name, got)
		}
	}
}

// Pods leave another program's network by the endpoint that it made for the node, whoever
// has the addresses, and only in that endpoint's subnet.
func TestReport04NodeEndpointLeads(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	subnets := []hns.Subnet{
		{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")},
		{Prefix: netip.MustParsePrefix("10.2.0.0/16"), Gateway: netip.MustParseAddr("10.2.0.1")},
	}
	made, err := n.hns.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: hns.L2Bridge, Subnets: subnets})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.hns.CreateEndpoint(context.Background(), hns.Endpoint{Name: "net1_ep", NetworkID: made.ID, Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.2/16")}}); err != nil {
		t.Fatal(err)
	}
	for members, want := range map[string]string{
		`"ipam": {"type": "static", "addresses": [{"address": "10.1.0.50/16"}]}`:                              "10.1.0.2",
		`"runtimeConfig": {"ips": ["10.1.0.50"]}`:                                                             "10.1.0.2",
		`"ipam": {"type": "static", "addresses": [{"address": "10.1.0.50/16", "gateway": "10.1.0.1"}]}`:       "10.1.0.1",
		`"ipam": {"type": "static", "addresses": [{"address": "10.2.0.50/16"}]}`:                              "10.2.0.1",
		`"ipam": {"type": "host-local", "dataDir": "` + n.dir + `", "ranges": [[{"subnet": "10.1.0.0/16"}]]}`: "10.1.0.2",
	} {
		a := parsed(t, "c1", members)
		r := n.mustAdd(a)
		if got := r.Endpoint.Gateway(netip.IPv4Unspecified()).String(); got != want {
			t.Errorf("%s: gateway %s, want %s", members, got, want)
		}
		n.mustDel(a)
	}
	a := parsed(t, "c1", `"runtimeConfig": {"ips": ["10.1.0.2"]}`)
	if _, err := n.attacher(a).Add(context.Background(), a); !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), "10.1.0.2, but that is the network's or the node's own") {
		t.Errorf("its own address: %v", err)
	}
}

// A link-local gateway is an ordinary one in IPv6, and a range of another program's
// network is not the network's subnet.
func TestReport02GatewaysThatAreRight(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	subnets := []hns.Subnet{
		{Prefix: netip.MustParsePrefix("10.240.0.0/16"), Gateway: netip.MustParseAddr("10.240.0.1")},
		{Prefix: netip.MustParsePrefix("fd00::/64"), Gateway: netip.MustParseAddr("fd00::1")},
	}
	if _, err := n.hns.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: hns.L2Bridge, Subnets: subnets}); err != nil {
		t.Fatal(err)
	}
	for members, want := range map[string]string{
		`"ipam": {"type": "static", "addresses": [{"address": "fd00::9/64", "gateway": "fe80::1"}]}`:                                                                  "fe80::1",
		`"ipam": {"type": "static", "addresses": [{"address": "fd00::9/64"}], "routes": [{"dst": "::/0", "gw": "fe80::1"}]}`:                                          "fe80::1",
		`"ipam": {"type": "static", "addresses": [{"address": "10.240.5.7/24", "gateway": "10.240.0.1"}]}`:                                                            "10.240.0.1",
		`"ipam": {"type": "host-local", "dataDir": "` + n.dir + `", "ranges": [[{"subnet": "10.240.5.0/24"}]], "routes": [{"dst": "0.0.0.0/0", "gw": "10.240.0.1"}]}`: "10.240.0.1",
	} {
		a := parsed(t, "c1", members)
		r := n.mustAdd(a)
		if got := r.Endpoint.Routes[0].NextHop.String(); got != want {
			t.Errorf("%s: gateway %s, want %s", members, got, want)
		}
		n.mustDel(a)
	}
}

// CHECK knows the pods of older versions by their names, too.
func TestReport01OlderPodsAreInOrder(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	a.IfName = "eth1"
	r := n.mustAdd(a)
	older := r.Endpoint
	if err := n.hns.DeleteEndpoint(context.Background(), older.ID); err != nil {
		t.Fatal(err)
	}
	older.ID, older.NamespaceID, older.Name = "", "", "c1_net1_eth1"
	id, err := n.hns.CreateEndpoint(context.Background(), older)
	if err == nil {
		err = n.hns.Attach(context.Background(), netns1, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := n.attacher(a).Check(context.Background(), a, config.Promise{Addresses: promisedBy(r), MAC: r.Endpoint.MAC}); err != nil {
		t.Errorf("CHECK: %v", err)
	}
}

// While a network is made the node is without the address that names the adapter: who
// finds the network there goes on.
func TestReport12AddressIsGoneForAWhile(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	a.Network.Adapter = "192.168.1.5"
	at := n.attacher(a)
	here := []uplink.Adapter{{Name: "Ethernet", Type: 6, Up: true, Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.5")}}}
	of := &machine{adapters: func() ([]uplink.Adapter, error) { return here, nil }}
	at.Uplink = of
	if _, err := at.Add(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	here[0].Addresses = nil
	if err := at.Status(context.Background(), a); err != nil {
		t.Errorf("STATUS: %v", err)
	}
	a.ContainerID = "c2"
	if _, err := at.Add(context.Background(), a); err != nil {
		t.Errorf("ADD: %v", err)
	}
}
