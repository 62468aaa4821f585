// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// endpointDocuments hold what a document becomes in either schema.
var endpointDocuments = []struct{ name, network, document, v2, v1 string }{
	{
		"only a name", networkDocument("L2Bridge", "n", `"Dns":{"Domain":"d","ServerList":["1.1.1.1"]},
			"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}]},`),
		v2(`"Name":"e","Dns":{},"Health":{"Extra":{}},"IpConfigurations":[{}]`),
		`{
			"ID":"<id>",
			"Name":"e",
			"HostComputeNetwork":"<id>",
			"HostComputeNamespace":"00000000-0000-0000-0000-000000000000",
			"IpConfigurations":[{"IpAddress":"192.168.100.2","PrefixLength":24}],
			"MacAddress":"00-15-5D-52-C0-00",
			"Dns":{"Domain":"d","ServerList":["1.1.1.1"]},
			"State":1,
			"SchemaVersion":{"Major":2,"Minor":0},
			"Routes":[
				{"NextHop":"192.168.100.1","DestinationPrefix":"0.0.0.0/0"}
			],
			"Health":{"Extra":{"SwitchGuid":"<id>"}}
		}`,
		`{
			"ID":"<id>",
			"Name":"e",
			"VirtualNetwork":"<id>",
			"VirtualNetworkName":"n",
			"Type":"L2Bridge",
			"Policies":[],
			"MacAddress":"00-15-5D-52-C0-00",
			"IPAddress":"192.168.100.2",
			"PrefixLength":24,
			"GatewayAddress":"192.168.100.1",
			"DNSDomain":"d",
			"DNSServerList":"1.1.1.1",
			"State":1,
			"Version":64424509444
		}`,
	},
	{
		"win-bridge", networkDocument("L2Bridge", "n", ""),
		v2(`"Name":"c1_net1","MacAddress":"0e-2a-0a-00-00-02","Policies":[
			{"Type":"SDNRoute","Settings":{"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}},
			{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/16"]}},
			{"Type":"PortMapping","Settings":{"InternalPort":80,"ExternalPort":8080,"Protocol":6,"VIP":"","Flags":1}},
			{"Type":"ACL","Settings":{"Id":"a","Action":"Allow","Direction":"In","Protocols":"6","LocalPorts":"80","RuleType":"Switch",
				"Priority":1000}}],
			"IpConfigurations":[{"IpAddress":"192.168.100.9"}],
			"Dns":{"Domain":"d","Search":["svc.cluster.local"],"ServerList":["1.1.1.1"],"Options":["ndots:5"]},
			"Routes":[{"NextHop":"192.168.100.2","DestinationPrefix":"0.0.0.0/0"}]`),
		`{
			"ID":"<id>",
			"Name":"c1_net1",
			"HostComputeNetwork":"<id>",
			"HostComputeNamespace":"00000000-0000-0000-0000-000000000000",
			"Policies":[
				{"Type":"SDNRoute","Settings":{"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}},
				{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/16"]}},
				{"Type":"PortMapping","Settings":{"InternalPort":80,"ExternalPort":8080,"Protocol":6,"VIP":"","Flags":1}},
				{
					"Type":"ACL",
					"Settings":{
						"Id":"a",
						"Action":"Allow",
						"Direction":"In",
						"Protocols":"6",
						"LocalPorts":"80",
						"RuleType":"Switch",
						"Priority":1000
					}
				}
			],
			"IpConfigurations":[{"IpAddress":"192.168.100.9","PrefixLength":24}],
			"MacAddress":"0E-2A-0A-00-00-02",
			"Dns":{"Domain":"d","Search":["svc.cluster.local"],"ServerList":["1.1.1.1"],"Options":["ndots:5"]},
			"State":1,
			"SchemaVersion":{"Major":2,"Minor":0},
			"Routes":[
				{"NextHop":"192.168.100.2","DestinationPrefix":"0.0.0.0/0"}
			],
			"Health":{"Extra":{"SwitchGuid":"<id>"}}
		}`,
		`{
			"ID":"<id>",
			"Name":"c1_net1",
			"VirtualNetwork":"<id>",
			"VirtualNetworkName":"n",
			"Type":"L2Bridge",
			"Policies":[
				{"Type":"ROUTE","DestinationPrefix":"10.96.0.0/12","NeedEncap":true},
				{"Type":"OutBoundNAT","ExceptionList":["10.0.0.0/16"]},
				{"Type":"NAT","InternalPort":80,"ExternalPort":8080,"Protocol":"TCP","VIP":"","Flags":1},
				{
					"Type":"ACL",
					"Id":"a",
					"Action":"Allow",
					"Direction":"In",
					"Protocols":"6",
					"LocalPorts":"80",
					"RuleType":"Switch",
					"Priority":1000
				}
			],
			"MacAddress":"0E-2A-0A-00-00-02",
			"IPAddress":"192.168.100.9",
			"PrefixLength":24,
			"GatewayAddress":"192.168.100.2",
			"DNSDomain":"d",
			"DNSSuffix":"svc.cluster.local",
			"DNSServerList":"1.1.1.1",
			"State":1,
			"Version":64424509444
		}`,
	},
	{
		"v1", networkDocument("NAT", "n", ""),
		`{
			"Name":"e",
			"IPAddress":"192.168.100.7",
			"PrefixLength":28,
			"MacAddress":"00-15-5D-00-00-01",
			"DNSSuffix":"a,b",
			"DNSServerList":"1.1.1.1,8.8.8.8",
			"DNSDomain":"d",
			"GatewayAddress":"192.168.100.3",
			"EnableLowMetric":true,
			"DisableICC":true,
			"Policies":[
				{"Type":"NAT","Protocol":"UDP","InternalPort":53,"ExternalPort":5353,"ExternalPortReserved":true},
				{"Type":"OutBoundNAT","VIP":"10.0.0.9","ExceptionList":["10.0.0.0/8"]},
				{"Type":"PA","PA":"192.168.1.5"},
				{
					"Type":"ACL",
					"Protocol":17,
					"LocalPort":53,
					"Action":"Block",
					"Direction":"In",
					"ServiceName":"x",
					"Priority":1000
				}
			]
		}`,
		`{
			"ID":"<id>",
			"Name":"e",
			"HostComputeNetwork":"<id>",
			"HostComputeNamespace":"00000000-0000-0000-0000-000000000000",
			"Policies":[
				{"Type":"PortMapping","Settings":{"InternalPort":53,"ExternalPort":5353,"Protocol":17,"Flags":4}},
				{"Type":"OutBoundNAT","Settings":{"VirtualIP":"10.0.0.9","Exceptions":["10.0.0.0/8"]}},
				{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.1.5"}},
				{
					"Type":"ACL",
					"Settings":{"Protocols":"17","LocalPorts":"53","Action":"Block","Direction":"In","Priority":1000}
				}
			],
			"IpConfigurations":[{"IpAddress":"192.168.100.7","PrefixLength":28}],
			"MacAddress":"00-15-5D-00-00-01",
			"Flags":10,
			"Dns":{"Domain":"d","Search":["a","b"],"ServerList":["1.1.1.1","8.8.8.8"]},
			"State":1,
			"SchemaVersion":{"Major":2,"Minor":0},
			"Routes":[
				{"NextHop":"192.168.100.3","DestinationPrefix":"0.0.0.0/0"}
			],
			"Health":{"Extra":{"SwitchGuid":"<id>"}}
		}`,
		`{
			"ID":"<id>",
			"Name":"e",
			"VirtualNetwork":"<id>",
			"VirtualNetworkName":"n",
			"Type":"NAT",
			"Policies":[
				{"Type":"NAT","Protocol":"UDP","InternalPort":53,"ExternalPort":5353,"ExternalPortReserved":true},
				{"Type":"OutBoundNAT","VIP":"10.0.0.9","ExceptionList":["10.0.0.0/8"]},
				{"Type":"PA","PA":"192.168.1.5"},
				{
					"Type":"ACL",
					"Protocol":17,
					"LocalPort":53,
					"Action":"Block",
					"Direction":"In",
					"ServiceName":"x",
					"Priority":1000
				}
			],
			"MacAddress":"00-15-5D-00-00-01",
			"IPAddress":"192.168.100.7",
			"PrefixLength":28,
			"GatewayAddress":"192.168.100.3",
			"DNSDomain":"d",
			"DNSSuffix":"a,b",
			"DNSServerList":"1.1.1.1,8.8.8.8",
			"State":1,
			"Version":64424509444
		}`,
	},
}

