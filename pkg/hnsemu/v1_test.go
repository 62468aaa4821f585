// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// v1 makes a request of the v1 API and returns the answer and its Output.
func (c client) v1(method, path, body string) (Reply, json.RawMessage) {
	c.Helper()
	reply := c.call("HNSCall", method, path, body)
	if reply.Code != 0 {
		return reply, nil
	}
	var answer struct {
		Success bool
		Output  json.RawMessage
	}
	c.decode(reply.Out, &answer)
	if !answer.Success {
		c.Fatalf("%s %s: %s", method, path, reply.Out)
	}
	return reply, answer.Output
}

// outputV1 makes a request that must be answered with an object.
func (c client) outputV1(method, path, body string) map[string]any {
	c.Helper()
	reply, output := c.v1(method, path, body)
	if reply.Code != 0 {
		c.Fatalf("%s %s: %s: %s", method, path, reply.Code, c.lastReason())
	}
	var doc map[string]any
	c.decode(string(output), &doc)
	return doc
}

// requestsV1 are made to a node with a network, two endpoints and a namespace.
var requestsV1 = []struct {
	request, body string
	want          hns.HRESULT
	// output is what the answer contains.
	output string
}{
	{"GET /globals/version", "", 0, `{"Major":15,"Minor":4}`},
	{"GET /Globals/Version/", "", 0, `{"Major":15,"Minor":4}`},
	{"GET /globals/uptime", "", 0x80070490, ""},
	{"GET /networks/", "", 0, `"Name":"n"`},
	{"GET /networks", "", 0, `"Name":"n"`},
	{"GET /networks/<n>", "", 0, `"Name":"n"`},
	{"GET /networks/" + unknownID, "", 0x803b0001, ""},
	{"GET /networks/n", "", 0x803b0001, ""},
	{"POST /networks/", `{"Name":"m","Type":"nat"}`, 0, `"Type":"nat"`},
	{"POST /networks/", `{"Name":"n","Type":"nat"}`, 0x803b0010, ""},
	{"PUT /networks/", "", 0x80070490, ""},
	{"DELETE /networks/<n>", "", 0, ""},
	{"POST /networks/<n>", "", 0x80070490, ""},
	{"GET /endpoints/", "", 0, `"Name":"e"`},
	{"GET /endpoints/<e>", "", 0, `"VirtualNetworkName":"n"`},
	{"POST /endpoints/", `{"Name":"f","VirtualNetwork":"<N>"}`, 0, `"IPAddress":"192.168.100.4"`},
	{"POST /endpoints/", `{"Name":"f","VirtualNetworkName":"n"}`, 0, `"IPAddress":"192.168.100.4"`},
	{"POST /endpoints/", `{"Name":"f"}`, 0x803b0001, ""},
	{"POST /endpoints/", `{"VirtualNetwork":"` + unknownID + `"}`, 0x803b0001, ""},
	{"POST /endpoints/", `{"VirtualNetwork":"n"}`, 0x803b001b, ""},
	{"POST /endpoints/", `[]`, 0x803b001b, ""},
	{"POST /endpoints/", `{"VirtualNetwork":"<n>","IPAddress":"192.168.100.2"}`, 0x803b002f, ""},
	{"PUT /endpoints/", ``, 0x80070490, ""},
	{"DELETE /endpoints/<e>", "", 0, ""},
	{"DELETE /endpoints/" + unknownID, "", 0x803b0002, ""},
	{"PUT /endpoints/<e>", "", 0x80070490, ""},
	{"POST /endpoints/<e>", `{"Policies":[{"Type":"QOS","MaximumOutgoingBandwidthInBytes":9}]}`, 0, `"MaximumOutgoingBandwidthInBytes":9`},
	{"POST /endpoints/<e>", `{"Policies":[{"Type":"Magic"}]}`, 0x803b000e, ""},
	{"POST /endpoints/<e>", `{"Policies":[{"Type":"QOS"}]}`, 0x803b000d, ""},
	{"POST /endpoints/<e>", `{"Policies":[{"Type":"NAT","Protocol":"TCP","InternalPort":1,"ExternalPort":2},{"Type":"NAT",
		"Protocol":"TCP","InternalPort":1,"ExternalPort":2}]}`, 0x803b0013, ""},
	{"POST /endpoints/<e>", `[]`, 0x803b001b, ""},
	{"POST /endpoints/<e>/attach", `{"SystemType":"Host","CompartmentId":1}`, 0, ""},
	{"POST /endpoints/<e>/detach", `{"SystemType":"Host"}`, 0x803b0034, ""},
	{"POST /endpoints/<e>/attach", `{"SystemType":"Pod"}`, 0x803b001b, ""},
	{"POST /endpoints/<e>/attach", `[]`, 0x803b001b, ""},
	{"GET /endpointstats/<e>", "", 0, `"EndpointId":"<E>"`},
	{"GET /endpointstats/" + unknownID, "", 0x803b0002, ""},
	{"POST /endpointstats/<e>", "", 0x80070490, ""},
	{"GET /namespaces/", "", 0, `"ID":"<S>"`},
	{"POST /namespaces", `{}`, 0, `"IsDefault":false`},
	{"PUT /namespaces", `{}`, 0x80070490, ""},
	{"GET /namespaces/" + unknownID, "", 0x80070490, ""},
	{"DELETE /namespaces/<s>", "", 0, ""},
	{"PUT /namespaces/<s>", "", 0x80070490, ""},
	{"POST /namespaces/<s>/addresource", `{"Type":"Endpoint","Data":{"Id":"<E>"}}`, 0, `"Data":{"Id":"<E>"}`},
	{"POST /namespaces/<s>/addresource", `{"Type":"Container","Data":{"Id":"c"}}`, 0, `"CompartmentId":2`},
	{"POST /namespaces/<s>/removeresource", `{"Type":"Endpoint","Data":{"Id":"<e>"}}`, 0x80070490, ""},
	{"POST /namespaces/<s>/addresource", `{"Type":"Network","Data":{"Id":"<n>"}}`, 0x803b0015, ""},
	{"POST /namespaces/<s>/addresource", `[]`, 0x803b001b, ""},
	{"GET /policylists", "", 0, `[]`},
	{"PUT /policylists", "", 0x80070490, ""},
	{"GET /policylists/" + unknownID, "", 0x80070490, ""},
	{"POST /policylists/", `{"References":["/endpoints/<E>"],"Policies":[{"Type":"ELB","VIPs":["1.1.1.2"]}]}`, 0, `"VIPs":["1.1.1.2"]`},
	{"POST /policylists/", `{"References":[],"Policies":[{"Type":"ELB"}]}`, 0x803b001c, ""},
	{"POST /policylists/", `{"References":[],"Policies":[{"Type":"ROUTE","DestinationPrefix":"10.0.0.0/8"}]}`, 0x803b001c, ""},
	{"POST /policylists/", `{"References":["/endpoints/<E>"],"Policies":[{"Type":"ACL"}]}`, 0x803b000e, ""},
	{"POST /policylists/", `{"References":["/endpoints/<E>"],"Policies":[{}]}`, 0x803b000d, ""},
	{"POST /policylists/", `{"References":["/endpoints/<E>"],"Policies":[{"Type":"ELB","VIPs":1}]}`, 0x803b001b, ""},
	{"POST /policylists/", `{"References":["/endpoints/<E>"],"Policies":[{"Type":"ROUTE","NeedEncap":1}]}`, 0x803b001b, ""},
	{"POST /policylists/", `{"References":["/endpoints/<E>"]}`, 0x803b000d, ""},
	{"POST /policylists/", `[]`, 0x803b001b, ""},
	{"POST /endpoints/<e>", `{"Policies":[5]}`, 0x803b001b, ""},
	{"POST /networks/", `{"Name":"m","Subnets":[{}],"Policies":[{"Type":5}]}`, 0x803b000e, ""},
	{"POST /networks/", `{"Name":"m","Type":"nat","Subnets":[{}]}`, 0, `"AddressPrefix":"172.16.0.0/20"`},
	{"POST /accelnet/", `{"MacAddressList":[{"MacAddress":"x"}]}`, 0x803b001b, ""},
	{"POST /accelnet/", `[]`, 0x803b001b, ""},
	{"PUT /accelnet/", ``, 0x80070490, ""},
	{"GET /activities", "", 0, `[]`},
	{"GET /plugins", "", 0, `[]`},
	{"GET /nothing", "", 0x80070490, ""},
	{"GET /", "", 0x80070490, ""},
}

