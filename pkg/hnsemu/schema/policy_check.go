// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// policySpec says where policies of a type are accepted and what their settings
// must be.
type policySpec struct {
	// since is the first version of HNS that has the type (hcsshim,
	// hcn/hcnglobals.go; HNS_Schema.md where that has a schema version).
	since hns.Version
	// only lists the network types that take it, nil for all.
	only  []string
	check func(c PolicyContext, p Policy) error
}

// vfpTypes are the network types whose ports VFP filters (Microsoft, "Network
// isolation and security").
var vfpTypes = []string{TypeL2Bridge, TypeL2Tunnel, TypeOverlay}

// endpointPolicies are the EndpointPolicyType values of HNS_Schema.md.
var endpointPolicies = map[string]policySpec{
	PolicyPortMapping:     {check: checkPortMapping},
	PolicyACL:             {check: checkACL},
	PolicyQOS:             {check: checkQOS},
	"L2Driver":            {},
	"OutBoundNAT":         {check: checkOutboundNAT},
	"SDNRoute":            {check: checkSDNRoute},
	"L4Proxy":             {check: checkObject},
	"L4WFPPROXY":          {since: hns.Version{Major: 13, Minor: 2}, check: checkObject},
	"ProviderAddress":     {check: checkProviderAddress},
	"PortName":            {check: checkObject},
	"EncapOverhead":       {check: checkEncapOverhead},
	"InterfaceConstraint": {check: checkObject},
	"Encryption":          {},
	PolicyVLAN:            {since: hns.Version{Major: 10}, check: checkVLAN},
	"InterfaceParameters": {since: hns.Version{Major: 10}, check: checkObject},
	"Iov":                 {since: hns.Version{Major: 12}, check: checkObject},
	PolicyTierACL:         {since: hns.Version{Major: 14}, check: checkTierACL},
}

// networkPolicies are the NetworkPolicyType values of HNS_Schema.md, and those of
// hns.v2.psm1 (microsoft/SDN).
var networkPolicies = map[string]policySpec{
	"SourceMacAddress":    {check: checkObject},
	"NetAdapterName":      {check: checkObject},
	"InterfaceConstraint": {check: checkObject},
	"VSwitchExtension":    {check: checkObject},
	"ProviderAddress":     {check: checkProviderAddress},
	"DrMacAddress":        {check: checkObject},
	"AutomaticDNS":        {check: checkObject},
	"RemoteSubnetRoute":   {since: hns.Version{Major: 9, Minor: 2}, only: []string{TypeOverlay}, check: checkRemoteSubnet},
	"VxlanPort":           {since: hns.Version{Major: 10, Minor: 3}, only: []string{TypeOverlay}, check: checkVXLANPort},
	"HostRoute":           {since: hns.Version{Major: 9, Minor: 2}, only: vfpTypes},
	PolicySet:             {since: hns.Version{Major: 13}, check: checkSetPolicy},
	"L4Proxy":             {check: checkObject},
	"LayerConstraint":     {check: checkObject},
	PolicyNetworkACL:      {since: hns.Version{Major: 15}, check: checkACL},
	"NeighborDiscovery":   {},
	"VLAN":                {check: checkObject},
	"VSID":                {check: checkObject},
	"OutBoundNAT":         {check: checkOutboundNAT},
}

// PolicyContext is what the check of a policy depends on beside the policy.
type PolicyContext struct {
	Version hns.Version
	// NetworkType is the type of the network that has the policy, or whose
	// endpoint has it.
	NetworkType string
	// Sets are the ids of the network's sets, which ACLs may refer to.
	Sets []string
	// LaxExceptions accepts OutBoundNAT exceptions that are no prefixes.
	LaxExceptions bool
	// LaxPortMapping accepts a PortMapping without LocalRoutedVip on l2bridge.
	LaxPortMapping bool
}

// CheckEndpointPolicy refuses what HNS refuses of a policy of an endpoint.
func (c PolicyContext) CheckEndpointPolicy(p Policy) error { return c.check(endpointPolicies, p) }

// CheckNetworkPolicy refuses what HNS refuses of a policy of a network.
func (c PolicyContext) CheckNetworkPolicy(p Policy) error { return c.check(networkPolicies, p) }

