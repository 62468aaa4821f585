// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

const (
	networkID   = "5f0b1c2d-0000-4000-8000-0000000000a1"
	endpointID  = "5f0b1c2d-0000-4000-8000-0000000000b2"
	namespaceID = "5f0b1c2d-0000-4000-8000-0000000000c3"
)

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// noLength is an address whose prefix length HNS is to choose.
func noLength(s string) netip.Prefix { return netip.PrefixFrom(addr(s), -1) }

type sample struct {
	network  hns.Network
	endpoint hns.Endpoint
}

// samples holds one representative network and endpoint for each driver. All
// that can be said about either is said by one of them.
var samples = map[hns.Driver]sample{
	hns.NAT: {
		hns.Network{
			Name: "nat", Driver: hns.NAT,
			Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("172.19.208.0/20"), Gateway: addr("172.19.208.1")}},
		},
		hns.Endpoint{
			Name: "pod_nat", NetworkID: networkID,
			Addresses: []netip.Prefix{noLength("172.19.208.7")},
			Policies: []hns.Policy{
				hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: 8080},
				hns.ACL{ID: "bulkhead-1", Direction: hns.In, Action: hns.Allow, RuleType: hns.Host, Protocol: 58},
			},
		},
	},
	hns.Transparent: {
		hns.Network{Name: "external", Driver: hns.Transparent, Adapter: "Ethernet 2", NonPersistent: true},
		hns.Endpoint{
			Name: "pod_external", NetworkID: networkID, MAC: "00:15:5d:52:c0:07",
			Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.7.20/24")},
			Routes:    []hns.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: addr("192.168.7.1")}},
		},
	},
	hns.L2Bridge: {
		hns.Network{
			Name: "podnet", Driver: hns.L2Bridge, Adapter: "Ethernet",
			Subnets: []hns.Subnet{
				{Prefix: netip.MustParsePrefix("10.10.0.0/24"), Gateway: addr("10.10.0.1"), VLAN: 7},
				{Prefix: netip.MustParsePrefix("fd00:10::/64"), Gateway: addr("fd00:10::1")},
			},
			DNS: hns.DNS{Domain: "cluster.local", Search: []string{"svc.cluster.local"}, Servers: []string{"10.96.0.10"}, Options: []string{"ndots:5"}},
		},
		hns.Endpoint{
			ID: endpointID, Name: "pod_podnet", NetworkID: networkID,
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.0.9/24"), noLength("fd00:10::9")},
			Routes: []hns.Route{
				{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: addr("10.10.0.1")},
				{Destination: netip.MustParsePrefix("::/0"), NextHop: addr("fd00:10::1")},
			},
			DNS: hns.DNS{Search: []string{"default.svc.cluster.local"}, Servers: []string{"10.96.0.10", "fd00::a"}},
			Policies: []hns.Policy{
				hns.OutboundNAT{Exceptions: prefixes("10.0.0.0/8", "fd00:10::/64")},
				hns.OutboundNAT{VirtualIP: addr("10.10.0.2"), Destinations: []string{"10.10.0.9"}},
				hns.SDNRoute{Destination: netip.MustParsePrefix("10.96.0.0/12"), NeedEncap: true},
				hns.SDNRoute{Destination: netip.MustParsePrefix("192.168.0.0/16"), NextHop: addr("10.10.0.3")},
				hns.PortMapping{Protocol: 17, InternalPort: 53, ExternalPort: 5353, VIP: addr("192.168.1.5"), Flags: hns.LocalRoutedVIP},
				hns.ACL{
					ID: "bulkhead-1000", Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Protocol: 6,
					Local: prefixes("10.10.0.9/32"), Remote: prefixes("10.1.0.0/16", "10.2.0.7/32"),
					LocalPorts: []hns.PortRange{{First: 80, Last: 80}, {First: 8000, Last: 8080}}, Priority: 1000,
				},
				hns.ACL{
					Direction: hns.Out, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny,
					RemotePorts: []hns.PortRange{{First: 0, Last: 65535}}, Priority: 65500,
				},
				hns.ACL{Direction: hns.Out, Action: hns.Allow, Protocol: 0},
				hns.QOS{Egress: 1_250_000},
				hns.Opaque{Type: "EncapOverhead", Settings: json.RawMessage(`{"Overhead":50}`)},
				hns.Opaque{Type: "L2Driver"},
			},
		},
	},
	hns.L2Tunnel: {
		hns.Network{
			Name: "azure", Driver: hns.L2Tunnel,
			Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.240.0.0/16"), Gateway: addr("10.240.0.1")}},
			MACPool: []hns.MACRange{{Start: "00:15:5d:52:c0:00", End: "00:15:5d:52:cf:ff"}},
		},
		hns.Endpoint{Name: "pod_azure", NetworkID: networkID},
	},
	hns.Overlay: {
		hns.Network{
			Name: "vxlan0", Driver: hns.Overlay, ProviderAddress: addr("192.168.1.5"), VXLANPort: 8472, HostRoute: true,
			RemoteSubnets: []hns.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.2.0.0/16"), VSID: 4096, ProviderAddress: addr("192.168.1.6"), MAC: "00:15:5d:00:00:06"}},
			Subnets:       []hns.Subnet{{Prefix: netip.MustParsePrefix("10.244.3.0/24"), Gateway: addr("10.244.3.1"), VSID: 4096}},
		},
		hns.Endpoint{
			Name: "remote_vxlan0", NetworkID: networkID, Remote: true, MAC: "0e:2a:0a:f4:04:07",
			Addresses: []netip.Prefix{noLength("10.244.4.7")},
			Policies:  []hns.Policy{hns.ProviderAddress{Address: addr("192.168.1.6")}},
		},
	},
}
