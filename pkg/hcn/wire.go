// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// The flags of networks and endpoints that Bulkhead knows (hcsshim
// hcn/hcnnetwork.go, hcn/hcnendpoint.go).
const (
	networkNonPersistent uint32 = 8
	endpointRemote       uint32 = 1
)

// schemaVersion is what hcsshim asks for in every document: 2.0, which all
// versions that speak schema 2 accept.
type schemaVersion struct {
	Major, Minor int
}

var schemaV2 = schemaVersion{Major: 2}

type networkDoc struct {
	ID            string        `json:",omitempty"`
	Name          string        `json:",omitempty"`
	Type          enum          `json:",omitempty"`
	Policies      []policyDoc   `json:",omitempty"`
	MACPool       macPoolDoc    `json:"MacPool,omitzero"`
	DNS           dnsDoc        `json:"Dns,omitzero"`
	IPAMs         []ipamDoc     `json:"Ipams,omitempty"`
	Flags         uint32        `json:",omitempty"`
	SchemaVersion schemaVersion `json:",omitzero"`
}

type macPoolDoc struct {
	Ranges []macRangeDoc `json:",omitempty"`
}

type macRangeDoc struct {
	Start string `json:"StartMacAddress,omitempty"`
	End   string `json:"EndMacAddress,omitempty"`
}

type ipamDoc struct {
	Type    enum        `json:",omitempty"`
	Subnets []subnetDoc `json:",omitempty"`
}

type subnetDoc struct {
	Prefix   string      `json:"IpAddressPrefix,omitempty"`
	Policies []policyDoc `json:",omitempty"`
	Routes   []routeDoc  `json:",omitempty"`
}

type routeDoc struct {
	NextHop     string `json:",omitempty"`
	Destination string `json:"DestinationPrefix,omitempty"`
}

type dnsDoc struct {
	Domain  string   `json:",omitempty"`
	Search  []string `json:",omitempty"`
	Servers []string `json:"ServerList,omitempty"`
	Options []string `json:",omitempty"`
}

type endpointDoc struct {
	ID            string        `json:",omitempty"`
	Name          string        `json:",omitempty"`
	Network       string        `json:"HostComputeNetwork,omitempty"`
	Namespace     string        `json:"HostComputeNamespace,omitempty"`
	Policies      []policyDoc   `json:",omitempty"`
	Addresses     []addressDoc  `json:"IpConfigurations,omitempty"`
	DNS           dnsDoc        `json:"Dns,omitzero"`
	Routes        []routeDoc    `json:",omitempty"`
	MAC           string        `json:"MacAddress,omitempty"`
	Flags         uint32        `json:",omitempty"`
	SchemaVersion schemaVersion `json:",omitzero"`
}

type addressDoc struct {
	Address      string `json:"IpAddress,omitempty"`
	PrefixLength uint8  `json:",omitempty"`
}

type namespaceDoc struct {
	ID            string        `json:",omitempty"`
	Compartment   uint32        `json:"NamespaceId,omitempty"`
	Resources     []resourceDoc `json:",omitempty"`
	SchemaVersion schemaVersion `json:",omitzero"`
}

type resourceDoc struct {
	Type enum
	Data struct{ ID string }
}

type policyDoc struct {
	Type     string
	Settings json.RawMessage `json:",omitempty"`
}

// enum is a member of an enumeration: HNS takes and gives both its name and its
// number, and leaves out the one with number 0 (hcsshim hcn/hcnnetwork.go,
// getNetwork; microsoft/SDN hns.v2.psm1).
type enum string

// UnmarshalJSON accepts a string or a number.
func (e *enum) UnmarshalJSON(b []byte) error {
	var name string
	if err := json.Unmarshal(b, &name); err == nil {
		*e = enum(name)
		return nil
	}
	var number uint32
	if err := json.Unmarshal(b, &number); err != nil {
		return fmt.Errorf("%s is neither a name nor a number", b)
	}
	*e = enum(strconv.FormatUint(uint64(number), 10))
	return nil
}

// is reports whether e is the member of that name and number.
func (e enum) is(name string, number int) bool {
	return strings.EqualFold(string(e), name) || string(e) == strconv.Itoa(number)
}

// lenientID returns an id in the form of package hns, empty when there is none.
func lenientID(s string) string {
	g, err := hns.ParseGUID(s)
	if err != nil || g == hns.ZeroGUID {
		return ""
	}
	return g
}

// lenientMAC returns a MAC address in the form of package hns, empty when s is none.
func lenientMAC(s string) hns.MAC {
	m, err := hns.ParseMAC(s)
	if err != nil {
		return ""
	}
	return m
}

// lenientAddr returns the address in s, zero when s is none.
func lenientAddr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// addrString returns the address as HNS reads it, empty for the zero address.
func addrString(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func decodeDNS(d dnsDoc) hns.DNS {
	return hns.DNS{
		Domain:  d.Domain,
		Search:  nilIfEmpty(d.Search),
		Servers: nilIfEmpty(d.Servers),
		Options: nilIfEmpty(d.Options),
	}
}

// nilIfEmpty returns s, nil when it is empty, so that equal values compare equal.
func nilIfEmpty(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}
