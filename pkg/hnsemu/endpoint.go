// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// endpoint is an endpoint, of this node or of another one.
type endpoint struct {
	base
	schema.Endpoint
	network *network
	// namespace is nil while the endpoint is in none.
	namespace *namespace
	// addresses have the prefix length of their subnet unless the client chose
	// another.
	addresses []netip.Prefix
	// ownMAC is true when the client chose the MAC address.
	ownMAC bool
	// system is what a v1 attach put the endpoint into: "Host", "Container",
	// "VirtualMachine", or "" for none.
	system string
	// shared holds the containers of v1 attaches.
	shared []string
	// modified counts the policy requests that were carried out.
	modified int
	// read has the policies as State last read them: on a node of many pods most of them are
	// what they were.
	read readPolicies
}

// readPolicies are the policies of an endpoint, parsed, and when.
type readPolicies struct {
	parsed   bool
	modified int
	sets     []string
	acls     []schema.ACL
	tiers    []schema.TierACL
	mappings []schema.PortMapping
}

// parsed returns the policies, parsed.
func (e *endpoint) parsed() readPolicies {
	sets := e.network.SetIDs()
	if !e.read.parsed || e.read.modified != e.modified || !slices.Equal(e.read.sets, sets) {
		e.read = readPolicies{true, e.modified, sets, acls(e.Policies, sets), tiers(e.Policies, sets), mappings(e.Policies)}
	}
	return e.read
}

// property returns the v1 property that a query filter names.
func (e *endpoint) property(key string) (string, bool) {
	switch key {
	case "VirtualNetwork":
		return e.network.id, true
	case "VirtualNetworkName":
		return e.network.name, true
	case "MacAddress":
		return e.MAC, true
	case "IPAddress":
		return e.address(true).Address, true
	case "IPv6Address":
		return e.address(false).Address, true
	}
	return "", false
}

// address returns the first address of a family: v1 has no more.
func (e *endpoint) address(is4 bool) schema.IPConfig {
	for _, p := range e.addresses {
		if p.Addr().Is4() == is4 {
			return schema.IPConfig{Address: p.Addr().String(), PrefixLength: p.Bits()}
		}
	}
	return schema.IPConfig{}
}

// runCreateEndpoint is HcnCreateEndpoint.
func runCreateEndpoint(h *Host, call Call) (Reply, error) {
	o, err := h.store.resolve(call.Client, networkClass, call.Args[0])
	if err != nil {
		return Reply{}, err
	}
	id, err := parseGUID(call.Args[1])
	if err != nil {
		return Reply{}, err
	}
	var doc schema.EndpointDoc
	if err := schema.Decode(call.Args[2], &doc); err != nil {
		return Reply{}, err
	}
	if there := h.store.find(endpointClass, id); there != nil && h.unknowns.TakenIDOpens {
		return Reply{Handle: h.store.issue(call.Client, endpointClass, there)}, nil
	}
	e, err := h.makeEndpoint(o.(*network), id, doc)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Handle: h.store.issue(call.Client, endpointClass, e)}, nil
}

// makeEndpoint makes an endpoint, or leaves nothing behind when it cannot.
func (h *Host) makeEndpoint(n *network, parameter string, doc schema.EndpointDoc) (*endpoint, error) {
	e, err := h.newEndpoint(n, parameter, doc)
	if err != nil {
		return nil, err
	}
	if err := h.checkEndpointPolicies(n, e.Policies); err != nil {
		return nil, err
	}
	if e.Policies, err = h.placePolicies(e, e.Policies); err != nil {
		return nil, err
	}
	if err := e.fillAddresses(h, doc.IPConfigs()); err != nil {
		return nil, err
	}
	if err := e.fillMAC(h); err != nil {
		return nil, err
	}
	e.fillRoutes()
	if e.DNS.IsZero() {
		e.DNS = n.DNS
	}
	h.store.add(endpointClass, e)
	return e, nil
}

// newEndpoint returns the endpoint that a document describes, still without what
// HNS fills in.
func (h *Host) newEndpoint(n *network, parameter string, doc schema.EndpointDoc) (*endpoint, error) {
	if err := schema.CheckID(doc.ID); err != nil {
		return nil, err
	}
	if h.unknowns.IgnoreID {
		doc.ID, parameter = "", ""
	}
	b, err := h.chooseID(endpointClass, parameter, doc.ID)
	if err != nil {
		return nil, err
	}
	b.name = doc.Name
	if err := doc.CheckReferences(n.id); err != nil {
		return nil, err
	}
	settings, err := doc.Endpoint(h.profile.LaxRoutes)
	if err != nil {
		return nil, err
	}
	return &endpoint{base: b, Endpoint: settings, network: n, ownMAC: settings.MAC != ""}, nil
}