// check checks a policy against the specs of the kind of object that has it.
func (c PolicyContext) check(specs map[string]policySpec, p Policy) error {
	spec, ok := specs[p.Type]
	switch {
	case !ok:
		return Errorf(CodeInvalidPolicyType, "policy type %q", p.Type)
	case !c.Version.AtLeast(spec.since.Major, spec.since.Minor):
		return Errorf(CodeInvalidPolicyType, "policy %s came with HNS %s", p.Type, spec.since)
	case spec.only != nil && !slices.Contains(spec.only, c.NetworkType):
		return Errorf(CodeInvalidPolicyType, "policy %s on a network of type %s", p.Type, c.NetworkType)
	case spec.check == nil:
		return nil
	}
	return spec.check(c, p)
}

// checkObject wants settings that are an object.
func checkObject(_ PolicyContext, p Policy) error {
	var members map[string]any
	if err := p.Read(&members); err != nil {
		return err
	}
	if members == nil {
		return Errorf(CodeInvalidPolicy, "%s has no settings", p.Type)
	}
	return nil
}

// checkVLAN wants an id of 802.1Q's, as of a subnet.
func checkVLAN(_ PolicyContext, p Policy) error {
	var s struct {
		ID uint32 `json:"IsolationId"`
	}
	if err := p.Read(&s); err != nil {
		return err
	}
	if s.ID > vlanMax {
		return Errorf(CodeInvalidPolicy, "VLAN %d", s.ID)
	}
	return nil
}

// Bits of the Flags of a PortMapping (hcsshim, hcn/hcnpolicy.go; the last of
// hns.v2.psm1, microsoft/SDN).
const (
	natLocalRouted  = 1
	natIPv6         = 2
	natPortReserved = 4
)

// PortMapping is the settings of a PortMapping policy.
type PortMapping struct {
	Protocol                   uint32
	InternalPort, ExternalPort uint16
	VIP                        string
	Flags                      uint32
}

// Collides reports whether two mappings want the same port of the node, on the
// same address or one of them on all addresses.
func (m PortMapping) Collides(other PortMapping) bool {
	if m.Protocol != other.Protocol || m.ExternalPort != other.ExternalPort || m.Flags&natIPv6 != other.Flags&natIPv6 {
		return false
	}
	return m.anyVIP() || other.anyVIP() || m.VIP == other.VIP
}

// anyVIP reports whether the mapping is for all addresses of the node.
func (m PortMapping) anyVIP() bool {
	a, err := netip.ParseAddr(m.VIP)
	return err != nil || a.IsUnspecified()
}

// checkPortMapping checks a mapping by itself. Whether its port is free depends
// on the node.
func checkPortMapping(c PolicyContext, p Policy) error {
	var m PortMapping
	if err := p.Read(&m); err != nil {
		return err
	}
	if err := checkMappingType(c, m); err != nil {
		return err
	}
	if m.InternalPort == 0 {
		return Errorf(CodeInternalPort, "port mapping without an internal port")
	}
	if m.Protocol != 6 && m.Protocol != 17 {
		return Errorf(CodeInvalidPolicy, "port mapping of protocol %d", m.Protocol)
	}
	if m.VIP != "" && !IsAddr(m.VIP) {
		return Errorf(CodeInvalidPolicy, "port mapping of VIP %q", m.VIP)
	}
	return nil
}

// checkMappingType checks whether the network takes the mapping. l2bridge is
// reported to need LocalRoutedVip (microsoft/Windows-Containers#360);
// TestEndpointAlreadyExistsError maps a port of an overlay endpoint without it.
func checkMappingType(c PolicyContext, m PortMapping) error {
	switch c.NetworkType {
	case TypeTransparent:
		return Errorf(CodeNoMapping, "port mapping on a network of type %s", c.NetworkType)
	case TypeL2Bridge, TypeL2Tunnel:
		if m.Flags&natLocalRouted == 0 && !c.LaxPortMapping {
			return Errorf(CodeInvalidPolicyType, "port mapping without LocalRoutedVip on a network of type %s", c.NetworkType)
		}
	}
	return nil
}