func TestV1Requests(t *testing.T) {
	for _, tc := range requestsV1 {
		t.Run(tc.request+" "+tc.body, func(t *testing.T) {
			c := newClient(t, "2025")
			n := c.network("NAT", "n")
			e := c.createEndpoint(n, v2(`"Name":"e"`))
			c.createEndpoint(n, v2(`"Name":"second"`))
			s := c.create("Namespace", `{}`)
			fill := strings.NewReplacer("<n>", n, "<N>", strings.ToUpper(n), "<e>", e, "<E>", strings.ToUpper(e),
				"<s>", s, "<S>", strings.ToUpper(s)).Replace
			method, path, _ := strings.Cut(fill(tc.request), " ")
			reply, output := c.v1(method, path, fill(tc.body))
			if reply.Code != tc.want || !strings.Contains(string(output), fill(tc.output)) {
				t.Errorf("%s %s (%s), want %s %s", reply.Code, output, c.lastReason(), tc.want, fill(tc.output))
			}
		})
	}
}

// TestAdapterV1: v1 names the uplink that the client named, in whichever schema,
// and none that HNS chose.
func TestAdapterV1(t *testing.T) {
	for _, tc := range []struct{ name, document, want string }{
		{"chosen by HNS", networkDocument("L2Bridge", "n", ""), "<nil>"},
		{"named by v1", `{"Name":"n","Type":"l2bridge","NetworkAdapterName":"ethernet",` + fmt.Sprintf(v1Subnet, "") + `}`, "ethernet"},
		{
			"named by v2", networkDocument("L2Bridge", "n",
				`"Policies":[{"Type":"NetAdapterName","Settings":{"NetworkAdapterName":"Ethernet"}}],`), "Ethernet",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "2025")
			if reply := c.call("HcnCreateNetwork", "", tc.document); reply.Code != 0 {
				t.Fatalf("%s: %s", reply.Code, c.lastReason())
			}
			var list []map[string]any
			_, output := c.v1("GET", "/networks/", "")
			c.decode(string(output), &list)
			if got := fmt.Sprint(list[0]["NetworkAdapterName"]); len(list) != 1 || got != tc.want {
				t.Errorf("got %s, want %s in %s", got, tc.want, output)
			}
			if state, _ := c.State(); state.Networks[0].Adapter != "Ethernet" {
				t.Errorf("the uplink is %q", state.Networks[0].Adapter)
			}
		})
	}
}

