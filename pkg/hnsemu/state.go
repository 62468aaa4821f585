// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// State is the node as data, for readers outside of this package, who must not
// change it. Ids are in lower case, lists are in the order of creation.
type State struct {
	Profile string
	Version hns.Version
	// Unknowns are the answers chosen where the real one is not known.
	Unknowns      Unknowns
	Stopped       bool
	Adapters      []Adapter
	Networks      []NetworkState
	Endpoints     []EndpointState
	Namespaces    []NamespaceState
	LoadBalancers []LoadBalancerState
	Routes        []SDNRouteState
	Containers    []Container
}

// NetworkState is a network.
type NetworkState struct {
	ID, Name string
	// NamedID is true when the client chose the id.
	NamedID bool
	// Type is Microsoft's name: "L2Bridge". Driver is the same in lower case.
	Type   string
	Driver hns.Driver
	Flags  uint32
	// Adapter is the uplink of an external network, ManagementIP the node's
	// address on it.
	Adapter      string
	ManagementIP netip.Addr
	Subnets      []SubnetState
	MACPool      []MACRangeState
	// OwnMACPool is true when the client gave the pool.
	OwnMACPool bool
	DNS        DNSState
	Policies   []PolicyState
	// ACLs are the NetworkACL policies, parsed.
	ACLs []schema.ACL
	// Sets are the addresses of the SetPolicy policies by id.
	Sets map[string][]netip.Prefix
}

// SubnetState is a subnet of a network.
type SubnetState struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
	// VLAN and VSID are 0 for none.
	VLAN, VSID uint32
	Flags      uint32
	Routes     []Route
}

// MACRangeState is a range of MAC addresses, both ends included.
type MACRangeState struct {
	Start, End string
}

// DNSState is the DNS configuration of a network or an endpoint.
type DNSState struct {
	Domain  string
	Search  []string
	Servers []string
	Options []string
}

// Route is a route of a subnet or an endpoint.
type Route struct {
	Destination, NextHop string
}

// PolicyState is a policy in the v2 schema.
type PolicyState struct {
	Type     string
	Settings json.RawMessage
	// Generated is true when HNS added the policy.
	Generated bool
}

// EndpointState is an endpoint.
type EndpointState struct {
	ID, Name    string
	NamedID     bool
	NetworkID   string
	NetworkName string
	// NamespaceID is empty when the endpoint is in no namespace.
	NamespaceID string
	// State is 1 Created, 2 Attached, 3 AttachedSharing, 4 Detached, 5 Degraded.
	State     uint16
	Addresses []netip.Prefix
	MAC       string
	// OwnMAC is true when the client chose the MAC address.
	OwnMAC   bool
	Remote   bool
	Routes   []Route
	DNS      DNSState
	Policies []PolicyState
	// Modified counts the requests that changed the policies, also into what they were.
	Modified int
	// ACLs, Tiers and PortMappings are the policies of these types, parsed.
	ACLs         []schema.ACL
	Tiers        []schema.TierACL
	PortMappings []schema.PortMapping
	// System is what a v1 attach put the endpoint into: "Host", "Container" or
	// "VirtualMachine". SharedContainers are the containers.
	System           string
	SharedContainers []string
}

// NamespaceState is a namespace.
type NamespaceState struct {
	ID      string
	NamedID bool
	Type    string
	// Compartment is 0 until there is one.
	Compartment uint32
	// State is 1, or 4 after a refused deletion.
	State      uint16
	Endpoints  []string
	Containers []string
	// Isolation is that of the first container, empty for none.
	Isolation hns.Isolation
	// Lost are endpoints that HNS does not have since it restarted. Their interfaces stay in
	// the compartment, and pods go on running (docker/for-win#12425).
	Lost []EndpointState
}

// LoadBalancerState is a load balancer.
type LoadBalancerState struct {
	ID           string
	Endpoints    []string
	SourceVIP    string
	FrontendVIPs []string
	Ports        []LoadBalancerPort
	Flags        uint32
}

// LoadBalancerPort is a port of a load balancer.
type LoadBalancerPort struct {
	Protocol                   uint32
	InternalPort, ExternalPort uint16
	DistributionType, Flags    uint32
}

// SDNRouteState is an SDN route.
type SDNRouteState struct {
	ID        string
	Endpoints []string
	Routes    []SDNRouteDestination
}

// SDNRouteDestination is a destination of an SDN route.
type SDNRouteDestination struct {
	Destination, NextHop string
	NeedEncap            bool
}

// Interfaces returns the endpoints, and those that HNS has lost but whose interfaces are in
// their compartments still.
func (s State) Interfaces() []EndpointState {
	out := slices.Clone(s.Endpoints)
	for _, n := range s.Namespaces {
		out = append(out, n.Lost...)
	}
	return out
}

// State returns everything on the node.
func (h *Host) State() (State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := State{
		Profile: h.profile.Name, Version: h.profile.Version, Unknowns: h.unknowns, Stopped: h.stopped,
		Adapters: slices.Clone(h.node.Adapters),
	}
	for _, n := range all[*network](&h.store, networkClass) {
		s.Networks = append(s.Networks, n.snapshot(h))
	}
	for _, e := range all[*endpoint](&h.store, endpointClass) {
		s.Endpoints = append(s.Endpoints, e.snapshot())
	}
	for _, n := range all[*namespace](&h.store, namespaceClass) {
		s.Namespaces = append(s.Namespaces, n.snapshot())
	}
	for _, b := range all[*balancer](&h.store, balancerClass) {
		s.LoadBalancers = append(s.LoadBalancers, b.snapshot())
	}
	for _, r := range all[*route](&h.store, routeClass) {
		s.Routes = append(s.Routes, r.snapshot())
	}
	for _, c := range h.store.containers {
		s.Containers = append(s.Containers, c.Container)
	}
	slices.SortFunc(s.Containers, func(a, b Container) int { return strings.Compare(a.ID, b.ID) })
	return s, nil
}

