// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Kinds of policies that the emulator looks into.
const (
	kindACL         = "ACL"
	kindNetworkACL  = "NetworkACL"
	kindPortMapping = "PortMapping"
	kindSetPolicy   = "SetPolicy"
	kindTierACL     = "TierAcl"
)

// policySpec says where a kind of policy may be and what its settings must be.
type policySpec struct {
	// since is the first version of HNS that has it (hns.md section 2.10).
	since hns.Version
	// only lists the network types that take it, nil for all.
	only  []string
	check func(h *Host, n *network, p policy) error
}

// vfpTypes are the network types whose switch is VFP's (hns.md section 5.3).
var vfpTypes = []string{typeL2Bridge, typeL2Tunnel, typeOverlay}

// endpointPolicies are those of hns.md section 2.7.
var endpointPolicies = map[string]policySpec{
	kindPortMapping:       {check: checkPortMapping},
	kindACL:               {check: checkACL},
	"QOS":                 {check: checkQOS},
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
	"VLAN":                {since: hns.Version{Major: 10}, check: checkObject},
	"InterfaceParameters": {since: hns.Version{Major: 10}, check: checkObject},
	"Iov":                 {since: hns.Version{Major: 12}, check: checkObject},
	kindTierACL:           {since: hns.Version{Major: 14}, check: checkTierACL},
}

// networkPolicies are those of hns.md section 2.8.
var networkPolicies = map[string]policySpec{
	"SourceMacAddress":    {check: checkObject},
	"NetAdapterName":      {check: checkObject},
	"InterfaceConstraint": {check: checkObject},
	"VSwitchExtension":    {check: checkObject},
	"ProviderAddress":     {check: checkProviderAddress},
	"DrMacAddress":        {check: checkObject},
	"AutomaticDNS":        {check: checkObject},
	"RemoteSubnetRoute":   {since: hns.Version{Major: 9, Minor: 2}, only: []string{typeOverlay}, check: checkRemoteSubnet},
	"VxlanPort":           {since: hns.Version{Major: 10, Minor: 3}, only: []string{typeOverlay}, check: checkVXLANPort},
	"HostRoute":           {since: hns.Version{Major: 9, Minor: 2}, only: vfpTypes},
	kindSetPolicy:         {since: hns.Version{Major: 13}, check: checkSetPolicy},
	"L4Proxy":             {check: checkObject},
	"LayerConstraint":     {check: checkObject},
	kindNetworkACL:        {since: hns.Version{Major: 15}, check: checkACL},
	"NeighborDiscovery":   {},
	"VLAN":                {check: checkObject},
	"VSID":                {check: checkObject},
	"OutBoundNAT":         {check: checkOutboundNAT},
}

// checkList checks policies against the specs of the object they are on.
func checkList(h *Host, n *network, specs map[string]policySpec, list []policy) error {
	for _, p := range list {
		spec, ok := specs[p.kind]
		v := h.profile.Version
		switch {
		case !ok:
			return refuse(codeInvalidPolicyType, "policy type %q", p.kind)
		case !v.AtLeast(spec.since.Major, spec.since.Minor):
			return refuse(codeInvalidPolicyType, "policy %s came with HNS %s", p.kind, spec.since)
		case spec.only != nil && !slices.Contains(spec.only, n.kind):
			return refuse(codeInvalidPolicyType, "policy %s on a network of type %s", p.kind, n.kind)
		case spec.check == nil:
			continue
		}
		if err := spec.check(h, n, p); err != nil {
			return err
		}
	}
	return nil
}

// checkObject only asks for settings at all, and that they are an object.
func checkObject(_ *Host, _ *network, p policy) error {
	var members map[string]any
	if err := p.read(&members); err != nil {
		return err
	}
	if members == nil {
		return refuse(codeInvalidPolicy, "%s has no settings", p.kind)
	}
	return nil
}

// Bits of Flags of a PortMapping (hns.md section 2.7).
const (
	natLocalRouted  = 1
	natIPv6         = 2
	natPortReserved = 4
)

// portMapping holds the settings of a PortMapping.
type portMapping struct {
	Protocol                   uint32
	InternalPort, ExternalPort uint16
	VIP                        string
	Flags                      uint32
}

// checkPortMapping refuses a mapping by itself; whether its port is free among
// the endpoints is placePolicies' to say.
func checkPortMapping(h *Host, n *network, p policy) error {
	var m portMapping
	if err := p.read(&m); err != nil {
		return err
	}
	if err := checkMappingType(h, n, m); err != nil {
		return err
	}
	if m.InternalPort == 0 {
		return refuse(codeInternalPort, "port mapping without an internal port")
	}
	if m.Protocol != 6 && m.Protocol != 17 {
		return refuse(codeInvalidPolicy, "port mapping of protocol %d", m.Protocol)
	}
	if m.VIP != "" && !isAddr(m.VIP) {
		return refuse(codeInvalidPolicy, "port mapping of VIP %q", m.VIP)
	}
	for _, b := range h.node.BoundPorts {
		if b.Protocol == int(m.Protocol) && b.Port == m.ExternalPort && m.ExternalPort != 0 {
			return refuse(codeSharingViolation, "a process listens on port %d", b.Port)
		}
	}
	return nil
}

