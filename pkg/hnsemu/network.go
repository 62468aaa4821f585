// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Network types in the order of their numbers (hns.md section 2.3).
const (
	typeNAT         = "NAT"
	typeICS         = "ICS"
	typeTransparent = "Transparent"
	typeL2Bridge    = "L2Bridge"
	typeL2Tunnel    = "L2Tunnel"
	typeOverlay     = "Overlay"
)

var networkTypes = []string{
	typeNAT, typeICS, typeTransparent, typeL2Bridge, typeL2Tunnel, typeOverlay,
	"Private", "Internal", "Mirrored", "Infiniband", "ConstrainedICS",
}

// Bits of Flags of networks (hns.md section 2.3).
const flagNonPersistent = 8

var networkFlags = map[string]uint32{
	"None": 0, "EnableDnsProxy": 1, "EnableDhcpServer": 2, "EnableMirroring": 4,
	"EnableNonPersistent": flagNonPersistent, "DisableHostPort": 1024, "EnableIov": 8192,
}

// subnetNoGateway is the flag DoNotReserveGatewayAddress of a subnet.
const subnetNoGateway = 1

// network is a network with its subnets. Endpoints point to it.
type network struct {
	base
	// kind is one of networkTypes, in Microsoft's spelling.
	kind string
	// spelling is the type as the client wrote it, which v1 gives back.
	spelling string
	flags    uint32
	subnets  []*subnet
	// pool is where MAC addresses of endpoints come from.
	pool []macRange
	// ownPool is true when the client gave the MAC pool.
	ownPool bool
	// dns is what endpoints get that have none of their own.
	dns      dnsDoc
	policies []policy
	// adapter is the uplink of an external network, asked the one that a client
	// of v1 named.
	adapter, asked string
	// managementIP is the node's address on the uplink, which shows up some
	// time after the network was created.
	managementIP netip.Addr
	created      time.Time
	extensions   map[string]bool
}

// subnet is a range of addresses of a network.
type subnet struct {
	id string
	// ipamType is "Static" or "DHCP".
	ipamType string
	prefix   netip.Prefix
	// gateway is the next hop of the default route: v1 has it as such, v2 as a
	// route.
	gateway netip.Addr
	// routes are those besides the default route.
	routes []routeDoc
	// policies are the VLAN or the VSID.
	policies []policy
	flags    uint32
}

// external reports whether the network needs an uplink.
func (n *network) external() bool {
	switch n.kind {
	case typeTransparent, typeL2Bridge, typeL2Tunnel, typeOverlay:
		return true
	}
	return false
}

// property returns the v1 property that a query filter names.
func (n *network) property(key string) (string, bool) {
	if key == "Type" {
		return n.spelling, true
	}
	return "", false
}

// subnetFor returns the subnet that holds an address.
func (n *network) subnetFor(a netip.Addr) *subnet {
	for _, s := range n.subnets {
		if s.prefix.Contains(a) {
			return s
		}
	}
	return nil
}

// managed returns the node's address on the network's uplink, once the network
// has taken it over (hns.md section 4.1).
func (n *network) managed(h *Host) netip.Addr {
	if h.now().Before(n.created.Add(h.profile.ManagementIPDelay)) {
		return netip.Addr{}
	}
	return n.managementIP
}

// endpoints returns the endpoints of a network, remote ones included.
func (n *network) endpoints(h *Host) []*endpoint {
	return slices.DeleteFunc(all[*endpoint](&h.store, endpointClass), func(e *endpoint) bool {
		return e.network != n
	})
}

// createNetwork is HcnCreateNetwork.
func createNetwork(h *Host, id, settings string) (object, error) {
	var doc networkDoc
	if err := decode(settings, &doc); err != nil {
		return nil, err
	}
	n, err := doc.network(h, id)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(*Host) error{n.checkName, n.checkSubnets, n.bindUplink, n.fillSubnets, n.fillPool, n.checkPolicies} {
		if err := step(h); err != nil {
			return nil, err
		}
	}
	n.fillPolicies()
	n.created = h.now()
	h.store.add(networkClass, n)
	return n, nil
}

// checkName: names of networks are unique on the node, those of endpoints are
// not (hns.md section 4.1).
func (n *network) checkName(h *Host) error {
	for _, other := range all[*network](&h.store, networkClass) {
		if n.name != "" && h.sameName(other.name, n.name) {
			return refuse(hns.CodeNetworkExists, "network %s is called %q", other.id, n.name)
		}
	}
	return nil
}