// checkQOS wants a limit.
func checkQOS(_ PolicyContext, p Policy) error {
	var s struct{ MaximumOutgoingBandwidthInBytes *uint64 }
	if err := p.Read(&s); err != nil {
		return err
	}
	if s.MaximumOutgoingBandwidthInBytes == nil {
		return Errorf(CodeInvalidPolicy, "QOS without a bandwidth")
	}
	return nil
}

// checkOutboundNAT checks the addresses. Only newer releases refuse prefixes with
// host bits and what is no prefix at all (microsoft/hcsshim#1951,
// containerd/containerd#5729).
func checkOutboundNAT(c PolicyContext, p Policy) error {
	var s struct {
		VirtualIP                               string
		Exceptions, Destinations, ExceptionList []string
		Flags                                   uint32
		MaxPortPoolUsage                        uint16
	}
	if err := p.Read(&s); err != nil {
		return err
	}
	if len(s.ExceptionList) > 0 {
		return Errorf(CodeInvalidPolicy, "ExceptionList is the v1 name")
	}
	if s.VirtualIP != "" && !IsAddr(s.VirtualIP) {
		return Errorf(CodeInvalidPolicy, "VirtualIP %q", s.VirtualIP)
	}
	for _, text := range slices.Concat(s.Exceptions, s.Destinations) {
		if !isAddrOrPrefix(text) && !c.LaxExceptions {
			return Errorf(CodeInvalidPolicy, "OutBoundNAT of %q", text)
		}
	}
	return nil
}

// Broken reports whether the policy passed the lax check but does not work: its
// endpoint degrades when a container starts (containerd/containerd#5729).
func (p Policy) Broken() bool {
	var s struct{ Exceptions []string }
	if p.Type != PolicyOutboundNAT || p.Read(&s) != nil {
		return false
	}
	return slices.ContainsFunc(s.Exceptions, func(text string) bool {
		_, err := netip.ParsePrefix(text)
		return err != nil && !IsAddr(text)
	})
}

// checkSDNRoute wants a destination. The next hop may be left out.
func checkSDNRoute(_ PolicyContext, p Policy) error {
	var s struct {
		DestinationPrefix, NextHop string
		NeedEncap                  bool
	}
	if err := p.Read(&s); err != nil {
		return err
	}
	// Host bits are fine: TestCreateDeleteRoute has some.
	if _, err := netip.ParsePrefix(s.DestinationPrefix); err != nil {
		return Errorf(CodeInvalidPolicy, "route to %q", s.DestinationPrefix)
	}
	if s.NextHop != "" && !IsAddr(s.NextHop) {
		return Errorf(CodeInvalidPolicy, "route via %q", s.NextHop)
	}
	return nil
}

// checkProviderAddress wants an address.
func checkProviderAddress(_ PolicyContext, p Policy) error {
	var s struct{ ProviderAddress string }
	if err := p.Read(&s); err != nil {
		return err
	}
	if !IsAddr(s.ProviderAddress) {
		return Errorf(CodeInvalidPolicy, "provider address %q", s.ProviderAddress)
	}
	return nil
}

// checkEncapOverhead wants a number of 16 bits.
func checkEncapOverhead(_ PolicyContext, p Policy) error {
	var s struct{ Overhead uint16 }
	return p.Read(&s)
}

// checkRemoteSubnet wants all that it takes to reach a subnet of another node.
func checkRemoteSubnet(_ PolicyContext, p Policy) error {
	var s struct {
		DestinationPrefix, ProviderAddress, DistributedRouterMacAddress string
		Isolation                                                       uint32 `json:"IsolationId"`
	}
	if err := p.Read(&s); err != nil {
		return err
	}
	_, err := ParseMAC(s.DistributedRouterMacAddress)
	if err != nil || !isAddrOrPrefix(s.DestinationPrefix) || !IsAddr(s.ProviderAddress) {
		return Errorf(CodeInvalidPolicy, "remote subnet %s", p.Canonical())
	}
	return nil
}

// checkVXLANPort wants a port.
func checkVXLANPort(_ PolicyContext, p Policy) error {
	var s struct{ Port uint16 }
	if err := p.Read(&s); err != nil {
		return err
	}
	if s.Port == 0 {
		return Errorf(CodeInvalidPolicy, "VXLAN port 0")
	}
	return nil
}
