// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// These follow real clients of HNS: the documents are those that they send, and
// the state is what they leave.

// sample is an endpoint document of a client, and what becomes of it on a network
// 10.0.0.0/24 of a type.
type sample struct {
	name, network, document string
	// codes are the answers of 2019, 2022 and 2025.
	codes [3]string
	// want is the endpoint in the dump where it was made.
	want string
}

var clientEndpoints = []sample{
	{
		name:    "win-bridge with dns, policies and a port mapping that l2bridge does not take",
		network: "L2Bridge",
		document: `{"Name":"c1_net1","HostComputeNetwork":"<network>",
			"Policies":[{"Type":"SDNRoute","Settings":{"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}},
				{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/16"]}},
				{"Type":"PortMapping","Settings":{"InternalPort":80,"ExternalPort":8080,"Protocol":6,"VIP":""}},
				{"Type":"OutBoundNAT","Settings":{"Destinations":["10.0.0.2"]}}],
			"IpConfigurations":[{"IpAddress":"10.0.0.2"}],
			"Dns":{"Domain":"d","Search":["svc.cluster.local"],"ServerList":["1.1.1.1"],"Options":["ndots:5"]},
			"Routes":[{"NextHop":"10.0.0.2","DestinationPrefix":"0.0.0.0/0"}],
			"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"0x803b000e", "0x803b000e", "0x803b000e"},
	},
	{
		name:    "sdnbridge with a local routed port mapping",
		network: "L2Bridge",
		document: `{"Name":"c1_net1","HostComputeNetwork":"<network>",
			"Policies":[{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":8080,"Flags":1}},
				{"Type":"SDNRoute","Settings":{"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}},
				{"Type":"OutBoundNAT","Settings":{"Destinations":["10.0.0.2"]}}],
			"IpConfigurations":[{"IpAddress":"10.0.0.2"}],
			"Dns":{"Domain":"d","Search":["svc.cluster.local"],"ServerList":["10.96.0.10"],"Options":["ndots:5"]},
			"Routes":[{"NextHop":"10.0.0.2","DestinationPrefix":"0.0.0.0/0"}],
			"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"ok", "ok", "ok"},
		want: `  endpoint "c1_net1"
    state created
    address 10.0.0.2/24
    route 0.0.0.0/0 via 10.0.0.2
    dns domain d
    dns search svc.cluster.local
    dns servers 10.96.0.10
    dns options ndots:5
    policy PortMapping {"ExternalPort":8080,"Flags":1,"InternalPort":80,"Protocol":6}
    policy SDNRoute {"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}
    policy OutBoundNAT {"Destinations":["10.0.0.2"]}
`,
	},
	{
		name:    "win-overlay with masquerading",
		network: "Overlay",
		document: `{"Name":"c1_net1","HostComputeNetwork":"<network>",
			"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.1.5"}},
				{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/24"]}}],
			"IpConfigurations":[{"IpAddress":"10.0.0.2"}],"Dns":{},"MacAddress":"0E-2A-0a-00-00-02",
			"Routes":[{"NextHop":"10.0.0.1","DestinationPrefix":"0.0.0.0/0"}],
			"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"ok", "ok", "ok"},
		want: `  endpoint "c1_net1"
    state created
    address 10.0.0.2/24
    mac 0E-2A-0A-00-00-02
    route 0.0.0.0/0 via 10.0.0.1
    policy ProviderAddress {"ProviderAddress":"192.168.1.5"}
    policy OutBoundNAT {"Exceptions":["10.0.0.0/24"]}
`,
	},
	{
		// Newer releases refuse the route (windows-container-networking PR 116).
		name:    "win-bridge without IPAM",
		network: "L2Bridge",
		document: `{"Name":"c1_net1","HostComputeNetwork":"<network>","IpConfigurations":[{}],"Dns":{},
			"Routes":[{"DestinationPrefix":"::/0"}],"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"ok", "0x803b000c", "0x803b000c"},
		want: `  endpoint "c1_net1"
    state created
    address 10.0.0.2/24
    route 0.0.0.0/0 via 10.0.0.1
`,
	},
	{
		// The exception has host bits (hcsshim#1951).
		name:    "an exception that only WS2019 takes",
		network: "L2Bridge",
		document: `{"Name":"c1_net1","HostComputeNetwork":"<network>","IpConfigurations":[{"IpAddress":"10.0.0.9"}],"Dns":{},
			"Policies":[{"Type":"OutBoundNAT","Settings":{"Exceptions":["172.17.0.1/16"]}}],
			"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"ok", "0x803b000d", "0x803b000d"},
		want: `  endpoint "c1_net1"
    state created
    address 10.0.0.9/24
    route 0.0.0.0/0 via 10.0.0.1
    policy OutBoundNAT {"Exceptions":["172.17.0.1/16"]}
`,
	},
	{
		name:    "Azure with a dummy next hop",
		network: "L2Bridge",
		document: `{"Name":"c1c1c1c1-eth0","HostComputeNetwork":"<network>","IpConfigurations":[{"IpAddress":"10.0.0.9",
			"PrefixLength":16}],"Dns":{},
			"Policies":[{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/8"]}},{"Type":"L2Driver","Settings":{}},
				{"Type":"ACL","Settings":{"Protocols":"6","Action":"Block","Direction":"Out","RemoteAddresses":"168.63.129.16/32",
					"RemotePorts":"80","RuleType":"Switch","Priority":200}},
				{"Type":"ACL","Settings":{"Action":"Allow","Direction":"In","Priority":65500}},
				{"Type":"ACL","Settings":{"Action":"Allow","Direction":"Out","Priority":65500}}],
			"Routes":[{"NextHop":"0.0.0.0","DestinationPrefix":"0.0.0.0/0"}],
			"MacAddress":"12-34-56-78-9a-bc","Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"ok", "ok", "ok"},
		want: `  endpoint "c1c1c1c1-eth0"
    state created
    address 10.0.0.9/16
    mac 12-34-56-78-9A-BC
    route 0.0.0.0/0 via 0.0.0.0
    policy OutBoundNAT {"Exceptions":["10.0.0.0/8"]}
    policy L2Driver {}
    policy ACL {"Action":"Block","Direction":"Out","Priority":200,"Protocols":"6","RemoteAddresses":"168.63.129.16/32","RemotePorts":"80","RuleType":"Switch"}
    policy ACL {"Action":"Allow","Direction":"In","Priority":65500}
    policy ACL {"Action":"Allow","Direction":"Out","Priority":65500}
`,
	},
	{
		name:    "docker on nat, through v1, with a port for HNS to choose",
		network: "NAT",
		document: `{"Name":"ethernet_1","VirtualNetwork":"<network>","DNSServerList":"8.8.8.8","Policies":[
			{"Type":"NAT","Protocol":"TCP","InternalPort":80,"ExternalPort":0,"ExternalPortReserved":false}]}`,
		codes: [3]string{"ok", "ok", "ok"},
		want: `  endpoint "ethernet_1"
    state created
    address 10.0.0.2/24
    route 0.0.0.0/0 via 10.0.0.1
    dns servers 8.8.8.8
    policy PortMapping {"ExternalPort":49152,"InternalPort":80,"Protocol":6}
`,
	},
	{
		name:    "a policy of v1 sent to v2, as examples on the web have it",
		network: "L2Bridge",
		document: `{"Name":"c1_net1","HostComputeNetwork":"<network>","Dns":{},
			"Policies":[{"Type":"OutBoundNAT","ExceptionList":["10.0.0.0/8"]}],
			"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"0x803b000d", "0x803b000d", "0x803b000d"},
	},
	{
		name:    "an address that another pod has",
		network: "L2Bridge",
		document: `{"Name":"c2_net1","HostComputeNetwork":"<network>","IpConfigurations":[{"IpAddress":"10.0.0.77"}],"Dns":{},
			"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"0x80071392", "0x803b002f", "0x803b002f"},
	},
	{
		name:    "the bandwidth limit of an endpoint",
		network: "Overlay",
		document: `{"Name":"c1_net1","HostComputeNetwork":"<network>","IpConfigurations":[{"IpAddress":"10.0.0.9"}],"Dns":{},
			"Policies":[{"Type":"QOS","Settings":{"MaximumOutgoingBandwidthInBytes":125000}},{"Type":"EncapOverhead",
				"Settings":{"Overhead":50}}],
			"Health":{"Extra":{}},"SchemaVersion":{"Major":2,"Minor":0}}`,
		codes: [3]string{"ok", "ok", "ok"},
		want: `  endpoint "c1_net1"
    state created
    address 10.0.0.9/24
    route 0.0.0.0/0 via 10.0.0.1
    policy QOS {"MaximumOutgoingBandwidthInBytes":125000}
    policy EncapOverhead {"Overhead":50}
`,
	},
}

func TestClientEndpoints(t *testing.T) {
	for _, tc := range clientEndpoints {
		for i, p := range Profiles() {
			t.Run(tc.name+" on "+p.Name, func(t *testing.T) {
				c := newClient(t, p.Name)
				policy := ""
				if tc.network == "Overlay" {
					policy = vsid(5000)
				}
				n := c.create("Network", v2(`"Type":"`+tc.network+`","Name":"net1",`+ipams("10.0.0.0/24", "10.0.0.1", policy)))
				c.createEndpoint(n, v2(`"Name":"other","IpConfigurations":[{"IpAddress":"10.0.0.77"}]`))
				before := c.dump()
				document := strings.ReplaceAll(tc.document, "<network>", n)
				reply := c.call("HcnCreateEndpoint", c.open("Network", n), "", document)
				if got := answerOf(reply, nil); got != tc.codes[i] {
					t.Errorf("%s (%s), want %s", got, c.lastReason(), tc.codes[i])
				}
				got := c.dump()
				if reply.Code == 0 {
					got = strings.Replace(got, tc.want, "", 1)
				}
				if diff := cmp.Diff(before, got); diff != "" {
					t.Errorf("apart from\n%s(-want +got):\n%s", tc.want, diff)
				}
			})
		}
	}
}

// TestPodOfContainerd follows a pod from its sandbox to its end, as containerd,
// a CNI plugin and HCS treat HNS.
func TestPodOfContainerd(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			c := newClient(t, p.Name)
			n := c.network("L2Bridge", "cbr0")
			network := c.dump()
			s := c.create("Namespace", `{"SchemaVersion":{"Major":0,"Minor":0}}`)
			c.dumps("sandbox made", network+"namespace #1 Host\n")

			e := c.createEndpoint(n, v2(`"Name":"sandbox_cbr0","IpConfigurations":[{"IpAddress":"192.168.100.9"}]`))
			if got := c.attach(s, e); got != 0 {
				t.Errorf("attach: %s", got)
			}
			const endpoint = `  endpoint "sandbox_cbr0"
    state %s in namespace #1
    address 192.168.100.9/24
    route 0.0.0.0/0 via 192.168.100.1
namespace #1 Host
%s  endpoint "cbr0"/"sandbox_cbr0"
`
			c.dumps("plugin's ADD", network+fmt.Sprintf(endpoint, "created", ""))
			c.start(Container{ID: "sandbox", NamespaceID: s})
			c.start(Container{ID: "worker", NamespaceID: s})
			running := network + fmt.Sprintf(endpoint, "attached sharing", "  compartment 2\n")
			c.dumps("containers started", running+"  container sandbox process\n  container worker process\n")

			c.stop("worker")
			c.start(Container{ID: "worker again", NamespaceID: s})
			c.stop("worker again")
			c.dumps("worker restarted", running+"  container sandbox process\n")
			if got := c.call("HcnDeleteNamespace", s).Code; got != schema.CodeUnsupported {
				t.Errorf("namespace deleted too early: %s", got)
			}
			c.stop("sandbox")
			c.must("HcnDeleteEndpoint", e)
			c.must("HcnDeleteNamespace", s)
			c.dumps("pod gone", network)
		})
	}
}

// dumps compares the dump with what is wanted.
func (c client) dumps(when, want string) {
	c.Helper()
	if diff := cmp.Diff(want, c.dump()); diff != "" {
		c.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// TestGatewayEndpoint is how flannel and Calico give the node an address on an
// l2bridge network, again at each start of the agent (calico#4280).
func TestGatewayEndpoint(t *testing.T) {
	c := newClient(t, "2022")
	n := c.network("L2Bridge", "cbr0")
	e := c.createEndpoint(n, v2(`"Name":"cbr0_ep","IpConfigurations":[{"IpAddress":"192.168.100.2"}],
		"Routes":[{"DestinationPrefix":"0.0.0.0/0","NextHop":"0.0.0.0"}]`))
	attach := func() uint32 {
		reply, _ := c.v1("POST", "/endpoints/"+e+"/attach", `{"SystemType":"Host","CompartmentId":1}`)
		return uint32(reply.Code)
	}
	if got := []uint32{attach(), attach()}; got[0] != 0 || got[1] != 0x803b0014 {
		t.Errorf("attach twice: %#x", got)
	}
	c.dumps("attached", `network "cbr0" L2Bridge
  adapter "Ethernet"
  subnet 192.168.100.0/24 gateway 192.168.100.1
  endpoint "cbr0_ep"
    state attached to Host
    address 192.168.100.2/24
    route 0.0.0.0/0 via 0.0.0.0
`)
	// A pod that IPAM gives the same address fails.
	if got := c.codeOfEndpoint(n, v2(`"Name":"pod","IpConfigurations":[{"IpAddress":"192.168.100.2"}]`)); got != "803b002f" {
		t.Errorf("pod with the node's address: %s", got)
	}
	if got := c.createEndpoint(n, v2(`"Name":"pod"`)); got == "" {
		t.Error("no pod")
	}
}

// TestKubeProxy makes what kube-proxy makes for a service with a local and a
// remote pod on an overlay network.
func TestKubeProxy(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("Overlay", "vxlan0")
	pod := c.createEndpoint(n, v2(`"Name":"pod"`))
	remote := c.createEndpoint(n, v2(`"Name":"Ethernet","Flags":1,"IpConfigurations":[{"IpAddress":"192.168.101.9"}],
		"MacAddress":"0e-2a-c0-a8-65-09",
		"Policies":[{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.1.6"}}]`))
	service := v2(`"SourceVIP":"192.168.100.250","FrontendVIPs":["10.96.0.10"],"HostComputeEndpoints":["` + pod + `","` + remote + `"],
		"PortMappings":[{"Protocol":17,"InternalPort":53,"ExternalPort":53,"DistributionType":1,"Flags":8}],"Flags":1`)
	lb := c.create("LoadBalancer", service)
	if got := c.call("HcnCreateLoadBalancer", "", service).Code; got != 0x803b0013 {
		t.Errorf("the same service again: %s", got)
	}
	c.create("LoadBalancer", strings.ReplaceAll(service, `"Protocol":17`, `"Protocol":6`))
	c.must("HcnDeleteEndpoint", pod)
	if got := schema.Marshal(c.query("LoadBalancer", lb, "")["HostComputeEndpoints"]); got != schema.Marshal([]string{remote}) {
		t.Errorf("endpoints after the pod is gone: %s", got)
	}
	c.dumps("in the end", `network "vxlan0" Overlay
  adapter "Ethernet"
  subnet 192.168.100.0/24 gateway 192.168.100.1 vsid 5000
  endpoint "Ethernet"
    state created
    flags 1
    address 192.168.101.9/32
    mac 0E-2A-C0-A8-65-09
    policy ProviderAddress {"ProviderAddress":"192.168.1.6"}
loadbalancer 10.96.0.10
  source 192.168.100.250
  flags 1
  port {"Protocol":17,"InternalPort":53,"ExternalPort":53,"DistributionType":1,"Flags":8}
  endpoint "vxlan0"/"Ethernet"
loadbalancer 10.96.0.10
  source 192.168.100.250
  flags 1
  port {"Protocol":6,"InternalPort":53,"ExternalPort":53,"DistributionType":1,"Flags":8}
  endpoint "vxlan0"/"Ethernet"
`)
}

// TestPolicyAgent is how NPM changes ACLs: it reads all policies and writes back
// the others and the ACLs that remain. That works under either answer to what an
// Update replaces.
func TestPolicyAgent(t *testing.T) {
	for _, all := range []bool{false, true} {
		c := newClient(t, "2022")
		if err := c.SetUnknowns(Unknowns{UpdateReplacesAll: all}); err != nil {
			t.Fatal(err)
		}
		const nat = `{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/8"]}}`
		const acl = `{"Type":"ACL","Settings":{"Id":"azure-acl-1","Action":"Block","Direction":"In","RuleType":"Switch","Priority":3000}}`
		e := c.createEndpoint(c.network("L2Bridge", "azure"), v2(`"Name":"pod","Policies":[`+nat+`]`))
		for _, step := range []struct{ request, policies, want string }{
			{"Add", acl, "OutBoundNAT ACL"},
			{"Update", nat + "," + acl + "," + acl, "OutBoundNAT ACL ACL"},
			{"Update", nat, "OutBoundNAT"},
		} {
			got := c.modify("Endpoint", e, `{"ResourceType":"Policy","RequestType":"`+step.request+`",
				"Settings":{"Policies":[`+step.policies+`]}}`)
			if got != 0 || c.policyTypes(e) != step.want {
				t.Errorf("replaces all %t, %s: %s, policies %s, want %s", all, step.request, got, c.policyTypes(e), step.want)
			}
		}
	}
}

// TestMixedAPIs: v1 and v2 see the same objects.
func TestMixedAPIs(t *testing.T) {
	c := newClient(t, "2019")
	n := strings.ToLower(fmt.Sprint(c.outputV1("POST", "/networks", `{"Name":"nat","Type":"nat"}`)["ID"]))
	e := c.createEndpoint(n, v2(`"Name":"pod"`))
	s := strings.ToLower(fmt.Sprint(c.outputV1("POST", "/namespaces", `{"IsDefault":false}`)["ID"]))
	c.v1("POST", "/namespaces/"+s+"/addresource", `{"Type":"Endpoint","Data":{"Id":"`+e+`"}}`)
	if got := c.query("Endpoint", e, "")["HostComputeNamespace"]; got != s {
		t.Errorf("namespace in v2: %v", got)
	}
	if got := c.resource(s, "Endpoint", "Remove", strings.ToUpper(e)); got != 0 {
		t.Errorf("remove through v2: %s", got)
	}
	if got := c.outputV1("GET", "/endpoints/"+e, "")["Namespace"]; got != nil {
		t.Errorf("namespace in v1: %v", got)
	}
	c.v1("DELETE", "/networks/"+n, "")
	if got := c.call("HcnOpenEndpoint", e).Code; got != 0x803b0002 {
		t.Errorf("endpoint after the network: %s", got)
	}
}
