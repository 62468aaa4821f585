// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// overlay returns a client of a node with an overlay network and two endpoints.
func overlay(t *testing.T, profile string) (c client, e, f string) {
	t.Helper()
	c = newClient(t, profile)
	n := c.network("Overlay", "n")
	return c, c.createEndpoint(n, v2(`"Name":"e"`)), c.createEndpoint(n, v2(`"Name":"f"`))
}

// balancerDocuments hold what a document becomes in either schema.
var balancerDocuments = []struct{ name, document, v2, v1 string }{
	{
		"v2", v2(`"HostComputeEndpoints":["<e>"],"SourceVIP":"10.0.0.1","FrontendVIPs":["1.1.1.2","1.1.1.3"],"Flags":1,
			"PortMappings":[{"Protocol":6,"InternalPort":8080,"ExternalPort":8090,"Flags":9,"DistributionType":2}]`),
		`{
			"ID":"<id>",
			"HostComputeEndpoints":["<e>"],
			"SourceVIP":"10.0.0.1",
			"FrontendVIPs":["1.1.1.2","1.1.1.3"],
			"Flags":1,
			"PortMappings":[
				{"Protocol":6,"InternalPort":8080,"ExternalPort":8090,"Flags":9,"DistributionType":2}
			],
			"SchemaVersion":{"Major":2,"Minor":0}
		}`,
		`{
			"ID":"<id>",
			"References":["/endpoints/<E>"],
			"Policies":[
				{
					"Type":"ELB",
					"SourceVIP":"10.0.0.1",
					"VIPs":["1.1.1.2","1.1.1.3"],
					"ILB":true,
					"IsDSR":true,
					"Protocol":6,
					"InternalPort":8080,
					"ExternalPort":8090
				}
			]
		}`,
	},
	{
		"v1", `{
			"References":["/endpoints/<E>"],
			"Policies":[
				{
					"Type":"ELB",
					"VIPs":["1.1.1.2"],
					"ILB":true,
					"IsDSR":true,
					"Protocol":17,
					"InternalPort":53,
					"ExternalPort":5353,
					"Extra":1
				}
			]
		}`,
		`{
			"ID":"<id>",
			"HostComputeEndpoints":["<e>"],
			"FrontendVIPs":["1.1.1.2"],
			"Flags":1,
			"PortMappings":[
				{"Protocol":17,"InternalPort":53,"ExternalPort":5353,"Flags":1}
			],
			"SchemaVersion":{"Major":2,"Minor":0}
		}`,
		`{
			"ID":"<id>",
			"References":["/endpoints/<E>"],
			"Policies":[
				{
					"Type":"ELB",
					"VIPs":["1.1.1.2"],
					"ILB":true,
					"IsDSR":true,
					"Protocol":17,
					"InternalPort":53,
					"ExternalPort":5353,
					"Extra":1
				}
			]
		}`,
	},
}

func TestLoadBalancerDocuments(t *testing.T) {
	for _, tc := range balancerDocuments {
		t.Run(tc.name, func(t *testing.T) {
			c, e, _ := overlay(t, "2025")
			fill := strings.NewReplacer("<e>", e, "<E>", strings.ToUpper(e)).Replace
			id := ""
			if tc.name == "v1" {
				id = fmt.Sprint(c.outputV1("POST", "/policylists/", fill(tc.document))["ID"])
			} else {
				id = c.create("LoadBalancer", fill(tc.document))
			}
			c.sameJSON(fill(tc.v2), c.query("LoadBalancer", id, ""))
			c.sameJSON(fill(tc.v1), c.outputV1("GET", "/policylists/"+id, ""))
		})
	}
}

// TestModifyLoadBalancer as TestCreateUpdateDeleteLoadBalancer of hcsshim does.
func TestModifyLoadBalancer(t *testing.T) {
	c, e, f := overlay(t, "2025")
	id := c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+e+`"],"FrontendVIPs":["1.1.1.2"],"PortMappings":[{"Protocol":6,
		"ExternalPort":80}]`))
	for _, tc := range []struct {
		settings string
		code     uint32
		want     int
	}{
		{v2(`"ID":"` + id + `","HostComputeEndpoints":["` + e + `","` + f + `"]`), 0, 2},
		{v2(`"HostComputeEndpoints":["` + e + `"]`), 0, 1},
		{v2(`"HostComputeEndpoints":[]`), 0x803b001c, 1},
		{`{`, 0x803b001b, 1},
	} {
		if got := c.modify("LoadBalancer", id, tc.settings); uint32(got) != tc.code {
			t.Errorf("%s: %s, want %#x", tc.settings, got, tc.code)
		}
		if got := c.query("LoadBalancer", id, "")["HostComputeEndpoints"].([]any); len(got) != tc.want {
			t.Errorf("%s: endpoints %v", tc.settings, got)
		}
	}
	c.must("HcnDeleteLoadBalancer", id)
}

func TestNotImplemented(t *testing.T) {
	c, e, _ := overlay(t, "2022")
	lb := c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+e+`"]`))
	if got := c.modify("LoadBalancer", lb, `{}`); got != schema.CodeNotImplemented {
		t.Errorf("load balancer on 2022: %s", got)
	}
	route := c.create("SdnRoute", v2(`"HostComputeEndpoints":["`+e+`"]`))
	if got := c.modify("SdnRoute", route, `{}`); got != schema.CodeNotImplemented {
		t.Errorf("route: %s", got)
	}
	if got := c.call("HNSCall", "GET", "/accelnet/", "").Code; got != schema.CodeNotImplemented {
		t.Errorf("accelnet on 2022: %s", got)
	}
}

