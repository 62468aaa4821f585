// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var values = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
	new22  = hns.Features{Version: hns.Version{Major: 13, Minor: 3}}
	old19  = hns.Features{Version: hns.Version{Major: 9, Minor: 5}}
)

// facts returns a plain pod on a network of a driver.
func facts(d hns.Driver) Facts {
	return Facts{
		Config: config.Config{Attachment: config.Attachment{ContainerID: "c1", IfName: "eth0"}, Name: "net1", Isolation: hns.Process, LoopbackDSR: new(false)},
		Network: hns.Network{
			ID: "n1", Name: "net1", Driver: d,
			Subnets: []hns.Subnet{{Prefix: prefix("10.1.0.0/24"), Gateway: addr("10.1.0.1")}},
		},
		Addresses: []Address{{Addr: addr("10.1.0.5")}},
		Features:  new22,
	}
}

// dualStack gives the pod an IPv6 address, too.
func dualStack(f *Facts) {
	f.Network.Subnets = append(f.Network.Subnets, hns.Subnet{Prefix: prefix("fd00:1::/64"), Gateway: addr("fd00:1::1")})
	f.Addresses = append(f.Addresses, Address{Addr: addr("fd00:1::5")})
}

func TestEndpointName(t *testing.T) {
	tests := []struct{ container, network, ifName, want string }{
		{"c1", "net1", "eth0", "c1_net1"},
		{"c1", "net1", "eth1", "c1_net1#eth1"},
		{"c1", "net_1", "eth0", "c1_net_1"},
	}
	for _, tt := range tests {
		if got := EndpointName(tt.container, tt.network, tt.ifName); got != tt.want {
			t.Errorf("EndpointName(%q, %q, %q) = %q, want %q", tt.container, tt.network, tt.ifName, got, tt.want)
		}
	}
}

func TestParseEndpointName(t *testing.T) {
	tests := []struct {
		name, network, container, ifName string
		ok                               bool
	}{
		{"c1_net1", "net1", "c1", "eth0", true},
		{"c1_net1#eth1", "net1", "c1", "eth1", true},
		{"c1_net1#a#b", "net1", "c1", "a#b", true},
		{"c1_net1_eth1", "net1", "c1", "eth1", true},
		{"a_b_net1", "net1", "a_b", "eth0", true},
		{"a_net1_b_net1_eth1", "net1", "a_net1_b", "eth1", true},
		{"c1_net2", "net1", "", "", false},
		{"_net1", "net1", "", "", false},
		{"_net1_eth1", "net1", "", "", false},
		{"c1_net1_", "net1", "", "", false},
		{"c1_net1#", "net1", "", "", false},
		{"cbr0_ep", "net1", "", "", false},
		{"ep_ep", "ep", "", "", false},
		{"c1_ep", "ep", "c1", "eth0", true},
		{"12345678-eth0", "net1", "", "", false},
		{"Ethernet", "net1", "", "", false},
		{"", "net1", "", "", false},
	}
	for _, tt := range tests {
		container, ifName, ok := ParseEndpointName(tt.name, tt.network)
		if ok != tt.ok || ok && (container != tt.container || ifName != tt.ifName) {
			t.Errorf("%q: got %q, %q, %t", tt.name, container, ifName, ok)
		}
		older, _ := OlderEndpointName(container, tt.network, ifName)
		if ok && EndpointName(container, tt.network, ifName) != tt.name && older != tt.name {
			t.Errorf("%q does not survive", tt.name)
		}
	}
}

