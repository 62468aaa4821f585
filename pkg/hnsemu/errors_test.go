// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// refusal is a document that HNS refuses. It is to create a network, or an
// endpoint on a network of the type on.
type refusal struct {
	name, profile string
	on            string
	document      string
	want          hns.HRESULT
}

// ipams is the Ipams member with one subnet.
func ipams(prefix, gateway, policies string) string {
	return fmt.Sprintf(`"Ipams":[{"Type":"Static","Subnets":[{"IpAddressPrefix":%q,"Policies":[%s],`+
		`"Routes":[{"NextHop":%q,"DestinationPrefix":"0.0.0.0/0"}]}]}]`, prefix, policies, gateway)
}

func vsid(id int) string {
	return fmt.Sprintf(`{"Type":"VSID","Settings":{"IsolationId":%d}}`, id)
}

// with is an endpoint document with a policy of that type and settings.
func with(kind, settings string) string {
	return v2(fmt.Sprintf(`"Policies":[{"Type":%q,"Settings":%s}]`, kind, settings))
}

// withNet is the same for a network of a type.
func withNet(network, kind, settings string) string {
	return networkDocument(network, "new", fmt.Sprintf(`"Policies":[{"Type":%q,"Settings":%s}],`, kind, settings))
}

// aclWith is an endpoint document with an ACL of these members, over valid ones.
func aclWith(members string) string {
	return with("ACL", `{"Action":"Allow","Direction":"In","RuleType":"Switch","Priority":1000,`+members+`}`)
}

