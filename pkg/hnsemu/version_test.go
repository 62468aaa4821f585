// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// versioned are behaviours that came with a version of HNS (hcsshim,
// hcn/hcnglobals.go).
var versioned = []struct {
	name string
	// without and with are the versions on either side of the change.
	without, with hns.Version
	observe       func(c client) string
	before, after string
}{
	{
		name:    "the version itself",
		without: hns.Version{Major: 7, Minor: 1},
		with:    hns.Version{Major: 7, Minor: 2},
		observe: func(c client) string { return codeText(c.call("HNSCall", "GET", "/globals/version", "").Code) },
		before:  "80070490", after: "0",
	},
	{
		name:    "Host rules without a priority",
		without: hns.Version{Major: 7, Minor: 1},
		with:    hns.Version{Major: 7, Minor: 2},
		observe: func(c client) string {
			n := c.network("L2Bridge", "n")
			return c.codeOfEndpoint(n, with("ACL", `{"Action":"Allow","Direction":"In","RuleType":"Host"}`)) + " " +
				c.codeOfEndpoint(n, with("ACL", `{"Action":"Allow","Direction":"In","RuleType":"Host","Priority":100}`))
		},
		before: "80070057 0", after: "0 80070057",
	},
	{
		name:    "endpoints of a single address",
		without: hns.Version{Major: 9, Minor: 2},
		with:    hns.Version{Major: 9, Minor: 3},
		observe: func(c client) string {
			return c.codeOfEndpoint(c.network("NAT", "n"), v2(`"IpConfigurations":[{"IpAddress":"192.168.100.9","PrefixLength":32}]`))
		},
		before: "803b0030", after: "0",
	},
	{
		name:    "endpoints of a single address, again",
		without: hns.Version{Major: 10, Minor: 3},
		with:    hns.Version{Major: 10, Minor: 4},
		observe: func(c client) string {
			return c.codeOfEndpoint(c.network("NAT", "n"), v2(`"IpConfigurations":[{"IpAddress":"192.168.100.9","PrefixLength":32}]`))
		},
		before: "803b0030", after: "0",
	},
	{
		name:    "the port of VXLAN",
		without: hns.Version{Major: 10, Minor: 2},
		with:    hns.Version{Major: 10, Minor: 3},
		observe: func(c client) string {
			return codeText(c.call("HcnCreateNetwork", "", withNet("Overlay", "VxlanPort", `{"Port":4790}`)).Code)
		},
		before: "803b000e", after: "0",
	},
	{
		name:    "changes of subnets",
		without: hns.Version{Major: 10, Minor: 9},
		with:    hns.Version{Major: 11},
		observe: func(c client) string {
			return codeText(c.modify("Network", c.network("NAT", "n"), `{"ResourceType":"Subnet","RequestType":"Add","Settings":{}}`))
		},
		before: "803b0015", after: "0",
	},
	{
		name:    "the protocol of VXLAN in ACLs",
		without: hns.Version{Major: 10, Minor: 9},
		with:    hns.Version{Major: 11},
		observe: func(c client) string {
			return c.codeOfEndpoint(c.network("L2Bridge", "n"), aclWith(`"Protocols":"252"`))
		},
		before: "803b000d", after: "0",
	},
	{
		name:    "dual stack",
		without: hns.Version{Major: 11, Minor: 9},
		with:    hns.Version{Major: 11, Minor: 10},
		observe: func(c client) string {
			return codeText(c.call("HcnCreateNetwork", "", v2(`"Type":"L2Bridge",`+dualStack)).Code)
		},
		before: "803b000a", after: "0",
	},
	{
		name:    "sets",
		without: hns.Version{Major: 12, Minor: 9},
		with:    hns.Version{Major: 13},
		observe: func(c client) string {
			return codeText(c.call("HcnCreateNetwork", "", withNet("L2Bridge", "SetPolicy", `{"Id":"s","PolicyType":"IPSET"}`)).Code)
		},
		before: "803b000e", after: "0",
	},
	{
		name:    "nested sets",
		without: hns.Version{Major: 14, Minor: 9},
		with:    hns.Version{Major: 15},
		observe: func(c client) string {
			return codeText(c.call("HcnCreateNetwork", "", withNet("L2Bridge", "SetPolicy", `{"Id":"s","PolicyType":"NESTEDIPSET"}`)).Code)
		},
		before: "803b000d", after: "0",
	},
	{
		name:    "changes of load balancers",
		without: hns.Version{Major: 15, Minor: 3},
		with:    hns.Version{Major: 15, Minor: 4},
		observe: func(c client) string {
			members := `"HostComputeEndpoints":["` + c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`)) + `"]`
			return codeText(c.modify("LoadBalancer", c.create("LoadBalancer", v2(members)), v2(members)))
		},
		before: "80004001", after: "0",
	},
	{
		name:    "accelerated networking",
		without: hns.Version{Major: 15, Minor: 3},
		with:    hns.Version{Major: 15, Minor: 4},
		observe: func(c client) string { return codeText(c.call("HNSCall", "GET", "/accelnet/", "").Code) },
		before:  "80004001", after: "0",
	},
}

