// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// unknownCases hold, for each field of Unknowns, an observation that tells its
// two answers apart.
var unknownCases = map[string]struct {
	observe           func(c client) string
	likely, otherwise string
}{
	"IgnoreID": {func(c client) string {
		n := c.create("Network", v2(`"Type":"NAT","Name":"n","ID":"`+unknownID+`"`))
		e := c.createEndpoint(n, v2(`"ID":"`+unknownID+`"`))
		s := c.create("Namespace", `{"ID":"`+unknownID+`"}`)
		beside := c.id("Endpoint", c.must("HcnCreateEndpoint", c.open("Network", n), otherID, v2(`"Name":"e"`)).Handle)
		return fmt.Sprint(n == unknownID, e == unknownID, s == unknownID, beside == otherID)
	}, "true true true true", "false false true false"},
	"TakenIDOpens": {func(c client) string {
		n := c.network("NAT", "n")
		first := c.createEndpoint(n, v2(`"Name":"first","ID":"`+unknownID+`"`))
		again := c.call("HcnCreateEndpoint", c.open("Network", n), first, v2(`"Name":"again"`))
		return fmt.Sprintf("%x %d", uint32(again.Code), len(c.enumerate("Endpoints", "")))
	}, "80071392 1", "0 1"},
	"ReAddFails": {func(c client) string {
		e := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
		s := c.create("Namespace", `{}`)
		return fmt.Sprintf("%x %x", uint32(c.attach(s, e)), uint32(c.attach(s, e)))
	}, "0 0", "0 803b002b"},
	"GenericNotFound": {func(c client) string {
		return fmt.Sprintf("%x %x %x %x", uint32(c.call("HcnOpenEndpoint", unknownID).Code),
			uint32(c.call("HcnDeleteEndpoint", unknownID).Code), uint32(c.call("HcnOpenNetwork", unknownID).Code),
			uint32(c.attach(c.create("Namespace", `{}`), unknownID)))
	}, "803b0002 803b0002 803b0001 803b0002", "80070490 80070490 80070490 80070490"},
	"DenyPerDirection": {func(c client) string {
		e := c.createEndpoint(c.network("L2Bridge", "n"), with("ACL", `{"Action":"Allow","Direction":"In","RuleType":"Switch","Priority":1000}`))
		return c.evaluateTCP(e)
	}, "in allow, out deny", "in allow, out allow"},
	"NATBySwitch": {func(c client) string {
		n := c.network("NAT", "n")
		host := c.createEndpoint(n, with("ACL", `{"Action":"Block","Direction":"In","RuleType":"Host"}`))
		vfp := c.createEndpoint(n, with("ACL", `{"Action":"Block","Direction":"Out","RuleType":"Switch","Priority":1000}`))
		untyped := c.createEndpoint(n, with("ACL", `{"Action":"Allow","Direction":"Out"}`))
		return c.evaluateTCP(host) + "; " + c.evaluateTCP(vfp) + "; " + c.evaluateTCP(untyped)
	}, "in deny, out deny; in allow, out allow; in deny, out allow", "in allow, out allow; in deny, out deny; in deny, out allow"},
	"SCTPWithoutPorts": {func(c client) string {
		e := c.createEndpoint(c.network("L2Bridge", "n"), with("ACL", `{"Action":"Allow","Direction":"In","LocalPorts":"80","RuleType":"Switch","Priority":1000}`))
		return c.evaluate(e, 132, hns.HyperV) + "; " + c.evaluateTCP(e)
	}, "in allow, out deny; in allow, out deny", "in deny, out deny; in allow, out deny"},
	"UpdateReplacesAll": {func(c client) string {
		e := c.createEndpoint(c.network("NAT", "n"), with("OutBoundNAT", `{"Exceptions":["10.0.0.0/8"]}`))
		c.modify("Endpoint", e, `{"ResourceType":"Policy","RequestType":"Update","Settings":{"Policies":[{"Type":"ACL","Settings":{"Action":"Allow","Direction":"In"}}]}}`)
		return c.policyTypes(e)
	}, "OutBoundNAT ACL", "ACL"},
	"AttachedOnAdd": {func(c client) string {
		e := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
		c.attach(c.create("Namespace", `{}`), e)
		return fmt.Sprint(c.query("Endpoint", e, "")["State"])
	}, "1", "2"},
	"LaxPortMapping": {func(c client) string {
		return c.codeOfEndpoint(c.network("L2Bridge", "n"), with("PortMapping", `{"Protocol":6,"InternalPort":80,"ExternalPort":80}`))
	}, "803b000e", "0"},
	"ReferencesBlockDelete": {func(c client) string {
		n := c.network("NAT", "n")
		behindLB, onRoute := c.createEndpoint(n, v2(`"Name":"e"`)), c.createEndpoint(n, v2(`"Name":"f"`))
		free := c.createEndpoint(n, v2(`"Name":"g"`))
		c.create("LoadBalancer", v2(`"HostComputeEndpoints":["`+behindLB+`"]`))
		c.create("SdnRoute", v2(`"HostComputeEndpoints":["`+onRoute+`"]`))
		return fmt.Sprintf("%x %x %x", uint32(c.call("HcnDeleteEndpoint", behindLB).Code),
			uint32(c.call("HcnDeleteEndpoint", onRoute).Code), uint32(c.call("HcnDeleteEndpoint", free).Code))
	}, "0 0 0", "803b002c 803b002c 0"},
	"EndpointsSurviveReboot": {func(c client) string {
		c.createEndpoint(c.network("L2Bridge", "n"), v2(`"Name":"e"`))
		if err := c.Reboot(); err != nil {
			return err.Error()
		}
		return fmt.Sprint(len(c.enumerate("Endpoints", "")))
	}, "0", "1"},
	"NamesIgnoreCase": {func(c client) string {
		c.network("L2Bridge", "net")
		code := c.call("HcnCreateNetwork", "", networkDocument("L2Bridge", "NET", "")).Code
		return fmt.Sprintf("%x %d", uint32(code), len(c.enumerate("Networks", `{"Name":"Net"}`)))
	}, "0 0", "803b0010 1"},
	"NoProviderAddress": {func(c client) string {
		n := c.create("Network", networkDocument("Overlay", "n", ""))
		var types []string
		for _, p := range c.query("Network", n, "")["Policies"].([]any) {
			types = append(types, p.(map[string]any)["Type"].(string))
		}
		return fmt.Sprint(types)
	}, "[DrMacAddress ProviderAddress]", "[DrMacAddress]"},
}

