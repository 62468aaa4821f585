// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// scrub replaces ids and generated MAC addresses in a document.
func scrub(doc map[string]any) map[string]any {
	for key, value := range doc {
		switch v := value.(type) {
		case string:
			switch key {
			case "ID", "SwitchGuid", "HostComputeNetwork", "VirtualNetwork", "CompartmentGuid":
				doc[key] = "<id>"
			case "DrMacAddress":
				doc[key] = "<mac>"
			}
		case map[string]any:
			scrub(v)
		case []any:
			for _, e := range v {
				if m, ok := e.(map[string]any); ok {
					scrub(m)
				}
			}
		}
	}
	return doc
}

// sameJSON compares a document with the JSON that is wanted.
func (c client) sameJSON(want string, got map[string]any) {
	c.Helper()
	var wanted map[string]any
	c.decode(want, &wanted)
	if diff := cmp.Diff(wanted, scrub(got)); diff != "" {
		c.Errorf("document (-want +got):\n%s", diff)
	}
}

const v1Subnet = `"Subnets":[{"AddressPrefix":"192.168.100.0/24","GatewayAddress":"192.168.100.1"%s}]`

// networkDocuments hold what a document becomes in either schema.
var networkDocuments = []struct{ name, document, v2, v1 string }{
	{
		"nat", v2(`"ID":"5F0B1190-63BE-4E0C-B974-BD0F55675A42","Name":"n","Type":"NAT","Health":{"Extra":{}},"Dns":{},"Unknown":1,
			"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5d-52-c0-00","EndMacAddress":"00-15-5D-52-CF-FF"}]},` + subnetMember("")),
		`{
			"ID":"<id>",
			"Name":"n",
			"State":1,
			"Dns":{},
			"SchemaVersion":{"Major":2,"Minor":0},
			"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}]},
			"Health":{"Extra":{"SwitchGuid":"<id>"}},
			"Ipams":[
				{
					"Type":"Static",
					"Subnets":[
						{
							"ID":"<id>",
							"IpAddressPrefix":"192.168.100.0/24",
							"Routes":[
								{"NextHop":"192.168.100.1","DestinationPrefix":"0.0.0.0/0"}
							]
						}
					]
				}
			]
		}`,
		`{
			"ID":"<id>",
			"Name":"n",
			"Type":"NAT",
			"Policies":[],
			"State":1,
			"Flags":0,
			"Version":64424509444,
			"SwitchGuid":"<id>",
			"MacPools":[
				{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}
			],
			"Subnets":[
				{"ID":"<id>","AddressPrefix":"192.168.100.0/24","GatewayAddress":"192.168.100.1","ObjectType":5}
			],
			"CurrentEndpointCount":0,
			"TotalEndpoints":0
		}`,
	},
	{
		"l2bridge of v1", `{"Name":"n","Type":"l2bridge","NetworkAdapterName":"Ethernet","DNSSuffix":"a.b,c",
			"DNSServerList":"1.1.1.1,8.8.8.8",
			"SourceMac":"00-15-5D-00-00-01","MacPools":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}],` +
			fmt.Sprintf(v1Subnet, `,"Policies":[{"Type":"VLAN","VLAN":7}]`) + `}`,
		`{
			"ID":"<id>",
			"Name":"n",
			"Type":"L2Bridge",
			"State":1,
			"SchemaVersion":{"Major":2,"Minor":0},
			"Dns":{"Search":["a.b","c"],"ServerList":["1.1.1.1","8.8.8.8"]},
			"Policies":[
				{"Type":"SourceMacAddress","Settings":{"SourceMacAddress":"00-15-5D-00-00-01"}}
			],
			"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}]},
			"Health":{"Extra":{"SwitchGuid":"<id>"}},
			"Ipams":[
				{
					"Type":"Static",
					"Subnets":[
						{
							"ID":"<id>",
							"IpAddressPrefix":"192.168.100.0/24",
							"Policies":[{"Type":"VLAN","Settings":{"IsolationId":7}}],
							"Routes":[
								{"NextHop":"192.168.100.1","DestinationPrefix":"0.0.0.0/0"}
							]
						}
					]
				}
			]
		}`,
		`{
			"ID":"<id>",
			"Name":"n",
			"Type":"l2bridge",
			"State":1,
			"Flags":0,
			"Version":64424509444,
			"SwitchGuid":"<id>",
			"Policies":[
				{"Type":"SourceMacAddress","SourceMacAddress":"00-15-5D-00-00-01"}
			],
			"DNSSuffix":"a.b,c",
			"DNSServerList":"1.1.1.1,8.8.8.8",
			"ManagementIP":"192.168.1.5",
			"NetworkAdapterName":"Ethernet",
			"MacPools":[
				{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}
			],
			"Subnets":[
				{
					"ID":"<id>",
					"AddressPrefix":"192.168.100.0/24",
					"GatewayAddress":"192.168.100.1",
					"ObjectType":5,
					"Policies":[{"Type":"VLAN","VLAN":7}]
				}
			],
			"CurrentEndpointCount":0,
			"TotalEndpoints":0
		}`,
	},
}

