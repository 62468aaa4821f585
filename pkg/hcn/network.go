// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// modes are the network types in the order of their numbers (HNS_Schema.md,
// NetworkMode).
var modes = []string{
	"NAT", "ICS", "Transparent", "L2Bridge", "L2Tunnel", "Overlay", "Private",
	"Internal", "Mirrored", "Infiniband", "ConstrainedICS",
}

// Types of network and subnet policies (hcsshim hcn/hcnpolicy.go).
const (
	typeNetAdapterName  = "NetAdapterName"
	typeProviderAddress = "ProviderAddress"
	typeVXLANPort       = "VxlanPort"
	typeHostRoute       = "HostRoute"
	typeRemoteSubnet    = "RemoteSubnetRoute"
	typeVLAN            = "VLAN"
	typeVSID            = "VSID"
)

type adapterSettings struct {
	Adapter string `json:"NetworkAdapterName,omitempty"`
}

type providerAddressSettings struct {
	Address string `json:"ProviderAddress,omitempty"`
}

type vxlanPortSettings struct {
	Port uint16
}

type remoteSubnetSettings struct {
	DestinationPrefix           string
	IsolationID                 uint32 `json:"IsolationId"`
	ProviderAddress             string
	DistributedRouterMACAddress string `json:"DistributedRouterMacAddress"`
}

type isolationSettings struct {
	ID uint32 `json:"IsolationId"`
}

// encodeNetwork returns the document that creates a network. The id is not in
// it: HNS chooses. A subnet needs a gateway, without which hcsshim refuses to
// send the document.
func encodeNetwork(want hns.Network) ([]byte, error) {
	policies, err := encodeNetworkPolicies(want)
	if err != nil {
		return nil, err
	}
	doc := networkDoc{
		Name:          want.Name,
		Type:          encodeDriver(want.Driver),
		Policies:      policies,
		DNS:           dnsDoc(want.DNS),
		SchemaVersion: schemaV2,
	}
	for _, r := range want.MACPool {
		doc.MACPool.Ranges = append(doc.MACPool.Ranges, macRangeDoc{r.Start.Hyphenated(), r.End.Hyphenated()})
	}
	if want.NonPersistent {
		doc.Flags |= networkNonPersistent
	}
	var subnets []subnetDoc
	for _, s := range want.Subnets {
		d, err := encodeSubnet(s)
		if err != nil {
			return nil, err
		}
		subnets = append(subnets, d)
	}
	if len(subnets) > 0 {
		doc.IPAMs = []ipamDoc{{Type: "Static", Subnets: subnets}}
	}
	return json.Marshal(doc)
}

func encodeNetworkPolicies(want hns.Network) ([]policyDoc, error) {
	var l policyList
	if want.Adapter != "" {
		l.add(typeNetAdapterName, adapterSettings{want.Adapter})
	}
	if want.ProviderAddress.IsValid() {
		l.add(typeProviderAddress, providerAddressSettings{addrString(want.ProviderAddress)})
	}
	if want.VXLANPort != 0 {
		l.add(typeVXLANPort, vxlanPortSettings{want.VXLANPort})
	}
	if want.HostRoute {
		l.add(typeHostRoute, struct{}{})
	}
	for _, r := range want.RemoteSubnets {
		l.add(typeRemoteSubnet, remoteSubnetSettings{r.Prefix.String(), r.VSID, addrString(r.ProviderAddress), r.MAC.Hyphenated()})
	}
	return l.docs, l.err
}

func encodeSubnet(s hns.Subnet) (subnetDoc, error) {
	if !s.Prefix.IsValid() || !s.Gateway.IsValid() {
		return subnetDoc{}, fmt.Errorf("subnet %v with gateway %v: %w", s.Prefix, s.Gateway, hns.ErrInvalid)
	}
	var l policyList
	if s.VLAN != 0 {
		l.add(typeVLAN, isolationSettings{uint32(s.VLAN)})
	}
	if s.VSID != 0 {
		l.add(typeVSID, isolationSettings{s.VSID})
	}
	return subnetDoc{
		Prefix:   s.Prefix.String(),
		Policies: l.docs,
		Routes:   []routeDoc{{NextHop: s.Gateway.String(), Destination: defaultRoute(s.Gateway)}},
	}, l.err
}

// policyList collects encoded policies, and what went wrong with them.
type policyList struct {
	docs []policyDoc
	err  error
}

func (l *policyList) add(kind string, settings any) {
	doc, err := encodeSettings(kind, settings)
	l.docs, l.err = append(l.docs, doc), errors.Join(l.err, err)
}