// TestErrorsInBody: HNSCall succeeds, and its answer has the error.
func TestErrorsInBody(t *testing.T) {
	p, _ := ProfileNamed("2019")
	p.ErrorsInBody = true
	c := client{t, New(p), "test"}
	got := c.call("HNSCall", "DELETE", "/endpoints/"+unknownID, "")
	if diff := cmp.Diff(Reply{Out: `{"Success":false,"Error":"The endpoint was not found. "}`}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestVersionBefore1803(t *testing.T) {
	c := client{t, New(Profile{Version: hns.Version{Major: 5}}), "test"}
	if got := c.call("HNSCall", "GET", "/globals/version", "").Code; !got.Failed() {
		t.Errorf("got %s", got)
	}
}

// TestUpdateKeepsForm: a client of v1 reads an endpoint, adds an ACL and writes
// it back; what v2 wrote stays as it was.
func TestUpdateKeepsForm(t *testing.T) {
	const written = `{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/8"],"MaxPortPoolUsage":7}}`
	c := newClient(t, "2025")
	id := c.createEndpoint(c.network("L2Bridge", "n"), v2(`"Name":"e","Policies":[`+written+`]`))
	doc := c.outputV1("GET", "/endpoints/"+id, "")
	added := map[string]any{"Type": "ACL", "Protocol": 256, "Action": "Block", "Direction": "In", "RuleType": "Switch", "Priority": 65500}
	doc["Policies"] = append(doc["Policies"].([]any), added)
	c.outputV1("POST", "/endpoints/"+id, schema.Marshal(doc))
	state, _ := c.State()
	got := schema.Marshal(state.Endpoints[0].Policies)
	want := `[{"Type":"OutBoundNAT","Settings":{"Exceptions":["10.0.0.0/8"],"MaxPortPoolUsage":7},"Generated":false},` +
		`{"Type":"ACL","Settings":{"Action":"Block","Direction":"In","Priority":65500,"Protocols":"256","RuleType":"Switch"},` +
		`"Generated":false}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.outputV1("POST", "/endpoints/"+id, `{}`)
	if got := c.policyTypes(id); got != "" {
		t.Errorf("policies after an update without any: %s", got)
	}
}

func TestAttachV1(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("L2Bridge", "n")
	e, inNamespace := c.createEndpoint(n, v2(`"Name":"e"`)), c.createEndpoint(n, v2(`"Name":"f"`))
	s := c.create("Namespace", `{}`)
	c.attach(s, inNamespace)
	for i, tc := range []struct {
		endpoint, verb, body string
		code                 hns.HRESULT
		state                float64
		shared               string
	}{
		{e, "attach", `{"SystemType":"Host","CompartmentId":1}`, 0, 2, "null"},
		{e, "attach", `{"SystemType":"Host","CompartmentId":1}`, 0x803b0014, 2, "null"},
		{e, "detach", `{"SystemType":"Host"}`, 0, 4, "null"},
		{e, "attach", `{"SystemType":"Container","ContainerId":"a"}`, 0, 3, `["a"]`},
		{e, "attach", `{"SystemType":"Container","ContainerId":"A"}`, 0x803b0014, 3, `["a"]`},
		{e, "attach", `{"SystemType":"Container","ContainerId":"b"}`, 0, 3, `["a","b"]`},
		{e, "attach", `{"SystemType":"VirtualMachine"}`, 0x803b0014, 3, `["a","b"]`},
		{e, "detach", `{"SystemType":"Container","ContainerId":"c"}`, 0x803b0034, 3, `["a","b"]`},
		{e, "detach", `{"SystemType":"Container","ContainerId":"A"}`, 0, 3, `["b"]`},
		{e, "detach", `{"SystemType":"Container","ContainerId":"b"}`, 0, 4, "null"},
		{e, "attach", `{"SystemType":"VirtualMachine","VirtualNicName":"x"}`, 0, 2, "null"},
		{inNamespace, "attach", `{"SystemType":"Host"}`, 0x803b0014, 1, "null"},
	} {
		reply, _ := c.v1("POST", "/endpoints/"+tc.endpoint+"/"+tc.verb, tc.body)
		doc := c.outputV1("GET", "/endpoints/"+tc.endpoint, "")
		got := fmt.Sprint(reply.Code, doc["State"], schema.Marshal(doc["SharedContainers"]))
		if want := fmt.Sprint(tc.code, tc.state, tc.shared); got != want {
			t.Errorf("step %d, %s %s: %s, want %s", i+1, tc.verb, tc.body, got, want)
		}
	}
	if got := c.attach(s, e); got != 0x803b0014 {
		t.Errorf("adding it to a namespace: %s", got)
	}
}

func TestAccelnet(t *testing.T) {
	c := newClient(t, "2025")
	list := `{"MacAddressList":[{"MacAddress":"00-15-5D-0A-B7-C6"},{"MacAddress":"00-15-5D-38-01-00"}]}`
	for i, tc := range []struct{ method, body, want string }{
		{"POST", list, list}, {"GET", "", list}, {"DELETE", "", "{}"}, {"GET", "", "{}"},
	} {
		if _, got := c.v1(tc.method, "/accelnet/", tc.body); string(got) != tc.want {
			t.Errorf("step %d, %s: %s, want %s", i+1, tc.method, got, tc.want)
		}
		if i == 1 && !strings.Contains(c.dump(), "management mac 00-15-5D-38-01-00\n") {
			t.Errorf("dump:\n%s", c.dump())
		}
	}
}

// TestPolicyLists: load balancers and routes go by their policy list in v1.
func TestPolicyLists(t *testing.T) {
	c, e, f := overlay(t, "2022")
	lists := map[string]string{
		"LoadBalancers": `{"Type":"ELB","VIPs":["1.1.1.1"],"Protocol":6,"InternalPort":80,"ExternalPort":80}`,
		"SdnRoutes":     `{"Type":"ROUTE","DestinationPrefix":"10.0.0.0/8"}`,
	}
	for plural, policy := range lists {
		create := func(references string) string {
			made := c.outputV1("POST", "/policylists/", `{"References":[`+references+`],"Policies":[`+policy+`]}`)
			return fmt.Sprint(made["ID"])
		}
		first := create(`"/endpoints/` + e + `"`)
		if got := c.enumerate(plural, ""); len(got) != 1 || !strings.EqualFold(got[0], first) {
			t.Errorf("%s: %v, made %s", plural, got, first)
		}
		c.v1("DELETE", "/policylists/"+first, "")
		// hcsshim adds an endpoint by deleting the list and making another.
		second := create(`"/endpoints/` + e + `","/endpoints/` + strings.ToUpper(f) + `"`)
		got := c.outputV1("GET", "/policylists/"+second, "")["References"]
		want := []string{"/endpoints/" + strings.ToUpper(e), "/endpoints/" + strings.ToUpper(f)}
		if schema.Marshal(got) != schema.Marshal(want) {
			t.Errorf("%s: references %v, want %v", plural, got, want)
		}
		if reply, _ := c.v1("DELETE", "/policylists/"+second, ""); reply.Code != 0 {
			t.Errorf("%s: delete: %s", plural, reply.Code)
		}
		if reply, _ := c.v1("DELETE", "/policylists/"+second, ""); reply.Code != 0x80070490 {
			t.Errorf("%s: delete again: %s", plural, reply.Code)
		}
	}
}