// snapshot returns the network as data.
func (n *network) snapshot(h *Host) NetworkState {
	s := NetworkState{
		ID: n.id, Name: n.name, NamedID: n.named, Type: n.Type, Driver: hns.Driver(strings.ToLower(n.Type)),
		Flags: n.Flags, Adapter: n.adapter, ManagementIP: n.managed(h), OwnMACPool: n.ownPool,
		DNS: dnsState(n.DNS), Policies: snapshots(n.told(h)),
		ACLs: acls(n.Policies, n.SetIDs()), Sets: n.Sets(),
	}
	for _, sub := range n.Subnets {
		s.Subnets = append(s.Subnets, SubnetState{
			Prefix: sub.Prefix, Gateway: sub.Gateway, Flags: sub.Flags, Routes: routes(sub.Routes),
			VLAN: sub.Isolation(schema.PolicyVLAN), VSID: sub.Isolation(schema.PolicyVSID),
		})
	}
	for _, r := range n.MACPool {
		s.MACPool = append(s.MACPool, MACRangeState{schema.FormatMAC(r.First), schema.FormatMAC(r.Last)})
	}
	return s
}

// snapshot returns the endpoint as data.
func (e *endpoint) snapshot() EndpointState {
	parsed := e.parsed()
	s := EndpointState{
		ID: e.id, Name: e.name, NamedID: e.named, NetworkID: e.network.id, NetworkName: e.network.name,
		State: e.state, Addresses: slices.Clone(e.addresses), MAC: e.MAC, OwnMAC: e.ownMAC, Remote: e.Remote(),
		Routes: routes(e.Routes), DNS: dnsState(e.DNS), Policies: snapshots(e.Policies), Modified: e.modified,
		ACLs: parsed.acls, Tiers: parsed.tiers, PortMappings: parsed.mappings,
		System: e.system, SharedContainers: slices.Clone(e.shared),
	}
	if e.namespace != nil {
		s.NamespaceID = e.namespace.id
	}
	return s
}

// snapshot returns the namespace as data.
func (s *namespace) snapshot() NamespaceState {
	state := NamespaceState{
		ID: s.id, NamedID: s.named, Type: s.kind, Compartment: s.compartment, State: s.state,
		Endpoints: endpointIDs(s.endpoints), Lost: slices.Clone(s.lost),
	}
	for _, m := range s.containers {
		state.Containers = append(state.Containers, m.id)
	}
	if len(s.containers) > 0 {
		state.Isolation = s.containers[0].isolation
	}
	return state
}

// snapshot returns the load balancer as data.
func (b *balancer) snapshot() LoadBalancerState {
	s := LoadBalancerState{
		ID: b.id, Endpoints: endpointIDs(b.endpoints), SourceVIP: b.sourceVIP,
		FrontendVIPs: slices.Clone(b.frontendVIPs), Flags: b.flags,
	}
	for _, p := range b.ports {
		s.Ports = append(s.Ports, LoadBalancerPort(p))
	}
	return s
}

// snapshot returns the route as data.
func (r *route) snapshot() SDNRouteState {
	s := SDNRouteState{ID: r.id, Endpoints: endpointIDs(r.endpoints)}
	for _, p := range r.settings {
		s.Routes = append(s.Routes, SDNRouteDestination{p.DestinationPrefix, p.NextHop, p.NeedEncap})
	}
	return s
}

// dnsState returns the configuration as data.
func dnsState(d schema.DNS) DNSState {
	return DNSState{d.Domain, slices.Clone(d.Search), slices.Clone(d.ServerList), slices.Clone(d.Options)}
}

// routes returns routes as data.
func routes(docs []schema.Route) []Route {
	var list []Route
	for _, r := range docs {
		list = append(list, Route{r.DestinationPrefix, r.NextHop})
	}
	return list
}

// snapshots returns policies as data, in the v2 schema.
func snapshots(list []schema.Policy) []PolicyState {
	var states []PolicyState
	for _, p := range list {
		states = append(states, PolicyState{p.Type, slices.Clone(p.Settings), p.Generated})
	}
	return states
}

// acls returns the ACLs among policies. It leaves out an ACL that refers to a
// set that was removed. What HNS does with it is not documented.
func acls(list []schema.Policy, sets []string) []schema.ACL {
	var parsed []schema.ACL
	for _, p := range list {
		if p.Type != schema.PolicyACL && p.Type != schema.PolicyNetworkACL {
			continue
		}
		if a, err := schema.ParseACL(p, sets); err == nil {
			parsed = append(parsed, a)
		}
	}
	return parsed
}

// tiers returns the TierAcls among policies, as acls does the ACLs.
func tiers(list []schema.Policy, sets []string) []schema.TierACL {
	var parsed []schema.TierACL
	for _, p := range list {
		if p.Type != schema.PolicyTierACL {
			continue
		}
		if t, err := schema.ParseTierACL(p, sets); err == nil {
			parsed = append(parsed, t)
		}
	}
	return parsed
}