// defaultRoute returns the default destination of the address's family.
func defaultRoute(a netip.Addr) string {
	if a.Is4() {
		return "0.0.0.0/0"
	}
	return "::/0"
}

// decodeNetwork reads a network as HNS describes it. Network policies that
// hns.Network has no field for are not looked at.
func decodeNetwork(document []byte) (hns.Network, error) {
	var doc networkDoc
	if err := json.Unmarshal(document, &doc); err != nil {
		return hns.Network{}, fmt.Errorf("network document: %w", err)
	}
	got := hns.Network{
		ID:            lenientID(doc.ID),
		Name:          doc.Name,
		Driver:        decodeDriver(doc.Type),
		DNS:           decodeDNS(doc.DNS),
		NonPersistent: doc.Flags&networkNonPersistent != 0,
	}
	if got.ID == "" {
		return hns.Network{}, fmt.Errorf("network document: id %q is not a GUID", doc.ID)
	}
	for _, ipam := range doc.IPAMs {
		for _, s := range ipam.Subnets {
			if prefix, err := netip.ParsePrefix(s.Prefix); err == nil {
				got.Subnets = append(got.Subnets, decodeSubnet(prefix, s))
			}
		}
	}
	for _, r := range doc.MACPool.Ranges {
		got.MACPool = append(got.MACPool, hns.MACRange{Start: lenientMAC(r.Start), End: lenientMAC(r.End)})
	}
	decodeNetworkPolicies(&got, doc.Policies)
	return got, nil
}

func decodeNetworkPolicies(got *hns.Network, policies []policyDoc) {
	for _, p := range policies {
		switch {
		case strings.EqualFold(p.Type, typeNetAdapterName):
			got.Adapter = decodeSettings[adapterSettings](p).Adapter
		case strings.EqualFold(p.Type, typeProviderAddress):
			got.ProviderAddress = lenientAddr(decodeSettings[providerAddressSettings](p).Address)
		case strings.EqualFold(p.Type, typeVXLANPort):
			got.VXLANPort = decodeSettings[vxlanPortSettings](p).Port
		case strings.EqualFold(p.Type, typeHostRoute):
			got.HostRoute = true
		case strings.EqualFold(p.Type, typeRemoteSubnet):
			got.RemoteSubnets = append(got.RemoteSubnets, decodeRemoteSubnet(decodeSettings[remoteSubnetSettings](p)))
		}
	}
}

func decodeRemoteSubnet(s remoteSubnetSettings) hns.RemoteSubnet {
	prefix, _ := netip.ParsePrefix(s.DestinationPrefix) // zero when HNS said what is none
	return hns.RemoteSubnet{
		Prefix: prefix, VSID: s.IsolationID, ProviderAddress: lenientAddr(s.ProviderAddress), MAC: lenientMAC(s.DistributedRouterMACAddress),
	}
}

func decodeSubnet(prefix netip.Prefix, doc subnetDoc) hns.Subnet {
	s := hns.Subnet{Prefix: prefix}
	for _, r := range doc.Routes {
		if hop := lenientAddr(r.NextHop); hop.IsValid() && r.Destination == defaultRoute(hop) {
			s.Gateway = hop
			break
		}
	}
	for _, p := range doc.Policies {
		switch n := decodeSettings[isolationSettings](p).ID; {
		case strings.EqualFold(p.Type, typeVLAN):
			s.VLAN = uint16(n)
		case strings.EqualFold(p.Type, typeVSID):
			s.VSID = n
		}
	}
	return s
}

func encodeDriver(d hns.Driver) enum {
	for _, mode := range modes {
		if strings.EqualFold(mode, string(d)) {
			return enum(mode)
		}
	}
	return enum(d)
}

// decodeDriver returns the driver of a network type. The type is absent when it
// is NAT, whose number is 0 (hcsshim hcn/hcnnetwork.go, getNetwork).
func decodeDriver(e enum) hns.Driver {
	if e == "" {
		return hns.NAT
	}
	if n, err := strconv.Atoi(string(e)); err == nil && n >= 0 && n < len(modes) {
		e = enum(modes[n])
	}
	return hns.Driver(strings.ToLower(string(e)))
}

// decodeSettings returns the settings of a policy, zero when they do not have the
// shape of T.
func decodeSettings[T any](p policyDoc) T {
	var v T
	if err := json.Unmarshal(p.Settings, &v); err != nil {
		return *new(T)
	}
	return v
}
