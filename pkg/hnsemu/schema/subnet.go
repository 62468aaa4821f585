// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// FlagNoGateway is DoNotReserveGatewayAddress, a bit of the Flags of subnets.
const FlagNoGateway = 1

// Subnet is a range of addresses of a network.
type Subnet struct {
	ID string
	// IPAMType is "Static" or "DHCP".
	IPAMType string
	Prefix   netip.Prefix
	// Gateway is the next hop of the default route. v1 documents have a member
	// for it, v2 documents a route.
	Gateway netip.Addr
	// Routes are the routes other than the default route.
	Routes []Route
	// Policies hold the VLAN or the VSID.
	Policies []Policy
	Flags    uint32
}

// IPAM is a group of subnets in the v2 schema.
type IPAM struct {
	Type    string
	Subnets []SubnetV2
}

// SubnetV2 is a subnet in the v2 schema.
type SubnetV2 struct {
	ID       string            `json:",omitempty"`
	Prefix   string            `json:"IpAddressPrefix,omitempty"`
	Policies []json.RawMessage `json:",omitempty"`
	Routes   []Route           `json:",omitempty"`
	Flags    uint32            `json:",omitempty"`
}

// SubnetV1 is a subnet in the v1 schema.
type SubnetV1 struct {
	ID             string            `json:",omitempty"`
	AddressPrefix  string            `json:",omitempty"`
	GatewayAddress string            `json:",omitempty"`
	Policies       []json.RawMessage `json:",omitempty"`
	Flags          uint32            `json:",omitempty"`
	ObjectType     int               `json:",omitempty"`
}

// Subnet reads a subnet of the v2 schema and gives it an id.
func (d SubnetV2) Subnet(ipamType string) (*Subnet, error) {
	prefix, err := parsePrefix(d.Prefix)
	if err != nil {
		return nil, err
	}
	s := &Subnet{ID: hns.NewGUID(), IPAMType: ipamType, Prefix: prefix, Flags: d.Flags}
	for _, r := range d.Routes {
		destination, err := parsePrefix(r.DestinationPrefix)
		if err != nil {
			return nil, err
		}
		if destination.Bits() != 0 {
			s.Routes = append(s.Routes, r)
			continue
		}
		if r.NextHop == "" {
			return nil, Errorf(CodeInvalidSubnet, "the default route of subnet %s has no next hop", prefix)
		}
		if s.Gateway, err = parseAddr(r.NextHop); err != nil {
			return nil, err
		}
	}
	s.Policies, err = parsePolicies(d.Policies)
	return s, err
}

// subnet reads a subnet of the v1 schema and gives it an id.
func (d SubnetV1) subnet() (*Subnet, error) {
	prefix, err := parsePrefix(d.AddressPrefix)
	if err != nil {
		return nil, err
	}
	s := &Subnet{ID: hns.NewGUID(), IPAMType: "Static", Prefix: prefix, Flags: d.Flags}
	if d.GatewayAddress != "" {
		if s.Gateway, err = parseAddr(d.GatewayAddress); err != nil {
			return nil, err
		}
	}
	s.Policies, err = parsePoliciesV1(d.Policies)
	return s, err
}

// v2 returns the subnet in the v2 schema. The default route comes first: the
// result code of containernetworking/plugins (pkg/hns) reads Routes[0] without a
// check.
func (s *Subnet) v2() SubnetV2 {
	doc := SubnetV2{ID: s.ID, Prefix: s.Prefix.String(), Flags: s.Flags}
	if s.Gateway.IsValid() {
		doc.Routes = append(doc.Routes, Route{NextHop: s.Gateway.String(), DestinationPrefix: DefaultRoute(s.Gateway)})
	}
	doc.Routes = append(doc.Routes, s.Routes...)
	for _, p := range PoliciesV2(s.Policies) {
		doc.Policies = append(doc.Policies, json.RawMessage(Marshal(p)))
	}
	return doc
}

// subnetObject is the ObjectType of subnets (dump in moby/moby#40128).
const subnetObject = 5

// V1 returns the subnet in the v1 schema.
func (s *Subnet) V1() SubnetV1 {
	doc := SubnetV1{
		ID: strings.ToUpper(s.ID), AddressPrefix: s.Prefix.String(), Flags: s.Flags,
		Policies: PoliciesV1(s.Policies), ObjectType: subnetObject,
	}
	if s.Gateway.IsValid() {
		doc.GatewayAddress = s.Gateway.String()
	}
	return doc
}

// Isolation returns the id that a VLAN or a VSID policy of the subnet sets, 0 for
// none.
func (s *Subnet) Isolation(policyType string) uint32 {
	for _, p := range s.Policies {
		var settings struct {
			ID uint32 `json:"IsolationId"`
		}
		if p.Type == policyType {
			if p.Read(&settings) != nil {
				return 0
			}
			return settings.ID
		}
	}
	return 0
}

// vsidMin is the lowest VSID that Calico accepts for a Windows network; what HNS
// accepts is not documented. vlanMax is 802.1Q's.
const (
	vsidMin = 4096
	vsidMax = 1<<24 - 1
	vlanMax = 4094
)

// Check refuses what is wrong with a subnet on a network of any type.
func (s *Subnet) Check() error {
	if s.Prefix.Addr().BitLen()-s.Prefix.Bits() < 2 {
		return Errorf(CodeInvalidPrefix, "subnet %s has no room for a gateway and an endpoint", s.Prefix)
	}
	if !s.Gateway.IsValid() {
		return nil
	}
	if !s.Prefix.Contains(s.Gateway) || s.Gateway == s.Prefix.Addr() {
		return Errorf(CodeInvalidNetwork, "gateway %s is no host of subnet %s", s.Gateway, s.Prefix)
	}
	return nil
}

// CheckIsolation checks the policies of a subnet on a network of that type. A
// subnet can have a VLAN or a VSID and no other policy; an overlay subnet needs a
// VSID.
func (s *Subnet) CheckIsolation(networkType string) error {
	for _, p := range s.Policies {
		if p.Type != PolicyVLAN && p.Type != PolicyVSID {
			return Errorf(CodeInvalidPolicyType, "subnet policy %q", p.Type)
		}
	}
	if vlan := s.Isolation(PolicyVLAN); vlan > vlanMax {
		return Errorf(CodeInvalidPolicy, "VLAN %d", vlan)
	}
	vsid := s.Isolation(PolicyVSID)
	if vsid == 0 && networkType == TypeOverlay {
		return Errorf(CodeInvalidNetwork, "subnet %s of an overlay network has no VSID", s.Prefix)
	}
	if vsid != 0 && (vsid < vsidMin || vsid > vsidMax) {
		return Errorf(CodeInvalidPolicy, "VSID %d is not in %d-%d", vsid, vsidMin, vsidMax)
	}
	return nil
}
