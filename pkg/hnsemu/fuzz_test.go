// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// FuzzCall sends any document through any function. Whatever it is, HNS answers;
// a failure has a known code and changes nothing, and a success reads back.
func FuzzCall(f *testing.F) {
	names := procNames()
	for _, document := range []string{
		"", "{}", "[]", "null", `{"ID":null}`, `{"Name":"n"}`, `{"Type":-1}`,
		networkDocument("NAT", "m", ""), networkDocument("Overlay", "m", ""), networkDocument("Transparent", "m", ""),
		with("ACL", `{"Action":"Allow","Direction":"In"}`), with("PortMapping", `{"Protocol":6,"InternalPort":80}`),
		`{"Policies":[{"Type":"NAT","Protocol":"TCP","InternalPort":80}]}`, `{"Policies":[null]}`, `{"Policies":[{"Type":null}]}`,
		`{"ResourceType":"Policy","RequestType":"Update","Settings":{"Policies":[{"Type":"L2Driver"}]}}`,
		`{"ResourceType":"Policy","RequestType":"Update","Settings":null}`,
		`{"ResourceType":"Endpoint","RequestType":"Add","Settings":{"EndpointId":"` + unknownID + `"}}`,
		`{"SchemaVersion":{"Major":1},"Filter":"{\"Name\":\"n\"}"}`,
		`{"Subnets":[{"AddressPrefix":"10.0.0.0/24"}],"MacPools":[{}]}`,
		`{"References":["/endpoints/x"],"Policies":[{"Type":"ELB"}]}`,
		`{"SystemType":"Host"}`,
	} {
		for i := range names {
			f.Add(uint8(i), "POST", "/endpoints/", document)
		}
		f.Add(uint8(0), "POST", "/networks", document)
		f.Add(uint8(0), "POST", "/policylists", document)
	}
	f.Fuzz(func(t *testing.T, which uint8, method, path, document string) {
		fuzzOne(t, names[int(which)%len(names)], method, path, document)
	})
}

func procNames() []string {
	var names []string
	for name := range procs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func fuzzOne(t *testing.T, proc, method, path, document string) {
	c := newClient(t, "2025")
	n := c.network("L2Bridge", "n")
	e := c.createEndpoint(n, v2(`"Name":"e"`))
	s := c.create("Namespace", `{}`)
	c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+e+`"]`))
	c.create("SdnRoute", v2(`"HostComputeEndpoints":["`+e+`"]`))
	c.attach(s, e)
	before := c.dump()
	reply := c.call(proc, c.fuzzArgs(proc, method, path, document)...)
	if reply.Code == 0x8000ffff {
		t.Errorf("%s %q: a mistake of the emulator: %s", proc, document, c.lastReason())
	}
	if _, known := reply.Code.Meaning(); reply.Code != 0 && !known && reply.Code != hns.CodeInvalidHandle {
		t.Errorf("%s %q: unknown code %s", proc, document, reply.Code)
	}
	refusedDeletion := proc == "HcnDeleteNamespace"
	if got := c.dump(); reply.Code.Failed() && got != before && !refusedDeletion {
		t.Errorf("%s %q failed and changed\n%sinto\n%s", proc, document, before, got)
	}
	if reply.Out != "" && !json.Valid([]byte(reply.Out)) {
		t.Errorf("%s %q answered %q", proc, document, reply.Out)
	}
	c.checkInvariants(proc)
	c.readEverything()
}

// fuzzArgs puts the document where the function has one, and valid handles and
// ids everywhere else.
func (c client) fuzzArgs(proc, method, path, document string) []string {
	if proc == procHNSCall {
		return []string{method, path, document}
	}
	class := ""
	for _, name := range []string{"Network", "Endpoint", "Namespace", "LoadBalancer", "SdnRoute"} {
		if strings.Contains(proc, name) {
			class = name
		}
	}
	id := c.enumerate(class+"s", "")[0]
	switch {
	case strings.HasPrefix(proc, "HcnEnumerate"):
		return []string{document}
	case proc == "HcnCreateEndpoint":
		return []string{c.open("Network", c.enumerate("Networks", "")[0]), "", document}
	case strings.HasPrefix(proc, "HcnCreate"):
		return []string{"", document}
	case strings.HasPrefix(proc, "HcnModify"), strings.HasPrefix(proc, "HcnQuery"):
		return []string{c.open(class, id), document}
	case strings.HasPrefix(proc, "HcnClose"):
		return []string{c.open(class, id)}
	}
	return []string{id}
}

// readEverything reads all objects in both schemas, as hcsshim's lists do.
func (c client) readEverything() {
	for _, class := range []string{"Network", "Endpoint", "Namespace", "LoadBalancer", "SdnRoute"} {
		for _, id := range c.enumerate(class+"s", "") {
			for _, query := range []string{"", `{"SchemaVersion":{"Major":1}}`, `{"SchemaVersion":{"Major":2},"Flags":1}`} {
				if got := c.query(class, id, query)["ID"]; !strings.EqualFold(got.(string), id) {
					c.Errorf("%s %s reads back as %v", class, id, got)
				}
			}
		}
	}
}
