// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"fmt"
	"net/netip"
	"strings"
)

// Network is a virtual network of this node. Ids are lower-case GUIDs without
// braces everywhere in this package.
type Network struct {
	ID   string
	Name string
	// Driver may be one that Bulkhead does not serve ("ics", "private", ...)
	// when HNS reported it.
	Driver  Driver
	Subnets []Subnet
	// Adapter is the friendly name of the uplink, empty to let HNS choose.
	Adapter string
	// ProviderAddress is the node's address under an overlay network; zero when
	// HNS did not say.
	ProviderAddress netip.Addr
	// ManagementAddress is the node's address on the uplink, which HNS tells only in
	// the list of networks, and only some seconds after it made the first network
	// on an adapter: until then the node is cut off.
	ManagementAddress netip.Addr
	// VXLANPort is the UDP port of an overlay network, 0 for HNS's default 4789.
	VXLANPort uint16
	MACPool   []MACRange
	DNS       DNS
	// NonPersistent asks HNS to forget the network at a reboot.
	NonPersistent bool
	// HostRoute lets the node and the network's pods reach each other through VFP.
	HostRoute bool
	// RemoteSubnets are the subnets of an overlay network's other nodes.
	RemoteSubnets []RemoteSubnet
}

// RemoteSubnet is where an overlay network sends packets for the pods of another
// node.
type RemoteSubnet struct {
	Prefix netip.Prefix
	VSID   uint32
	// ProviderAddress is the other node's address under the overlay.
	ProviderAddress netip.Addr
	// MAC is that of the other node's distributed router.
	MAC MAC
}

// Subnet is an address range of a network.
type Subnet struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
	// VLAN is 0 for none, else 1 to 4094.
	VLAN uint16
	// VSID is the virtual subnet of an overlay network, 0 for none, else 4096
	// to 16777215.
	VSID uint32
}

// Last returns the subnet's last address, which in IPv4 is its broadcast address;
// zero when it has no prefix.
func (s Subnet) Last() netip.Addr {
	b := s.Prefix.Addr().AsSlice()
	for i := max(s.Prefix.Bits(), 0); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// NotGateway says why an address cannot be the subnet's gateway; empty when it can.
func (s Subnet) NotGateway(a netip.Addr) string {
	switch {
	case !s.Prefix.Contains(a):
		return fmt.Sprintf("%s is outside of %s", a, s.Prefix)
	case a == s.Prefix.Masked().Addr():
		return fmt.Sprintf("%s is the network address of %s", a, s.Prefix)
	case a.Is4() && a == s.Last():
		return fmt.Sprintf("%s is the broadcast address of %s", a, s.Prefix)
	default:
		return ""
	}
}

// NotNextHop says why pods of the subnet cannot leave it by an address; empty when they
// can. The link-local address of a router is on every link.
func (s Subnet) NotNextHop(a netip.Addr) string {
	if a.Is6() && a.IsLinkLocalUnicast() && s.Prefix.Addr().Is6() {
		return ""
	}
	return s.NotGateway(a)
}

// NodeAddress returns the subnet's second host address, where the node's own
// endpoint on an l2bridge network is (flannel, Calico); zero when it has none.
func (s Subnet) NodeAddress() netip.Addr {
	if !s.Prefix.IsValid() {
		return netip.Addr{}
	}
	a := s.Prefix.Masked().Addr().Next().Next()
	if !s.Prefix.Contains(a) || a.Is4() && a == s.Last() {
		return netip.Addr{}
	}
	return a
}

// MACRange is a range of MAC addresses, both ends included.
type MACRange struct {
	Start, End MAC
}

// DNS is the name service configuration of a network or an endpoint.
type DNS struct {
	Domain  string
	Search  []string
	Servers []string
	Options []string
}

// IsZero reports whether nothing is configured.
func (d DNS) IsZero() bool {
	return d.Domain == "" && len(d.Search) == 0 && len(d.Servers) == 0 && len(d.Options) == 0
}

// Endpoint is a network interface of a container, or of a remote one.
type Endpoint struct {
	ID        string
	Name      string
	NetworkID string
	// NamespaceID is empty when the endpoint is in no namespace. It is read
	// only: endpoints enter a namespace through Client.Attach.
	NamespaceID string
	// Addresses holds each address with its prefix length. In a wanted
	// endpoint an invalid prefix length is not sent, and HNS takes the subnet's.
	Addresses []netip.Prefix
	MAC       MAC
	Routes    []Route
	DNS       DNS
	Policies  []Policy
	// Remote marks the endpoint of a container on another node.
	Remote bool
}

// Label returns the endpoint's name, or its id when it has none.
func (e Endpoint) Label() string {
	if e.Name == "" {
		return e.ID
	}
	return e.Name
}

// Addrs returns the addresses without their prefix lengths.
func (e Endpoint) Addrs() []netip.Addr {
	var out []netip.Addr
	for _, p := range e.Addresses {
		out = append(out, p.Addr())
	}
	return out
}

// Route is a route of an endpoint. HNS honours default routes only.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// String returns "0.0.0.0/0 via 10.1.0.1".
func (r Route) String() string {
	if !r.NextHop.IsValid() {
		return r.Destination.String()
	}
	return r.Destination.String() + " via " + r.NextHop.String()
}

// Gateway returns the next hop of the endpoint's default route of a's family,
// zero when it has none.
func (e Endpoint) Gateway(a netip.Addr) netip.Addr {
	for _, r := range e.Routes {
		if r.Destination.Bits() == 0 && r.NextHop.Is6() == a.Is6() && !r.NextHop.IsUnspecified() {
			return r.NextHop
		}
	}
	return netip.Addr{}
}

// Namespace is a network namespace. Windows backs it by a compartment once a
// container is started in it.
type Namespace struct {
	ID string
	// Compartment is the number of the compartment, 0 while there is none.
	Compartment uint32
	// Endpoints and Containers hold the ids of the attached resources.
	Endpoints  []string
	Containers []string
}

// MAC is a MAC address in the form aa:bb:cc:dd:ee:ff, or empty.
type MAC string

// ParseMAC reads a MAC address written with hyphens, as HNS does, or colons, in
// any letter case. The empty string is the empty MAC.
func ParseMAC(s string) (MAC, error) {
	if s == "" {
		return "", nil
	}
	return parseMAC(s)
}

// Hyphenated returns the address as HNS writes it: AA-BB-CC-DD-EE-FF.
func (m MAC) Hyphenated() string {
	return strings.ToUpper(strings.ReplaceAll(string(m), ":", "-"))
}
