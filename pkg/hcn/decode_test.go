// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// equal compares the values of package hns, whose addresses have no fields.
var equal = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
var equalAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func diff(want, got any) string { return cmp.Diff(want, got, equal, equalAddr) }

// withID returns a create document as HNS would answer it.
func withID(t *testing.T, document []byte, id string) []byte {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(document, &members); err != nil {
		t.Fatal(err)
	}
	members["ID"] = id
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for driver, s := range samples {
		t.Run(string(driver), func(t *testing.T) {
			document, err := encodeNetwork(s.network)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeNetwork(withID(t, document, "5F0B1C2D-0000-4000-8000-0000000000A1"))
			if err != nil {
				t.Fatal(err)
			}
			want := s.network
			want.ID = networkID
			if d := diff(want, got); d != "" {
				t.Errorf("network (-want +got):\n%s", d)
			}

			document, err = encodeEndpoint(s.endpoint)
			if err != nil {
				t.Fatal(err)
			}
			gotEndpoint, err := decodeEndpoint(withID(t, document, "{5F0B1C2D-0000-4000-8000-0000000000B2}"))
			if err != nil {
				t.Fatal(err)
			}
			wantEndpoint := s.endpoint
			wantEndpoint.ID = endpointID
			if d := diff(wantEndpoint, gotEndpoint); d != "" {
				t.Errorf("endpoint (-want +got):\n%s", d)
			}
		})
	}
}

