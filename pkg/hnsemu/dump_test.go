// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// fill puts one of everything on a node.
func (c client) fill() {
	c.Helper()
	overlay := c.create("Network", networkDocument("Overlay", "zebra", `"Flags":8,"Dns":{"Domain":"d","Search":["a","b"],
		"ServerList":["1.1.1.1"],"Options":["ndots:5"]},
		"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}]},
		"Policies":[{"Type":"VxlanPort","Settings":{"Port":4790}}],`))
	nat := c.create("Network", v2(`"ID":"`+unknownID+`","Name":"antelope","Type":"NAT",
		"Ipams":[{"Subnets":[{"IpAddressPrefix":"10.0.0.0/24","Flags":1,
		"Policies":[{"Type":"VLAN","Settings":{"IsolationId":7}}],"Routes":[{"NextHop":"10.0.0.1","DestinationPrefix":"0.0.0.0/0"},
			{"NextHop":"10.0.0.2","DestinationPrefix":"10.9.0.0/16"}]}]}]`))
	pod := c.createEndpoint(overlay, v2(`"Name":"pod","MacAddress":"0e-2a-c0-a8-64-02","Policies":[{"Type":"ACL",
		"Settings":{"Priority":100,"Id":"a","RuleType":"Switch","Direction":"In","Action":"Allow"}},{"Type":"L2Driver"}]`))
	remote := c.createEndpoint(overlay, v2(`"Name":"far","Flags":1,"MacAddress":"0E-2A-0A-00-01-09",
		"IpConfigurations":[{"IpAddress":"10.0.1.9"}]`))
	c.createEndpoint(nat, v2(`"Name":"twin"`))
	gateway := c.createEndpoint(nat, v2(`"Name":"twin","ID":"00000000-0000-0000-0000-000000000001","Dns":{"ServerList":["9.9.9.9"]}`))
	c.v1("POST", "/endpoints/"+gateway+"/attach", `{"SystemType":"Container","ContainerId":"legacy"}`)
	c.create("Namespace", `{}`)
	s := c.create("Namespace", `{}`)
	c.attach(s, pod)
	c.start(Container{ID: "sandbox", NamespaceID: s, Isolation: hns.HyperV})
	c.call("HcnDeleteNamespace", s)
	c.create("Namespace", v2(`"Type":"HostDefault","ID":"00000000-0000-0000-0000-000000000002"`))
	c.create("LoadBalancer", v2(`"ID":"00000000-0000-0000-0000-000000000003","HostComputeEndpoints":["`+pod+`","`+remote+`"],
		"SourceVIP":"10.0.0.5","FrontendVIPs":["1.1.1.2","1.1.1.3"],"Flags":1,"PortMappings":[{"Protocol":6,"InternalPort":8080,
		"ExternalPort":80}]`))
	c.create("SdnRoute", v2(`"ID":"00000000-0000-0000-0000-000000000004","HostComputeEndpoints":["`+pod+`"],
		"Setting":[{"DestinationPrefix":"10.0.0.0/8","NextHop":"10.0.0.1"},{"DestinationPrefix":"11.0.0.0/8","NextHop":"10.0.0.1"}]`))
}

const golden = `network "antelope" id 5f0b1190-63be-4e0c-b974-bd0f55675a42 NAT
  subnet 10.0.0.0/24 gateway 10.0.0.1 vlan 7 flags 1
    route 10.9.0.0/16 via 10.0.0.2
  endpoint "twin"
    state created
    address 10.0.0.1/24
    route 0.0.0.0/0 via 10.0.0.1
  endpoint "twin" id 00000000-0000-0000-0000-000000000001
    state attached sharing to Container legacy
    address 10.0.0.2/24
    route 0.0.0.0/0 via 10.0.0.1
    dns servers 9.9.9.9
network "zebra" Overlay
  adapter "Ethernet"
  flags 8
  subnet 192.168.100.0/24 gateway 192.168.100.1 vsid 5000
  macs 00-15-5D-52-C0-00 to 00-15-5D-52-CF-FF
  dns domain d
  dns search a b
  dns servers 1.1.1.1
  dns options ndots:5
  policy VxlanPort {"Port":4790}
  endpoint "far"
    state created
    flags 1
    address 10.0.1.9/32
    mac 0E-2A-0A-00-01-09
    dns domain d
    dns search a b
    dns servers 1.1.1.1
    dns options ndots:5
  endpoint "pod"
    state attached in namespace #2
    address 192.168.100.2/24
    mac 0E-2A-C0-A8-64-02
    route 0.0.0.0/0 via 192.168.100.1
    dns domain d
    dns search a b
    dns servers 1.1.1.1
    dns options ndots:5
    policy ACL {"Action":"Allow","Direction":"In","Id":"a","Priority":100,"RuleType":"Switch"}
    policy L2Driver {}
namespace #1 Host
namespace #2 Host
  compartment 2
  state deletion refused
  endpoint "zebra"/"pod"
  container sandbox hyperv
namespace 00000000-0000-0000-0000-000000000002 HostDefault
  compartment 1
loadbalancer 1.1.1.2 1.1.1.3
  id 00000000-0000-0000-0000-000000000003
  source 10.0.0.5
  flags 1
  port {"Protocol":6,"InternalPort":8080,"ExternalPort":80}
  endpoint "zebra"/"far"
  endpoint "zebra"/"pod"
route 10.0.0.0/8 via 10.0.0.1, 11.0.0.0/8 via 10.0.0.1
  id 00000000-0000-0000-0000-000000000004
  endpoint "zebra"/"pod"
`

