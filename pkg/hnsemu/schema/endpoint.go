// SPDX-License-Identifier: Apache-2.0

package schema

import "encoding/json"

// States of an endpoint (hcsshim, internal/hns/hnsendpoint.go).
const (
	StateCreated uint16 = iota + 1
	StateAttached
	StateAttachedSharing
	StateDetached
	StateDegraded
)

// FlagRemote is RemoteEndpoint, a bit of the Flags of endpoints.
const FlagRemote = 1

// endpointFlags have the numbers of hns.v2.psm1 (microsoft/SDN).
var endpointFlags = map[string]uint32{
	"None": 0, "RemoteEndpoint": FlagRemote, "DisableInterComputeCommunication": 2, "EnableMirroring": 4,
	"EnableLowInterfaceMetric": 8, "OverrideDNSServerOrder": 16, "EnableDhcp": 32,
}

// EndpointDoc is an endpoint as clients write it, in either schema.
type EndpointDoc struct {
	SchemaVersion Version
	ID            string
	Name          string
	Policies      []json.RawMessage
	MacAddress    string

	// These are members of v2.

	HostComputeNetwork   string
	HostComputeNamespace string
	IPConfigurations     []IPConfig `json:"IpConfigurations"`
	DNS                  DNS        `json:"Dns"`
	Routes               []Route
	Flags                Word

	// These are members of v1.

	VirtualNetwork     string
	VirtualNetworkName string
	IPAddress          string
	IPv6Address        string
	PrefixLength       int
	IPv6PrefixLength   int
	GatewayAddress     string
	GatewayAddressV6   string
	DNSSuffix          string
	DNSServerList      string
	DNSDomain          string
	EnableLowMetric    bool
	DisableICC         bool
	IsRemoteEndpoint   bool
	Namespace          *struct{ ID string }
}

// isV2 reports whether the document is of the v2 schema.
func (d EndpointDoc) isV2() bool { return d.SchemaVersion.Major >= 2 }

// IPConfigs returns the addresses that the document asks for.
func (d EndpointDoc) IPConfigs() []IPConfig {
	if d.isV2() {
		return d.IPConfigurations
	}
	return []IPConfig{{d.IPAddress, d.PrefixLength}, {d.IPv6Address, d.IPv6PrefixLength}}
}

// Endpoint is what a document says about an endpoint. It is the same for both
// schemas.
type Endpoint struct {
	// MAC is written as HNS does: 00-15-5D-52-C0-00.
	MAC      string
	Routes   []Route
	DNS      DNS
	Policies []Policy
	Flags    uint32
}

// Endpoint reads the document, except for the id, the name and the addresses.
// With laxRoutes it leaves routes without a next hop out instead of refusing
// them.
func (d EndpointDoc) Endpoint(laxRoutes bool) (Endpoint, error) {
	e := Endpoint{Policies: []Policy{}}
	if d.MacAddress != "" {
		mac, err := ParseMAC(d.MacAddress)
		if err != nil {
			return Endpoint{}, err
		}
		e.MAC = FormatMAC(mac)
	}
	var err error
	if d.isV2() {
		err = d.readV2(&e, laxRoutes)
	} else {
		err = d.readV1(&e)
	}
	return e, err
}

// CheckReferences refuses a document that names another network than the one it
// is for, or a namespace: hcsshim's hcn/hcnendpoint.go calls that member read
// only.
func (d EndpointDoc) CheckReferences(network string) error {
	for _, text := range []string{d.HostComputeNetwork, d.VirtualNetwork} {
		id, err := Reference(text)
		if err != nil {
			return err
		}
		if id != "" && id != network {
			return Errorf(CodeInvalidReference, "the document is for network %s, the handle for %s", id, network)
		}
	}
	namespace := d.HostComputeNamespace
	if d.Namespace != nil {
		namespace += d.Namespace.ID
	}
	id, err := Reference(namespace)
	if err != nil {
		return err
	}
	if id != "" {
		return Errorf(CodeInvalidEndpoint, "the namespace of an endpoint cannot be set")
	}
	return nil
}

