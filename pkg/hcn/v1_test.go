// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// networksAnswer has the members of HNS's own answers (moby/moby#40128,
// hcsshim#675, microsoft/SDN#269, rancher/rke2#3925): a switch of Hyper-V without
// subnets, a nat network with a policy of its own, an overlay with a VSID.
const networksAnswer = `{"Output":[
	{"ActivityId":"11F53A7E-0000-4000-8000-000000000001","AdditionalParams":{},"CurrentEndpointCount":0,
		"Extensions":[{"Id":"E7C3B2F0-F3C5-48DF-AF2B-10FED6D72E7A","IsEnabled":false,"Name":"Microsoft Windows-Filterplattform"}],
		"Health":{"LastErrorCode":0,"LastUpdateTime":131880685248179571},"ID":"5F0B1C2D-0000-4000-8000-0000000000A1","IPv6":false,
		"LayeredOn":"2458B80F-0000-4000-8000-000000000001","MacPools":[{"EndMacAddress":"00-15-5D-26-AF-FF","StartMacAddress":"00-15-5D-26-A0-00"}],
		"MaxConcurrentEndpoints":0,"Name":"WLAN","Policies":[],"Resources":{"AllocationOrder":0,"State":1},"State":1,
		"TotalEndpoints":0,"Type":"Transparent","Version":38654705665},
	{"Flags":8,"ID":"5F0B1C2D-0000-4000-8000-0000000000A2","IPv6":false,"Name":"nat","NatName":"NAT5F0B1C2D-0000-4000-8000-000000000001",
		"Policies":[{"Type":"VLAN","VLAN":1}],"State":1,"Subnets":[{"AdditionalParams":{},"AddressPrefix":"172.29.80.0/20","Flags":0,
		"GatewayAddress":"172.29.80.1","Health":{"LastErrorCode":0},"ID":"5F0B1C2D-0000-4000-8000-0000000000B2","IpSubnets":[
		{"Flags":3,"ID":"5F0B1C2D-0000-4000-8000-0000000000C2","IpAddressPrefix":"172.29.80.0/20","ObjectType":6}],"ObjectType":5,
		"Policies":[],"State":0}],"SwitchGuid":"5F0B1C2D-0000-4000-8000-0000000000A2","TotalEndpoints":0,"Type":"nat","Version":64424509440},
	{"CurrentEndpointCount":1,"DNSServerCompartment":4,"DrMacAddress":"00-15-5D-64-51-0E","Flags":0,
		"ID":"5F0B1C2D-0000-4000-8000-0000000000A3","ManagementIP":"10.0.2.15","Name":"vxlan0","Policies":[{"Type":"HostRoute"},
		{"DestinationPrefix":"10.244.4.0/24","DistributedRouterMacAddress":"66-a5-cc-c1-86-97","IsolationId":4097,
		"ProviderAddress":"192.168.1.6","Type":"RemoteSubnetRoute"}],"State":1,"Subnets":[{"AddressPrefix":"10.244.3.0/24",
		"GatewayAddress":"10.244.3.1","ObjectType":5,"Policies":[{"Type":"VSID","VSID":4096}],"State":0}],"Type":"Overlay","Version":38654705669}
	],"Success":true}`

func TestDecodeNetworks(t *testing.T) {
	got, err := decodeNetworks([]byte(networksAnswer))
	if err != nil {
		t.Fatal(err)
	}
	want := []hns.Network{
		{ID: networkID, Name: "WLAN", Driver: hns.Transparent},
		{
			ID: strings.Replace(networkID, "a1", "a2", 1), Name: "nat", Driver: hns.NAT,
			Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("172.29.80.0/20"), Gateway: addr("172.29.80.1")}},
		},
		{
			ID: strings.Replace(networkID, "a1", "a3", 1), Name: "vxlan0", Driver: hns.Overlay, ManagementAddress: addr("10.0.2.15"),
			Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.244.3.0/24"), Gateway: addr("10.244.3.1"), VSID: 4096}},
		},
	}
	if d := diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestDecodeNetworkV1 varies one network of the list.