func TestDump(t *testing.T) {
	c := newClient(t, "2025")
	if got := c.dump(); got != "" {
		t.Errorf("an empty node dumps as %q", got)
	}
	c.fill()
	if diff := cmp.Diff(golden, c.dump()); diff != "" {
		t.Errorf("dump (-want +got):\n%s", diff)
	}
}

// TestDumpRepeats: two nodes that were treated alike dump alike.
func TestDumpRepeats(t *testing.T) {
	a, b := newClient(t, "2025"), newClient(t, "2025")
	a.fill()
	b.fill()
	if diff := cmp.Diff(a.dump(), b.dump()); diff != "" {
		t.Errorf("-a +b:\n%s", diff)
	}
}

// TestState holds that the data is the same as the dump's and survives JSON, as
// it must on its way to another process.
func TestState(t *testing.T) {
	c := newClient(t, "2025")
	c.fill()
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	var back State
	c.decode(schema.Marshal(state), &back)
	if diff := cmp.Diff(schema.Marshal(state), schema.Marshal(back)); diff != "" {
		t.Errorf("through JSON (-want +got):\n%s", diff)
	}
	overlay, pod := state.Networks[0], state.Endpoints[0]
	type summary struct {
		Networks, Endpoints, Namespaces, LoadBalancers, Routes, Containers int
		Driver                                                             hns.Driver
		VSID                                                               uint32
		MAC, Namespace, Compartment                                        string
	}
	got := summary{
		len(state.Networks), len(state.Endpoints), len(state.Namespaces), len(state.LoadBalancers), len(state.Routes), len(state.Containers),
		overlay.Driver, overlay.Subnets[0].VSID, pod.MAC, "", itoa(state.Namespaces[1].Compartment),
	}
	if pod.NamespaceID == state.Namespaces[1].ID {
		got.Namespace = "second"
	}
	want := summary{2, 4, 3, 1, 1, 1, hns.Overlay, 5000, "0E-2A-C0-A8-64-02", "second", "2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if !overlay.Policies[1].Generated || overlay.Policies[0].Generated {
		t.Errorf("policies %+v", overlay.Policies)
	}
}

// TestPlainData: everything that Control takes and gives survives JSON.
func TestPlainData(t *testing.T) {
	p, _ := ProfileNamed("2019")
	for _, v := range []any{
		p, Unknowns{IgnoreID: true}, Fault{Proc: "P", Nth: 1, Kind: FaultHang, After: true, Code: 0x80004005, Client: "c", Every: true},
		Packet{EndpointID: unknownID, Direction: hns.In, Protocol: 6, LocalPort: 1, RemotePort: 2, Isolation: hns.HyperV},
		Verdict{Allowed: true, At: hns.Host, Rule: "r", Why: "w"},
		Container{ID: "c", NamespaceID: unknownID, Isolation: hns.Process, Leaks: true},
		Node{Adapters: hostAdapters, BoundPorts: []BoundPort{{6, 445}}},
		LoggedCall{Seq: 1, Client: "c", Proc: "P", Args: []string{"a"}, Code: 1, Err: "e", Fault: "f", Reason: "r", Pending: true},
	} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		var generic map[string]any
		if err := json.Unmarshal(text, &generic); err != nil || len(generic) == 0 {
			t.Errorf("%T is encoded as %s: %v", v, text, err)
		}
	}
}
