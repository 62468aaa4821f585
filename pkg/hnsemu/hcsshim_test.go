// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// These are the assertions of hcsshim's integration tests, with the documents
// that hcsshim sends. scripts/hcn-suite.sh runs the tests themselves.

const hcsshimPool = `"MacPool":{"Ranges":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}]},`

// hcsshimNetwork makes one of the networks of hcn/hcnutils_test.go, after
// deleting the one of that name, as its helper does.
func (c client) hcsshimNetwork(kind string) string {
	c.Helper()
	name, flags := "GoTest"+kind, ""
	for _, id := range c.enumerate("Networks", `{"Name":"`+name+`"}`) {
		c.must("HcnDeleteNetwork", id)
	}
	if kind != "NAT" {
		flags = `"Flags":8,`
	}
	return c.create("Network", networkDocument(kind, name, hcsshimPool+`"Dns":{},"Health":{"Extra":{}},`+flags))
}

const hcsshimEndpoint = `{"Name":"GoTestNatEndpoint","HostComputeNetwork":"%s",%s"Dns":{},"Health":{"Extra":{}},
	"SchemaVersion":{"Major":2,"Minor":0}}`

func (c client) hcsshimEndpoint(network, members string) string {
	c.Helper()
	return c.createEndpoint(network, fmt.Sprintf(hcsshimEndpoint, network, members))
}

func TestHcsshimNetworks(t *testing.T) {
	c := newClient(t, "2025")
	c.must("HcnDeleteNetwork", c.hcsshimNetwork("NAT"))
	bare := v2(`"Name":"GoTestNAT","Type":"NAT",` + hcsshimPool + `"Dns":{},"Health":{"Extra":{}}`)
	c.must("HcnDeleteNetwork", c.create("Network", bare))
	v1 := `{"Type":"NAT","Name":"GoTestNAT","MacPools":[{"StartMacAddress":"00-15-5D-52-C0-00","EndMacAddress":"00-15-5D-52-CF-FF"}],
		"Subnets":[{"AddressPrefix":"192.168.100.0/24","GatewayAddress":"192.168.100.1"}]}`
	id := c.create("Network", v1)
	e := c.createEndpoint(id, `{"Name":"GoTestNatEndpoint","VirtualNetwork":"`+id+`"}`)
	c.must("HcnDeleteEndpoint", e)
	c.must("HcnDeleteNetwork", id)
	overlay := c.hcsshimNetwork("Overlay")
	if got := c.query("Network", overlay, "")["Flags"]; got != 8.0 {
		t.Errorf("flags %v", got)
	}
	for _, policy := range []string{
		`{"Type":"RemoteSubnetRoute","Settings":{"DestinationPrefix":"192.168.2.0/24","IsolationId":5000,"ProviderAddress":"1.1.1.1",
			"DistributedRouterMacAddress":"00-12-34-56-78-9a"}}`,
		`{"Type":"HostRoute","Settings":{}}`,
		`{"Type":"NetworkACL","Settings":{"Protocols":"6","Action":"Allow","Direction":"In",
			"LocalAddresses":"192.168.100.0/24,10.0.0.21","RemoteAddresses":"192.168.100.0/24,10.0.0.21","LocalPorts":"80,8080",
			"RemotePorts":"80,8080","RuleType":"Switch","Priority":200}}`,
	} {
		kind := strings.Split(policy, `"`)[3]
		for _, step := range []struct {
			request string
			want    bool
		}{{"Add", true}, {"Remove", false}} {
			c.modify("Network", overlay, `{"ResourceType":"Policy","RequestType":"`+step.request+`","Settings":{"Policies":[`+policy+`]}}`)
			if got := strings.Contains(schema.Marshal(c.query("Network", overlay, "")), kind); got != step.want {
				t.Errorf("%s after %s: %t (%s)", kind, step.request, got, c.lastReason())
			}
		}
	}
}

func TestHcsshimEndpoints(t *testing.T) {
	c := newClient(t, "2025")
	n := c.hcsshimNetwork("NAT")
	e := c.hcsshimEndpoint(n, "")
	for _, filter := range []string{`{"ID":"` + e + `"}`, `{"Name":"GoTestNatEndpoint"}`, `{"VirtualNetwork":"` + n + `"}`} {
		if got := c.enumerate("Endpoints", filter); len(got) != 1 {
			t.Errorf("%s: %v", filter, got)
		}
	}
	const acl = `{"Type":"ACL","Settings":{"Protocols":"6","Action":"Allow","Direction":%q,
		"LocalAddresses":"192.168.100.0/24,10.0.0.21","RemoteAddresses":"192.168.100.0/24,10.0.0.21","LocalPorts":"80,8080",
		"RemotePorts":"80,8080","RuleType":"Switch","Priority":200}}`
	for request, policies := range map[string]string{
		"Add": `{"Type":"L4WFPPROXY","Settings":{"InboundProxyPort":"80","OutboundProxyPort":"81","FilterTuple":{"Protocols":"6",
			"RemoteAddresses":"10.0.0.4","Priority":8},
			"InboundExceptions":{"IpAddressExceptions":["12.0.1.12"],"PortExceptions":["8181"]},
				"OutboundExceptions":{"IpAddressExceptions":["10.0.1.12"],"PortExceptions":["81"]}}}`,
		"Update": fmt.Sprintf(acl, "In") + "," + fmt.Sprintf(acl, "Out"),
	} {
		got := c.modify("Endpoint", e, `{"ResourceType":"Policy","RequestType":"`+request+`","Settings":{"Policies":[`+policies+`]}}`)
		if got != 0 || c.policyTypes(e) == "" {
			t.Errorf("%s: %s (%s)", request, got, c.lastReason())
		}
	}
	s := c.create("Namespace", v2(`"Type":"HostDefault","NamespaceId":5`))
	if got := c.resource(s, "Endpoint", "Add", e); got != 0 {
		t.Errorf("attach: %s", got)
	}
	if got := c.resource(s, "Endpoint", "Remove", e); got != 0 {
		t.Errorf("detach: %s", got)
	}
	c.must("HcnDeleteNamespace", s)
	c.must("HcnDeleteEndpoint", e)
	c.must("HcnDeleteNetwork", n)
}