// fillAddresses takes the addresses that the client chose, or picks some.
func (e *endpoint) fillAddresses(h *Host, configs []schema.IPConfig) error {
	for _, c := range configs {
		if c.Address == "" {
			continue
		}
		a, err := netip.ParseAddr(c.Address)
		if err != nil {
			return schema.Errorf(schema.CodeInvalidIP, "%q is not an IP address", c.Address)
		}
		a = a.Unmap()
		p, err := e.claim(h, a, c.PrefixLength)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(e.addresses, func(q netip.Prefix) bool { return q.Addr() == a }) {
			return schema.Errorf(h.profile.AddressTaken, "%s is given twice", a)
		}
		e.addresses = append(e.addresses, p)
	}
	if len(e.addresses) > 0 {
		return nil
	}
	if e.Remote() {
		return schema.Errorf(schema.CodeInvalidEndpoint, "a remote endpoint needs an address")
	}
	var err error
	e.addresses, err = e.network.allocate(h)
	return err
}

// claim checks an address that the client chose. A remote endpoint is on
// another node, so its address can be in no subnet; kube-proxy makes one for
// each remote pod.
func (e *endpoint) claim(h *Host, a netip.Addr, length int) (netip.Prefix, error) {
	if !e.Remote() {
		return e.network.claim(h, a, length)
	}
	if other := e.network.owner(h, a); other != nil {
		return netip.Prefix{}, schema.Errorf(h.profile.AddressTaken, "%s is the address of endpoint %q", a, other.name)
	}
	if length == 0 {
		length = a.BitLen()
		if s := e.network.SubnetFor(a); s != nil {
			length = s.Prefix.Bits()
		}
	}
	return netip.PrefixFrom(a, length), nil
}

// fillMAC takes an address of the network's pool unless the client chose one.
// That may be any: Flannel and Calico make it of the IP address on overlay
// networks.
func (e *endpoint) fillMAC(h *Host) (err error) {
	if e.MAC == "" {
		e.MAC, err = e.network.freeMAC(h)
	}
	return err
}

// fillRoutes gives the endpoint a default route via the subnet's gateway for
// each of its addresses.
func (e *endpoint) fillRoutes() {
	if len(e.Routes) > 0 || e.Remote() {
		return
	}
	for _, p := range e.addresses {
		s := e.network.SubnetFor(p.Addr())
		if s == nil || !s.Gateway.IsValid() {
			continue
		}
		e.Routes = append(e.Routes, schema.Route{NextHop: s.Gateway.String(), DestinationPrefix: schema.DefaultRoute(s.Gateway)})
	}
}

// removeEndpoint is HcnDeleteEndpoint.
func removeEndpoint(h *Host, o object) error {
	e := o.(*endpoint)
	if h.unknowns.ReferencesBlockDelete && h.referenced(e) {
		return schema.Errorf(schema.CodeHasReferences, "a load balancer or a route refers to endpoint %q", e.name)
	}
	h.drop(e)
	return nil
}

// drop removes an endpoint and every reference to it.
func (h *Host) drop(e *endpoint) {
	if e.namespace != nil {
		e.namespace.drop(e)
	}
	for _, lb := range all[*balancer](&h.store, balancerClass) {
		lb.endpoints = withoutEndpoint(lb.endpoints, e)
	}
	for _, r := range all[*route](&h.store, routeClass) {
		r.endpoints = withoutEndpoint(r.endpoints, e)
	}
	h.store.remove(endpointClass, e)
}

// withoutEndpoint returns a copy of the list without the endpoint.
func withoutEndpoint(list []*endpoint, e *endpoint) []*endpoint {
	return slices.DeleteFunc(slices.Clone(list), func(other *endpoint) bool { return other == e })
}

// referenced reports whether a load balancer or a route refers to the endpoint.
func (h *Host) referenced(e *endpoint) bool {
	for _, lb := range all[*balancer](&h.store, balancerClass) {
		if slices.Contains(lb.endpoints, e) {
			return true
		}
	}
	for _, r := range all[*route](&h.store, routeClass) {
		if slices.Contains(r.endpoints, e) {
			return true
		}
	}
	return false
}