func TestEndpointDocuments(t *testing.T) {
	for _, tc := range endpointDocuments {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "2025")
			id := c.createEndpoint(c.create("Network", tc.network), tc.document)
			c.sameJSON(tc.v2, c.query("Endpoint", id, ""))
			c.sameJSON(tc.v1, c.outputV1("GET", "/endpoints/"+id, ""))
			if v1 := c.outputV1("GET", "/endpoints/"+id, "")["ID"]; v1 != strings.ToUpper(id) {
				t.Errorf("id in v1 is %v, in v2 %s", v1, id)
			}
		})
	}
}

const dualStack = `"Ipams":[{"Subnets":[{"IpAddressPrefix":"192.168.100.0/24","Routes":[{"NextHop":"192.168.100.1",
	"DestinationPrefix":"0.0.0.0/0"}]},` +
	`{"IpAddressPrefix":"fd00::/64","Routes":[{"NextHop":"fd00::1","DestinationPrefix":"::/0"}]}]}]`

func TestDualStack(t *testing.T) {
	c := newClient(t, "2022")
	n := c.create("Network", v2(`"Type":"L2Bridge","Name":"n",`+dualStack))
	id := c.createEndpoint(n, v2(`"Name":"e"`))
	got := c.query("Endpoint", id, "")
	want := `[{"IpAddress":"192.168.100.2","PrefixLength":24},{"IpAddress":"fd00::2","PrefixLength":64}]` +
		` [{"DestinationPrefix":"0.0.0.0/0","NextHop":"192.168.100.1"},{"DestinationPrefix":"::/0","NextHop":"fd00::1"}]`
	if diff := cmp.Diff(want, schema.Marshal(got["IpConfigurations"])+" "+schema.Marshal(got["Routes"])); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	v1 := c.outputV1("GET", "/endpoints/"+id, "")
	if v1["IPv6Address"] != "fd00::2" || v1["IPv6PrefixLength"] != 64.0 || v1["GatewayAddressV6"] != "fd00::1" {
		t.Errorf("v1: %v", v1)
	}
}