func TestNetworkDocuments(t *testing.T) {
	for _, tc := range networkDocuments {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "2025")
			id := c.create("Network", tc.document)
			c.sameJSON(tc.v2, c.query("Network", id, ""))
			c.sameJSON(tc.v1, c.query("Network", id, `{"SchemaVersion":{"Major":1,"Minor":0}}`))
			if v1 := c.outputV1("GET", "/networks/"+id, "")["ID"]; v1 != strings.ToUpper(id) {
				t.Errorf("id in v1 is %v, in v2 %s", v1, id)
			}
		})
	}
}

// TestOverlayNetwork: HNS adds a distributed router of its own.
func TestOverlayNetwork(t *testing.T) {
	c := newClient(t, "2025")
	id := c.network("Overlay", "n")
	got := schema.Marshal(c.query("Network", id, "")["Policies"])
	if !strings.Contains(got, `"DrMacAddress"`) {
		t.Errorf("policies %s", got)
	}
	if mac := c.outputV1("GET", "/networks/"+id, "")["DrMacAddress"]; !strings.Contains(got, fmt.Sprint(mac)) {
		t.Errorf("v1 says %v, v2 %s", mac, got)
	}
	if strings.Contains(c.dump(), "DrMacAddress") {
		t.Errorf("dump shows what is random:\n%s", c.dump())
	}
}

func TestNetworkTypes(t *testing.T) {
	c := newClient(t, "2025")
	for _, tc := range []struct{ document, want string }{
		{`{"Type":0,"Name":"a"}`, ""},
		{`{"Name":"b"}`, ""},
		{`{"Type":"transparent","Name":"c"}`, "Transparent"},
		{`{"Type":2,"Name":"d"}`, "Transparent"},
		{`{"Type":"ICS","Name":"e"}`, "ICS"},
		{`{"Type":"Private","Name":"f"}`, "Private"},
	} {
		id := c.create("Network", tc.document)
		if got, _ := c.query("Network", id, "")["Type"].(string); got != tc.want {
			t.Errorf("%s: type %q, want %q", tc.document, got, tc.want)
		}
	}
}

// TestAutomaticSubnet: each nat network gets a prefix that nothing else uses.
func TestAutomaticSubnet(t *testing.T) {
	c := newClient(t, "2025")
	if err := c.SetNode(Node{Adapters: []Adapter{{Name: "Ethernet", Address: netip.MustParsePrefix("172.16.1.1/24")}}}); err != nil {
		t.Fatal(err)
	}
	c.create("Network", v2(`"Name":"a","Type":"NAT","Ipams":[]`))
	c.create("Network", `{"Name":"b","Type":"NAT"}`)
	state, _ := c.State()
	var got []string
	for _, n := range state.Networks {
		got = append(got, n.Subnets[0].Prefix.String()+" "+n.Subnets[0].Gateway.String())
		if len(n.MACPool) != 1 || n.MACPool[0].Start[15:] != "00" || n.MACPool[0].End[13:] != "F-FF" {
			t.Errorf("MAC pool %v", n.MACPool)
		}
	}
	if diff := cmp.Diff([]string{"172.16.16.0/20 172.16.16.1", "172.16.32.0/20 172.16.32.1"}, got); diff != "" {
		t.Errorf("subnets (-want +got):\n%s", diff)
	}
}

func TestManagementIPDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := ProfileNamed("2025")
		p.ManagementIPDelay = 5 * time.Second
		c := client{t, New(p), "test"}
		id := c.network("L2Bridge", "n")
		if ip, ok := c.outputV1("GET", "/networks/"+id, "")["ManagementIP"]; ok {
			t.Errorf("management address %v at once", ip)
		}
		time.Sleep(5 * time.Second)
		if ip := c.outputV1("GET", "/networks/"+id, "")["ManagementIP"]; ip != "192.168.1.5" {
			t.Errorf("management address %v in the end", ip)
		}
	})
}

func TestUplink(t *testing.T) {
	wifi := Adapter{Name: "Wi-Fi", Address: netip.MustParsePrefix("10.0.0.2/24"), Index: 3, Unusable: true}
	one := Adapter{Name: "Ethernet", Address: netip.MustParsePrefix("192.168.1.5/24"), Index: 7}
	two := Adapter{Name: "Ethernet 2", Address: netip.MustParsePrefix("192.168.2.5/24"), Index: 9}
	policy := func(kind, settings string) string {
		return fmt.Sprintf(`"Policies":[{"Type":%q,"Settings":%s}],`, kind, settings)
	}
	for _, tc := range []struct {
		name, members string
		adapters      []Adapter
		want          string
		code          uint32
	}{
		{"the only one", "", []Adapter{wifi, one}, "Ethernet", 0},
		{"by name", policy("NetAdapterName", `{"NetworkAdapterName":"ethernet 2"}`), []Adapter{one, two}, "Ethernet 2", 0},
		{"by alias", policy("InterfaceConstraint", `{"InterfaceAlias":"Ethernet"}`), []Adapter{one, two}, "Ethernet", 0},
		{"by index", policy("InterfaceConstraint", `{"InterfaceIndex":9}`), []Adapter{one, two}, "Ethernet 2", 0},
		{"by address", policy("ProviderAddress", `{"ProviderAddress":"192.168.2.5"}`), []Adapter{one, two}, "Ethernet 2", 0},
		{"ambiguous", "", []Adapter{one, two}, "", 0x803b0006},
		{"none", "", nil, "", 0x803b0006},
		{"unknown", policy("NetAdapterName", `{"NetworkAdapterName":"eth0"}`), []Adapter{one}, "", 0x803b0006},
		{"unusable", policy("NetAdapterName", `{"NetworkAdapterName":"Wi-Fi"}`), []Adapter{wifi, one}, "", 0x803b0006},
		{"a virtual one", policy("NetAdapterName", `{"NetworkAdapterName":"vEthernet (Ethernet)"}`), []Adapter{one}, "", 0x80070057},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "2025")
			if err := c.SetNode(Node{Adapters: tc.adapters}); err != nil {
				t.Fatal(err)
			}
			reply := c.call("HcnCreateNetwork", "", networkDocument("L2Bridge", "n", tc.members))
			if uint32(reply.Code) != tc.code {
				t.Fatalf("code %s, want %#x", reply.Code, tc.code)
			}
			state, _ := c.State()
			got := ""
			for _, n := range state.Networks {
				got = n.Adapter
			}
			if got != tc.want {
				t.Errorf("adapter %q, want %q", got, tc.want)
			}
		})
	}
}

// TestSharedUplink: networks of one type share an adapter, others collide.
func TestSharedUplink(t *testing.T) {
	c := newClient(t, "2025")
	c.network("L2Bridge", "a")
	c.network("L2Bridge", "b")
	if got := c.call("HcnCreateNetwork", "", networkDocument("Transparent", "c", "")).Code; got != schema.CodeInvalidParameter {
		t.Errorf("another type: %s", got)
	}
	c.network("NAT", "d")
}

