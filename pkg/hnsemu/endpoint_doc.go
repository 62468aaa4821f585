// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// endpointDoc is an endpoint as clients write it, in either schema (hns.md
// sections 2.4 and 4.7).
type endpointDoc struct {
	SchemaVersion schemaVersion
	ID            string
	Name          string
	Policies      []json.RawMessage
	MacAddress    string

	// These are members of v2.

	HostComputeNetwork   string
	HostComputeNamespace string
	IPConfigurations     []ipConfig `json:"IpConfigurations"`
	DNS                  dnsDoc     `json:"Dns"`
	Routes               []routeDoc
	Flags                word

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

// isV2 tells the schemas apart: v1 documents have no SchemaVersion.
func (d endpointDoc) isV2() bool { return d.SchemaVersion.Major >= 2 }

// configs returns the addresses that the document asks for.
func (d endpointDoc) configs() []ipConfig {
	if d.isV2() {
		return d.IPConfigurations
	}
	return []ipConfig{{d.IPAddress, d.PrefixLength}, {d.IPv6Address, d.IPv6PrefixLength}}
}

// endpoint returns the endpoint that the document describes, still without what
// HNS fills in.
func (d endpointDoc) endpoint(h *Host, n *network, parameter string) (*endpoint, error) {
	if err := checkID(d.ID); err != nil {
		return nil, err
	}
	if h.unknowns.IgnoreID {
		d.ID, parameter = "", ""
	}
	b, err := h.chooseID(endpointClass, parameter, d.ID)
	if err != nil {
		return nil, err
	}
	b.name = d.Name
	e := &endpoint{base: b, network: n, policies: []policy{}}
	if err := d.checkReferences(n); err != nil {
		return nil, err
	}
	if d.MacAddress != "" {
		mac, err := parseMAC(d.MacAddress)
		if err != nil {
			return nil, err
		}
		e.mac, e.ownMAC = formatMAC(mac), true
	}
	if d.isV2() {
		return e, d.readV2(h, e)
	}
	return e, d.readV1(e)
}

// checkReferences: the network is the one whose handle was given, and the
// namespace is read only (hns.md section 2.4).
func (d endpointDoc) checkReferences(n *network) error {
	for _, text := range []string{d.HostComputeNetwork, d.VirtualNetwork} {
		id, err := reference(text)
		if err != nil {
			return err
		}
		if id != "" && id != n.id {
			return refuse(codeInvalidReference, "the document is for network %s, the handle for %s", id, n.id)
		}
	}
	namespace := d.HostComputeNamespace
	if d.Namespace != nil {
		namespace += d.Namespace.ID
	}
	id, err := reference(namespace)
	if err != nil {
		return err
	}
	if id != "" {
		return refuse(codeInvalidEndpoint, "the namespace of an endpoint cannot be set")
	}
	return nil
}

// readV2 reads the members that v2 has for itself. Routes need a next hop; the
// dummy 0.0.0.0 of gateway endpoints is one.
func (d endpointDoc) readV2(h *Host, e *endpoint) (err error) {
	e.dns = d.DNS
	if e.flags, err = d.Flags.flags(endpointFlags); err != nil {
		return err
	}
	for _, r := range d.Routes {
		if r.NextHop == "" && h.profile.LaxRoutes {
			continue
		}
		_, err := parsePrefix(r.DestinationPrefix)
		if err != nil || !isAddr(r.NextHop) {
			return refuse(codeInvalidEndpoint, "route to %q via %q", r.DestinationPrefix, r.NextHop)
		}
		e.routes = append(e.routes, r)
	}
	e.policies, err = parsePolicies(d.Policies)
	return err
}

// readV1 reads the members that v1 has for itself; gateways become default
// routes.
func (d endpointDoc) readV1(e *endpoint) (err error) {
	e.dns = dnsDoc{Domain: d.DNSDomain, Search: splitList(d.DNSSuffix), ServerList: splitList(d.DNSServerList)}
	for flag, set := range map[uint32]bool{flagRemote: d.IsRemoteEndpoint, 2: d.DisableICC, 8: d.EnableLowMetric} {
		if set {
			e.flags |= flag
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
		e.routes = append(e.routes, routeDoc{NextHop: a.String(), DestinationPrefix: defaultRoute(a)})
	}
	e.policies, err = parsePoliciesV1(d.Policies)
	return err
}

// v2 returns the endpoint in the v2 schema.
func (e *endpoint) v2(*Host) any {
	doc := struct {
		ID                   string
		Name                 string `json:",omitempty"`
		HostComputeNetwork   string
		HostComputeNamespace string
		Policies             []policyDoc `json:",omitempty"`
		IPConfigurations     []ipConfig  `json:"IpConfigurations,omitempty"`
		DNS                  dnsDoc      `json:"Dns"`
		Routes               []routeDoc  `json:",omitempty"`
		MacAddress           string
		Flags                uint32 `json:",omitempty"`
		Health               healthDoc
		State                uint16
		SchemaVersion        schemaVersion
	}{
		// An endpoint in no namespace shows the zero GUID (hns.md section 2.4).
		ID: e.id, Name: e.name, HostComputeNetwork: e.network.id, HostComputeNamespace: hns.ZeroGUID,
		Policies: policiesV2(e.policies), DNS: e.dns, Routes: e.routes, MacAddress: e.mac,
		Flags: e.flags, State: e.state, SchemaVersion: schemaV2,
	}
	if e.namespace != nil {
		doc.HostComputeNamespace = e.namespace.id
	}
	for _, p := range e.addresses {
		doc.IPConfigurations = append(doc.IPConfigurations, ipConfig{p.Addr().String(), p.Bits()})
	}
	doc.Health.Extra = extraDoc{e.containers(), e.network.switchID()}
	return doc
}

// containers returns the ids of the containers that use the endpoint.
func (e *endpoint) containers() []string {
	ids := append([]string(nil), e.shared...)
	if e.namespace != nil {
		for _, m := range e.namespace.containers {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// v1 returns the endpoint in the v1 schema (hns.md section 4.2).
func (e *endpoint) v1(h *Host) any {
	v4, v6 := e.address(true), e.address(false)
	doc := endpointV1{
		ID: e.upperID(), Name: e.name,
		VirtualNetwork: e.network.upperID(), VirtualNetworkName: e.network.name, Type: e.network.spelling,
		Policies: policiesV1(e.policies), MacAddress: e.mac,
		IPAddress: v4.Address, PrefixLength: v4.PrefixLength,
		IPv6Address: v6.Address, IPv6PrefixLength: v6.PrefixLength,
		DNSSuffix: strings.Join(e.dns.Search, ","), DNSServerList: strings.Join(e.dns.ServerList, ","), DNSDomain: e.dns.Domain,
		IsRemoteEndpoint: e.remote(), SharedContainers: e.containers(),
		State: e.state, Version: versionNumber(h.profile.Version),
	}
	for _, r := range e.routes {
		switch r.DestinationPrefix {
		case "0.0.0.0/0":
			doc.GatewayAddress = r.NextHop
		case "::/0":
			doc.GatewayAddressV6 = r.NextHop
		}
	}
	if e.namespace != nil {
		doc.Namespace = &namespaceRefV1{e.namespace.upperID(), e.namespace.compartment, e.namespace.isDefault()}
	}
	return doc
}

// endpointV1 is an endpoint in the v1 schema, as far as clients read it.
type endpointV1 struct {
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
	Namespace          *namespaceRefV1 `json:",omitempty"`
	SharedContainers   []string        `json:",omitempty"`
	State              uint16
	Version            uint64
}

// namespaceRefV1 is how an endpoint of v1 refers to its namespace.
type namespaceRefV1 struct {
	ID            string
	CompartmentID uint32 `json:"CompartmentId,omitempty"`
	IsDefault     bool   `json:",omitempty"`
}