// TestIPv6: which types of networks have IPv6 depends on the release.
func TestIPv6(t *testing.T) {
	for _, tc := range []struct {
		profile, kind string
		want          uint32
	}{
		{"2019", "L2Bridge", 0x803b000a}, {"2022", "L2Bridge", 0}, {"2025", "L2Bridge", 0},
		{"2019", "NAT", 0x803b000a}, {"2022", "NAT", 0},
		{"2022", "Overlay", 0x803b000a}, {"2025", "Overlay", 0},
	} {
		c := newClient(t, tc.profile)
		document := strings.ReplaceAll(v2(`"Type":"`+tc.kind+`",`+dualStack), `"Routes"`, vsidPolicy+`"Routes"`)
		if got := c.call("HcnCreateNetwork", "", document).Code; uint32(got) != tc.want {
			t.Errorf("%s %s: %s, want %#x", tc.profile, tc.kind, got, tc.want)
		}
	}
}

// TestAllocation: the lowest address that is neither reserved nor in use.
func TestAllocation(t *testing.T) {
	c := newClient(t, "2025")
	if err := c.SetNode(Node{Adapters: []Adapter{{Name: "Ethernet", Address: netip.MustParsePrefix("10.0.0.3/29")}}}); err != nil {
		t.Fatal(err)
	}
	n := c.create("Network", v2(`"Type":"L2Bridge","Name":"n","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.0.0.0/29",
		"Routes":[{"NextHop":"10.0.0.1","DestinationPrefix":"0.0.0.0/0"}]}]}],
		"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-C0-03"}]}`))
	var got []string
	first := ""
	for range 4 {
		id := c.createEndpoint(n, v2(`"Name":"same"`))
		if first == "" {
			first = id
		}
		doc := c.query("Endpoint", id, "")
		got = append(got, fmt.Sprint(doc["IpConfigurations"].([]any)[0].(map[string]any)["IpAddress"], " ", doc["MacAddress"]))
	}
	want := []string{"10.0.0.2 00-15-5D-52-C0-00", "10.0.0.4 00-15-5D-52-C0-01", "10.0.0.5 00-15-5D-52-C0-02", "10.0.0.6 00-15-5D-52-C0-03"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	handle := c.open("Network", n)
	if code := c.call("HcnCreateEndpoint", handle, "", v2(`"Name":"one too many"`)).Code; code != schema.CodeNoSubnet {
		t.Errorf("used-up subnet: %s", code)
	}
	c.must("HcnDeleteEndpoint", first)
	c.createEndpoint(n, v2(`"Name":"in the gap"`))
}

func TestMACPoolUsedUp(t *testing.T) {
	c := newClient(t, "2025")
	n := c.create("Network", networkDocument("NAT", "n", `"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00",
		"EndMacAddress":"00-15-5D-52-C0-00"}]},`))
	c.createEndpoint(n, v2(`"Name":"a"`))
	if got := c.call("HcnCreateEndpoint", c.open("Network", n), "", v2(`"Name":"b"`)).Code; got != schema.CodeInvalidEndpoint {
		t.Errorf("got %s", got)
	}
	c.createEndpoint(n, v2(`"Name":"b","MacAddress":"00-15-5D-52-C0-01"`))
}

func TestSubnetWithoutReservedGateway(t *testing.T) {
	c := newClient(t, "2025")
	n := c.create("Network", v2(`"Type":"L2Bridge","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.0.0.0/24","Flags":1,
		"Routes":[{"NextHop":"10.0.0.1","DestinationPrefix":"0.0.0.0/0"}]}]}]`))
	c.createEndpoint(n, v2(`"IpConfigurations":[{"IpAddress":"10.0.0.1"}]`))
}

// TestTransparentWithoutSubnet leaves addresses to DHCP.
func TestTransparentWithoutSubnet(t *testing.T) {
	c := newClient(t, "2025")
	n := c.create("Network", v2(`"Type":"Transparent","Name":"n","Ipams":[{"Type":"DHCP","Subnets":[{}]}]`))
	id := c.createEndpoint(n, v2(`"Name":"e"`))
	if got := c.query("Endpoint", id, "")["IpConfigurations"]; got != nil {
		t.Errorf("addresses %v", got)
	}
	c.createEndpoint(n, v2(`"Name":"f","IpConfigurations":[{"IpAddress":"10.0.0.9","PrefixLength":24}]`))
}

// TestRemoteEndpoint: its address may be anywhere, and it is never attached.
func TestRemoteEndpoint(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("Overlay", "n")
	remote := v2(`"Name":"Ethernet","Flags":1,"MacAddress":"0E-2A-0A-00-01-09","IpConfigurations":[{"IpAddress":"10.0.1.9"}],` +
		`"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.1.6"}}]`)
	id := c.createEndpoint(n, remote)
	near := c.createEndpoint(n, v2(`"Name":"Ethernet","Flags":1,"IpConfigurations":[{"IpAddress":"192.168.100.9"}]`))
	got := schema.Marshal(c.query("Endpoint", id, "")["IpConfigurations"]) + schema.Marshal(c.query("Endpoint", near, "")["IpConfigurations"])
	if want := `[{"IpAddress":"10.0.1.9","PrefixLength":32}][{"IpAddress":"192.168.100.9","PrefixLength":24}]`; got != want {
		t.Errorf("addresses %s, want %s", got, want)
	}
	if v1 := c.outputV1("GET", "/endpoints/"+id, ""); v1["IsRemoteEndpoint"] != true {
		t.Errorf("v1: %v", v1)
	}
	s := c.create("Namespace", `{}`)
	for name, tc := range map[string]struct{ got, want uint32 }{
		"attach":     {uint32(c.attach(s, id)), 0x803b0035},
		"v1 attach":  {uint32(c.call("HNSCall", "POST", "/endpoints/"+id+"/attach", `{"SystemType":"Host"}`).Code), 0x803b000f},
		"v1 update":  {uint32(c.call("HNSCall", "POST", "/endpoints/"+id, `{}`).Code), 0x803b000f},
		"modify":     {uint32(c.modify("Endpoint", id, `{"ResourceType":"Policy","RequestType":"Update","Settings":{}}`)), 0x803b000f},
		"again":      {uint32(c.call("HcnCreateEndpoint", c.open("Network", n), "", remote).Code), 0x803b002f},
		"no address": {uint32(c.call("HcnCreateEndpoint", c.open("Network", n), "", v2(`"Flags":1`)).Code), 0x803b000c},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %#x, want %#x", name, tc.got, tc.want)
		}
	}
	if _, err := c.Evaluate(Packet{EndpointID: id, Direction: "In", Remote: netip.MustParseAddr("10.0.0.1")}); err == nil {
		t.Error("a remote endpoint was evaluated")
	}
}