// removeNetwork is HcnDeleteNetwork. Endpoints go with their network (hns.md
// section 4.5).
func removeNetwork(h *Host, o object) error {
	n := o.(*network)
	for _, e := range n.endpoints(h) {
		h.drop(e)
	}
	h.store.remove(networkClass, n)
	return nil
}

// modifyNetwork is HcnModifyNetwork.
func modifyNetwork(h *Host, o object, text string) error {
	n := o.(*network)
	resource, request, settings, err := parseModify(text, "DNS", "Extension", "Policy", "Subnet", "IPSubnet")
	if err != nil {
		return err
	}
	switch resource {
	case "Policy":
		return n.modifyPolicies(h, request, settings)
	case "DNS":
		return n.modifyDNS(request, settings)
	case "Extension":
		return n.modifyExtension(settings)
	case "Subnet":
		return n.modifySubnets(h, request, settings)
	}
	return refuse(codeUnsupported, "resource type %s", resource)
}

// modifyDNS replaces the name service configuration; endpoints that took it
// over keep what they have.
func (n *network) modifyDNS(request string, settings []byte) error {
	var dns dnsDoc
	if err := decode(string(settings), &dns); err != nil {
		return err
	}
	if request != "Update" {
		return refuse(codeUnsupported, "%s of DNS", request)
	}
	n.dns = dns
	return nil
}

// switchExtensions are those that HNS brings along: VFP of both generations and
// WFP (hns.md section 2.8).
var switchExtensions = []string{
	"e9b59cfa-2be1-4b21-828f-b6fbdbddc017",
	"f74f241b-440f-4433-bb28-00f89ead20d8",
	"e7c3b2f0-f3c5-48df-af2b-10fed6d72e7a",
}

// modifyExtension turns a switch extension on or off. The emulator only
// remembers it.
func (n *network) modifyExtension(settings []byte) error {
	var doc struct {
		ID        string
		IsEnabled bool
	}
	if err := decode(string(settings), &doc); err != nil {
		return err
	}
	id, err := reference(doc.ID)
	if err != nil {
		return err
	}
	if !slices.Contains(switchExtensions, id) {
		return refuse(codeNoExtension, "switch extension %q", doc.ID)
	}
	if n.extensions == nil {
		n.extensions = map[string]bool{}
	}
	n.extensions[id] = doc.IsEnabled
	return nil
}

// modifySubnets adds and removes subnets, which the schema has since 2.6: HNS of
// Windows 2004.
func (n *network) modifySubnets(h *Host, request string, settings []byte) error {
	if !h.profile.Version.AtLeast(11, 0) {
		return refuse(codeUnsupported, "subnets cannot be modified before HNS 11")
	}
	var doc struct{ Subnets []subnetDoc }
	if err := decode(string(settings), &doc); err != nil {
		return err
	}
	changed := *n
	for _, d := range doc.Subnets {
		s, err := d.subnet("Static")
		if err != nil {
			return err
		}
		switch request {
		case "Add":
			changed.subnets = append(slices.Clone(changed.subnets), s)
		case "Remove":
			kept := slices.DeleteFunc(slices.Clone(changed.subnets), func(old *subnet) bool { return old.prefix == s.prefix })
			if len(kept) == len(changed.subnets) {
				return refuse(codeNoSubnet, "no subnet %s", s.prefix)
			}
			changed.subnets = kept
		default:
			return refuse(codeUnsupported, "%s of subnets", request)
		}
	}
	for _, step := range []func(*Host) error{changed.checkSubnets, changed.checkStrays, changed.fillSubnets} {
		if err := step(h); err != nil {
			return err
		}
	}
	n.subnets = changed.subnets
	return nil
}

// checkStrays refuses to leave endpoints without the subnet of their address.
func (n *network) checkStrays(h *Host) error {
	for _, e := range all[*endpoint](&h.store, endpointClass) {
		if e.network.id != n.id || e.remote() {
			continue
		}
		for _, p := range e.addresses {
			if n.subnetFor(p.Addr()) == nil {
				return refuse(codeHasReferences, "endpoint %q has address %s", e.name, p)
			}
		}
	}
	return nil
}