func TestFilters(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("NAT", "n")
	m := c.create("Network", v2(`"Name":"m","Type":"NAT"`))
	e := c.createEndpoint(n, v2(`"Name":"e","IpConfigurations":[{"IpAddress":"192.168.100.9"}],"MacAddress":"0e-2a-00-00-00-01"`))
	f := c.createEndpoint(m, v2(`"Name":"e"`))
	s := c.create("Namespace", `{"CreateWithCompartment":true}`)
	for _, tc := range []struct {
		plural, filter string
		want           []string
	}{
		{"Networks", "", []string{n, m}},
		{"Networks", `{}`, []string{n, m}},
		{"Networks", `{"ID":"` + strings.ToUpper(n) + `"}`, []string{n}},
		{"Networks", `{"ID":"` + unknownID + `"}`, nil},
		{"Networks", `{"ID":""}`, nil},
		{"Networks", `{"Name":"m"}`, []string{m}},
		{"Networks", `{"Name":"M"}`, nil},
		{"Networks", `{"Type":"NAT"}`, []string{n, m}},
		{"Networks", `{"Subnets":"x"}`, nil},
		{"Endpoints", `{"Name":"e"}`, []string{e, f}},
		{"Endpoints", `{"VirtualNetwork":"` + strings.ToUpper(m) + `"}`, []string{f}},
		{"Endpoints", `{"VirtualNetworkName":"n"}`, []string{e}},
		{"Endpoints", `{"VirtualNetworkName":"n","Name":"f"}`, nil},
		{"Endpoints", `{"State":1}`, []string{e, f}},
		{"Endpoints", `{"State":3}`, nil},
		{"Endpoints", `{"IPAddress":"192.168.100.9"}`, []string{e}},
		{"Endpoints", `{"IPv6Address":"fd00::1"}`, nil},
		{"Endpoints", `{"MacAddress":"0E-2A-00-00-00-01"}`, []string{e}},
		{"Endpoints", `{"HostComputeNetwork":"` + n + `"}`, nil},
		{"Namespaces", `{"ID":"00000000-0000-0000-0000-000000000000"}`, nil},
		{"Namespaces", `{"CompartmentId":2}`, []string{s}},
		{"Namespaces", `{"Unknown":2}`, nil},
		{"LoadBalancers", `{"SourceVIP":"10.0.0.1"}`, nil},
		{"SdnRoutes", `{"NextHop":"10.0.0.1"}`, nil},
	} {
		got := c.enumerate(tc.plural, tc.filter)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s %s = %v, want %v", tc.plural, tc.filter, got, tc.want)
		}
	}
	if got := c.must("HcnEnumerateLoadBalancers", "").Out; got != "[]" {
		t.Errorf("nothing is enumerated as %q", got)
	}
}

// These are requests of HcnModifyNetwork, still without their particulars.
const (
	policyRequest = `{"ResourceType":"Policy","RequestType":%q,"Settings":{"Policies":[%s]}}`
	setPolicy     = `{"Type":"SetPolicy","Settings":{"Id":%q,"Name":"s","PolicyType":%q,"Values":%q}}`
)