func TestHcsshimTierACLs(t *testing.T) {
	c := newClient(t, "2025")
	n := c.hcsshimNetwork("L2Bridge")
	e := c.hcsshimEndpoint(n, "")
	const tiers = `{"Type":"TierAcl","Settings":{"Name":"TierIn1","Direction":"In","Order":1001,"TierAclRules":[
			{"Id":"TierIn1Rule1","Protocols":"6","TierAclRuleAction":"Pass","LocalAddresses":"192.168.100.0/24,10.0.0.21",
				"RemoteAddresses":"192.168.100.0/24,10.0.0.22","LocalPorts":"80","RemotePorts":"80","Priority":2001},
			{"Id":"TierIn1Rule2","TierAclRuleAction":"Block","Priority":2100}]}},
		{"Type":"TierAcl","Settings":{"Name":"TierOut3","Direction":"Out","Order":1013,"TierAclRules":[
			{"Id":"TierOut3Rule1","Protocols":"6","TierAclRuleAction":"Allow","LocalPorts":"90","RemotePorts":"90","Priority":3000},
			{"Id":"TierOut3Rule2","TierAclRuleAction":"Block","Priority":3010}]}}`
	if got := c.modify("Endpoint", e, `{"ResourceType":"Policy","RequestType":"Update","Settings":{"Policies":[`+tiers+`]}}`); got != 0 {
		t.Errorf("%s (%s)", got, c.lastReason())
	}
	if got := c.policyTypes(e); got != "TierAcl TierAcl" {
		t.Errorf("policies %s", got)
	}
	c.must("HcnDeleteEndpoint", e)
	c.must("HcnDeleteNetwork", n)
}

func TestHcsshimErrors(t *testing.T) {
	c := newClient(t, "2025")
	for _, plural := range []string{"Networks", "Namespaces"} {
		if got := c.enumerate(plural, `{"ID":"`+unknownID+`"}`); len(got) != 0 {
			t.Errorf("%s: %v", plural, got)
		}
	}
	if got := c.call("HcnOpenNamespace", unknownID).Code; got != 0x80070490 {
		t.Errorf("TestNotFoundError: %s", got)
	}
	n := c.hcsshimNetwork("Overlay")
	mapping := `"Policies":[{"Type":"PortMapping","Settings":{"Protocol":17,"InternalPort":45678,"ExternalPort":56789}}],`
	c.hcsshimEndpoint(n, mapping)
	if got := c.codeOfEndpoint(n, fmt.Sprintf(hcsshimEndpoint, n, mapping)); got != "803b0013" {
		t.Errorf("TestEndpointAlreadyExistsError: %s", got)
	}
}

// TestHcsshimV1 is hcn/hnsv1_test.go.
func TestHcsshimV1(t *testing.T) {
	c := newClient(t, "2025")
	create := func() string {
		return fmt.Sprint(c.outputV1("POST", "/networks/", `{"Type":"NAT","Name":"GoTestNat",
			"Subnets":[{"AddressPrefix":"192.168.100.0/24","GatewayAddress":"192.168.100.1"}]}`)["ID"])
	}
	n := create()
	e := fmt.Sprint(c.outputV1("POST", "/endpoints/", `{"Name":"GoTestNatEndpoint","VirtualNetwork":"`+n+`"}`)["ID"])
	for _, step := range []struct{ method, path, body string }{
		{"POST", "/endpoints/" + e + "/attach", `{"SystemType":"Host","CompartmentId":1}`},
		{"POST", "/endpoints/" + e + "/detach", `{"SystemType":"Host"}`},
		{"GET", "/endpointstats/" + e, ""},
		{"DELETE", "/endpoints/" + e, ""},
		{"DELETE", "/networks/" + n, ""},
	} {
		if reply, _ := c.v1(step.method, step.path, step.body); reply.Code != 0 {
			t.Errorf("%s %s: %s (%s)", step.method, step.path, reply.Code, c.lastReason())
		}
	}
	n = create()
	c.outputV1("POST", "/endpoints/", `{"Name":"GoTestNatEndpoint","VirtualNetwork":"`+n+`"}`)
	c.v1("DELETE", "/networks/"+n, "")
	if got := c.enumerate("Endpoints", ""); len(got) != 0 {
		t.Errorf("endpoints left behind: %v", got)
	}
	create()
}