// TestEndpointNamesAreNotUnique as hcsshim's load balancer tests rely on.
func TestEndpointNamesAreNotUnique(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("NAT", "n")
	a, b := c.createEndpoint(n, v2(`"Name":"e"`)), c.createEndpoint(n, v2(`"Name":"e"`))
	if got := c.enumerate("Endpoints", `{"Name":"e"}`); !slices.Equal(got, []string{a, b}) {
		t.Errorf("got %v", got)
	}
}

func TestModifyEndpointPolicies(t *testing.T) {
	const request = `{"ResourceType":"Policy","RequestType":%q,"Settings":{"Policies":[%s]}}`
	const acl1 = `{"Type":"ACL","Settings":{"Action":"Allow","Direction":"In","Priority":1000}}`
	const acl2 = `{"Type":"ACL","Settings":{"Priority":1001,"Action":"Block","Direction":"Out"}}`
	const nat = `{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/8"]}}`
	const nat2 = `{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/9"]}}`
	const route = `{"Type":"SDNRoute","Settings":{"DestinationPrefix":"10.96.0.0/12"}}`
	const mapping = `{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":8080}}`
	c := newClient(t, "2025")
	n := c.network("Overlay", "n")
	id := c.createEndpoint(n, v2(`"Name":"e","Policies":[`+route+`]`))
	for _, tc := range []struct {
		name, settings string
		code           uint32
		want           string
	}{
		{"add", fmt.Sprintf(request, "Add", acl1+","+nat), 0, "SDNRoute ACL OutBoundNAT"},
		{"add the same", fmt.Sprintf(request, "Add", acl1), 0, "SDNRoute ACL OutBoundNAT ACL"},
		{"remove both", fmt.Sprintf(request, "Remove", acl1), 0, "SDNRoute OutBoundNAT"},
		{"remove again", fmt.Sprintf(request, "Remove", acl1), 0x803b0008, "SDNRoute OutBoundNAT"},
		{"update ACLs", fmt.Sprintf(request, "Update", acl1+","+acl2), 0, "SDNRoute OutBoundNAT ACL ACL"},
		{"update another type", fmt.Sprintf(request, "Update", nat2), 0, "SDNRoute OutBoundNAT"},
		{"add a mapping", fmt.Sprintf(request, "Add", mapping), 0, "SDNRoute OutBoundNAT PortMapping"},
		{"add it again", fmt.Sprintf(request, "Add", mapping), 0x803b0013, "SDNRoute OutBoundNAT PortMapping"},
		{"update it", fmt.Sprintf(request, "Update", mapping), 0, "SDNRoute OutBoundNAT PortMapping"},
		{"refresh", fmt.Sprintf(request, "Refresh", ""), 0x803b0015, "SDNRoute OutBoundNAT PortMapping"},
		{"invalid", fmt.Sprintf(request, "Update", `{"Type":"ROUTE","Settings":{}}`), 0x803b000e, "SDNRoute OutBoundNAT PortMapping"},
		{"garbage", `{"ResourceType":"Policy","RequestType":"Add","Settings":[]}`, 0x803b001b, "SDNRoute OutBoundNAT PortMapping"},
		{"update nothing", `{"ResourceType":1,"RequestType":2,"Settings":{}}`, 0, "SDNRoute OutBoundNAT PortMapping"},
	} {
		if got := c.modify("Endpoint", id, tc.settings); uint32(got) != tc.code {
			t.Errorf("%s: %s (%s), want %#x", tc.name, got, c.lastReason(), tc.code)
		}
		if got := c.policyTypes(id); got != tc.want {
			t.Errorf("%s: policies %s, want %s", tc.name, got, tc.want)
		}
	}
}

