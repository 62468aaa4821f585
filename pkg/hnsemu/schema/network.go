// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Types of networks that the emulator treats in a way of their own.
const (
	TypeNAT         = "NAT"
	TypeICS         = "ICS"
	TypeTransparent = "Transparent"
	TypeL2Bridge    = "L2Bridge"
	TypeL2Tunnel    = "L2Tunnel"
	TypeOverlay     = "Overlay"
)

// networkTypes are in the order of their numbers: that of NetworkMode in
// Microsoft's schema.
var networkTypes = []string{
	TypeNAT, TypeICS, TypeTransparent, TypeL2Bridge, TypeL2Tunnel, TypeOverlay,
	"Private", "Internal", "Mirrored", "Infiniband", "ConstrainedICS",
}

// FlagNonPersistent is EnableNonPersistent, a bit of the Flags of networks.
const FlagNonPersistent = 8

// networkFlags are the NetworkFlags whose value hcsshim or Microsoft's
// hns.v2.psm1 (microsoft/SDN) gives.
var networkFlags = map[string]uint32{
	"None": 0, "EnableDnsProxy": 1, "EnableDhcpServer": 2, "EnableMirroring": 4,
	"EnableNonPersistent": FlagNonPersistent, "DisableHostPort": 1024, "EnableIov": 8192,
}

// NetworkDoc is a network as clients write it, in either schema.
type NetworkDoc struct {
	SchemaVersion Version
	ID            string
	Name          string
	Type          Word
	Policies      []json.RawMessage
	Flags         Word

	// These are members of v2.

	MacPool struct{ Ranges []MACRangeDoc }
	DNS     DNS `json:"Dns"`
	Ipams   []struct {
		Type    Word
		Subnets []SubnetV2
	}

	// These are members of v1.

	MacPools           []MACRangeDoc
	Subnets            []SubnetV1
	DNSSuffix          string
	DNSServerList      string
	NetworkAdapterName string
	SourceMac          string
}

// Network is what a document says about a network. It is the same for both
// schemas.
type Network struct {
	// Type is Microsoft's name of the type: "L2Bridge".
	Type string
	// Spelling is the type as the client wrote it, which v1 gives back.
	Spelling string
	Flags    uint32
	Subnets  []*Subnet
	// MACPool is where the MAC addresses of endpoints come from.
	MACPool []MACRange
	// DNS is what endpoints get that have none of their own.
	DNS      DNS
	Policies []Policy
	// AdapterName is the adapter that a client of v1 named.
	AdapterName string
}

// Network reads the document, except for the id and the name.
func (d NetworkDoc) Network() (Network, error) {
	n := Network{Type: TypeNAT, Spelling: string(d.Type), Policies: []Policy{}}
	if d.Type != "" {
		var ok bool
		if n.Type, ok = d.Type.OneOf(networkTypes...); !ok {
			return Network{}, Errorf(CodeInvalidType, "network type %q", d.Type)
		}
	}
	var err error
	if n.Flags, err = d.Flags.Flags(networkFlags); err != nil {
		return Network{}, err
	}
	read := d.readV1
	if d.SchemaVersion.Major >= 2 {
		read = d.readV2
	}
	if err := read(&n); err != nil {
		return Network{}, err
	}
	return n, nil
}

// readV2 reads the members that only v2 has. v1 gives the type back in
// Microsoft's spelling then.
func (d NetworkDoc) readV2(n *Network) (err error) {
	n.Spelling = n.Type
	n.DNS = d.DNS
	if n.Policies, err = parsePolicies(d.Policies); err != nil {
		return err
	}
	for _, ipam := range d.Ipams {
		ipamType, ok := "Static", true
		if ipam.Type != "" {
			ipamType, ok = ipam.Type.OneOf("Static", "DHCP")
		}
		if !ok {
			return Errorf(CodeInvalidJSON, "ipam type %q", ipam.Type)
		}
		for _, doc := range ipam.Subnets {
			if doc.Prefix == "" {
				continue
			}
			s, err := doc.Subnet(ipamType)
			if err != nil {
				return err
			}
			n.Subnets = append(n.Subnets, s)
		}
	}
	return n.readPool(d.MacPool.Ranges)
}

// readV1 reads the members that only v1 has.
func (d NetworkDoc) readV1(n *Network) (err error) {
	n.DNS = DNS{Search: splitList(d.DNSSuffix), ServerList: splitList(d.DNSServerList)}
	n.AdapterName = d.NetworkAdapterName
	if n.Policies, err = parsePoliciesV1(d.Policies); err != nil {
		return err
	}
	if d.SourceMac != "" {
		n.Policies = append(n.Policies, NewPolicy("SourceMacAddress", map[string]any{"SourceMacAddress": d.SourceMac}))
	}
	for _, doc := range d.Subnets {
		if doc.AddressPrefix == "" {
			continue
		}
		s, err := doc.subnet()
		if err != nil {
			return err
		}
		n.Subnets = append(n.Subnets, s)
	}
	return n.readPool(d.MacPools)
}