func TestDecodeNetworkV1(t *testing.T) {
	subnet := func(s hns.Subnet) hns.Network { return hns.Network{Driver: hns.NAT, Subnets: []hns.Subnet{s}} }
	prefix, gateway := netip.MustParsePrefix("10.1.0.0/24"), addr("10.1.0.1")
	const subnets = `"Subnets":[{"AddressPrefix":"10.1.0.0/24","GatewayAddress":"10.1.0.1","Policies":`
	tests := []struct {
		name, members string
		want          hns.Network
	}{
		{"no type is nat", ``, hns.Network{Driver: hns.NAT}},
		{"type in lower case", `"Type":"l2bridge"`, hns.Network{Driver: hns.L2Bridge}},
		{"type in Microsoft's spelling", `"Type":"L2Tunnel"`, hns.Network{Driver: hns.L2Tunnel}},
		{"type by number", `"Type":2`, hns.Network{Driver: hns.Transparent}},
		{"type that nobody serves", `"Type":"ICS"`, hns.Network{Driver: "ics"}},
		{"name outside ASCII", `"Name":"vEthernet (以太网)"`, hns.Network{Driver: hns.NAT, Name: "vEthernet (以太网)"}},
		{"adapter", `"NetworkAdapterName":"Ethernet 2"`, hns.Network{Driver: hns.NAT, Adapter: "Ethernet 2"}},
		{
			"adapter as a policy", `"Policies":[{"Type":"NetAdapterName","NetworkAdapterName":"Ethernet 2"}]`,
			hns.Network{Driver: hns.NAT, Adapter: "Ethernet 2"},
		},
		{
			"adapter as both", `"NetworkAdapterName":"Ethernet","Policies":[{"Type":"NetAdapterName","NetworkAdapterName":"Ethernet 2"}]`,
			hns.Network{Driver: hns.NAT, Adapter: "Ethernet"},
		},
		{"VLAN", subnets + `[{"Type":"VLAN","VLAN":7}]}]`, subnet(hns.Subnet{Prefix: prefix, Gateway: gateway, VLAN: 7})},
		{"VLAN as schema 2 has it", subnets + `[{"Type":"vlan","IsolationId":7}]}]`, subnet(hns.Subnet{Prefix: prefix, Gateway: gateway, VLAN: 7})},
		{"VSID as schema 2 has it", subnets + `[{"Type":"VSID","IsolationId":5000}]}]`, subnet(hns.Subnet{Prefix: prefix, Gateway: gateway, VSID: 5000})},
		{"policies nobody knows", subnets + `[{"Type":"X","VLAN":"all"},"Y",{"Type":"VSID","VSID":5000}]}]`, subnet(hns.Subnet{Prefix: prefix, Gateway: gateway, VSID: 5000})},
		{"no gateway", `"Subnets":[{"AddressPrefix":"10.1.0.0/24"}]`, subnet(hns.Subnet{Prefix: prefix})},
		{"no prefix", `"Subnets":[{"ID":"5F0B1C2D-0000-4000-8000-0000000000B2"}]`, hns.Network{Driver: hns.NAT}},
		{
			"dual stack", `"Subnets":[{"AddressPrefix":"10.1.0.0/24","GatewayAddress":"10.1.0.1"},{"AddressPrefix":"fd00::/64","GatewayAddress":"fd00::1"}]`,
			hns.Network{Driver: hns.NAT, Subnets: []hns.Subnet{
				{Prefix: prefix, Gateway: gateway}, {Prefix: netip.MustParsePrefix("fd00::/64"), Gateway: addr("fd00::1")},
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.ID = networkID
			document := doc(strings.ToUpper(networkID), strings.TrimSuffix(","+tt.members, ","))
			got, err := decodeNetworks([]byte(`{"Success":true,"Output":[` + document + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			if d := diff([]hns.Network{tt.want}, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestNoNetworks(t *testing.T) {
	for _, answer := range []string{`{"Success":true}`, `{"Success":true,"Output":null}`, `{"Success":true,"Output":[]}`} {
		if got, err := decodeNetworks([]byte(answer)); err != nil || len(got) > 0 {
			t.Errorf("%s: got %v, %v; want none", answer, got, err)
		}
	}
}

// TestRefusedAnswers: HNS says that it failed with a code or without one.
func TestRefusedAnswers(t *testing.T) {
	version := func(a string) error { _, err := decodeVersion([]byte(a)); return err }
	networks := func(a string) error { _, err := decodeNetworks([]byte(a)); return err }
	tests := []struct {
		name   string
		decode func(string) error
		answer string
		want   error
		text   string
	}{
		{"text", networks, `{"Success":false,"Error":"Element not found. "}`, nil, "HNS failed with error: Element not found."},
		{"code", networks, `{"Success":false,"Error":"The service has not been started. ","ErrorCode":2147943462}`, hns.ErrUnavailable, "The service has not been started."},
		{"code of Win32", networks, `{"Success":false,"ErrorCode":1062}`, hns.ErrUnavailable, "HNS failed"},
		{"negative code", networks, `{"Success":false,"ErrorCode":-2147023834}`, hns.ErrUnavailable, "HNS failed"},
		{"no JSON", networks, ``, nil, "answer of HNS: unexpected end of JSON input"},
		{"no list", networks, `{"Success":true,"Output":{}}`, nil, "list of networks: json"},
		{"no id", networks, `{"Success":true,"Output":[{"Name":"nat"}]}`, nil, `list of networks: id "" of "nat" is not a GUID`},
		{"no version", version, `{"Success":true}`, hns.ErrUnsupported, "unexpected end of JSON input"},
		{"version too old to tell", version, `{"Success":false,"Error":"The parameter is incorrect. "}`, hns.ErrUnsupported, "The parameter is incorrect."},
		{"version while HNS stops", version, `{"Success":false,"ErrorCode":2151350304}`, hns.ErrUnavailable, "HCN_E_MANAGER_STOPPED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.decode(tt.answer)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v: %s", err, tt.want, tt.text)
			}
			if errors.Is(err, hns.ErrNotFound) {
				t.Errorf("the kind was taken from the text: %v", err)
			}
		})
	}
}

func TestDecodeVersion(t *testing.T) {
	got, err := decodeVersion([]byte(`{"Output":{"Major":13,"Minor":3},"Success":true}`))
	if want := (hns.Version{Major: 13, Minor: 3}); err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

// TestTooOldToTell: the same whether HNS says it by HRESULT or in its answer.
func TestTooOldToTell(t *testing.T) {
	for _, tt := range []struct {
		answer string
		err    error
	}{
		{err: code(hns.CodeNotFound)},
		{err: code(0x80070057)},
		{answer: fmt.Sprintf(`{"Success":false,"ErrorCode":%d}`, uint32(hns.CodeNotFound))},
		{answer: `{"Success":false,"Error":"HNS failed"}`},
	} {
		f := newFake()
		f.answer = tt.answer
		f.intercept = func(int, string) error { return tt.err }
		_, err := f.client().Features(t.Context())
		if !errors.Is(err, hns.ErrUnsupported) || errors.Is(err, hns.ErrNotFound) || errors.Is(err, hns.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrUnsupported", tt, err)
		}
	}
}