// checkMappingType: only l2bridge is reported to insist on LocalRoutedVip
// (Windows-Containers#360); hcsshim's own test maps a port of an overlay
// endpoint without it.
func checkMappingType(h *Host, n *network, m portMapping) error {
	switch n.kind {
	case typeTransparent:
		return refuse(codeNoMapping, "port mapping on a network of type %s", n.kind)
	case typeL2Bridge, typeL2Tunnel:
		if m.Flags&natLocalRouted == 0 && !h.unknowns.LaxPortMapping {
			return refuse(codeInvalidPolicyType, "port mapping without LocalRoutedVip on a network of type %s", n.kind)
		}
	}
	return nil
}

// checkQOS asks for a limit: QOS has nothing else.
func checkQOS(_ *Host, _ *network, p policy) error {
	var s struct{ MaximumOutgoingBandwidthInBytes *uint64 }
	if err := p.read(&s); err != nil {
		return err
	}
	if s.MaximumOutgoingBandwidthInBytes == nil {
		return refuse(codeInvalidPolicy, "QOS without a bandwidth")
	}
	return nil
}

// checkOutboundNAT: prefixes with host bits, and what is no prefix at all, are
// refused by newer releases only (hcsshim#1951, containerd#5729).
func checkOutboundNAT(h *Host, _ *network, p policy) error {
	var s struct {
		VirtualIP                               string
		Exceptions, Destinations, ExceptionList []string
		Flags                                   uint32
		MaxPortPoolUsage                        uint16
	}
	if err := p.read(&s); err != nil {
		return err
	}
	if len(s.ExceptionList) > 0 {
		return refuse(codeInvalidPolicy, "ExceptionList is the v1 name")
	}
	if s.VirtualIP != "" && !isAddr(s.VirtualIP) {
		return refuse(codeInvalidPolicy, "VirtualIP %q", s.VirtualIP)
	}
	for _, text := range slices.Concat(s.Exceptions, s.Destinations) {
		if !isAddrOrPrefix(text) && !h.profile.LaxExceptions {
			return refuse(codeInvalidPolicy, "OutBoundNAT of %q", text)
		}
	}
	return nil
}

// broken reports whether the policy passed a lax check and will not work: its
// endpoint is degraded once a container needs it (containerd#5729).
func (p policy) broken() bool {
	var s struct{ Exceptions []string }
	if p.kind != "OutBoundNAT" || p.read(&s) != nil {
		return false
	}
	return slices.ContainsFunc(s.Exceptions, func(text string) bool {
		_, err := netip.ParsePrefix(text)
		return err != nil && !isAddr(text)
	})
}

// checkSDNRoute asks for a destination; the next hop may be left out.
func checkSDNRoute(_ *Host, _ *network, p policy) error {
	var s struct {
		DestinationPrefix, NextHop string
		NeedEncap                  bool
	}
	if err := p.read(&s); err != nil {
		return err
	}
	// TestCreateDeleteRoute has a prefix with host bits.
	if _, err := netip.ParsePrefix(s.DestinationPrefix); err != nil {
		return refuse(codeInvalidPolicy, "route to %q", s.DestinationPrefix)
	}
	if s.NextHop != "" && !isAddr(s.NextHop) {
		return refuse(codeInvalidPolicy, "route via %q", s.NextHop)
	}
	return nil
}

// checkProviderAddress asks for an address; on a network it must be an
// adapter's, which is uplink's to say.
func checkProviderAddress(_ *Host, _ *network, p policy) error {
	var s struct{ ProviderAddress string }
	if err := p.read(&s); err != nil {
		return err
	}
	if !isAddr(s.ProviderAddress) {
		return refuse(codeInvalidPolicy, "provider address %q", s.ProviderAddress)
	}
	return nil
}

// checkEncapOverhead asks for a number of 16 bits.
func checkEncapOverhead(_ *Host, _ *network, p policy) error {
	var s struct{ Overhead uint16 }
	return p.read(&s)
}

// checkRemoteSubnet asks for all that is needed to reach a subnet of another
// node.
func checkRemoteSubnet(_ *Host, _ *network, p policy) error {
	var s struct {
		DestinationPrefix, ProviderAddress, DistributedRouterMacAddress string
		Isolation                                                       uint32 `json:"IsolationId"`
	}
	if err := p.read(&s); err != nil {
		return err
	}
	_, err := parseMAC(s.DistributedRouterMacAddress)
	if err != nil || !isAddrOrPrefix(s.DestinationPrefix) || !isAddr(s.ProviderAddress) {
		return refuse(codeInvalidPolicy, "remote subnet %s", p.canonical())
	}
	return nil
}

// checkVXLANPort asks for a port.
func checkVXLANPort(_ *Host, _ *network, p policy) error {
	var s struct{ Port uint16 }
	if err := p.read(&s); err != nil {
		return err
	}
	if s.Port == 0 {
		return refuse(codeInvalidPolicy, "VXLAN port 0")
	}
	return nil
}

// isAddr reports whether text is an IP address.
func isAddr(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// isAddrOrPrefix accepts an address, and a prefix without host bits.
func isAddrOrPrefix(text string) bool {
	p, err := netip.ParsePrefix(text)
	return isAddr(text) || err == nil && p == p.Masked()
}