// readPool reads the MAC pool, if the client gave one.
func (n *Network) readPool(docs []MACRangeDoc) error {
	for _, d := range docs {
		r, err := d.parse()
		if err != nil {
			return err
		}
		n.MACPool = append(n.MACPool, r)
	}
	return nil
}

// External reports whether the network needs an uplink.
func (n Network) External() bool {
	switch n.Type {
	case TypeTransparent, TypeL2Bridge, TypeL2Tunnel, TypeOverlay:
		return true
	}
	return false
}

// TakesIPv6 reports whether a network of that type can have IPv6 with that
// version of HNS. hcsshim says that dual stack came with 11.10. That overlay
// networks have it since 15.0 is not documented.
func (n Network) TakesIPv6(v hns.Version) bool {
	if n.Type == TypeOverlay {
		return v.AtLeast(15, 0)
	}
	return v.AtLeast(11, 10)
}

// SubnetFor returns the subnet that holds an address, nil for none.
func (n Network) SubnetFor(a netip.Addr) *Subnet {
	for _, s := range n.Subnets {
		if s.Prefix.Contains(a) {
			return s
		}
	}
	return nil
}

// Overlaps reports whether a subnet of the network shares addresses with p.
func (n Network) Overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(n.Subnets, func(s *Subnet) bool { return s.Prefix.Overlaps(p) })
}

// NamedAdapter returns the adapter that the client named, "" for none. Dumps of
// networks whose adapter HNS chose have no NetworkAdapterName (microsoft/SDN#269,
// moby/moby#38306).
func (n Network) NamedAdapter() string {
	for _, p := range n.Policies {
		var s struct{ NetworkAdapterName string }
		if p.Type == PolicyNetAdapterName && p.Read(&s) == nil {
			return s.NetworkAdapterName
		}
	}
	return n.AdapterName
}

// IPAMs returns the subnets in the v2 schema, grouped by how addresses are
// assigned.
func (n Network) IPAMs() []IPAM {
	var ipams []IPAM
	for _, s := range n.Subnets {
		if len(ipams) == 0 || ipams[len(ipams)-1].Type != s.IPAMType {
			ipams = append(ipams, IPAM{Type: s.IPAMType})
		}
		last := &ipams[len(ipams)-1]
		last.Subnets = append(last.Subnets, s.v2())
	}
	return ipams
}

// MACRanges returns the MAC pool as both schemas write it.
func (n Network) MACRanges() []MACRangeDoc {
	var docs []MACRangeDoc
	for _, r := range n.MACPool {
		docs = append(docs, MACRangeDoc{FormatMAC(r.First), FormatMAC(r.Last)})
	}
	return docs
}

// NetworkV2 is a network as HNS writes it in the v2 schema.
type NetworkV2 struct {
	ID       string
	Name     string     `json:",omitempty"`
	Type     string     `json:",omitempty"`
	Policies []PolicyV2 `json:",omitempty"`
	MacPool  struct {
		Ranges []MACRangeDoc `json:",omitempty"`
	}
	DNS           DNS    `json:"Dns"`
	Ipams         []IPAM `json:",omitempty"`
	Flags         uint32 `json:",omitempty"`
	Health        Health
	State         uint16
	SchemaVersion Version
}

// NetworkV1 is a network as HNS writes it in the v1 schema, as far as clients
// read it.
type NetworkV1 struct {
	ID                   string
	Name                 string `json:",omitempty"`
	Type                 string
	Policies             []json.RawMessage
	MacPools             []MACRangeDoc
	Subnets              []SubnetV1
	DNSSuffix            string `json:",omitempty"`
	DNSServerList        string `json:",omitempty"`
	ManagementIP         string `json:",omitempty"`
	NetworkAdapterName   string `json:",omitempty"`
	DrMacAddress         string `json:",omitempty"`
	SwitchGUID           string `json:"SwitchGuid"`
	CurrentEndpointCount int
	TotalEndpoints       int
	Flags                uint32
	State                uint16
	Version              uint64
}

// VersionNumber returns the Version member of v1 objects: major and minor in one
// number (dumps in moby/moby#40345 and microsoft/Windows-Containers#485).
func VersionNumber(v hns.Version) uint64 { return uint64(v.Major)<<32 | uint64(v.Minor) }