func codeText(code hns.HRESULT) string { return fmt.Sprintf("%x", uint32(code)) }

func TestVersions(t *testing.T) {
	for _, tc := range versioned {
		t.Run(tc.name, func(t *testing.T) {
			for _, side := range []struct {
				version hns.Version
				want    string
			}{{tc.without, tc.before}, {tc.with, tc.after}} {
				c := client{t, New(Profile{Version: side.version}), "test"}
				if got := tc.observe(c); got != side.want {
					t.Errorf("HNS %s: %s, want %s", side.version, got, side.want)
				}
			}
		})
	}
}

// TestProfileDifferences lists what the three profiles do not have in common,
// beside what their versions say.
func TestProfileDifferences(t *testing.T) {
	for _, tc := range []struct {
		profile   string
		taken     hns.HRESULT
		lax       bool
		reattach  hns.HRESULT
		endpoints int
	}{
		{"2019", 0x80071392, true, 0x803b002e, 1},
		{"2022", 0x803b002f, false, 0, 0},
		{"2025", 0x803b002f, false, 0, 0},
	} {
		t.Run(tc.profile, func(t *testing.T) {
			c := newClient(t, tc.profile)
			n := c.network("NAT", "n")
			if got := c.codeOfEndpoint(n, v2(`"IpConfigurations":[{"IpAddress":"192.168.100.1"}]`)); got != codeText(tc.taken) {
				t.Errorf("the gateway's address: %s", got)
			}
			lax := c.codeOfEndpoint(n, with("OutBoundNAT", `{"Exceptions":["10.0.0.1/8"]}`)) == "0"
			if lax != tc.lax {
				t.Errorf("an exception with host bits is accepted: %t", lax)
			}
			for _, id := range c.enumerate("Endpoints", "") {
				c.must("HcnDeleteEndpoint", id)
			}
			c.createEndpoint(n, v2(`"Name":"e"`))
			s := c.create("Namespace", `{}`)
			c.start(Container{ID: "a", NamespaceID: s})
			c.stop("a")
			if got := asError(c.StartContainer(Container{ID: "b", NamespaceID: s})).Code; got != tc.reattach {
				t.Errorf("a second container: %s", got)
			}
			if err := c.RestartService(); err != nil {
				t.Fatal(err)
			}
			if got := len(c.enumerate("Endpoints", "")); got != tc.endpoints {
				t.Errorf("endpoints after a restart: %d", got)
			}
			if c.Profile().Name != tc.profile {
				t.Errorf("the node's profile is %q", c.Profile().Name)
			}
		})
	}
}

// TestNodeIsCopied: what a test does to its own slices later is not the node's.
func TestNodeIsCopied(t *testing.T) {
	c := newClient(t, "2025")
	node := Node{Adapters: []Adapter{{Name: "A", Address: prefixOf("10.0.0.2/24")}}, BoundPorts: []BoundPort{{6, 80}}}
	if err := c.SetNode(node); err != nil {
		t.Fatal(err)
	}
	node.Adapters[0].Name, node.BoundPorts[0].Port = "B", 81
	c.network("L2Bridge", "n")
	state, _ := c.State()
	if got := state.Adapters[0].Name + state.Networks[0].Adapter; got != "AA" {
		t.Errorf("adapter and uplink are %s", got)
	}
	if got := c.codeOfEndpoint(state.Networks[0].ID, with("PortMapping", `{"Protocol":6,"InternalPort":1,"ExternalPort":80,"Flags":1}`)); got != "80070020" {
		t.Errorf("bound port: %s", got)
	}
}