func TestDecodeNetwork(t *testing.T) {
	const id = `"ID":"` + networkID + `"`
	tests := []struct {
		name     string
		document string
		want     hns.Network
	}{
		{
			name:     "no type is nat",
			document: `{` + id + `,"Name":"n"}`,
			want:     hns.Network{ID: networkID, Name: "n", Driver: hns.NAT},
		},
		{
			name:     "type in the case of schema 1",
			document: `{` + id + `,"Type":"l2bridge"}`,
			want:     hns.Network{ID: networkID, Driver: hns.L2Bridge},
		},
		{
			name:     "numbered type",
			document: `{` + id + `,"Type":5}`,
			want:     hns.Network{ID: networkID, Driver: hns.Overlay},
		},
		{
			name:     "type that Bulkhead does not serve",
			document: `{` + id + `,"Type":"ConstrainedICS"}`,
			want:     hns.Network{ID: networkID, Driver: "constrainedics"},
		},
		{
			name:     "type that nobody knows",
			document: `{` + id + `,"Type":77}`,
			want:     hns.Network{ID: networkID, Driver: "77"},
		},
		{
			name: "what hcsshim adds and HNS fills in",
			document: `{` + id + `,"Type":"Overlay","MacPool":{},"Dns":{},"Health":{"Extra":{}},"State":1,
				"Flags":12,"Policies":[{"Type":"DrMacAddress","Settings":{"Address":"00-15-5D-00-00-01"}},
				{"Type":"vxlanport","Settings":{"Port":4789}},{"Type":"ProviderAddress"}],
				"Ipams":[{"Type":0,"Subnets":[{"ID":"x","IpAddressPrefix":"10.0.0.0/8","IpSubnets":[],
				"Policies":[{"Type":"VSID","Settings":{"IsolationId":5000}}],
				"Routes":[{"NextHop":"10.0.0.9","DestinationPrefix":"10.1.0.0/16"},
				{"NextHop":"10.0.0.1","DestinationPrefix":"0.0.0.0/0","Metric":5}]}]},
				{"Subnets":[{"IpAddressPrefix":"fd00::/64"},{"IpAddressPrefix":""}]}]}`,
			want: hns.Network{
				ID: networkID, Driver: hns.Overlay, NonPersistent: true, VXLANPort: 4789,
				Subnets: []hns.Subnet{
					{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Gateway: addr("10.0.0.1"), VSID: 5000},
					{Prefix: netip.MustParsePrefix("fd00::/64")},
				},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeNetwork([]byte(tt.document))
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDecodeEndpoint(t *testing.T) {
	const id = `"ID":"` + endpointID + `"`
	tests := []struct {
		name     string
		document string
		want     hns.Endpoint
	}{
		{
			name: "as HNS answers it",
			document: `{"ID":"5F0B1C2D-0000-4000-8000-0000000000B2","Name":"e","HostComputeNetwork":"5F0B1C2D-0000-4000-8000-0000000000A1",
				"HostComputeNamespace":"5F0B1C2D-0000-4000-8000-0000000000C3","MacAddress":"00-15-5D-52-C0-0A",
				"IpConfigurations":[{"IpAddress":"10.0.0.2","PrefixLength":8,"IpSubnetId":"x"}],
				"Dns":{"Search":[],"ServerList":["1.1.1.1"]},"Flags":33}`,
			want: hns.Endpoint{
				ID: endpointID, Name: "e", NetworkID: networkID, NamespaceID: namespaceID, MAC: "00:15:5d:52:c0:0a",
				Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/8")},
				DNS:       hns.DNS{Servers: []string{"1.1.1.1"}}, Remote: true,
			},
		},
		{
			name:     "unattached",
			document: `{` + id + `,"HostComputeNamespace":"00000000-0000-0000-0000-000000000000"}`,
			want:     hns.Endpoint{ID: endpointID},
		},
		{
			name: "what is no address, route, id or MAC is left out",
			document: `{` + id + `,"HostComputeNetwork":"?","MacAddress":"?","IpConfigurations":[{},{"IpAddress":"::1","PrefixLength":200}],
				"Routes":[{"NextHop":"10.0.0.1"},{"DestinationPrefix":"0.0.0.0/0"}]}`,
			want: hns.Endpoint{
				ID: endpointID, Addresses: []netip.Prefix{noLength("::1")},
				Routes: []hns.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0")}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeEndpoint([]byte(tt.document))
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDecodeNamespace(t *testing.T) {
	document := `{"ID":"5F0B1C2D-0000-4000-8000-0000000000C3","NamespaceId":3,"Type":"Host","Resources":[
		{"Type":"Endpoint","Data":{"Id":"5F0B1C2D-0000-4000-8000-0000000000B2"}},
		{"Type":1,"Data":{"ID":"5F0B1C2D-0000-4000-8000-0000000000A1"}},
		{"Type":"Container","Data":{"Id":"Ab12"}},
		{"Data":{"Id":"cd34"}},
		{"Type":"Endpoint","Data":{}},
		{"Type":"Unheard-of","Data":{"Id":"x"}}]}`
	want := hns.Namespace{
		ID: namespaceID, Compartment: 3,
		Endpoints: []string{endpointID, networkID}, Containers: []string{"Ab12", "cd34"},
	}
	got, err := decodeNamespace([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// An object without an id could be neither found again nor deleted.
func TestDecodeErrors(t *testing.T) {
	for _, document := range []string{``, `null`, `[]`, `{}`, `{"ID":"x"}`, `{"ID":"` + hns.ZeroGUID + `"}`, `{"ID":1}`} {
		if got, err := decodeNetwork([]byte(document)); err == nil {
			t.Errorf("decodeNetwork(%s) = %v", document, got)
		}
		if got, err := decodeEndpoint([]byte(document)); err == nil {
			t.Errorf("decodeEndpoint(%s) = %v", document, got)
		}
		if got, err := decodeNamespace([]byte(document)); err == nil {
			t.Errorf("decodeNamespace(%s) = %v", document, got)
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	tests := map[string]func() ([]byte, error){
		"subnet without a gateway": func() ([]byte, error) {
			return encodeNetwork(hns.Network{Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}})
		},
		"subnet without a prefix": func() ([]byte, error) {
			return encodeNetwork(hns.Network{Subnets: []hns.Subnet{{Gateway: addr("10.0.0.1")}}})
		},
		"no address": func() ([]byte, error) {
			return encodeEndpoint(hns.Endpoint{Addresses: make([]netip.Prefix, 1)})
		},
		"no destination": func() ([]byte, error) {
			return encodeEndpoint(hns.Endpoint{Routes: make([]hns.Route, 1)})
		},
	}
	for name, p := range map[string]hns.Policy{
		"nil policy":               nil,
		"pointer to a policy":      (*hns.ACL)(nil),
		"settings that break off":  hns.Opaque{Type: "QOS", Settings: json.RawMessage(`{`)},
		"exception that is none":   hns.OutboundNAT{Exceptions: make([]netip.Prefix, 1)},
		"SDN route to nowhere":     hns.SDNRoute{},
		"port mapping of any":      hns.PortMapping{Protocol: hns.ProtocolAny},
		"ACL for protocol 256":     hns.ACL{Protocol: 256},
		"ACL from an invalid peer": hns.ACL{Remote: make([]netip.Prefix, 1)},
		"ACL to an invalid pod":    hns.ACL{Local: make([]netip.Prefix, 1)},
	} {
		tests[name] = func() ([]byte, error) {
			return encodePolicyRequest("Update", []hns.Policy{hns.Opaque{Type: "L2Driver"}, p})
		}
		tests[name+", at creation"] = func() ([]byte, error) { return encodeEndpoint(hns.Endpoint{Policies: []hns.Policy{p}}) }
	}
	for name, encode := range tests {
		if got, err := encode(); !errors.Is(err, hns.ErrInvalid) || got != nil {
			t.Errorf("%s: %s, %v; want ErrInvalid and nothing to send", name, got, err)
		}
	}
}