// policyTypes lists the types of an endpoint's policies.
func (c client) policyTypes(id string) string {
	c.Helper()
	var types []string
	list, _ := c.query("Endpoint", id, "")["Policies"].([]any)
	for _, p := range list {
		types = append(types, fmt.Sprint(p.(map[string]any)["Type"]))
	}
	return strings.Join(types, " ")
}

func TestModifyPort(t *testing.T) {
	c := newClient(t, "2025")
	id := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
	for _, tc := range []struct {
		request string
		code    uint32
		state   float64
	}{
		{"Remove", 0x803b0034, 1}, {"Add", 0, 2}, {"Add", 0x803b0014, 2}, {"Remove", 0, 4}, {"Update", 0x803b0015, 4},
	} {
		got := c.modify("Endpoint", id, `{"ResourceType":"Port","RequestType":"`+tc.request+`","Settings":{}}`)
		if state := c.query("Endpoint", id, "")["State"]; uint32(got) != tc.code || state != tc.state {
			t.Errorf("%s: %s, state %v; want %#x, state %v", tc.request, got, state, tc.code, tc.state)
		}
	}
}

// TestPortMappings: no two endpoints of a network have one port.
func TestPortMappings(t *testing.T) {
	const mapping = `{"Type":"PortMapping","Settings":{"Protocol":%d,"InternalPort":80,"ExternalPort":%d,"VIP":%q,"Flags":%d}}`
	for _, tc := range []struct {
		name, second string
		want         uint32
	}{
		{"the same", fmt.Sprintf(mapping, 17, 8080, "192.168.1.5", 0), 0x803b0013},
		{"another port", fmt.Sprintf(mapping, 17, 8081, "192.168.1.5", 0), 0},
		{"another protocol", fmt.Sprintf(mapping, 6, 8080, "192.168.1.5", 0), 0},
		{"another address", fmt.Sprintf(mapping, 17, 8080, "192.168.1.6", 0), 0},
		{"all addresses", fmt.Sprintf(mapping, 17, 8080, "0.0.0.0", 0), 0x803b0013},
		{"any address", fmt.Sprintf(mapping, 17, 8080, "", 0), 0x803b0013},
		{"another family", fmt.Sprintf(mapping, 17, 8080, "", 2), 0},
		{"twice in one document", fmt.Sprintf(mapping, 6, 1, "", 0) + "," + fmt.Sprintf(mapping, 6, 1, "", 0), 0x803b0013},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "2025")
			n := c.network("NAT", "n")
			c.createEndpoint(n, v2(`"Name":"a","Policies":[`+fmt.Sprintf(mapping, 17, 8080, "192.168.1.5", 0)+`]`))
			before := c.dump()
			got := c.call("HcnCreateEndpoint", c.open("Network", n), "", v2(`"Name":"b","Policies":[`+tc.second+`]`)).Code
			if uint32(got) != tc.want {
				t.Errorf("got %s, want %#x", got, tc.want)
			}
			if got != 0 && c.dump() != before {
				t.Errorf("something was left behind:\n%s", c.dump())
			}
			// Another network has ports of its own.
			other := c.create("Network", v2(`"Type":"NAT","Name":"other"`))
			c.createEndpoint(other, v2(`"Policies":[`+fmt.Sprintf(mapping, 17, 8080, "192.168.1.5", 0)+`]`))
		})
	}
}