// TestBoundPorts: a process that listens keeps the port from mappings of its
// protocol, until it ends.
func TestBoundPorts(t *testing.T) {
	const mapping = `{"Protocol":%d,"InternalPort":80,"ExternalPort":%d}`
	for _, tc := range []struct {
		protocol, port int
		want           string
	}{
		{6, 445, "80070020"},
		{17, 445, "0"},
		{6, 446, "0"},
		{6, 0, "0"},
	} {
		c := newClient(t, "2022")
		n := c.network("NAT", "n")
		node := Node{BoundPorts: []BoundPort{{6, 445}, {6, 0}}}
		if err := c.SetNode(node); err != nil {
			t.Fatal(err)
		}
		document := with("PortMapping", fmt.Sprintf(mapping, tc.protocol, tc.port))
		if got := c.codeOfEndpoint(n, document); got != tc.want {
			t.Errorf("protocol %d, port %d: %s, want %s", tc.protocol, tc.port, got, tc.want)
		}
		if err := c.SetNode(Node{}); err != nil {
			t.Fatal(err)
		}
		if tc.want != "0" {
			if got := c.codeOfEndpoint(n, document); got != "0" {
				t.Errorf("after the process ended: %s", got)
			}
		}
	}
}

// TestStrayEndpoints: a subnet cannot be removed from under an endpoint.
func TestStrayEndpoints(t *testing.T) {
	const subnets = `{"ResourceType":"Subnet","RequestType":%q,"Settings":{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24",
		"Routes":[{"NextHop":"10.9.0.1","DestinationPrefix":"0.0.0.0/0"}]}]}}`
	c := newClient(t, "2025")
	n := c.network("L2Bridge", "n")
	if got := c.modify("Network", n, fmt.Sprintf(subnets, "Add")); got != 0 {
		t.Fatalf("add: %s", got)
	}
	e := c.createEndpoint(n, v2(`"Name":"e","IpConfigurations":[{"IpAddress":"10.9.0.9"}]`))
	c.createEndpoint(n, v2(`"Name":"far","Flags":1,"IpConfigurations":[{"IpAddress":"10.8.0.9"}]`))
	if got := c.modify("Network", n, fmt.Sprintf(subnets, "Remove")); got != schema.CodeHasReferences {
		t.Errorf("remove with an endpoint: %s", got)
	}
	c.must("HcnDeleteEndpoint", e)
	if got := c.modify("Network", n, fmt.Sprintf(subnets, "Remove")); got != 0 {
		t.Errorf("remove without: %s", got)
	}
}

// TestBalancersCollide: two load balancers do not serve one address and port.
func TestBalancersCollide(t *testing.T) {
	const document = `"HostComputeEndpoints":["%s"],"FrontendVIPs":[%s],"PortMappings":[%s]`
	const tcp80, udp80, tcp81 = `{"Protocol":6,"ExternalPort":80}`, `{"Protocol":17,"ExternalPort":80}`, `{"Protocol":6,"ExternalPort":81}`
	for _, tc := range []struct {
		name, vips, ports string
		want              string
	}{
		{"the same", `"1.1.1.1"`, tcp80, "803b0013"},
		{"one of several", `"1.1.1.2","1.1.1.1"`, udp80 + "," + tcp80, "803b0013"},
		{"another address", `"1.1.1.2"`, tcp80, "0"},
		{"another protocol", `"1.1.1.1"`, udp80, "0"},
		{"another port", `"1.1.1.1"`, tcp81, "0"},
		{"no address", ``, tcp80, "0"},
		{"no port", `"1.1.1.1"`, ``, "0"},
	} {
		c, e, _ := overlay(t, "2025")
		id := c.create("LoadBalancer", v2(fmt.Sprintf(document, e, `"1.1.1.1"`, tcp80)))
		second := v2(fmt.Sprintf(document, e, tc.vips, tc.ports))
		if got := codeText(c.call("HcnCreateLoadBalancer", "", second).Code); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		c.must("HcnDeleteLoadBalancer", id)
		if tc.want != "0" {
			c.create("LoadBalancer", second)
		}
	}
}