// modifyEndpoint is HcnModifyEndpoint.
func modifyEndpoint(h *Host, o object, text string) error {
	e := o.(*endpoint)
	resource, request, settings, err := schema.ParseModify(text, "Port", "Policy")
	if err != nil {
		return err
	}
	if e.Remote() {
		return schema.Errorf(schema.CodeRemoteEndpoint, "endpoint %q is remote", e.name)
	}
	if resource == "Port" {
		return e.modifyPort(request)
	}
	wanted, err := schema.ParsePolicyRequest(settings)
	if err != nil {
		return err
	}
	return h.modifyEndpointPolicies(e, request, wanted)
}

// modifyPort adds and removes the switch port of a virtual machine.
func (e *endpoint) modifyPort(request string) error {
	switch request {
	case "Add":
		return e.attach("VirtualMachine", "")
	case "Remove":
		return e.detach("")
	}
	return schema.Errorf(schema.CodeUnsupported, "%s of a port", request)
}

// modifyEndpointPolicies carries out a policy request on an endpoint: Add
// appends, Remove removes by content, Update replaces. A request that fails
// changes nothing.
func (h *Host) modifyEndpointPolicies(e *endpoint, request string, wanted []schema.Policy) error {
	list := e.Policies
	var err error
	switch request {
	case "Add":
		list = append(slices.Clone(list), wanted...)
	case "Update":
		list = replaceTypes(list, wanted, h.unknowns.UpdateReplacesAll)
	case "Remove":
		if list, err = removePolicies(list, wanted); err != nil {
			return err
		}
		e.Policies, e.modified = list, e.modified+1
		return nil
	default:
		return schema.Errorf(schema.CodeUnsupported, "%s of policies", request)
	}
	if err := h.checkEndpointPolicies(e.network, wanted); err != nil {
		return err
	}
	if list, err = h.placePolicies(e, list); err != nil {
		return err
	}
	e.Policies, e.modified = list, e.modified+1
	return nil
}

// findEndpoint returns the endpoint that a document refers to.
func (h *Host) findEndpoint(id string) (*endpoint, error) {
	normal, err := schema.Reference(id)
	if err != nil {
		return nil, err
	}
	o := h.store.find(endpointClass, normal)
	if o == nil {
		return nil, endpointClass.none(h, id)
	}
	return o.(*endpoint), nil
}

// v2 returns the endpoint in the v2 schema.
func (e *endpoint) v2(*Host) any {
	doc := schema.EndpointV2{
		// An endpoint in no namespace has the zero GUID (antrea-io/antrea,
		// pkg/agent/cniserver).
		ID: e.id, Name: e.name, HostComputeNetwork: e.network.id, HostComputeNamespace: hns.ZeroGUID,
		Policies: schema.PoliciesV2(e.Policies), DNS: e.DNS, Routes: e.Routes, MacAddress: e.MAC,
		Flags: e.Flags, State: e.state, SchemaVersion: schema.V2,
	}
	if e.namespace != nil {
		doc.HostComputeNamespace = e.namespace.id
	}
	for _, p := range e.addresses {
		doc.IPConfigurations = append(doc.IPConfigurations, schema.IPConfig{Address: p.Addr().String(), PrefixLength: p.Bits()})
	}
	doc.Health.Extra = schema.Extra{SharedContainers: e.containers(), SwitchGUID: e.network.switchID()}
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

// v1 returns the endpoint in the v1 schema.
func (e *endpoint) v1(h *Host) any {
	v4, v6 := e.address(true), e.address(false)
	doc := schema.EndpointV1{
		ID: e.upperID(), Name: e.name,
		VirtualNetwork: e.network.upperID(), VirtualNetworkName: e.network.name, Type: e.network.Spelling,
		Policies: schema.PoliciesV1(e.Policies), MacAddress: e.MAC,
		IPAddress: v4.Address, PrefixLength: v4.PrefixLength,
		IPv6Address: v6.Address, IPv6PrefixLength: v6.PrefixLength,
		DNSSuffix: strings.Join(e.DNS.Search, ","), DNSServerList: strings.Join(e.DNS.ServerList, ","), DNSDomain: e.DNS.Domain,
		IsRemoteEndpoint: e.Remote(), SharedContainers: e.containers(),
		State: e.state, Version: schema.VersionNumber(h.profile.Version),
	}
	for _, r := range e.Routes {
		switch r.DestinationPrefix {
		case "0.0.0.0/0":
			doc.GatewayAddress = r.NextHop
		case "::/0":
			doc.GatewayAddressV6 = r.NextHop
		}
	}
	if e.namespace != nil {
		doc.Namespace = &schema.NamespaceRefV1{
			ID: e.namespace.upperID(), CompartmentID: e.namespace.compartment, IsDefault: e.namespace.isDefault(),
		}
	}
	return doc
}