func TestAssignedPort(t *testing.T) {
	const unassigned = `{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80}}`
	c := newClient(t, "2025")
	n := c.network("NAT", "n")
	id := c.createEndpoint(n, v2(`"Policies":[`+unassigned+`,`+unassigned+`]`))
	got := schema.Marshal(c.query("Endpoint", id, "")["Policies"])
	want := `[{"Settings":{"ExternalPort":49152,"InternalPort":80,"Protocol":6},"Type":"PortMapping"},` +
		`{"Settings":{"ExternalPort":49153,"InternalPort":80,"Protocol":6},"Type":"PortMapping"}]`
	if got != want {
		t.Errorf("got %s", got)
	}
}

// TestDeleteEndpoint: references to it go with it.
func TestDeleteEndpoint(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("Overlay", "n")
	e := c.createEndpoint(n, v2(`"Name":"e"`))
	f := c.createEndpoint(n, v2(`"Name":"f"`))
	s := c.create("Namespace", `{"ID":"`+unknownID+`"}`)
	c.attach(s, e)
	c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+e+`","`+f+`"],"FrontendVIPs":["1.1.1.2"]`))
	c.create("SdnRoute", v2(`"HostComputeEndpoints":["`+f+`","`+e+`"],"Setting":[{"DestinationPrefix":"10.0.0.0/8","NextHop":"10.0.0.1"}]`))
	c.must("HcnDeleteEndpoint", e)
	want := `network "n" Overlay
  adapter "Ethernet"
  subnet 192.168.100.0/24 gateway 192.168.100.1 vsid 5000
  endpoint "f"
    state created
    address 192.168.100.3/24
    route 0.0.0.0/0 via 192.168.100.1
namespace 5f0b1190-63be-4e0c-b974-bd0f55675a42 Host
loadbalancer 1.1.1.2
  endpoint "n"/"f"
route 10.0.0.0/8 via 10.0.0.1
  endpoint "n"/"f"
`
	if diff := cmp.Diff(want, c.dump()); diff != "" {
		t.Errorf("dump (-want +got):\n%s", diff)
	}
	if got := c.call("HcnDeleteEndpoint", e).Code; got != 0x803b0002 {
		t.Errorf("deleting it again: %s", got)
	}
}

// TestVanishingEndpoint: hcsshim lists by Enumerate and then Open, and what is
// deleted in between fails the list.
func TestVanishingEndpoint(t *testing.T) {
	c := newClient(t, "2025")
	id := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
	ids := c.enumerate("Endpoints", "")
	c.must("HcnDeleteEndpoint", id)
	if got := c.call("HcnOpenEndpoint", ids[0]).Code; got != 0x803b0002 {
		t.Errorf("got %s", got)
	}
}

// TestSettingsVerbatim: members that HNS does not know come back.
func TestSettingsVerbatim(t *testing.T) {
	const settings = `{"Exceptions":["10.0.0.0/8"],"Tag":{"b":1,"a":[null,1e3]},"Exceptions ":true}`
	c := newClient(t, "2025")
	n := c.network("L2Bridge", "n")
	e := c.createEndpoint(n, with("OutBoundNAT", settings))
	reply := c.must("HcnQueryEndpointProperties", c.open("Endpoint", e), "")
	if !strings.Contains(reply.Out, `"Settings":`+settings) {
		t.Errorf("got %s", reply.Out)
	}
}