func TestEndpoint(t *testing.T) {
	v6 := hns.Subnet{Prefix: prefix("fd00:1::/64"), Gateway: addr("fd00:1::1")}
	v4Default := hns.Route{Destination: prefix("0.0.0.0/0"), NextHop: addr("10.1.0.1")}
	base := hns.Endpoint{
		Name: "c1_net1", NetworkID: "n1",
		Addresses: []netip.Prefix{prefix("10.1.0.5/24")},
		Routes:    []hns.Route{v4Default},
	}
	tests := []struct {
		name   string
		driver hns.Driver
		change func(*Facts)
		want   func(*hns.Endpoint)
	}{
		{name: "plain", driver: hns.L2Bridge},
		{
			name: "no address: HNS chooses", driver: hns.NAT,
			change: func(f *Facts) { f.Addresses = nil },
			want:   func(e *hns.Endpoint) { e.Addresses, e.Routes = nil, nil },
		},
		{
			name: "IPAM's gateway wins over the subnet's", driver: hns.L2Bridge,
			change: func(f *Facts) { f.Addresses[0].Gateway = addr("10.1.0.2") },
			want:   func(e *hns.Endpoint) { e.Routes[0].NextHop = addr("10.1.0.2") },
		},
		{
			name: "no gateway anywhere: no route", driver: hns.L2Bridge,
			change: func(f *Facts) { f.Network.Subnets[0].Gateway = netip.Addr{} },
			want:   func(e *hns.Endpoint) { e.Routes = nil },
		},
		{
			name: "dual stack", driver: hns.L2Bridge,
			change: func(f *Facts) {
				f.Network.Subnets = append(f.Network.Subnets, v6)
				f.Addresses = append(f.Addresses, Address{Addr: addr("fd00:1::5")})
			},
			want: func(e *hns.Endpoint) {
				e.Addresses = append(e.Addresses, prefix("fd00:1::5/64"))
				e.Routes = append(e.Routes, hns.Route{Destination: prefix("::/0"), NextHop: addr("fd00:1::1")})
			},
		},
		{
			name: "DNS", driver: hns.L2Bridge,
			change: func(f *Facts) { f.Config.DNS = hns.DNS{Domain: "d", Servers: []string{"10.96.0.10"}} },
			want:   func(e *hns.Endpoint) { e.DNS = hns.DNS{Domain: "d", Servers: []string{"10.96.0.10"}} },
		},
		{
			name: "a MAC address", driver: hns.L2Bridge,
			change: func(f *Facts) { f.Config.MAC = "00:15:5d:00:00:01" },
			want:   func(e *hns.Endpoint) { e.MAC = "00:15:5d:00:00:01" },
		},
		{
			name: "the node's endpoint whatever IPAM says", driver: hns.L2Bridge,
			change: func(f *Facts) {
				f.Addresses[0].Gateway, f.Config.Gateways.IPv4.Node = addr("10.1.0.254"), true
			},
			want: func(e *hns.Endpoint) { e.Routes[0].NextHop = addr("10.1.0.2") },
		},
		{
			name: "the network's gateway whatever IPAM says", driver: hns.Overlay,
			change: func(f *Facts) {
				f.Addresses[0].Gateway, f.Config.Gateways.IPv4.Network = addr("10.1.0.254"), true
			},
		},
		{
			name: "a gateway where IPAM names none", driver: hns.L2Bridge,
			change: func(f *Facts) {
				dualStack(f)
				f.Addresses[0].Gateway = addr("10.1.0.254")
				f.Config.Gateways.IPv4.Addr, f.Config.Gateways.IPv6.Addr = addr("10.1.0.9"), addr("fe80::1")
			},
			want: func(e *hns.Endpoint) {
				e.Addresses = append(e.Addresses, prefix("fd00:1::5/64"))
				e.Routes = []hns.Route{{Destination: prefix("0.0.0.0/0"), NextHop: addr("10.1.0.254")}, {Destination: prefix("::/0"), NextHop: addr("fe80::1")}}
			},
		},
		{
			name: "a gateway where HNS chooses the address", driver: hns.L2Bridge,
			change: func(f *Facts) {
				f.Addresses = nil
				f.Config.Gateways.IPv6.Addr = addr("fe80::1")
			},
			want: func(e *hns.Endpoint) {
				e.Addresses, e.Routes = nil, []hns.Route{{Destination: prefix("::/0"), NextHop: addr("fe80::1")}}
			},
		},
		{
			name: "a MAC address of the IPv4 address", driver: hns.Overlay,
			change: func(f *Facts) { f.Config.MACPrefix, f.Addresses[0].Addr = "0e:2a", addr("10.1.0.171") },
			want: func(e *hns.Endpoint) {
				e.Addresses[0], e.MAC = prefix("10.1.0.171/24"), "0e:2a:0a:01:00:ab"
			},
		},
		{
			name: "the runtime's MAC address before that", driver: hns.Overlay,
			change: func(f *Facts) { f.Config.MACPrefix, f.Config.MAC = "0e:2a", "00:15:5d:00:00:01" },
			want:   func(e *hns.Endpoint) { e.MAC = "00:15:5d:00:00:01" },
		},
		{
			name: "another interface", driver: hns.L2Bridge,
			change: func(f *Facts) { f.Config.IfName = "eth1" },
			want:   func(e *hns.Endpoint) { e.Name = "c1_net1#eth1" },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, want := facts(tt.driver), base
			want.Addresses = append([]netip.Prefix(nil), base.Addresses...)
			want.Routes = append([]hns.Route(nil), base.Routes...)
			if tt.change != nil {
				tt.change(&f)
			}
			if tt.want != nil {
				tt.want(&want)
			}
			got, err := Endpoint(f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, values); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEndpointPolicies(t *testing.T) {
	web := config.PortMapping{Protocol: 6, HostPort: 8080, ContainerPort: 80}
	opaque := hns.Opaque{Type: "QOS", Settings: json.RawMessage(`{"MaximumOutgoingBandwidthInBytes":1000}`)}
	all := func(f *Facts) {
		f.Config.PortMappings = []config.PortMapping{web}
		f.Config.OutboundNAT = &config.OutboundNAT{Exceptions: []netip.Prefix{prefix("10.0.0.0/8")}}
		f.Config.LoopbackDSR = new(true)
		f.Config.Routes = []hns.SDNRoute{{Destination: prefix("10.96.0.0/12"), NeedEncap: true}}
		f.Config.Policies = []hns.Opaque{opaque}
		f.Network.ProviderAddress = addr("192.168.1.5")
	}
	nat := hns.OutboundNAT{Exceptions: []netip.Prefix{prefix("10.0.0.0/8")}}
	dsr := hns.OutboundNAT{Destinations: []string{"10.1.0.5"}}
	route := hns.SDNRoute{Destination: prefix("10.96.0.0/12"), NeedEncap: true}
	block := hns.Opaque{Type: "ACL", Settings: json.RawMessage(`{"Action":"Block","Direction":"Out","Priority":200}`)}
	mapped := func(flags uint32) hns.Policy {
		return hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: 8080, Flags: flags}
	}
	tests := []struct {
		name   string
		driver hns.Driver
		change func(*Facts)
		want   []hns.Policy
	}{
		{"nothing asked", hns.L2Bridge, func(*Facts) {}, nil},
		{"everything on l2bridge", hns.L2Bridge, all, []hns.Policy{mapped(hns.LocalRoutedVIP), nat, dsr, route, opaque}},
		{
			"what nat has", hns.NAT,
			func(f *Facts) {
				f.Config.PortMappings, f.Config.Policies = []config.PortMapping{web}, []hns.Opaque{opaque}
			},
			[]hns.Policy{mapped(0), opaque},
		},
		{
			"a port of each family", hns.L2Bridge,
			func(f *Facts) { dualStack(f); f.Config.PortMappings = []config.PortMapping{web} },
			[]hns.Policy{mapped(hns.LocalRoutedVIP), mapped(hns.LocalRoutedVIP | hns.IPv6)},
		},
		{
			"a port of IPv6 alone", hns.L2Bridge,
			func(f *Facts) {
				dualStack(f)
				f.Addresses, f.Config.PortMappings = f.Addresses[1:], []config.PortMapping{web}
			},
			[]hns.Policy{mapped(hns.LocalRoutedVIP | hns.IPv6)},
		},
		{
			"loopback DSR of each family", hns.L2Bridge,
			func(f *Facts) { dualStack(f); f.Config.LoopbackDSR = new(true) },
			[]hns.Policy{dsr, hns.OutboundNAT{Destinations: []string{"fd00:1::5"}}},
		},
		{
			"outbound NAT of each family, with the exceptions that are listed or else the cluster's own ranges", hns.L2Bridge,
			func(f *Facts) {
				dualStack(f)
				f.Config.OutboundNAT = &config.OutboundNAT{Exceptions: []netip.Prefix{prefix("10.0.0.0/8")}}
				f.Config.Routes = []hns.SDNRoute{{Destination: prefix("fd00:96::/112")}}
			},
			[]hns.Policy{
				nat, hns.OutboundNAT{Exceptions: []netip.Prefix{prefix("fd00:1::/64"), prefix("fd00:96::/112")}},
				hns.SDNRoute{Destination: prefix("fd00:96::/112")},
			},
		},
		{
			"a limit", hns.NAT,
			func(f *Facts) { f.Config.EgressRate = 1_250_000 },
			[]hns.Policy{hns.QOS{Egress: 1_250_000}},
		},
		{
			"outbound NAT where HNS chooses the address", hns.L2Bridge,
			func(f *Facts) { f.Addresses, f.Config.OutboundNAT = nil, &config.OutboundNAT{} },
			[]hns.Policy{hns.OutboundNAT{Exceptions: []netip.Prefix{prefix("10.1.0.0/24")}}},
		},
		{
			"everything on overlay", hns.Overlay, all,
			[]hns.Policy{mapped(hns.LocalRoutedVIP), nat, dsr, route, hns.ProviderAddress{Address: addr("192.168.1.5")}, opaque},
		},
		{
			"the file's provider address alone", hns.Overlay,
			func(f *Facts) {
				f.Network.ProviderAddress = addr("192.168.1.5")
				f.Config.Policies = []hns.Opaque{{Type: "ProviderAddress", Settings: json.RawMessage(`{"ProviderAddress":"192.168.1.6"}`)}}
			},
			[]hns.Policy{hns.Opaque{Type: "ProviderAddress", Settings: json.RawMessage(`{"ProviderAddress":"192.168.1.6"}`)}},
		},
		{
			"the network beside what is listed, and no routes", hns.L2Bridge,
			func(f *Facts) {
				f.Config.OutboundNAT = &config.OutboundNAT{Exceptions: []netip.Prefix{prefix("10.96.0.0/12")}, ExceptNetwork: true}
				f.Config.Routes = []hns.SDNRoute{route}
			},
			[]hns.Policy{hns.OutboundNAT{Exceptions: []netip.Prefix{prefix("10.96.0.0/12"), prefix("10.1.0.0/24")}}, route},
		},
		{
			"mapped ports beside another's ACLs", hns.L2Bridge,
			func(f *Facts) {
				dualStack(f)
				f.Config.ACL.OpenMapped = true
				f.Config.Policies = []hns.Opaque{block}
				f.Config.PortMappings = []config.PortMapping{web, {Protocol: 6, HostPort: 8081, ContainerPort: 80, HostIP: addr("10.9.0.1")}}
			},
			[]hns.Policy{
				mapped(hns.LocalRoutedVIP), mapped(hns.LocalRoutedVIP | hns.IPv6),
				hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: 8081, VIP: addr("10.9.0.1"), Flags: hns.LocalRoutedVIP},
				block, hns.ACL{Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, LocalPorts: []hns.PortRange{{First: 80, Last: 80}}, Priority: 1000},
			},
		},
		{
			"mapped ports where no ACL keeps them closed", hns.NAT,
			func(f *Facts) { f.Config.ACL.OpenMapped, f.Config.PortMappings = true, []config.PortMapping{web} },
			[]hns.Policy{mapped(0)},
		},
		{
			"a mapping of one IPv6 address", hns.L2Bridge,
			func(f *Facts) {
				dualStack(f)
				web := web
				web.HostIP = addr("fd00::1")
				f.Config.PortMappings = []config.PortMapping{web}
			},
			[]hns.Policy{hns.PortMapping{
				Protocol: 6, InternalPort: 80, ExternalPort: 8080, VIP: addr("fd00::1"), Flags: hns.LocalRoutedVIP | hns.IPv6,
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(tt.driver)
			tt.change(&f)
			got, err := Endpoint(f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Policies, values); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The ACLs come last and are those of the table, for every cell of it.
func TestEndpointACLs(t *testing.T) {
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			t.Run(string(d)+" "+string(i), func(t *testing.T) {
				f := facts(d)
				f.Config.Isolation, f.Config.ACL.Program = i, true
				f.Config.Policies = []hns.Opaque{{Type: "L2Driver", Settings: json.RawMessage(`{}`)}}
				got, err := Endpoint(f)
				if err != nil {
					t.Fatal(err)
				}
				set, err := acl.Compile(acl.Target{Driver: d, Isolation: i}, acl.Spec{})
				if err != nil {
					t.Fatal(err)
				}
				want := []hns.Policy{f.Config.Policies[0]}
				for _, r := range set.Rules {
					want = append(want, r)
				}
				if diff := cmp.Diff(want, got.Policies, values); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestEndpointRefusals(t *testing.T) {
	v6 := hns.Subnet{Prefix: prefix("fd00:1::/64")}
	tests := []struct {
		name   string
		driver hns.Driver
		change func(*Facts)
		kind   error
		want   string
	}{
		{"another driver", hns.Overlay, func(f *Facts) { f.Config.Driver = hns.NAT }, config.ErrInvalid, `driver: "nat" is configured, but the network is of type "overlay"`},
		{"a network that is not for pods", "ics", func(*Facts) {}, config.ErrInvalid, `"ics", which pods cannot use`},
		{"outside of the network", hns.L2Bridge, func(f *Facts) { f.Addresses[0].Addr = addr("10.9.0.5") }, ErrConflict, `10.9.0.5 is outside of the network "net1" (10.1.0.0/24)`},
		{"a network without subnets", hns.NAT, func(f *Facts) { f.Network.Subnets = nil }, ErrConflict, `has no subnet`},
		{
			"a port of a family that the pod lacks", hns.L2Bridge,
			func(f *Facts) {
				f.Config.PortMappings = []config.PortMapping{{Protocol: 6, HostPort: 1, ContainerPort: 1}, {Protocol: 6, HostPort: 2, ContainerPort: 2, HostIP: addr("fd00::1")}}
			},
			ErrConflict, "runtimeConfig.portMappings[1].hostIP: \"fd00::1\" is of a family that the pod has no address of",
		},
		{"two of one family", hns.L2Bridge, func(f *Facts) { f.Addresses = append(f.Addresses, Address{Addr: addr("10.1.0.6")}) }, ErrConflict, "IPAM gave 10.1.0.5 and 10.1.0.6"},
		{
			"IPv6 on an old HNS", hns.L2Bridge,
			func(f *Facts) {
				f.Network.Subnets, f.Addresses = []hns.Subnet{v6}, []Address{{Addr: addr("fd00:1::5")}}
				f.Features = old19
			},
			ErrFeature, "IPv6 needs HNS 11.10 (Windows Server 2022); this node has 9.5",
		},
		{"IPv6 on overlay", hns.Overlay, func(f *Facts) { f.Addresses[0].Addr = addr("fd00:1::5") }, ErrConflict, "is IPv6, which overlay networks do not have"},
		{
			"port mapping on transparent", hns.Transparent,
			func(f *Facts) { f.Config.PortMappings = []config.PortMapping{{Protocol: 6}} },
			config.ErrInvalid, "runtimeConfig.portMappings: a transparent network maps no ports",
		},
		{
			"loopback DSR on an old HNS", hns.L2Bridge,
			func(f *Facts) {
				f.Config.LoopbackDSR, f.Features.Version.Minor, f.Features.Version.Major = new(true), 2, 9
			},
			ErrFeature, "loopbackDSR needs HNS 9.3",
		},
		{
			"loopback DSR without an address", hns.L2Bridge,
			func(f *Facts) { f.Config.LoopbackDSR, f.Addresses = new(true), nil },
			ErrConflict, "loopbackDSR needs an address from IPAM",
		},
		{
			"the gateway's own address", hns.L2Bridge,
			func(f *Facts) { f.Config.Gateways.IPv4.Node, f.Addresses[0].Addr = true, addr("10.1.0.2") },
			ErrConflict, "IPAM gave 10.1.0.2, which is the gateway of the pods of 10.1.0.0/24",
		},
		{
			"a node's endpoint on overlay", hns.Overlay,
			func(f *Facts) { f.Config.Gateways.IPv4.Node = true },
			config.ErrInvalid, "gateway.ipv4: only on l2bridge and l2tunnel",
		},
		{
			"a MAC address without IPv4", hns.L2Bridge,
			func(f *Facts) {
				dualStack(f)
				f.Addresses, f.Config.MACPrefix = f.Addresses[1:], "0e:2a"
			},
			ErrConflict, "macPrefix needs an IPv4 address, and IPAM gave none",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(tt.driver)
			tt.change(&f)
			_, err := Endpoint(f)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %v with %q", err, tt.kind, tt.want)
			}
		})
	}
}

func TestNeedsFeatures(t *testing.T) {
	v4, v6 := []Address{{Addr: addr("10.1.0.5")}}, []Address{{Addr: addr("10.1.0.5")}, {Addr: addr("fd00::5")}}
	for _, tt := range []struct {
		name      string
		driver    hns.Driver
		dsr       *bool
		ipam      string
		addresses []Address
		want      bool
	}{
		{"loopback DSR by default", hns.Overlay, nil, "static", v4, true},
		{"no loopback DSR", hns.L2Bridge, new(false), "static", v4, false},
		{"IPv6", hns.L2Bridge, new(false), "static", v6, true},
		{"loopback DSR", hns.L2Bridge, new(true), "static", v4, true},
		{"no VFP", hns.NAT, nil, "static", v4, false},
		{"addresses by HNS", hns.L2Bridge, nil, "", v4, false},
	} {
		if got := NeedsFeatures(config.Config{LoopbackDSR: tt.dsr, IPAM: config.IPAM{Type: tt.ipam}}, tt.driver, tt.addresses); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

// A policy that is passed through needs the HNS that knows it.
func TestGatedPolicies(t *testing.T) {
	f := facts(hns.L2Bridge)
	f.Config.Policies = []hns.Opaque{{Type: "QOS", Settings: json.RawMessage(`{}`)}, {Type: "tieracl", Settings: json.RawMessage(`{}`)}}
	if !NeedsFeatures(f.Config, hns.L2Bridge, nil) {
		t.Error("the version is not asked for")
	}
	f.Features.Version = hns.Version{Major: 13, Minor: 9}
	_, err := Endpoint(f)
	if want := "policies[1] (tieracl) needs HNS 14.0; this node has 13.9"; !errors.Is(err, ErrFeature) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	f.Features.Version.Major = 14
	if _, err := Endpoint(f); err != nil {
		t.Error(err)
	}
}

// A second IPv4 subnet needs a newer HNS; an IPv6 one beside it is no second.
func TestSeveralSubnets(t *testing.T) {
	four := hns.Subnet{Prefix: prefix("10.1.0.0/24")}
	c := config.Config{Network: &config.Network{Subnets: []hns.Subnet{four, {Prefix: prefix("10.2.0.0/24")}}}}
	err := CheckFeatures(c, hns.Features{Version: hns.Version{Major: 9, Minor: 5}})
	if want := "a second IPv4 subnet in network.subnets needs HNS 11.10 (Windows Server 2022); this node has 9.5"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if err := CheckFeatures(c, new22); err != nil {
		t.Error(err)
	}
	c.Network.Subnets = []hns.Subnet{four, {Prefix: prefix("fd00::/64")}}
	if err := CheckFeatures(c, new22); err != nil {
		t.Error(err)
	}
}

// Loopback DSR is there by default where driver and HNS have it and the address
// is known.
func TestLoopbackDSRByDefault(t *testing.T) {
	for _, tt := range []struct {
		name   string
		driver hns.Driver
		change func(*Facts)
		want   int
	}{
		{"HNS has it", hns.L2Bridge, func(*Facts) {}, 1},
		{"both families", hns.L2Bridge, dualStack, 2},
		{"overlay", hns.Overlay, func(*Facts) {}, 1},
		{"HNS is too old", hns.L2Bridge, func(f *Facts) { f.Features.Version = hns.Version{Major: 9, Minor: 2} }, 0},
		{"no VFP", hns.NAT, func(*Facts) {}, 0},
		{"addresses by HNS", hns.L2Bridge, func(f *Facts) { f.Addresses, f.Config.IPAM.Type = nil, "" }, 0},
		{"switched off", hns.L2Bridge, func(f *Facts) { f.Config.LoopbackDSR = new(false) }, 0},
	} {
		f := facts(tt.driver)
		f.Config.LoopbackDSR, f.Config.IPAM.Type = nil, "host-local"
		tt.change(&f)
		e, err := Endpoint(f)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		got := 0
		for _, p := range e.Policies {
			if nat, ok := p.(hns.OutboundNAT); ok && len(nat.Destinations) > 0 {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%s: %d policies, want %d", tt.name, got, tt.want)
		}
	}
}
