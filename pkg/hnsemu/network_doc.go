// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// networkDoc is a network as clients write it, in either schema (hns.md sections
// 2.3 and 4.7).
type networkDoc struct {
	SchemaVersion schemaVersion
	ID            string
	Name          string
	Type          word
	Policies      []json.RawMessage
	Flags         word

	// These are members of v2.

	MacPool struct{ Ranges []macRangeDoc }
	DNS     dnsDoc `json:"Dns"`
	Ipams   []struct {
		Type    word
		Subnets []subnetDoc
	}

	// These are members of v1.

	MacPools           []macRangeDoc
	Subnets            []subnetV1
	DNSSuffix          string
	DNSServerList      string
	NetworkAdapterName string
	SourceMac          string
}

// macRangeDoc is a range of MAC addresses, the same in either schema.
type macRangeDoc struct {
	StartMacAddress string `json:",omitempty"`
	EndMacAddress   string `json:",omitempty"`
}

// subnetDoc is a subnet of v2.
type subnetDoc struct {
	ID       string            `json:",omitempty"`
	Prefix   string            `json:"IpAddressPrefix,omitempty"`
	Policies []json.RawMessage `json:",omitempty"`
	Routes   []routeDoc        `json:",omitempty"`
	Flags    uint32            `json:",omitempty"`
}

// subnetV1 is a subnet of v1.
type subnetV1 struct {
	ID             string            `json:",omitempty"`
	AddressPrefix  string            `json:",omitempty"`
	GatewayAddress string            `json:",omitempty"`
	Policies       []json.RawMessage `json:",omitempty"`
	Flags          uint32            `json:",omitempty"`
	ObjectType     int               `json:",omitempty"`
}

// network returns the network that the document describes; nothing is checked
// yet that needs a look at the node.
func (d networkDoc) network(h *Host, parameter string) (*network, error) {
	if err := checkID(d.ID); err != nil {
		return nil, err
	}
	if h.unknowns.IgnoreID {
		d.ID, parameter = "", ""
	}
	b, err := h.chooseID(networkClass, parameter, d.ID)
	if err != nil {
		return nil, err
	}
	b.name = d.Name
	n := &network{base: b, spelling: string(d.Type), policies: []policy{}}
	kind, ok := typeNAT, true
	if d.Type != "" {
		kind, ok = d.Type.oneOf(networkTypes...)
	}
	if !ok {
		return nil, refuse(codeInvalidType, "network type %q", d.Type)
	}
	n.kind = kind
	if n.flags, err = d.Flags.flags(networkFlags); err != nil {
		return nil, err
	}
	if d.SchemaVersion.Major >= 2 {
		return n, d.readV2(n)
	}
	return n, d.readV1(n)
}

// readV2 reads the members that v2 has for itself. Its types are spelled as
// Microsoft does, so v1 gives them back like that.
func (d networkDoc) readV2(n *network) (err error) {
	n.spelling = n.kind
	n.dns = d.DNS
	if n.policies, err = parsePolicies(d.Policies); err != nil {
		return err
	}
	for _, ipam := range d.Ipams {
		kind, ok := "Static", true
		if ipam.Type != "" {
			kind, ok = ipam.Type.oneOf("Static", "DHCP")
		}
		if !ok {
			return refuse(codeInvalidJSON, "ipam type %q", ipam.Type)
		}
		for _, doc := range ipam.Subnets {
			if doc.Prefix == "" {
				continue
			}
			s, err := doc.subnet(kind)
			if err != nil {
				return err
			}
			n.subnets = append(n.subnets, s)
		}
	}
	return n.readPool(d.MacPool.Ranges)
}

// readV1 reads the members that v1 has for itself.
func (d networkDoc) readV1(n *network) (err error) {
	n.dns = dnsDoc{Search: splitList(d.DNSSuffix), ServerList: splitList(d.DNSServerList)}
	n.asked = d.NetworkAdapterName
	if n.policies, err = parsePoliciesV1(d.Policies); err != nil {
		return err
	}
	if d.SourceMac != "" {
		n.policies = append(n.policies, newPolicy("SourceMacAddress", map[string]any{"SourceMacAddress": d.SourceMac}))
	}
	for _, doc := range d.Subnets {
		if doc.AddressPrefix == "" {
			continue
		}
		s, err := doc.subnet()
		if err != nil {
			return err
		}
		n.subnets = append(n.subnets, s)
	}
	return n.readPool(d.MacPools)
}

// readPool takes over the MAC pool, if the client gave one.
func (n *network) readPool(docs []macRangeDoc) error {
	for _, d := range docs {
		r, err := d.macRange()
		if err != nil {
			return err
		}
		n.pool = append(n.pool, r)
	}
	n.ownPool = len(n.pool) > 0
	return nil
}

