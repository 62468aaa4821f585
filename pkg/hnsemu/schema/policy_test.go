// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// conversions hold a policy in both schemas.
var conversions = []struct {
	name string
	// v1 has the settings beside the type, v2 in a member.
	v1, v2 string
	// oneWay is set when v2 cannot be turned back into that v1.
	oneWay bool
}{
	{
		name: "port mapping of TCP",
		v1:   `{"Type":"NAT","Protocol":"TCP","InternalPort":80,"ExternalPort":8080}`,
		v2:   `{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":8080}}`,
	},
	{
		name: "port mapping of UDP",
		v1:   `{"Type":"NAT","Protocol":"UDP","InternalPort":53,"ExternalPort":53,"VIP":"10.0.0.1"}`,
		v2:   `{"Type":"PortMapping","Settings":{"Protocol":17,"InternalPort":53,"ExternalPort":53,"VIP":"10.0.0.1"}}`,
	},
	{
		name:   "port mapping in lower case",
		v1:     `{"Type":"NAT","Protocol":"tcp","InternalPort":80,"ExternalPort":8080}`,
		v2:     `{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":8080}}`,
		oneWay: true,
	},
	{
		name:   "port mapping of a reserved port",
		v1:     `{"Type":"NAT","Protocol":"TCP","InternalPort":80,"ExternalPort":8080,"ExternalPortReserved":true}`,
		v2:     `{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":8080,"Flags":4}}`,
		oneWay: true,
	},
	{
		name: "outbound NAT",
		v1:   `{"Type":"OutBoundNAT","VIP":"10.0.0.1","ExceptionList":["10.0.0.0/8"],"Destinations":["1.1.1.1"],"MaxPortPoolUsage":9}`,
		v2: `{"Type":"OutBoundNAT","Settings":{"VirtualIP":"10.0.0.1","Exceptions":["10.0.0.0/8"],"Destinations":["1.1.1.1"],
			"MaxPortPoolUsage":9}}`,
	},
	{
		name: "route",
		v1:   `{"Type":"ROUTE","DestinationPrefix":"10.96.0.0/12","NextHop":"10.0.0.1","NeedEncap":true}`,
		v2:   `{"Type":"SDNRoute","Settings":{"DestinationPrefix":"10.96.0.0/12","NextHop":"10.0.0.1","NeedEncap":true}}`,
	},
	{
		name: "provider address",
		v1:   `{"Type":"PA","PA":"192.168.1.5"}`,
		v2:   `{"Type":"ProviderAddress","Settings":{"ProviderAddress":"192.168.1.5"}}`,
	},
	{
		name: "VLAN",
		v1:   `{"Type":"VLAN","VLAN":7}`,
		v2:   `{"Type":"VLAN","Settings":{"IsolationId":7}}`,
	},
	{
		name: "VSID",
		v1:   `{"Type":"VSID","VSID":5000}`,
		v2:   `{"Type":"VSID","Settings":{"IsolationId":5000}}`,
	},
	{
		name: "proxy",
		v1:   `{"Type":"PROXY","IP":"1.1.1.1","Port":"80","ExceptionList":["10.0.0.0/8"],"Destination":"0.0.0.0/0","OutboundNat":true}`,
		v2: `{"Type":"L4Proxy","Settings":{"IP":"1.1.1.1","Port":"80","Exceptions":["10.0.0.0/8"],"Destination":"0.0.0.0/0",
			"OutboundNat":true}}`,
	},
	{
		name: "QOS",
		v1:   `{"Type":"QOS","MaximumOutgoingBandwidthInBytes":1000000}`,
		v2:   `{"Type":"QOS","Settings":{"MaximumOutgoingBandwidthInBytes":1000000}}`,
	},
	{
		name: "layer 2 driver",
		v1:   `{"Type":"L2Driver"}`,
		v2:   `{"Type":"L2Driver","Settings":{}}`,
	},
	{
		name: "ACL of lists",
		v1: `{"Type":"ACL","Id":"a","Protocols":"6,17","Action":"Allow","Direction":"In","LocalPorts":"80","RemotePorts":"1-9",
			"RemoteAddresses":"10.0.0.0/8","RuleType":"Switch","Priority":100}`,
		v2: `{"Type":"ACL","Settings":{"Id":"a","Protocols":"6,17","Action":"Allow","Direction":"In","LocalPorts":"80",
			"RemotePorts":"1-9","RemoteAddresses":"10.0.0.0/8","RuleType":"Switch","Priority":100}}`,
	},
	{
		name: "ACL of numbers",
		v1: `{"Type":"ACL","Protocol":6,"Action":"Block","Direction":"Out","LocalPort":80,"RemotePort":443,"RuleType":"Switch",
			"Priority":1000}`,
		v2: `{"Type":"ACL","Settings":{"Protocols":"6","Action":"Block","Direction":"Out","LocalPorts":"80","RemotePorts":"443",
			"RuleType":"Switch","Priority":1000}}`,
		oneWay: true,
	},
	{
		name:   "ACL of an internal port",
		v1:     `{"Type":"ACL","Protocol":256,"InternalPort":0,"Action":"Block","Direction":"In","ServiceName":"s","Scope":0}`,
		v2:     `{"Type":"ACL","Settings":{"Protocols":"256","Action":"Block","Direction":"In"}}`,
		oneWay: true,
	},
	{
		name:   "ACL of both",
		v1:     `{"Type":"ACL","Protocol":0,"Protocols":"17","LocalPort":80,"LocalPorts":"81","Action":"Block","Direction":"In"}`,
		v2:     `{"Type":"ACL","Settings":{"Protocols":"17","LocalPorts":"81","Action":"Block","Direction":"In"}}`,
		oneWay: true,
	},
	{
		name: "a type that v1 has no other name for",
		v1:   `{"Type":"InterfaceConstraint","InterfaceAlias":"Ethernet"}`,
		v2:   `{"Type":"InterfaceConstraint","Settings":{"InterfaceAlias":"Ethernet"}}`,
	},
}