// networkChanges are made one after the other to an l2bridge network; line is
// then in the dump.
var networkChanges = []struct {
	name, settings string
	want           uint32
	line           string
}{
	{"add", fmt.Sprintf(policyRequest, "Add", `{"Type":"HostRoute"}`), 0, `policy HostRoute {}`},
	{"remove", fmt.Sprintf(policyRequest, "Remove", `{"Type":"HostRoute","Settings":{}}`), 0, ""},
	{"remove again", fmt.Sprintf(policyRequest, "Remove", `{"Type":"HostRoute"}`), 0x803b0008, ""},
	{"update", fmt.Sprintf(policyRequest, "Update", `{"Type":"AutomaticDNS",
		"Settings":{"Enable":true}}`), 0, `policy AutomaticDNS {"Enable":true}`},
	{"update by number", fmt.Sprintf(policyRequest, "2", `{"Type":"AutomaticDNS",
		"Settings":{"Enable":false}}`), 0, `policy AutomaticDNS {"Enable":false}`},
	{"refresh", fmt.Sprintf(policyRequest, "Refresh", ``), 0x803b0015, ""},
	{"nested set before its member", fmt.Sprintf(policyRequest, "Add", fmt.Sprintf(setPolicy, "n", "NESTEDIPSET", "s")), 0x803b000d, ""},
	{"set", fmt.Sprintf(policyRequest, "Add", fmt.Sprintf(setPolicy, "s", "IPSET", "10.0.0.1,10.1.0.0/16")), 0, `"Values":"10.0.0.1,10.1.0.0/16"`},
	{"set again", fmt.Sprintf(policyRequest, "Add", fmt.Sprintf(setPolicy, "s", "IPSET", "10.0.0.2")), 0, `"Values":"10.0.0.2"`},
	{"nested set", fmt.Sprintf(policyRequest, "Add", fmt.Sprintf(setPolicy, "n", "NESTEDIPSET", "s")), 0, `"PolicyType":"NESTEDIPSET"`},
	{"remove member", fmt.Sprintf(policyRequest, "Remove", fmt.Sprintf(setPolicy, "s", "IPSET", "")), 0x803b002c, ""},
	{"remove nested", fmt.Sprintf(policyRequest, "Remove", fmt.Sprintf(setPolicy, "n", "NESTEDIPSET", "")), 0, ""},
	{"remove set", fmt.Sprintf(policyRequest, "Remove", fmt.Sprintf(setPolicy, "s", "IPSET", "")), 0, ""},
	{"remove set again", fmt.Sprintf(policyRequest, "Remove", fmt.Sprintf(setPolicy, "s", "IPSET", "")), 0x803b0008, ""},
	{"update unknown set", fmt.Sprintf(policyRequest, "Update", fmt.Sprintf(setPolicy, "s", "IPSET", "10.0.0.1")), 0, ""},
	{"set of names", fmt.Sprintf(policyRequest, "Add", fmt.Sprintf(setPolicy, "s", "IPSET", "web")), 0x803b000d, ""},
	{"set of a strange type", fmt.Sprintf(policyRequest, "Add", fmt.Sprintf(setPolicy, "s", "LIST", "")), 0x803b000d, ""},
	{"set without id", fmt.Sprintf(policyRequest, "Add", fmt.Sprintf(setPolicy, "", "IPSET", "")), 0x803b000d, ""},
	{"dns", `{"ResourceType":"DNS","RequestType":"Update","Settings":{"ServerList":["9.9.9.9"]}}`, 0, "dns servers 9.9.9.9"},
	{"dns add", `{"ResourceType":"DNS","RequestType":"Add","Settings":{}}`, 0x803b0015, ""},
	{"extension", `{
		"ResourceType":"Extension",
		"RequestType":"Update",
		"Settings":{"Id":"F74F241B-440F-4433-BB28-00F89EAD20D8","IsEnabled":true}
	}`, 0, ""},
	{"strange extension", `{"ResourceType":1,"RequestType":2,"Settings":{"Id":"` + unknownID + `"}}`, 0x803b001f, ""},
	{"subnet without gateway", `{
		"ResourceType":"Subnet",
		"RequestType":"Add",
		"Settings":{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}
	}`, 0x803b0032, ""},
	{"subnet", `{
		"ResourceType":"Subnet",
		"RequestType":"Add",
		"Settings":{
			"Subnets":[
				{"IpAddressPrefix":"10.9.0.0/24","Routes":[{"NextHop":"10.9.0.1","DestinationPrefix":"0.0.0.0/0"}]}
			]
		}
	}`, 0, "subnet 10.9.0.0/24 gateway 10.9.0.1"},
	{"overlapping subnet", `{
		"ResourceType":"Subnet",
		"RequestType":"Add",
		"Settings":{"Subnets":[{"IpAddressPrefix":"10.9.0.0/16"}]}
	}`, 0x803b0032, ""},
	{"remove subnet", `{
		"ResourceType":"Subnet",
		"RequestType":"Remove",
		"Settings":{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}
	}`, 0, ""},
	{"remove subnet again", `{
		"ResourceType":"Subnet",
		"RequestType":"Remove",
		"Settings":{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}
	}`, 0x803b0005, ""},
	{"update subnet", `{
		"ResourceType":"Subnet",
		"RequestType":"Update",
		"Settings":{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}
	}`, 0x803b0015, ""},
	{"ip subnet", `{"ResourceType":"IPSubnet","RequestType":"Add","Settings":{}}`, 0x803b0015, ""},
	{"dns of the wrong type", `{"ResourceType":"DNS","RequestType":"Update","Settings":5}`, 0x803b001b, ""},
	{"extension of the wrong type", `{"ResourceType":"Extension","RequestType":"Update","Settings":5}`, 0x803b001b, ""},
	{"extension that is no GUID", `{"ResourceType":"Extension","RequestType":"Update","Settings":{"Id":"vfp"}}`, 0x803b001b, ""},
	{"subnets of the wrong type", `{"ResourceType":"Subnet","RequestType":"Add","Settings":{"Subnets":5}}`, 0x803b001b, ""},
	{"subnet with host bits", `{"ResourceType":"Subnet","RequestType":"Add","Settings":{"Subnets":[{"IpAddressPrefix":"10.9.0.1/24"}]}}`, 0x803b001b, ""},
	{"the only subnet", `{"ResourceType":"Subnet","RequestType":"Remove","Settings":{"Subnets":[{"IpAddressPrefix":"192.168.100.0/24"}]}}`, 0x803b000a, ""},
	{"policies of the wrong type", `{"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":5}}`, 0x803b001b, ""},
	{"policy of the wrong type", `{"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[5]}}`, 0x803b001b, ""},
	{"strange resource", `{"ResourceType":"Port","RequestType":"Add"}`, 0x803b0015, ""},
	{"strange request", `{"ResourceType":"Policy","RequestType":9}`, 0x803b0015, ""},
	{"garbage", `[]`, 0x803b001b, ""},
}