// readV2 reads the members that only v2 has. A route needs a next hop; the dummy
// 0.0.0.0 that Azure CNI sends counts as one.
func (d EndpointDoc) readV2(e *Endpoint, laxRoutes bool) (err error) {
	e.DNS = d.DNS
	if e.Flags, err = d.Flags.Flags(endpointFlags); err != nil {
		return err
	}
	for _, r := range d.Routes {
		if r.NextHop == "" && laxRoutes {
			continue
		}
		_, err := parsePrefix(r.DestinationPrefix)
		if err != nil || !IsAddr(r.NextHop) {
			return Errorf(CodeInvalidEndpoint, "route to %q via %q", r.DestinationPrefix, r.NextHop)
		}
		e.Routes = append(e.Routes, r)
	}
	e.Policies, err = parsePolicies(d.Policies)
	return err
}

// readV1 reads the members that only v1 has. Gateways become default routes.
func (d EndpointDoc) readV1(e *Endpoint) (err error) {
	e.DNS = DNS{Domain: d.DNSDomain, Search: splitList(d.DNSSuffix), ServerList: splitList(d.DNSServerList)}
	for flag, set := range map[uint32]bool{FlagRemote: d.IsRemoteEndpoint, 2: d.DisableICC, 8: d.EnableLowMetric} {
		if set {
			e.Flags |= flag
		}
	}
	for _, gateway := range []string{d.GatewayAddress, d.GatewayAddressV6} {
		if gateway == "" {
			continue
		}
		a, err := parseAddr(gateway)
		if err != nil {
			return err
		}
		e.Routes = append(e.Routes, Route{NextHop: a.String(), DestinationPrefix: DefaultRoute(a)})
	}
	e.Policies, err = parsePoliciesV1(d.Policies)
	return err
}

// Remote reports whether the endpoint is of a container on another node.
func (e Endpoint) Remote() bool { return e.Flags&FlagRemote != 0 }

// EndpointV2 is an endpoint as HNS writes it in the v2 schema.
type EndpointV2 struct {
	ID                   string
	Name                 string `json:",omitempty"`
	HostComputeNetwork   string
	HostComputeNamespace string
	Policies             []PolicyV2 `json:",omitempty"`
	IPConfigurations     []IPConfig `json:"IpConfigurations,omitempty"`
	DNS                  DNS        `json:"Dns"`
	Routes               []Route    `json:",omitempty"`
	MacAddress           string
	Flags                uint32 `json:",omitempty"`
	Health               Health
	State                uint16
	SchemaVersion        Version
}

// EndpointV1 is an endpoint as HNS writes it in the v1 schema, as far as clients
// read it.
type EndpointV1 struct {
	ID                 string
	Name               string `json:",omitempty"`
	VirtualNetwork     string
	VirtualNetworkName string `json:",omitempty"`
	Type               string `json:",omitempty"`
	Policies           []json.RawMessage
	MacAddress         string
	IPAddress          string          `json:",omitempty"`
	PrefixLength       int             `json:",omitempty"`
	IPv6Address        string          `json:",omitempty"`
	IPv6PrefixLength   int             `json:",omitempty"`
	GatewayAddress     string          `json:",omitempty"`
	GatewayAddressV6   string          `json:",omitempty"`
	DNSSuffix          string          `json:",omitempty"`
	DNSServerList      string          `json:",omitempty"`
	DNSDomain          string          `json:",omitempty"`
	IsRemoteEndpoint   bool            `json:",omitempty"`
	Namespace          *NamespaceRefV1 `json:",omitempty"`
	SharedContainers   []string        `json:",omitempty"`
	State              uint16
	Version            uint64
}

// NamespaceRefV1 is the Namespace member of an EndpointV1.
type NamespaceRefV1 struct {
	ID            string
	CompartmentID uint32 `json:"CompartmentId,omitempty"`
	IsDefault     bool   `json:",omitempty"`
}