func sameValue(t *testing.T, what, want, got string) {
	t.Helper()
	var wanted, gotten any
	for text, v := range map[string]*any{want: &wanted, got: &gotten} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("%s: %s: %v", what, text, err)
		}
	}
	if want == got {
		return
	}
	if diff := cmp.Diff(wanted, gotten); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// compact returns JSON without blanks between its parts.
func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestConversions(t *testing.T) {
	for _, tc := range conversions {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParsePolicyV1(json.RawMessage(tc.v1))
			if err != nil {
				t.Fatal(err)
			}
			sameValue(t, "from v1", tc.v2, Marshal(PoliciesV2([]Policy{p})[0]))
			if got := string(p.V1()); got != tc.v1 {
				t.Errorf("v1 is given back as %s", got)
			}
			list, err := parsePolicies([]json.RawMessage{json.RawMessage(tc.v2)})
			if err != nil {
				t.Fatal(err)
			}
			if got := Marshal(PoliciesV2(list)[0]); got != compact(t, tc.v2) {
				t.Errorf("v2 is given back as %s", got)
			}
			if !tc.oneWay {
				sameValue(t, "from v2", tc.v1, string(list[0].V1()))
			}
		})
	}
}

// TestEveryDialectIsConverted: each type that v1 spells in its own way is among
// the conversions.
func TestEveryDialectIsConverted(t *testing.T) {
	for _, d := range dialects {
		i := slices.IndexFunc(conversions, func(tc struct {
			name, v1, v2 string
			oneWay       bool
		}) bool {
			return strings.Contains(tc.v1, fmt.Sprintf(`"Type":%q`, d.v1)) && !tc.oneWay
		})
		if i < 0 {
			t.Errorf("%s is not converted both ways", d.v1)
		}
	}
}