var refusals = []refusal{
	{"malformed", "", "", `{"Name":`, 0x803b001b},
	{"wrong type of member", "", "", v2(`"Name":5`), 0x803b001b},
	{"id that is no GUID", "", "", v2(`"ID":"net1"`), 0x803b001b},
	{"unknown flag", "", "", v2(`"Flags":"Fast"`), 0x803b001b},
	{"name taken", "", "", v2(`"Type":"NAT","Name":"NAT"`), 0x803b0010},
	{"unknown type", "", "", v2(`"Type":"bridge"`), 0x803b000b},
	{"unknown type number", "", "", v2(`"Type":99`), 0x803b000b},
	{"ipam type", "", "", v2(`"Type":"NAT","Ipams":[{"Type":"Magic"}]`), 0x803b001b},
	{"host bits", "", "", v2(`"Type":"NAT",` + ipams("10.172.204.0/8", "10.172.204.1", "")), 0x803b001b},
	{"no prefix", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0", "10.0.0.1", "")), 0x803b001b},
	{"no room", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0/31", "10.0.0.1", "")), 0x803b0030},
	{"no address for a gateway", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0/24", "gw", "")), 0x803b001b},
	{"gateway outside", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0/24", "10.0.1.1", "")), 0x803b000a},
	{"gateway is the network", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0/24", "10.0.0.0", "")), 0x803b000a},
	{"empty next hop", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0/24", "", "")), 0x803b0032},
	{"route with host bits", "", "", v2(`"Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.0.0.0/24",
		"Routes":[{"DestinationPrefix":"1.1.1.1/0"}]}]}]`), 0x803b001b},
	{"no gateway", "", "", v2(`"Type":"L2Bridge","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.0.0.0/24"}]}]`), 0x803b0032},
	{"no subnet", "", "", v2(`"Type":"L2Bridge"`), 0x803b000a},
	{"overlapping nat", "", "", v2(`"Type":"NAT",` + ipams("192.168.0.0/16", "192.168.0.1", "")), 0x80070034},
	{"overlay without VSID", "", "", v2(`"Type":"Overlay",` + ipams("10.0.0.0/24", "10.0.0.1", "")), 0x803b000a},
	{"small VSID", "", "", v2(`"Type":"Overlay",` + ipams("10.0.0.0/24", "10.0.0.1", vsid(4095))), 0x803b000d},
	{"large VSID", "", "", v2(`"Type":"Overlay",` + ipams("10.0.0.0/24", "10.0.0.1", vsid(1<<24))), 0x803b000d},
	{"large VLAN", "", "", v2(`"Type":"L2Bridge",` + ipams("10.0.0.0/24", "10.0.0.1", `{"Type":"VLAN",
		"Settings":{"IsolationId":4095}}`)), 0x803b000d},
	{"strange subnet policy", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0/24", "10.0.0.1", `{"Type":"ACL","Settings":{}}`)), 0x803b000e},
	{"flat subnet policy", "", "", v2(`"Type":"NAT",` + ipams("10.0.0.0/24", "10.0.0.1", `{"Type":"VSID","VSID":5000}`)), 0x803b000d},
	{"v1 gateway", "", "", `{"Subnets":[{"AddressPrefix":"10.0.0.0/24","GatewayAddress":"x"}]}`, 0x803b001b},
	{"v1 prefix", "", "", `{"Subnets":[{"AddressPrefix":"10.0.0.1/24","GatewayAddress":"10.0.0.1"}]}`, 0x803b001b},
	{"v1 policy of v2", "", "", `{"Subnets":[{"AddressPrefix":"10.0.0.0/24","Policies":[{"VLAN":1}]}]}`, 0x803b000d},
	{"MAC range", "", "", v2(`"Type":"NAT","MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-CF-FF",
		"EndMacAddress":"00-15-5D-52-C0-00"}]}`), 0x803b000a},
	{"MAC", "", "", v2(`"Type":"NAT","MacPool":{"Ranges":[{"StartMacAddress":"00-15","EndMacAddress":"00-15-5D-52-C0-00"}]}`), 0x803b001b},
	{"no end of MACs", "", "", v2(`"Type":"NAT","MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00"}]}`), 0x803b001b},
	{"unknown adapter", "", "", withNet("L2Bridge", "NetAdapterName", `{"NetworkAdapterName":"eth0"}`), 0x803b0006},
	{"other type on the adapter", "", "", v2(`"Type":"L2Tunnel",` + ipams("10.0.0.0/24", "10.0.0.1", "")), 0x80070057},
	{"unknown network policy", "", "", withNet("L2Bridge", "Magic", `{}`), 0x803b000e},
	{"endpoint policy on a network", "", "", withNet("L2Bridge", "ACL", `{}`), 0x803b000e},
	{"policy without type", "", "", v2(`"Policies":[{"Settings":{}}]`), 0x803b000d},
	{"policy that is no object", "", "", v2(`"Policies":["HostRoute"]`), 0x803b001b},
	{"policy with a numeric type", "", "", v2(`"Policies":[{"Type":1,"Settings":{}}]`), 0x803b001b},
	{"policy without settings", "", "", v2(`"Type":"NAT","Policies":[{"Type":"DrMacAddress"}]`), 0x803b000d},
	{"policy with null settings", "", "", v2(`"Type":"NAT","Policies":[{"Type":"DrMacAddress","Settings":null}]`), 0x803b000d},
	{"host route on nat", "", "", v2(`"Type":"NAT","Policies":[{"Type":"HostRoute","Settings":{}}]`), 0x803b000e},
	{"remote subnet on l2bridge", "", "", withNet("L2Bridge", "RemoteSubnetRoute", `{}`), 0x803b000e},
	{"sets on 2019", "2019", "", withNet("L2Bridge", "SetPolicy", `{}`), 0x803b000e},
	{"network ACL on 2022", "2022", "", withNet("L2Bridge", "NetworkACL", `{}`), 0x803b000e},
	{"network ACL without action", "", "", withNet("L2Bridge", "NetworkACL", `{"Direction":"In"}`), 0x803b000d},

	{"endpoint malformed", "", "NAT", `[`, 0x803b001b},
	{"endpoint id", "", "NAT", v2(`"ID":"e"`), 0x803b001b},
	{"network id", "", "NAT", v2(`"HostComputeNetwork":"e"`), 0x803b001b},
	{"another network", "", "NAT", v2(`"HostComputeNetwork":"` + unknownID + `"`), 0x803b001c},
	{"another network in v1", "", "NAT", `{"VirtualNetwork":"` + unknownID + `"}`, 0x803b001c},
	{"namespace", "", "NAT", v2(`"HostComputeNamespace":"` + unknownID + `"`), 0x803b000c},
	{"v1 namespace", "", "NAT", `{"Namespace":{"ID":"` + unknownID + `"}}`, 0x803b000c},
	{"namespace id", "", "NAT", v2(`"HostComputeNamespace":"none"`), 0x803b001b},
	{"MAC address", "", "NAT", v2(`"MacAddress":"x"`), 0x803b001b},
	{"endpoint flags", "", "NAT", v2(`"Flags":"Remote"`), 0x803b001b},
	{"no address", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"10.0.0.256"}]`), 0x803b001e},
	{"address outside", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"10.0.0.2"}]`), 0x803b001e},
	{"gateway's address", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.1"}]`), 0x803b002f},
	{"gateway's address on 2019", "2019", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.1"}]`), 0x80071392},
	{"network address", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.0"}]`), 0x803b002f},
	{"broadcast", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.255"}]`), 0x803b002f},
	{"address in use", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.9"}]`), 0x803b002f},
	{"address in use on 2019", "2019", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.9"}]`), 0x80071392},
	{"address in use in v1", "", "NAT", `{"IPAddress":"192.168.100.9"}`, 0x803b002f},
	{"address twice", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.7"},{"IpAddress":"192.168.100.7"}]`), 0x803b002f},
	{"node's address", "", "L2Bridge", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.77"}]`), 0x803b002f},
	{"prefix length", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.7","PrefixLength":33}]`), 0x803b0030},
	{"negative length", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.7","PrefixLength":-1}]`), 0x803b0030},
	{"family that the network lacks", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"fd00::7"}]`), 0x803b0005},
	{"IPv6 on 2019", "2019", "NAT", v2(`"IpConfigurations":[{"IpAddress":"fd00::7"}]`), 0x803b0005},
	{"length without subnet", "", "Transparent", v2(`"IpConfigurations":[{"IpAddress":"10.0.0.7"}]`), 0x803b0005},
	{"several subnets", "", "two", v2(`"Name":"e"`), 0x803b0005},
	{"route without next hop", "", "NAT", v2(`"Routes":[{"DestinationPrefix":"0.0.0.0/0"}]`), 0x803b000c},
	{"route with host bits", "", "NAT", v2(`"Routes":[{"DestinationPrefix":"10.0.0.1/8","NextHop":"192.168.100.1"}]`), 0x803b000c},
	{"v1 gateway of an endpoint", "", "NAT", `{"GatewayAddress":"x"}`, 0x803b001b},

	{"v1 type in v2", "", "NAT", with("NAT", `{"Protocol":"TCP"}`), 0x803b000e},
	{"v1 route in v2", "", "NAT", with("ROUTE", `{}`), 0x803b000e},
	{"flat policy in v2", "", "NAT", v2(`"Policies":[{"Type":"ACL","Action":"Allow"}]`), 0x803b000d},
	{"v2 type in v1", "", "NAT", `{"Policies":[{"Type":"PortMapping","InternalPort":1}]}`, 0x803b000e},
	{"unknown type in v1", "", "NAT", `{"Policies":[{"Type":"Magic"}]}`, 0x803b000e},
	{"no type in v1", "", "NAT", `{"Policies":[{"PA":"1.1.1.1"}]}`, 0x803b000d},
	{"protocol name in v2", "", "NAT", with("PortMapping", `{"Protocol":"TCP","InternalPort":1}`), 0x803b000d},
	{"SCTP mapping", "", "NAT", with("PortMapping", `{"Protocol":132,"InternalPort":1}`), 0x803b000d},
	{"unknown protocol in v1", "", "NAT", `{"Policies":[{"Type":"NAT","Protocol":"SCTP","InternalPort":1}]}`, 0x803b000d},
	{"internal port 0", "", "NAT", with("PortMapping", `{"Protocol":6,"ExternalPort":80}`), 0x803b002d},
	{"port out of range", "", "NAT", with("PortMapping", `{"Protocol":6,"InternalPort":80,"ExternalPort":70000}`), 0x803b000d},
	{"VIP", "", "NAT", with("PortMapping", `{"Protocol":6,"InternalPort":80,"VIP":"host"}`), 0x803b000d},
	{"port in use by an endpoint", "", "NAT", with("PortMapping", `{"Protocol":6,"InternalPort":80,"ExternalPort":8080}`), 0x803b0013},
	{"port in use by a process", "", "NAT", with("PortMapping", `{"Protocol":6,"InternalPort":80,"ExternalPort":445}`), 0x80070020},
	{"mapping on transparent", "", "Transparent", with("PortMapping", `{"Protocol":6,"InternalPort":80,"ExternalPort":1}`), 0x803b0016},
	{"mapping on l2bridge", "", "L2Bridge", with("PortMapping", `{"Protocol":6,"InternalPort":80,"ExternalPort":1}`), 0x803b000e},
	{"v1 mapping on l2bridge", "", "L2Bridge", `{"Policies":[{"Type":"NAT","Protocol":"TCP","InternalPort":80,
		"ExternalPort":1}]}`, 0x803b000e},
	{"exception with host bits", "", "NAT", with("OutBoundNAT", `{"Exceptions":["172.17.0.1/16"]}`), 0x803b000d},
	{"exception that is a placeholder", "", "NAT", with("OutBoundNAT", `{"Exceptions":["<your service cidr>"]}`), 0x803b000d},
	{"destination", "", "NAT", with("OutBoundNAT", `{"Destinations":["pod"]}`), 0x803b000d},
	{"v1 member", "", "NAT", with("OutBoundNAT", `{"ExceptionList":["10.0.0.0/8"]}`), 0x803b000d},
	{"virtual address", "", "NAT", with("OutBoundNAT", `{"VirtualIP":"x"}`), 0x803b000d},
	{"exceptions of the wrong type", "2019", "NAT", with("OutBoundNAT", `{"Exceptions":"10.0.0.0/8"}`), 0x803b000d},
	{"large VLAN of an endpoint", "", "L2Bridge", with("VLAN", `{"IsolationId":4095}`), 0x803b000d},
	{"route without destination", "", "NAT", with("SDNRoute", `{"NextHop":"10.0.0.1"}`), 0x803b000d},
	{"route via nonsense", "", "NAT", with("SDNRoute", `{"DestinationPrefix":"10.0.0.0/8","NextHop":"gw"}`), 0x803b000d},
	{"route of the wrong type", "", "NAT", with("SDNRoute", `{"NeedEncap":"yes"}`), 0x803b000d},
	{"provider address", "", "NAT", with("ProviderAddress", `{"ProviderAddress":""}`), 0x803b000d},
	{"provider address of the wrong type", "", "NAT", with("ProviderAddress", `{"ProviderAddress":1}`), 0x803b000d},
	{"QOS without bandwidth", "", "NAT", with("QOS", `{}`), 0x803b000d},
	{"negative QOS", "", "NAT", with("QOS", `{"MaximumOutgoingBandwidthInBytes":-1}`), 0x803b000d},
	{"overhead", "", "NAT", with("EncapOverhead", `{"Overhead":70000}`), 0x803b000d},
	{"settings that are no object", "", "NAT", with("PortName", `"x"`), 0x803b000d},
	{"two interface parameters", "", "NAT", v2(`"Policies":[{"Type":"InterfaceParameters","Settings":{"Mtu":1400}},
		{"Type":"InterfaceParameters","Settings":{"Mtu":1400}}]`), 0x803b0036},
	{"proxy on 2019", "2019", "NAT", with("L4WFPPROXY", `{}`), 0x803b000e},
	{"interface parameters on 2019", "2019", "NAT", with("InterfaceParameters", `{"Mtu":1400}`), 0x803b000e},
	{"tiers on 2022", "2022", "L2Bridge", with("TierAcl", `{}`), 0x803b000e},
	{"tier without direction", "", "L2Bridge", with("TierAcl", `{"Order":1}`), 0x803b000d},
	{"tier with a strange action", "", "L2Bridge", with("TierAcl", `{"Direction":"In",
		"TierAclRules":[{"TierAclRuleAction":"Log"}]}`), 0x803b000d},
	{"tier with a strange protocol", "", "L2Bridge", with("TierAcl", `{"Direction":"In","TierAclRules":[{"TierAclRuleAction":"Allow",
		"Protocols":"TCP"}]}`), 0x803b000d},
	{"tier of the wrong type", "", "L2Bridge", with("TierAcl", `{"Order":"first"}`), 0x803b000d},

	{"ACL without settings", "", "L2Bridge", v2(`"Policies":[{"Type":"ACL"}]`), 0x803b000d},
	{"any address", "", "L2Bridge", aclWith(`"RemoteAddresses":"Any"`), 0x803b000d},
	{"any local address", "", "L2Bridge", aclWith(`"LocalAddresses":"Any"`), 0x803b000d},
	{"ACL with host bits", "", "L2Bridge", aclWith(`"RemoteAddresses":"10.0.0.1/8"`), 0x803b000d},
	{"blank in a list", "", "L2Bridge", aclWith(`"RemoteAddresses":"10.0.0.1, 10.0.0.2"`), 0x803b000d},
	{"unknown action", "", "L2Bridge", aclWith(`"Action":"Deny"`), 0x803b000d},
	{"action in lower case", "", "L2Bridge", aclWith(`"Action":"allow"`), 0x803b000d},
	{"pass", "", "L2Bridge", aclWith(`"Action":"Pass"`), 0x803b000d},
	{"unknown direction", "", "L2Bridge", aclWith(`"Direction":"Both"`), 0x803b000d},
	{"unknown rule type", "", "L2Bridge", aclWith(`"RuleType":"VFP"`), 0x803b000d},
	{"protocol name", "", "L2Bridge", aclWith(`"Protocols":"TCP"`), 0x803b000d},
	{"protocol number", "", "L2Bridge", aclWith(`"Protocols":"257"`), 0x803b000d},
	{"protocol of the wrong type", "", "L2Bridge", aclWith(`"Protocols":6`), 0x803b000d},
	{"VXLAN's protocol on 2019", "2019", "L2Bridge", aclWith(`"Protocols":"252"`), 0x803b000d},
	{"ports", "", "L2Bridge", aclWith(`"Protocols":"6","LocalPorts":"http"`), 0x803b000d},
	{"port range", "", "L2Bridge", aclWith(`"Protocols":"6","RemotePorts":"90-80"`), 0x803b000d},
	{"port number", "", "L2Bridge", aclWith(`"Protocols":"6","RemotePorts":"65536"`), 0x803b000d},
	{"ports of ICMP", "", "L2Bridge", aclWith(`"Protocols":"1","LocalPorts":"80"`), 0x803b000d},
	{"ID in capitals", "", "L2Bridge", aclWith(`"ID":"x"`), 0x803b000d},
	{"low priority", "", "L2Bridge", aclWith(`"Priority":99`), 0x80070057},
	{"high priority", "", "L2Bridge", aclWith(`"Priority":65501`), 0x80070057},
	{"no priority", "", "L2Bridge", with("ACL", `{"Action":"Allow","Direction":"In","RuleType":"Switch"}`), 0x80070057},
	{"priority of a Host rule", "", "L2Bridge", aclWith(`"RuleType":"Host"`), 0x80070057},
	{"priority of an untyped rule", "", "L2Bridge", aclWith(`"RuleType":"","Priority":99`), 0x80070057},
	{"priority too large for its type", "", "L2Bridge", aclWith(`"Priority":70000`), 0x803b000d},
}

// prepare makes a node with one network of most types and an endpoint that has
// 192.168.100.9 and port 8080; networks are named after their types.
func prepare(t *testing.T, profile string) (client, map[string]string) {
	t.Helper()
	if profile == "" {
		profile = "2025"
	}
	c := newClient(t, profile)
	ids := map[string]string{"NAT": c.network("NAT", "NAT")}
	taken := v2(`"Name":"taken","IpConfigurations":[{"IpAddress":"192.168.100.9"}],` +
		`"Policies":[{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":1,"ExternalPort":8080}}]`)
	c.createEndpoint(ids["NAT"], taken)
	node := Node{Adapters: hostAdapters, BoundPorts: []BoundPort{{6, 445}}}
	if err := c.SetNode(node); err != nil {
		t.Fatal(err)
	}
	uplink := `"Policies":[{"Type":"NetAdapterName","Settings":{"NetworkAdapterName":%q}}],`
	ids["L2Bridge"] = c.create("Network", networkDocument("L2Bridge", "L2Bridge", fmt.Sprintf(uplink, "Ethernet")))
	ids["Transparent"] = c.create("Network", v2(`"Name":"Transparent","Type":"Transparent",
		`+strings.TrimSuffix(fmt.Sprintf(uplink, "Ethernet 2"), ",")))
	ids["two"] = c.create("Network", v2(`"Name":"two","Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.1.0.0/24"},
		{"IpAddressPrefix":"10.2.0.0/24"}]}]`))
	node.Adapters = hostAdapters[:1]
	if err := c.SetNode(node); err != nil {
		t.Fatal(err)
	}
	return c, ids
}

var hostAdapters = []Adapter{
	{Name: "Ethernet", Address: prefixOf("192.168.100.77/24"), Index: 1},
	{Name: "Ethernet 2", Address: prefixOf("192.168.200.77/24"), Index: 2},
}

// seenCodes collects the codes that the tables of this file have tested.
var seenCodes = map[hns.HRESULT]bool{}

func TestRefusals(t *testing.T) {
	for _, tc := range refusals {
		t.Run(strings.TrimPrefix(tc.on+" "+tc.name, " "), func(t *testing.T) {
			c, ids := prepare(t, tc.profile)
			before := c.dump()
			var reply Reply
			if tc.on == "" {
				reply = c.call("HcnCreateNetwork", "", tc.document)
			} else {
				reply = c.call("HcnCreateEndpoint", c.open("Network", ids[tc.on]), "", tc.document)
			}
			if reply.Code != tc.want || reply.Handle != 0 {
				t.Errorf("%s: %s (%s)\nwant %s", tc.document, reply.Code, c.lastReason(), tc.want)
			}
			if got := c.dump(); got != before {
				t.Errorf("something was left behind:\n%s", got)
			}
		})
		seenCodes[tc.want] = true
	}
}

// TestAllowances are documents that lie just inside of what is refused above.
func TestAllowances(t *testing.T) {
	for _, tc := range []struct{ name, profile, on, document string }{
		{"single address", "", "NAT", v2(`"IpConfigurations":[{"IpAddress":"192.168.100.7","PrefixLength":32}]`)},
		{"lax exceptions", "2019", "NAT", with("OutBoundNAT", `{"Exceptions":["172.17.0.1/16","<your service cidr>"]}`)},
		{"lax route", "2019", "NAT", v2(`"Routes":[{"DestinationPrefix":"::/0"}]`)},
		{"dummy next hop", "", "L2Bridge", v2(`"Routes":[{"DestinationPrefix":"0.0.0.0/0","NextHop":"0.0.0.0"}]`)},
		{"zero namespace", "", "NAT", v2(`"HostComputeNamespace":"00000000-0000-0000-0000-000000000000"`)},
		{"own network", "", "NAT", v2(`"HostComputeNetwork":""`)},
		{"empty settings", "", "L2Bridge", v2(`"Policies":[{"Type":"L2Driver"}]`)},
		{"mapping on l2bridge", "", "L2Bridge", with("PortMapping", `{"Protocol":6,"InternalPort":80,"ExternalPort":1,"Flags":1}`)},
		{"QOS", "", "NAT", with("QOS", `{"MaximumOutgoingBandwidthInBytes":0}`)},
		{"lowest priority", "", "L2Bridge", aclWith(`"Priority":65500`)},
		{"highest priority", "", "L2Bridge", aclWith(`"Priority":100`)},
		{"256", "", "L2Bridge", aclWith(`"Protocols":"256"`)},
		{"several protocols", "", "L2Bridge", aclWith(`"Protocols":"6,17","LocalPorts":"80,8080-8090,0","RemotePorts":"65535"`)},
		{"ports of any protocol", "", "L2Bridge", aclWith(`"LocalPorts":"80"`)},
		{"addresses", "", "L2Bridge", aclWith(`"LocalAddresses":"10.0.0.2","RemoteAddresses":"10.1.0.0/16,fd00::/8,::1"`)},
		{"VXLAN's protocol", "", "L2Bridge", aclWith(`"Protocols":"252"`)},
		{"Host rule", "", "L2Bridge", with("ACL", `{"Action":"Allow","Direction":"Out","RuleType":"Host"}`)},
		{"untyped rule", "", "L2Bridge", with("ACL", `{"Action":"Allow","Direction":"Out"}`)},
		{"untyped rule with priority", "", "NAT", with("ACL", `{"Action":"Allow","Direction":"Out","Priority":1000}`)},
		{"Switch rule on nat", "", "NAT", aclWith(`"Id":"x"`)},
		{"overhead", "", "L2Bridge", with("EncapOverhead", `{"Overhead":50}`)},
		{"tier", "", "L2Bridge", with("TierAcl", `{"Direction":"In","Order":1,"TierAclRules":[{"TierAclRuleAction":"Pass",
			"Priority":1}]}`)},
		{"encryption", "", "L2Bridge", v2(`"Policies":[{"Type":"Encryption"}]`)},
		{"proxy", "", "NAT", with("L4WFPPROXY", `{"InboundProxyPort":"80"}`)},
		{"v1 proxy", "", "NAT", `{"Policies":[{"Type":"PROXY","IP":"1.1.1.1","ExceptionList":["10.0.0.0/8"]}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, ids := prepare(t, tc.profile)
			c.createEndpoint(ids[tc.on], tc.document)
		})
	}
}

// TestOverlayPolicies needs an overlay network alone on the node.
func TestOverlayPolicies(t *testing.T) {
	for _, tc := range []struct {
		profile, kind, settings string
		want                    hns.HRESULT
	}{
		{"2025", "VxlanPort", `{"Port":4790}`, 0},
		{"2025", "VxlanPort", `{"Port":0}`, 0x803b000d},
		{"2025", "VxlanPort", `{"Port":"x"}`, 0x803b000d},
		{"2019", "VxlanPort", `{"Port":4790}`, 0x803b000e},
		{"2025", "HostRoute", `{}`, 0},
		{"2025", "RemoteSubnetRoute", `{"DestinationPrefix":"192.168.2.0/24","IsolationId":5000,"ProviderAddress":"1.1.1.1",
			"DistributedRouterMacAddress":"00-12-34-56-78-9a"}`, 0},
		{"2025", "RemoteSubnetRoute", `{"DestinationPrefix":"192.168.2.1/24","IsolationId":5000,"ProviderAddress":"1.1.1.1",
			"DistributedRouterMacAddress":"00-12-34-56-78-9a"}`, 0x803b000d},
		{"2025", "RemoteSubnetRoute", `{"DestinationPrefix":"192.168.2.0/24"}`, 0x803b000d},
		{"2025", "RemoteSubnetRoute", `{"IsolationId":"x"}`, 0x803b000d},
		{"2025", "ProviderAddress", `{"ProviderAddress":"192.168.1.5"}`, 0},
		{"2025", "ProviderAddress", `{"ProviderAddress":"192.168.1.6"}`, 0x803b0006},
		{"2025", "NetworkACL", `{"Action":"Allow","Direction":"In","RuleType":"Switch","Priority":200}`, 0},
		{"2022", "SetPolicy", `{"Id":"s","Name":"s","PolicyType":"IPSET","Values":""}`, 0},
		{"2022", "SetPolicy", `{"Id":"s","Name":"s","PolicyType":"NESTEDIPSET","Values":""}`, 0x803b000d},
		{"2022", "SetPolicy", `{"Id":1}`, 0x803b000d},
		{"2025", "AutomaticDNS", `{"Enable":true}`, 0},
	} {
		c := newClient(t, tc.profile)
		reply := c.call("HcnCreateNetwork", "", withNet("Overlay", tc.kind, tc.settings))
		if reply.Code != tc.want {
			t.Errorf("%s %s: %s (%s), want %s", tc.kind, tc.settings, reply.Code, c.lastReason(), tc.want)
		}
		seenCodes[tc.want] = true
	}
}

// TestOtherRefusals are of calls that make neither networks nor endpoints.
func TestOtherRefusals(t *testing.T) {
	for _, tc := range []struct {
		proc string
		args []string
		want hns.HRESULT
	}{
		{"HcnCreateNetwork", []string{"x", "{}"}, 0x80070057},
		{"HcnEnumerateNetworks", []string{"{"}, 0x803b001b},
		{"HcnEnumerateNetworks", []string{`{"Filter":"{"}`}, 0x803b001b},
		{"HcnEnumerateNetworks", []string{`{"Filter":"{\"Name\":[]}"}`}, 0x803b001b},
		{"HcnCreateNamespace", []string{"", `{"Type":"Pod"}`}, 0x803b001b},
		{"HcnCreateNamespace", []string{"", `{"ID":"none"}`}, 0x803b001b},
		{"HcnCreateNamespace", []string{"", ``}, 0x803b001b},
		{"HcnCreateNamespace", []string{"", `{"ID":"<ns>"}`}, 0x80071392},
		{"HcnCreateNamespace", []string{"<ns>", `{}`}, 0x80071392},
		{"HcnModifyNamespace", []string{"<handle>", `{"ResourceType":"Endpoint"}`}, 0x803b0015},
		{"HcnCreateLoadBalancer", []string{"", `{`}, 0x803b001b},
		{"HcnCreateLoadBalancer", []string{"", `{"ID":"x"}`}, 0x803b001b},
		{"HcnCreateLoadBalancer", []string{"", `{"HostComputeEndpoints":[]}`}, 0x803b001c},
		{"HcnCreateLoadBalancer", []string{"", `{"HostComputeEndpoints":["` + unknownID + `"]}`}, 0x803b001c},
		{"HcnCreateLoadBalancer", []string{"", `{"HostComputeEndpoints":["x"]}`}, 0x803b001b},
		{"HcnCreateLoadBalancer", []string{"", `{"HostComputeEndpoints":["<ep>"],"FrontendVIPs":["x"]}`}, 0x803b001e},
		{"HcnCreateLoadBalancer", []string{"", `{"HostComputeEndpoints":["<ep>"],"FrontendVIPs":["9.9.9.9"],
			"PortMappings":[{"Protocol":6,"ExternalPort":80}]}`}, 0x803b0013},
		{"HcnCreateSdnRoute", []string{"", `{`}, 0x803b001b},
		{"HcnCreateSdnRoute", []string{"", `{"ID":"x"}`}, 0x803b001b},
		{"HcnCreateSdnRoute", []string{"", `{"HostComputeEndpoints":["<ep>"],"Setting":[{"DestinationPrefix":"x"}]}`}, 0x803b000d},
		{"HcnCreateSdnRoute", []string{"", `{"HostComputeEndpoints":["<ep>"],"Routes":[{"DestinationPrefix":"10.0.0.0/8",
			"NextHop":"x"}]}`}, 0x803b000d},
		{"HcnCreateSdnRoute", []string{"", `{"Setting":[]}`}, 0x803b001c},
		{"HcnOpenLoadBalancer", []string{unknownID}, 0x80070490},
		{"HcnDeleteLoadBalancer", []string{unknownID}, 0x80070490},
		{"HcnDeleteSdnRoute", []string{unknownID}, 0x80070490},
		{"HcnDeleteNamespace", []string{unknownID}, 0x80070490},
		{"HcnDeleteEndpoint", []string{unknownID}, 0x803b0002},
		{"HcnDeleteNetwork", []string{"{" + unknownID + "}"}, 0x803b0001},
		{"HcnOpenNetwork", []string{"net1"}, 0x80070057},
		{"HcnOpenNetwork", []string{""}, 0x803b0001},
		{"HcnQueryNamespaceProperties", []string{"<handle>", "{"}, 0x803b001b},
		{"HcnQueryNamespaceProperties", []string{"-1", ""}, 0x80070006},
		{"HcnCloseNamespace", []string{"x"}, 0x80070006},
		{"HcnCreateEndpoint", []string{"<handle>", "", "{}"}, 0x80070006},
		{"HcnNothing", nil, 0x80004001},
	} {
		c := newClient(t, "2025")
		e := c.createEndpoint(c.network("Overlay", "n"), v2(`"Name":"e"`))
		s := c.create("Namespace", `{}`)
		c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+e+`"],"FrontendVIPs":["9.9.9.9","9.9.9.8"],
			"PortMappings":[{"Protocol":6,"ExternalPort":80}]`))
		fill := strings.NewReplacer("<ep>", e, "<ns>", s, "<handle>", c.open("Namespace", s))
		var args []string
		for _, a := range tc.args {
			args = append(args, fill.Replace(a))
		}
		if got := c.call(tc.proc, args...); got.Code != tc.want {
			t.Errorf("%s %s: %s (%s), want %s", tc.proc, tc.args, got.Code, c.lastReason(), tc.want)
		}
		seenCodes[tc.want] = true
	}
}

// TestMain fails when a code was added to schema/error.go and not to a table of
// this package's tests. It looks after all of them have run, in whatever order.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == "" {
		if untested := untestedCodes(); len(untested) > 0 {
			fmt.Printf("FAIL: not tested: %s\n", strings.Join(untested, ", "))
			code = 1
		}
	}
	os.Exit(code)
}

// untestedCodes lists the codes of schema/error.go that no table has asked for.
func untestedCodes() []string {
	elsewhere := map[hns.HRESULT]string{
		schema.CodeNoPolicy:        "TestModifyEndpointPolicies",
		schema.CodeRemoteEndpoint:  "TestRemoteEndpoint",
		schema.CodeAlreadyAttached: "TestModifyPort",
		schema.CodeNoExtension:     "TestModifyNetwork",
		schema.CodeHasReferences:   "TestModifyNetwork",
		schema.CodeAttachFailed:    "TestReattach",
		hns.CodeTornDown:           "TestHandles",
		schema.CodeNotAttached:     "TestModifyPort",
		schema.CodeNotLocal:        "TestRemoteEndpoint",
	}
	file, err := parser.ParseFile(token.NewFileSet(), "schema/error.go", nil, 0)
	if err != nil {
		return []string{err.Error()}
	}
	var untested []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		literal, _ := spec.Values[0].(*ast.BasicLit)
		code, err := strconv.ParseUint(literal.Value, 0, 32)
		if err != nil {
			untested = append(untested, err.Error())
		}
		if !seenCodes[hns.HRESULT(code)] && elsewhere[hns.HRESULT(code)] == "" {
			untested = append(untested, spec.Names[0].Name)
		}
		return true
	})
	for _, code := range []hns.HRESULT{hns.CodeInvalidHandle, hns.CodeObjectExists, hns.CodeAddressReserved, hns.CodeTornDown} {
		if !seenCodes[code] && elsewhere[code] == "" {
			untested = append(untested, code.String())
		}
	}
	return untested
}
