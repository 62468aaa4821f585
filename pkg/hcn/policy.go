// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Types of endpoint policies (hcsshim hcn/hcnpolicy.go).
const (
	typeACL         = "ACL"
	typePortMapping = "PortMapping"
	typeOutboundNAT = "OutBoundNAT"
	typeSDNRoute    = "SDNRoute"
	typeQOS         = "QOS"
)

type portMappingSettings struct {
	Protocol     uint8  `json:",omitempty"`
	InternalPort uint16 `json:",omitempty"`
	ExternalPort uint16 `json:",omitempty"`
	VIP          string `json:",omitempty"`
	Flags        uint32 `json:",omitempty"`
}

type outboundNATSettings struct {
	VirtualIP    string   `json:",omitempty"`
	Exceptions   []string `json:",omitempty"`
	Destinations []string `json:",omitempty"`
}

type sdnRouteSettings struct {
	Destination string `json:"DestinationPrefix,omitempty"`
	NextHop     string `json:",omitempty"`
	NeedEncap   bool   `json:",omitempty"`
}

type qosSettings struct {
	Egress uint64 `json:"MaximumOutgoingBandwidthInBytes,omitempty"`
}

func encodePolicies(policies []hns.Policy) ([]policyDoc, error) {
	var docs []policyDoc
	for i, p := range policies {
		doc, err := encodePolicy(p)
		if err != nil {
			return nil, fmt.Errorf("policy %d: %w", i+1, err)
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func encodePolicy(p hns.Policy) (policyDoc, error) {
	switch p := p.(type) {
	case hns.ACL:
		return encodeACL(p)
	case hns.PortMapping:
		return encodePortMapping(p)
	case hns.OutboundNAT:
		exceptions, err := encodePrefixes(p.Exceptions)
		if err != nil {
			return policyDoc{}, err
		}
		return encodeSettings(typeOutboundNAT, outboundNATSettings{addrString(p.VirtualIP), exceptions, p.Destinations})
	case hns.SDNRoute:
		destination, err := encodePrefix(p.Destination)
		if err != nil {
			return policyDoc{}, err
		}
		return encodeSettings(typeSDNRoute, sdnRouteSettings{destination, addrString(p.NextHop), p.NeedEncap})
	case hns.ProviderAddress:
		return encodeSettings(typeProviderAddress, providerAddressSettings{addrString(p.Address)})
	case hns.QOS:
		return encodeSettings(typeQOS, qosSettings(p))
	case hns.Opaque:
		if len(p.Settings) > 0 && !json.Valid(p.Settings) {
			return policyDoc{}, fmt.Errorf("settings of %s are not JSON: %w", p.Type, hns.ErrInvalid)
		}
		return policyDoc(p), nil
	default:
		return policyDoc{}, fmt.Errorf("%T is not a policy: %w", p, hns.ErrInvalid)
	}
}

func encodePortMapping(p hns.PortMapping) (policyDoc, error) {
	protocol, err := encodeProtocol(p.Protocol)
	if err != nil {
		return policyDoc{}, err
	}
	return encodeSettings(typePortMapping, portMappingSettings{
		Protocol:     protocol,
		InternalPort: p.InternalPort,
		ExternalPort: p.ExternalPort,
		VIP:          addrString(p.VIP),
		Flags:        p.Flags,
	})
}

// encodeSettings returns the policy of that type and settings.
func encodeSettings(kind string, settings any) (policyDoc, error) {
	b, err := json.Marshal(settings)
	return policyDoc{Type: kind, Settings: b}, err
}

func decodePolicies(docs []policyDoc) []hns.Policy {
	var policies []hns.Policy
	for _, d := range docs {
		policies = append(policies, ParsePolicy(d.Type, d.Settings))
	}
	return policies
}

// PolicyDocument returns an endpoint policy as HNS takes it: its type and settings.
func PolicyDocument(p hns.Policy) (kind string, settings json.RawMessage, err error) {
	doc, err := encodePolicy(p)
	return doc.Type, doc.Settings, err
}

// ParsePolicy returns the endpoint policy of that type and settings. It is an
// hns.Opaque, with the settings as they are, when package hns has no type for
// it or not everything the settings say has a place in that type.
func ParsePolicy(kind string, settings json.RawMessage) hns.Policy {
	p, err := parsePolicy(kind, settings)
	if err != nil {
		return hns.Opaque{Type: kind, Settings: settings}
	}
	return p
}

func parsePolicy(kind string, settings json.RawMessage) (hns.Policy, error) {
	switch {
	case strings.EqualFold(kind, typeACL):
		return parseACL(settings)
	case strings.EqualFold(kind, typePortMapping):
		return parsePortMapping(settings)
	case strings.EqualFold(kind, typeOutboundNAT):
		return parseOutboundNAT(settings)
	case strings.EqualFold(kind, typeSDNRoute):
		return parseSDNRoute(settings)
	case strings.EqualFold(kind, typeProviderAddress):
		return parseProviderAddress(settings)
	case strings.EqualFold(kind, typeQOS):
		s, err := decodeStrict[qosSettings](settings)
		return hns.QOS(s), err
	default:
		return nil, fmt.Errorf("policy type %q has no type in package hns", kind)
	}
}

func parsePortMapping(settings json.RawMessage) (hns.Policy, error) {
	s, err := decodeStrict[portMappingSettings](settings)
	if err != nil {
		return nil, err
	}
	vip, err := parseAddress(s.VIP)
	return hns.PortMapping{
		Protocol:     int(s.Protocol),
		InternalPort: s.InternalPort,
		ExternalPort: s.ExternalPort,
		VIP:          vip,
		Flags:        s.Flags,
	}, err
}

func parseOutboundNAT(settings json.RawMessage) (hns.Policy, error) {
	s, err := decodeStrict[outboundNATSettings](settings)
	if err != nil {
		return nil, err
	}
	vip, err := parseAddress(s.VirtualIP)
	if err != nil {
		return nil, err
	}
	exceptions, err := parsePrefixes(s.Exceptions)
	return hns.OutboundNAT{VirtualIP: vip, Exceptions: exceptions, Destinations: s.Destinations}, err
}

func parseSDNRoute(settings json.RawMessage) (hns.Policy, error) {
	s, err := decodeStrict[sdnRouteSettings](settings)
	if err != nil {
		return nil, err
	}
	destination, err := parsePrefix(s.Destination)
	if err != nil {
		return nil, err
	}
	hop, err := parseAddress(s.NextHop)
	return hns.SDNRoute{Destination: destination, NextHop: hop, NeedEncap: s.NeedEncap}, err
}

func parseProviderAddress(settings json.RawMessage) (hns.Policy, error) {
	s, err := decodeStrict[providerAddressSettings](settings)
	if err != nil {
		return nil, err
	}
	a, err := parseAddress(s.Address)
	return hns.ProviderAddress{Address: a}, err
}

// decodeStrict decodes settings into T. A member that T does not have is an error,
// unless it says nothing.
func decodeStrict[T any](settings json.RawMessage) (T, error) {
	var v T
	var members map[string]json.RawMessage
	if err := json.Unmarshal(settings, &members); err != nil {
		return v, err
	}
	maps.DeleteFunc(members, func(_ string, m json.RawMessage) bool { return isZero(m) })
	b, err := json.Marshal(members)
	if err != nil {
		return v, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return v, d.Decode(&v)
}

// isZero reports whether a member has the value that HNS leaves out.
func isZero(m json.RawMessage) bool {
	return slices.Contains([]string{"null", "0", "false", `""`, "[]", "{}"}, string(bytes.TrimSpace(m)))
}

func encodePrefix(p netip.Prefix) (string, error) {
	if !p.IsValid() {
		return "", fmt.Errorf("prefix %v: %w", p, hns.ErrInvalid)
	}
	return p.String(), nil
}

func encodePrefixes(prefixes []netip.Prefix) ([]string, error) {
	var list []string
	for _, p := range prefixes {
		s, err := encodePrefix(p)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// parsePrefix accepts a bare address, too, which HNS takes for its own /32 or
// /128 (hcsshim hcn/hcnutils_test.go, HcnCreateAcls).
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func parsePrefixes(list []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, s := range list {
		p, err := parsePrefix(s)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// parseAddress returns the zero address for the empty string.
func parseAddress(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(s)
}