func TestPolicyEqual(t *testing.T) {
	base := Policy{Type: "ACL", Settings: json.RawMessage(`{"Action":"Allow","Priority":100}`)}
	for name, tc := range map[string]struct {
		other Policy
		want  bool
	}{
		"itself":          {base, true},
		"other order":     {Policy{Type: "ACL", Settings: json.RawMessage(`{"Priority":100, "Action":"Allow"}`)}, true},
		"other value":     {Policy{Type: "ACL", Settings: json.RawMessage(`{"Action":"Block","Priority":100}`)}, false},
		"other type":      {Policy{Type: "NetworkACL", Settings: base.Settings}, false},
		"more members":    {Policy{Type: "ACL", Settings: json.RawMessage(`{"Action":"Allow","Priority":100,"Id":"x"}`)}, false},
		"no settings":     {Policy{Type: "ACL"}, false},
		"a letter's case": {Policy{Type: "ACL", Settings: json.RawMessage(`{"action":"Allow","Priority":100}`)}, false},
	} {
		if got := base.Equal(tc.other); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
		if got := tc.other.Equal(base); got != tc.want {
			t.Errorf("%s, the other way round: %t", name, got)
		}
	}
	if !(Policy{Type: "L2Driver"}).Equal(Policy{Type: "L2Driver", Settings: json.RawMessage(`{}`)}) {
		t.Error("no settings differ from empty ones")
	}
}

// TestPolicySpecs tries every type of policy on every type of network: only
// those in limited depend on the type of the network.
func TestPolicySpecs(t *testing.T) {
	settings := map[string]string{
		"PortMapping":     `{"Protocol":6,"InternalPort":80,"ExternalPort":80,"Flags":1}`,
		"ACL":             `{"Action":"Allow","Direction":"In"}`,
		"NetworkACL":      `{"Action":"Allow","Direction":"In"}`,
		"QOS":             `{"MaximumOutgoingBandwidthInBytes":1}`,
		"SDNRoute":        `{"DestinationPrefix":"10.0.0.0/8"}`,
		"ProviderAddress": `{"ProviderAddress":"192.168.1.5"}`,
		"TierAcl":         `{"Direction":"In"}`,
		"VxlanPort":       `{"Port":4790}`,
		"SetPolicy":       `{"Id":"s","PolicyType":"IPSET"}`,
		"RemoteSubnetRoute": `{"DestinationPrefix":"10.1.0.0/24","IsolationId":5000,"ProviderAddress":"1.1.1.1",
			"DistributedRouterMacAddress":"00-15-5D-00-00-01"}`,
		"NetAdapterName": `{"NetworkAdapterName":"Ethernet"}`,
	}
	limited := map[string]string{
		"PortMapping":       "NAT L2Bridge L2Tunnel Overlay",
		"HostRoute":         "L2Bridge L2Tunnel Overlay",
		"RemoteSubnetRoute": "Overlay",
		"VxlanPort":         "Overlay",
	}
	for _, driver := range []string{"NAT", "Transparent", "L2Bridge", "L2Tunnel", "Overlay"} {
		c := PolicyContext{Version: hns.Version{Major: 15, Minor: 4}, NetworkType: driver}
		for specs, on := range map[*map[string]policySpec]string{&endpointPolicies: "endpoint", &networkPolicies: "network"} {
			for kind := range *specs {
				text := settings[kind]
				if text == "" {
					text = `{}`
				}
				p := Policy{Type: kind, Settings: json.RawMessage(text)}
				check := c.CheckEndpointPolicy
				if on == "network" {
					check = c.CheckNetworkPolicy
				}
				want := limited[kind] == "" || slices.Contains(strings.Fields(limited[kind]), driver)
				if err := check(p); (err == nil) != want {
					t.Errorf("%s on a %s %s: %v", kind, driver, on, err)
				}
			}
		}
	}
}

// TestPolicyVersions: a type is refused one version before the one that brought
// it.
func TestPolicyVersions(t *testing.T) {
	for specs, on := range map[*map[string]policySpec]string{&endpointPolicies: "endpoint", &networkPolicies: "network"} {
		for kind, spec := range *specs {
			if spec.since.Major == 0 {
				continue
			}
			before := spec.since
			if before.Minor--; before.Minor < 0 {
				before.Major, before.Minor = before.Major-1, 99
			}
			for version, accepted := range map[hns.Version]bool{before: false, spec.since: true} {
				c := PolicyContext{Version: version, NetworkType: TypeOverlay}
				err := c.check(*specs, Policy{Type: kind, Settings: json.RawMessage(`{}`)})
				if refused := CodeOf(err) == CodeInvalidPolicyType; refused == accepted {
					t.Errorf("%s policy %s with HNS %s: %v", on, kind, version, err)
				}
			}
		}
	}
}
