// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func TestParsePolicy(t *testing.T) {
	acl := hns.ACL{Direction: hns.In, Action: hns.Allow, Protocol: hns.ProtocolAny}
	with := func(change func(*hns.ACL)) hns.ACL {
		a := acl
		change(&a)
		return a
	}
	tests := []struct {
		name     string
		kind     string
		settings string
		want     hns.Policy
	}{
		{"least ACL", "ACL", `{"Action":"Allow","Direction":"In"}`, acl},
		{"empty members", "acl", `{"Action":"allow","Direction":"IN","Protocols":"","LocalPorts":"","RemoteAddresses":null,"RuleType":"","Priority":0,"Scope":0}`, acl},
		{"any protocol of schema 1", "ACL", `{"Action":"Allow","Direction":"In","Protocols":"256"}`, acl},
		{"bare addresses and blanks", "ACL", `{"Action":"Allow","Direction":"In","RemoteAddresses":"10.0.0.21, fd00::1,10.0.0.0/8"}`,
			with(func(a *hns.ACL) { a.Remote = prefixes("10.0.0.21/32", "fd00::1/128", "10.0.0.0/8") })},
		{"port list", "ACL", `{"Action":"Allow","Direction":"In","LocalPorts":"80, 8080-8090,5-5"}`,
			with(func(a *hns.ACL) {
				a.LocalPorts = []hns.PortRange{{First: 80, Last: 80}, {First: 8080, Last: 8090}, {First: 5, Last: 5}}
			})},
		{"id in either case", "ACL", `{"Action":"Allow","Direction":"In","ID":"x"}`, with(func(a *hns.ACL) { a.ID = "x" })},
		{"port mapping", "PORTMAPPING", `{"Protocol":6,"InternalPort":80,"ExternalPort":8080,"VIP":"","Flags":1}`,
			hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: 8080, Flags: 1}},
		{"outbound NAT", "OutboundNat", `{"Exceptions":["172.17.0.1/16"],"MaxPortPoolUsage":0}`,
			hns.OutboundNAT{Exceptions: prefixes("172.17.0.1/16")}},
		{"SDN route", "SDNRoute", `{"DestinationPrefix":"10.0.0.0/8","NeedEncap":false,"AutomaticEndpointMonitor":false}`,
			hns.SDNRoute{Destination: netip.MustParsePrefix("10.0.0.0/8")}},
		{"provider address", "ProviderAddress", `{"ProviderAddress":"192.168.1.5"}`, hns.ProviderAddress{Address: addr("192.168.1.5")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ParsePolicy(tt.kind, json.RawMessage(tt.settings))
			if d := diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// What would lose something as a typed policy must come through word for word.
func TestParsePolicyOpaque(t *testing.T) {
	tests := []struct{ kind, settings string }{
		{"QOS", `{"MaximumOutgoingBandwidthInBytes": 5, "Burst": 1}`},
		{"L2Driver", ``},
		{"ROUTE", `{"DestinationPrefix":"10.0.0.0/8"}`},
		{"ACL", ``},
		{"ACL", `null`},
		{"ACL", `[]`},
		{"ACL", `{"Direction":"In"}`},
		{"ACL", `{"Action":"Pass","Direction":"In"}`},
		{"ACL", `{"Action":0,"Direction":0}`},
		{"ACL", `{"Action":"Allow","Direction":"In","Protocols":"6,17"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","Protocols":6}`},
		{"ACL", `{"Action":"Allow","Direction":"In","Protocol":6}`},
		{"ACL", `{"Action":"Allow","Direction":"In","Scope":1}`},
		{"ACL", `{"Action":"Allow","Direction":"In","RuleType":"Guest"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","RemoteAddresses":"Any"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","LocalAddresses":"azure-npm-1234"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","LocalPorts":"90-80"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","LocalPorts":"80,"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","RemotePorts":"http"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","RemotePorts":"1-http"}`},
		{"ACL", `{"Action":"Allow","Direction":"In","Priority":70000}`},
		{"PortMapping", `{"Protocol":"TCP"}`},
		{"PortMapping", `{"VIP":"host"}`},
		{"OutBoundNAT", `{"Exceptions":["10.0.0.0/8"],"Flags":2}`},
		{"OutBoundNAT", `{"Exceptions":["here"]}`},
		{"OutBoundNAT", `{"VirtualIP":"here"}`},
		{"OutBoundNAT", `{"ExceptionList":["10.0.0.0/8"]}`},
		{"SDNRoute", `{"DestinationPrefix":""}`},
		{"SDNRoute", `{"DestinationPrefix":"10.0.0.0/8","NextHop":"gw"}`},
		{"SDNRoute", `{"DestinationPrefix":"10.0.0.0/8","AutomaticEndpointMonitor":true}`},
		{"ProviderAddress", `{"ProviderAddress":"host"}`},
		{"ProviderAddress", `{"PA":"192.168.1.5"}`},
	}
	for _, tt := range tests {
		t.Run(tt.kind+tt.settings, func(t *testing.T) {
			settings := json.RawMessage(tt.settings)
			want := hns.Opaque{Type: tt.kind, Settings: settings}
			if d := diff(hns.Policy(want), ParsePolicy(tt.kind, settings)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Every type of policy must be in the samples, so in goldens and round trips.
func TestSamplesHoldEveryPolicy(t *testing.T) {
	missing := map[reflect.Type]bool{}
	for _, p := range []hns.Policy{
		hns.ACL{}, hns.PortMapping{}, hns.OutboundNAT{}, hns.SDNRoute{}, hns.ProviderAddress{}, hns.Opaque{},
	} {
		missing[reflect.TypeOf(p)] = true
	}
	set := map[string]bool{}
	note := func(v any) {
		for i := range reflect.TypeOf(v).NumField() {
			if !reflect.ValueOf(v).Field(i).IsZero() {
				set[reflect.TypeOf(v).Name()+"."+reflect.TypeOf(v).Field(i).Name] = true
			}
		}
	}
	for _, s := range samples {
		note(s.network)
		note(s.endpoint)
		for _, sub := range s.network.Subnets {
			note(sub)
		}
		for _, p := range s.endpoint.Policies {
			delete(missing, reflect.TypeOf(p))
			note(p)
		}
	}
	for p := range missing {
		t.Errorf("no sample has a policy of type %v", p)
	}
	readOnly := map[string]bool{"Network.ID": true, "Network.ManagementAddress": true, "Endpoint.NamespaceID": true}
	for _, v := range []any{
		hns.Network{}, hns.Subnet{}, hns.Endpoint{},
		hns.ACL{}, hns.PortMapping{}, hns.OutboundNAT{}, hns.SDNRoute{}, hns.ProviderAddress{}, hns.Opaque{},
	} {
		for i := range reflect.TypeOf(v).NumField() {
			if f := reflect.TypeOf(v).Name() + "." + reflect.TypeOf(v).Field(i).Name; !set[f] && !readOnly[f] {
				t.Errorf("no sample sets %s", f)
			}
		}
	}
}
