// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"
)

// States of an endpoint (hns.md section 4.3).
const (
	stateCreated uint16 = iota + 1
	stateAttached
	stateShared
	stateDetached
	stateDegraded
)

// Bits of Flags of endpoints (hns.md section 2.4).
const flagRemote = 1

var endpointFlags = map[string]uint32{
	"None": 0, "RemoteEndpoint": flagRemote, "DisableInterComputeCommunication": 2, "EnableMirroring": 4,
	"EnableLowInterfaceMetric": 8, "OverrideDNSServerOrder": 16, "EnableDhcp": 32,
}

// endpoint is an interface on a network, of this node or of another one.
type endpoint struct {
	base
	network *network
	// namespace is nil while the endpoint is in none.
	namespace *namespace
	// addresses have the prefix length of their subnet unless the client chose
	// another.
	addresses []netip.Prefix
	// mac is written as HNS does: 00-15-5D-52-C0-00.
	mac string
	// ownMAC is true when the client chose the MAC address.
	ownMAC   bool
	routes   []routeDoc
	dns      dnsDoc
	policies []policy
	flags    uint32
	// system is what a v1 attach put the endpoint into: "Host", "Container",
	// "VirtualMachine", or "" for none.
	system string
	// shared holds the containers of v1 attaches.
	shared []string
}

// remote reports whether the endpoint is of a container on another node.
func (e *endpoint) remote() bool { return e.flags&flagRemote != 0 }

// property returns the v1 property that a query filter names.
func (e *endpoint) property(key string) (string, bool) {
	switch key {
	case "VirtualNetwork":
		return e.network.id, true
	case "VirtualNetworkName":
		return e.network.name, true
	case "MacAddress":
		return e.mac, true
	case "IPAddress":
		return e.address(true).addr(), true
	case "IPv6Address":
		return e.address(false).addr(), true
	}
	return "", false
}

// ipConfig is an address as documents have it.
type ipConfig struct {
	Address      string `json:"IpAddress"`
	PrefixLength int    `json:",omitempty"`
}

// addr is the address as a filter compares it, empty for none.
func (c ipConfig) addr() string { return c.Address }