func TestModifyNetwork(t *testing.T) {
	c := newClient(t, "2025")
	id := c.network("L2Bridge", "n")
	for _, tc := range networkChanges {
		if got := c.modify("Network", id, tc.settings); uint32(got) != tc.want {
			t.Errorf("%s: %s (%s), want %#x", tc.name, got, c.lastReason(), tc.want)
		}
		if !strings.Contains(c.dump(), tc.line) {
			t.Errorf("%s: %q is not in\n%s", tc.name, tc.line, c.dump())
		}
	}
	want := `network "n" L2Bridge
  adapter "Ethernet"
  subnet 192.168.100.0/24 gateway 192.168.100.1
  dns servers 9.9.9.9
  policy AutomaticDNS {"Enable":false}
`
	if diff := cmp.Diff(want, c.dump()); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
}

func TestSubnetsCannotBeModifiedOn2019(t *testing.T) {
	c := newClient(t, "2019")
	got := c.modify("Network", c.network("NAT", "n"), `{"ResourceType":"Subnet","RequestType":"Add","Settings":{}}`)
	if got != schema.CodeUnsupported {
		t.Errorf("got %s", got)
	}
}

// TestDeleteNetwork: endpoints and every reference to them go with it.
func TestDeleteNetwork(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("Overlay", "n")
	e := c.createEndpoint(n, v2(`"Name":"e"`))
	s := c.create("Namespace", `{"ID":"`+unknownID+`"}`)
	c.attach(s, e)
	c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+e+`"],"FrontendVIPs":["1.1.1.2"]`))
	c.create("SdnRoute", v2(`"HostComputeEndpoints":["`+e+`"],"Setting":[{"DestinationPrefix":"10.0.0.0/8"}]`))
	c.must("HcnDeleteNetwork", n)
	want := "namespace " + unknownID + " Host\nloadbalancer 1.1.1.2\nroute 10.0.0.0/8 via \n"
	if diff := cmp.Diff(want, c.dump()); diff != "" {
		t.Errorf("dump (-want +got):\n%s", diff)
	}
	c.network("Overlay", "n")
}

func TestFlagNames(t *testing.T) {
	c := newClient(t, "2025")
	for _, tc := range []struct {
		flags string
		want  any
	}{
		{`8`, 8.0}, {`"EnableNonPersistent"`, 8.0}, {`"EnableDnsProxy, EnableDhcpServer"`, 3.0}, {`0`, nil}, {`"8"`, 8.0},
	} {
		id := c.create("Network", v2(`"Type":"NAT","Flags":`+tc.flags))
		if got := c.query("Network", id, "")["Flags"]; got != tc.want {
			t.Errorf("flags %s are read back as %v, want %v", tc.flags, got, tc.want)
		}
	}
}