// TestSameID: AddEndpoint of hcsshim deletes an object and makes it anew with
// its old id.
func TestSameID(t *testing.T) {
	c, e, f := overlay(t, "2025")
	for class, plural := range map[string]string{"LoadBalancer": "LoadBalancers", "SdnRoute": "SdnRoutes"} {
		id := c.create(class, v2(`"HostComputeEndpoints":["`+e+`"]`))
		c.must("HcnDelete"+class, id)
		again := c.create(class, v2(`"ID":"`+id+`","HostComputeEndpoints":["`+e+`","`+f+`"]`))
		if diff := cmp.Diff([]string{id}, c.enumerate(plural, "")); diff != "" || again != id {
			t.Errorf("%s: made %s (-want +got):\n%s", class, again, diff)
		}
	}
}

func TestRouteDocuments(t *testing.T) {
	c, e, _ := overlay(t, "2025")
	fill := strings.NewReplacer("<e>", e, "<E>", strings.ToUpper(e)).Replace
	const wantV2 = `{
		"ID":"<id>",
		"HostComputeEndpoints":["<e>"],
		"SchemaVersion":{"Major":2,"Minor":0},
		"Setting":[
			{"DestinationPrefix":"169.254.169.254/24","NextHop":"127.10.0.34","NeedEncap":true}
		],
		"Routes":[
			{"DestinationPrefix":"169.254.169.254/24","NextHop":"127.10.0.34","NeedEncap":true}
		]
	}`
	const wantV1 = `{
		"ID":"<id>",
		"References":["/endpoints/<E>"],
		"Policies":[
			{"Type":"ROUTE","DestinationPrefix":"169.254.169.254/24","NextHop":"127.10.0.34","NeedEncap":true}
		]
	}`
	for _, member := range []string{"Setting", "Routes"} {
		id := c.create("SdnRoute", v2(fill(`"HostComputeEndpoints":["<e>"],"`+member+
			`":[{"DestinationPrefix":"169.254.169.254/24","NextHop":"127.10.0.34","NeedEncap":true}]`)))
		c.sameJSON(fill(wantV2), c.query("SdnRoute", id, ""))
		c.sameJSON(fill(wantV1), c.outputV1("GET", "/policylists/"+id, ""))
		c.must("HcnDeleteSdnRoute", id)
	}
	made := c.outputV1("POST", "/policylists", fill(`{
		"References":["/endpoints/<E>"],
		"Policies":[
			{"Type":"ROUTE","DestinationPrefix":"169.254.169.254/24","NextHop":"127.10.0.34","NeedEncap":true}
		]
	}`))
	id := fmt.Sprint(made["ID"])
	c.sameJSON(fill(wantV1), made)
	c.sameJSON(fill(wantV2), c.query("SdnRoute", id, ""))
}

// TestTakenID: an id of an object that is there is refused, whichever way the
// client chose it.
func TestTakenID(t *testing.T) {
	c, e, _ := overlay(t, "2025")
	network := c.enumerate("Networks", "")[0]
	for class, id := range map[string]string{
		"Network":      network,
		"Endpoint":     e,
		"Namespace":    c.create("Namespace", `{}`),
		"LoadBalancer": c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+e+`"]`)),
		"SdnRoute":     c.create("SdnRoute", v2(`"HostComputeEndpoints":["`+e+`"]`)),
	} {
		for _, way := range []struct{ parameter, document string }{
			{"", `{"ID":"` + id + `"}`},
			{"", `{"ID":"{` + strings.ToUpper(id) + `}"}`},
			{strings.ToUpper(id), `{}`},
			{unknownID, `{"ID":"` + id + `"}`},
		} {
			args := []string{way.parameter, way.document}
			if class == "Endpoint" {
				args = append([]string{c.open("Network", network)}, args...)
			}
			if got := c.call("HcnCreate"+class, args...).Code; got != hns.CodeObjectExists {
				t.Errorf("%s %+v: %s", class, way, got)
			}
		}
	}
}

// TestChosenID: the id of the document goes before that of the parameter, and
// the zero GUID is none.
func TestChosenID(t *testing.T) {
	const other = "11111111-2222-3333-4444-555555555555"
	for _, tc := range []struct{ parameter, document, want string }{
		{"", `{"ID":"` + unknownID + `"}`, unknownID},
		{hns.ZeroGUID, `{"ID":"` + strings.ToUpper(unknownID) + `"}`, unknownID},
		{other, `{"ID":"` + unknownID + `"}`, unknownID},
		{other, `{}`, other},
		{other, `{"ID":"` + hns.ZeroGUID + `"}`, other},
		{"{" + other + "}", `{"ID":""}`, other},
		{"", `{}`, ""},
		{hns.ZeroGUID, `{}`, ""},
	} {
		c := newClient(t, "2025")
		got := c.id("Namespace", c.must("HcnCreateNamespace", tc.parameter, tc.document).Handle)
		if tc.want == "" && got != hns.ZeroGUID && len(got) == 36 {
			continue
		}
		if got != tc.want {
			t.Errorf("%q, %s: id %s, want %s", tc.parameter, tc.document, got, tc.want)
		}
	}
}