// address returns the first address of a family, as v1 has no more.
func (e *endpoint) address(is4 bool) ipConfig {
	for _, p := range e.addresses {
		if p.Addr().Is4() == is4 {
			return ipConfig{p.Addr().String(), p.Bits()}
		}
	}
	return ipConfig{}
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
	var doc endpointDoc
	if err := decode(call.Args[2], &doc); err != nil {
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
func (h *Host) makeEndpoint(n *network, parameter string, doc endpointDoc) (*endpoint, error) {
	e, err := doc.endpoint(h, n, parameter)
	if err != nil {
		return nil, err
	}
	if err := checkList(h, n, endpointPolicies, e.policies); err != nil {
		return nil, err
	}
	if e.policies, err = h.placePolicies(e, e.policies); err != nil {
		return nil, err
	}
	if err := e.fillAddresses(h, doc.configs()); err != nil {
		return nil, err
	}
	if err := e.fillMAC(h); err != nil {
		return nil, err
	}
	e.fillRoutes()
	if e.dns.isZero() {
		e.dns = n.dns
	}
	h.store.add(endpointClass, e)
	return e, nil
}

// fillAddresses takes the addresses that the client chose, or picks some. A
// remote endpoint has its own whatever the network's subnets are: it is on
// another node (hns.md section 4.2).
func (e *endpoint) fillAddresses(h *Host, configs []ipConfig) error {
	for _, c := range configs {
		if c.Address == "" {
			continue
		}
		a, err := netip.ParseAddr(c.Address)
		if err != nil {
			return refuse(codeInvalidIP, "%q is not an IP address", c.Address)
		}
		a = a.Unmap()
		p, err := e.claim(h, a, c.PrefixLength)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(e.addresses, func(q netip.Prefix) bool { return q.Addr() == a }) {
			return refuse(h.profile.AddressTaken, "%s is given twice", a)
		}
		e.addresses = append(e.addresses, p)
	}
	if len(e.addresses) > 0 {
		return nil
	}
	if e.remote() {
		return refuse(codeInvalidEndpoint, "a remote endpoint needs an address")
	}
	var err error
	e.addresses, err = e.network.allocate(h)
	return err
}

// claim checks an address that the client chose. Remote endpoints lie outside
// of the subnets but count as users of their address: kube-proxy makes one for
// each remote pod.
func (e *endpoint) claim(h *Host, a netip.Addr, length int) (netip.Prefix, error) {
	if !e.remote() {
		return e.network.claim(h, a, length)
	}
	if other := e.network.owner(h, a); other != nil {
		return netip.Prefix{}, refuse(h.profile.AddressTaken, "%s is the address of endpoint %q", a, other.name)
	}
	if length == 0 {
		length = a.BitLen()
		if s := e.network.subnetFor(a); s != nil {
			length = s.prefix.Bits()
		}
	}
	return netip.PrefixFrom(a, length), nil
}

// fillMAC takes an address of the network's pool unless the client chose one,
// which may be any: VXLAN plugins derive it from the IP address (hns.md section
// 2.4).
func (e *endpoint) fillMAC(h *Host) (err error) {
	if e.mac == "" {
		e.mac, err = e.network.freeMAC(h)
	}
	return err
}

// fillRoutes gives the endpoint a default route via the gateway of each family
// that it has an address of (hns.md section 4.2).
func (e *endpoint) fillRoutes() {
	if len(e.routes) > 0 || e.remote() {
		return
	}
	for _, p := range e.addresses {
		s := e.network.subnetFor(p.Addr())
		if s == nil || !s.gateway.IsValid() {
			continue
		}
		e.routes = append(e.routes, routeDoc{NextHop: s.gateway.String(), DestinationPrefix: defaultRoute(s.gateway)})
	}
}

// removeEndpoint is HcnDeleteEndpoint.
func removeEndpoint(h *Host, o object) error {
	e := o.(*endpoint)
	if h.unknowns.ReferencesBlockDelete && h.referenced(e) {
		return refuse(codeHasReferences, "a load balancer or a route refers to endpoint %q", e.name)
	}
	h.drop(e)
	return nil
}

// drop removes an endpoint and every reference to it (hns.md section 4.5).
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
	resource, request, settings, err := parseModify(text, "Port", "Policy")
	if err != nil {
		return err
	}
	if e.remote() {
		return refuse(codeRemoteEndpoint, "endpoint %q is remote", e.name)
	}
	if resource == "Port" {
		return e.modifyPort(request)
	}
	wanted, err := requestedPolicies(settings)
	if err != nil {
		return err
	}
	return h.modifyEndpointPolicies(e, request, wanted)
}

// modifyPort makes and removes the switch port of a virtual machine.
func (e *endpoint) modifyPort(request string) error {
	switch request {
	case "Add":
		return e.attach("VirtualMachine", "")
	case "Remove":
		return e.detach("")
	}
	return refuse(codeUnsupported, "%s of a port", request)
}

// modifyEndpointPolicies carries out a policy request on an endpoint. Add
// appends, Remove takes off by content, Update replaces (hns.md section 2.9). A
// request that fails changes nothing.
func (h *Host) modifyEndpointPolicies(e *endpoint, request string, wanted []policy) error {
	list := e.policies
	var err error
	switch request {
	case "Add":
		list = append(slices.Clone(list), wanted...)
	case "Update":
		list = replaceKinds(list, wanted, h.unknowns.UpdateReplacesAll)
	case "Remove":
		if list, err = removePolicies(list, wanted); err != nil {
			return err
		}
		e.policies = list
		return nil
	default:
		return refuse(codeUnsupported, "%s of policies", request)
	}
	if err := checkList(h, e.network, endpointPolicies, wanted); err != nil {
		return err
	}
	if list, err = h.placePolicies(e, list); err != nil {
		return err
	}
	e.policies = list
	return nil
}

// find returns the endpoint that a document refers to.
func (h *Host) findEndpoint(id string) (*endpoint, error) {
	normal, err := reference(id)
	if err != nil {
		return nil, err
	}
	o := h.store.find(endpointClass, normal)
	if o == nil {
		return nil, endpointClass.none(h, id)
	}
	return o.(*endpoint), nil
}