func (c client) codeOfEndpoint(network, document string) string {
	c.Helper()
	return fmt.Sprintf("%x", uint32(c.call("HcnCreateEndpoint", c.open("Network", network), "", document).Code))
}

// evaluateTCP says what becomes of a TCP connection in each direction.
func (c client) evaluateTCP(endpoint string) string {
	c.Helper()
	return c.evaluate(endpoint, 6, "")
}

// evaluate says what becomes of the first packet of a protocol in each direction.
func (c client) evaluate(endpoint string, protocol int, isolation hns.Isolation) string {
	c.Helper()
	word := map[bool]string{true: "allow", false: "deny"}
	verdict := map[hns.Direction]string{}
	for _, d := range []hns.Direction{hns.In, hns.Out} {
		v, err := c.Evaluate(Packet{EndpointID: endpoint, Direction: d, Protocol: protocol, Isolation: isolation, Remote: netip.MustParseAddr("10.0.0.9"), LocalPort: 80, RemotePort: 1024})
		if err != nil {
			c.Fatal(err)
		}
		verdict[d] = word[v.Allowed]
	}
	return "in " + verdict[hns.In] + ", out " + verdict[hns.Out]
}

// TestUnknowns: each switch changes an answer.
func TestUnknowns(t *testing.T) {
	fields := reflect.TypeFor[Unknowns]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		t.Run(name, func(t *testing.T) {
			tc, ok := unknownCases[name]
			if !ok {
				t.Fatal("no case")
			}
			if got := tc.observe(newClient(t, "2025")); got != tc.likely {
				t.Errorf("by default: %s, want %s", got, tc.likely)
			}
			c := newClient(t, "2025")
			var u Unknowns
			reflect.ValueOf(&u).Elem().Field(i).SetBool(true)
			if err := c.SetUnknowns(u); err != nil {
				t.Fatal(err)
			}
			if got := tc.observe(c); got != tc.otherwise {
				t.Errorf("otherwise: %s, want %s", got, tc.otherwise)
			}
		})
	}
}