// subnet reads a subnet of v2. The default route is the gateway.
func (d subnetDoc) subnet(ipamType string) (*subnet, error) {
	prefix, err := parsePrefix(d.Prefix)
	if err != nil {
		return nil, err
	}
	s := &subnet{id: hns.NewGUID(), ipamType: ipamType, prefix: prefix, flags: d.Flags}
	for _, r := range d.Routes {
		destination, err := parsePrefix(r.DestinationPrefix)
		if err != nil {
			return nil, err
		}
		if destination.Bits() != 0 {
			s.routes = append(s.routes, r)
			continue
		}
		if r.NextHop == "" {
			return nil, refuse(codeInvalidSubnet, "the default route of subnet %s has no next hop", prefix)
		}
		if s.gateway, err = parseAddr(r.NextHop); err != nil {
			return nil, err
		}
	}
	s.policies, err = parsePolicies(d.Policies)
	return s, err
}

// subnet reads a subnet of v1.
func (d subnetV1) subnet() (*subnet, error) {
	prefix, err := parsePrefix(d.AddressPrefix)
	if err != nil {
		return nil, err
	}
	s := &subnet{id: hns.NewGUID(), ipamType: "Static", prefix: prefix, flags: d.Flags}
	if d.GatewayAddress != "" {
		if s.gateway, err = parseAddr(d.GatewayAddress); err != nil {
			return nil, err
		}
	}
	s.policies, err = parsePoliciesV1(d.Policies)
	return s, err
}

// parsePrefix reads a prefix that must be written without host bits: HNS calls
// the whole document invalid otherwise (windows-container-networking#69).
func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, refuse(codeInvalidJSON, "%v", err)
	}
	if p != p.Masked() {
		return netip.Prefix{}, refuse(codeInvalidJSON, "prefix %s has host bits", p)
	}
	return p, nil
}

// parseAddr reads an address of a network; IPv4-mapped ones are IPv4.
func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, refuse(codeInvalidJSON, "%q is not an IP address", text)
	}
	return a.Unmap(), nil
}

// v2 returns the network in the v2 schema.
func (n *network) v2(*Host) any {
	doc := struct {
		ID       string
		Name     string      `json:",omitempty"`
		Type     string      `json:",omitempty"`
		Policies []policyDoc `json:",omitempty"`
		MacPool  struct {
			Ranges []macRangeDoc `json:",omitempty"`
		}
		DNS           dnsDoc    `json:"Dns"`
		Ipams         []ipamDoc `json:",omitempty"`
		Flags         uint32    `json:",omitempty"`
		Health        healthDoc
		State         uint16
		SchemaVersion schemaVersion
	}{
		ID: n.id, Name: n.name, Type: n.kind, Policies: policiesV2(n.policies), DNS: n.dns,
		Ipams: n.ipams(), Flags: n.flags, State: n.state, SchemaVersion: schemaV2,
	}
	// NAT is number 0 of the enumeration, and zero members are omitted (hns.md
	// section 2.1).
	if n.kind == typeNAT {
		doc.Type = ""
	}
	doc.MacPool.Ranges = n.poolDocs()
	doc.Health.Extra.SwitchGUID = n.switchID()
	return doc
}

// ipamDoc is a group of subnets in the v2 schema.
type ipamDoc struct {
	Type    string
	Subnets []subnetDoc
}

// ipams groups the subnets by how their addresses are assigned.
func (n *network) ipams() []ipamDoc {
	var ipams []ipamDoc
	for _, s := range n.subnets {
		if len(ipams) == 0 || ipams[len(ipams)-1].Type != s.ipamType {
			ipams = append(ipams, ipamDoc{Type: s.ipamType})
		}
		last := &ipams[len(ipams)-1]
		last.Subnets = append(last.Subnets, s.v2())
	}
	return ipams
}

// v2 returns the subnet in the v2 schema, the default route first: result
// builders index Routes[0] without a look (hns.md section 4.2).
func (s *subnet) v2() subnetDoc {
	doc := subnetDoc{ID: s.id, Prefix: s.prefix.String(), Flags: s.flags}
	if s.gateway.IsValid() {
		doc.Routes = append(doc.Routes, routeDoc{NextHop: s.gateway.String(), DestinationPrefix: defaultRoute(s.gateway)})
	}
	doc.Routes = append(doc.Routes, s.routes...)
	for _, p := range policiesV2(s.policies) {
		doc.Policies = append(doc.Policies, json.RawMessage(marshal(p)))
	}
	return doc
}

// defaultRoute returns the destination of the default route of a family.
func defaultRoute(a netip.Addr) string {
	if a.Is4() {
		return "0.0.0.0/0"
	}
	return "::/0"
}

// poolDocs returns the MAC pool, which every network has once it is made.
func (n *network) poolDocs() []macRangeDoc {
	var docs []macRangeDoc
	for _, r := range n.pool {
		docs = append(docs, r.doc())
	}
	return docs
}

// switchID is the id of the network's virtual switch: as good as any.
func (n *network) switchID() string {
	return "5" + n.upperID()[1:]
}

// subnetPolicy returns the isolation id that a subnet policy sets, 0 for none.
func (s *subnet) isolation(kind string) uint32 {
	for _, p := range s.policies {
		if p.kind == kind {
			return isolationID(p)
		}
	}
	return 0
}

// versionNumber is the Version member of objects: major and minor in one
// number (hns.md section 2.10).
func versionNumber(v hns.Version) uint64 { return uint64(v.Major)<<32 | uint64(v.Minor) }
