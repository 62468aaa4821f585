// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// network is a network. Endpoints point to it.
type network struct {
	base
	schema.Network
	// ownPool is true when the client gave the MAC pool.
	ownPool bool
	// adapter is the uplink of an external network.
	adapter string
	// managementIP is the node's address on the uplink, which shows up some
	// time after the network was created.
	managementIP netip.Addr
	created      time.Time
	extensions   map[string]bool
}

// property returns the v1 property that a query filter names.
func (n *network) property(key string) (string, bool) {
	if key == "Type" {
		return n.Spelling, true
	}
	return "", false
}

// managed returns the node's address on the network's uplink, once the network
// has taken it over. Azure CNI, Calico and Flannel wait for it.
func (n *network) managed(h *Host) netip.Addr {
	if h.now().Before(n.created.Add(h.profile.ManagementIPDelay)) {
		return netip.Addr{}
	}
	return n.managementIP
}

// told returns the policies as HNS tells them: an overlay network that was made without
// a provider address has the node's, as soon as that is known (flannel,
// pkg/backend/vxlan/device_windows.go, which makes one without and waits for it).
func (n *network) told(h *Host) []schema.Policy {
	isProvider := func(p schema.Policy) bool { return p.Type == "ProviderAddress" }
	a := n.managed(h)
	if h.unknowns.NoProviderAddress || n.Type != schema.TypeOverlay || !a.IsValid() || slices.ContainsFunc(n.Policies, isProvider) {
		return n.Policies
	}
	p := schema.NewPolicy("ProviderAddress", map[string]any{"ProviderAddress": a.String()})
	p.Generated = true
	return append(slices.Clone(n.Policies), p)
}

// endpoints returns the endpoints of a network, remote ones included.
func (n *network) endpoints(h *Host) []*endpoint {
	return slices.DeleteFunc(all[*endpoint](&h.store, endpointClass), func(e *endpoint) bool {
		return e.network != n
	})
}

// createNetwork is HcnCreateNetwork.
func createNetwork(h *Host, id, settings string) (object, error) {
	var doc schema.NetworkDoc
	if err := schema.Decode(settings, &doc); err != nil {
		return nil, err
	}
	n, err := h.newNetwork(doc, id)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(*Host) error{n.checkName, n.checkSubnets, n.bindUplink, n.fillSubnets, n.fillPool, n.checkPolicies} {
		if err := step(h); err != nil {
			return nil, err
		}
	}
	n.fillPolicies()
	n.created = h.now()
	h.store.add(networkClass, n)
	return n, nil
}

// newNetwork returns the network that a document describes, not yet compared
// with the node.
func (h *Host) newNetwork(doc schema.NetworkDoc, parameter string) (*network, error) {
	if err := schema.CheckID(doc.ID); err != nil {
		return nil, err
	}
	if h.unknowns.IgnoreID {
		doc.ID, parameter = "", ""
	}
	b, err := h.chooseID(networkClass, parameter, doc.ID)
	if err != nil {
		return nil, err
	}
	b.name = doc.Name
	settings, err := doc.Network()
	if err != nil {
		return nil, err
	}
	return &network{base: b, Network: settings, ownPool: len(settings.MACPool) > 0}, nil
}

// checkName refuses a name that another network has. K2s reports the code
// 0x803b0010 (Siemens-Healthineers/K2s#1468).
func (n *network) checkName(h *Host) error {
	for _, other := range all[*network](&h.store, networkClass) {
		if n.name != "" && h.sameName(other.name, n.name) {
			return schema.Errorf(hns.CodeNetworkExists, "network %s is called %q", other.id, n.name)
		}
	}
	return nil
}

// removeNetwork is HcnDeleteNetwork. The endpoints go with the network:
// TestEndpointStatsAll deletes a network that has one.
func removeNetwork(h *Host, o object) error {
	n := o.(*network)
	for _, e := range n.endpoints(h) {
		h.drop(e)
	}
	h.store.remove(networkClass, n)
	return nil
}

// modifyNetwork is HcnModifyNetwork.
func modifyNetwork(h *Host, o object, text string) error {
	n := o.(*network)
	resource, request, settings, err := schema.ParseModify(text, "DNS", "Extension", "Policy", "Subnet", "IPSubnet")
	if err != nil {
		return err
	}
	switch resource {
	case "Policy":
		return n.modifyPolicies(h, request, settings)
	case "DNS":
		return n.modifyDNS(request, settings)
	case "Extension":
		return n.modifyExtension(settings)
	case "Subnet":
		return n.modifySubnets(h, request, settings)
	}
	return schema.Errorf(schema.CodeUnsupported, "resource type %s", resource)
}

// modifyDNS replaces the DNS configuration. Endpoints keep what they have.
func (n *network) modifyDNS(request string, settings []byte) error {
	var dns schema.DNS
	if err := schema.Decode(string(settings), &dns); err != nil {
		return err
	}
	if request != "Update" {
		return schema.Errorf(schema.CodeUnsupported, "%s of DNS", request)
	}
	n.DNS = dns
	return nil
}

// switchExtensions are the switch extensions that every node has: VFP of two
// generations and WFP (ids as Get-VMSwitchExtension prints them).
var switchExtensions = []string{
	"e9b59cfa-2be1-4b21-828f-b6fbdbddc017",
	"f74f241b-440f-4433-bb28-00f89ead20d8",
	"e7c3b2f0-f3c5-48df-af2b-10fed6d72e7a",
}

// modifyExtension turns a switch extension on or off, which has no effect.
func (n *network) modifyExtension(settings []byte) error {
	var doc struct {
		ID        string
		IsEnabled bool
	}
	if err := schema.Decode(string(settings), &doc); err != nil {
		return err
	}
	id, err := schema.Reference(doc.ID)
	if err != nil {
		return err
	}
	if !slices.Contains(switchExtensions, id) {
		return schema.Errorf(schema.CodeNoExtension, "switch extension %q", doc.ID)
	}
	if n.extensions == nil {
		n.extensions = map[string]bool{}
	}
	n.extensions[id] = doc.IsEnabled
	return nil
}

// modifySubnets adds and removes subnets. The resource type came with schema
// 2.6, in Windows 10 2004 (HNS_Schema.md).
func (n *network) modifySubnets(h *Host, request string, settings []byte) error {
	if !h.profile.Version.AtLeast(11, 0) {
		return schema.Errorf(schema.CodeUnsupported, "subnets cannot be modified before HNS 11")
	}
	var doc struct{ Subnets []schema.SubnetV2 }
	if err := schema.Decode(string(settings), &doc); err != nil {
		return err
	}
	changed := *n
	for _, d := range doc.Subnets {
		s, err := d.Subnet("Static")
		if err != nil {
			return err
		}
		switch request {
		case "Add":
			changed.Subnets = append(slices.Clone(changed.Subnets), s)
		case "Remove":
			kept := slices.DeleteFunc(slices.Clone(changed.Subnets), func(old *schema.Subnet) bool { return old.Prefix == s.Prefix })
			if len(kept) == len(changed.Subnets) {
				return schema.Errorf(schema.CodeNoSubnet, "no subnet %s", s.Prefix)
			}
			changed.Subnets = kept
		default:
			return schema.Errorf(schema.CodeUnsupported, "%s of subnets", request)
		}
	}
	for _, step := range []func(*Host) error{changed.checkSubnets, changed.checkEndpointSubnets, changed.fillSubnets} {
		if err := step(h); err != nil {
			return err
		}
	}
	n.Subnets = changed.Subnets
	return nil
}

// checkEndpointSubnets refuses to remove the subnet of an endpoint's address.
func (n *network) checkEndpointSubnets(h *Host) error {
	for _, e := range all[*endpoint](&h.store, endpointClass) {
		if e.network.id != n.id || e.Remote() {
			continue
		}
		for _, p := range e.addresses {
			if n.SubnetFor(p.Addr()) == nil {
				return schema.Errorf(schema.CodeHasReferences, "endpoint %q has address %s", e.name, p)
			}
		}
	}
	return nil
}

// v2 returns the network in the v2 schema.
func (n *network) v2(h *Host) any {
	doc := schema.NetworkV2{
		ID: n.id, Name: n.name, Type: n.Type, Policies: schema.PoliciesV2(n.told(h)), DNS: n.DNS,
		Ipams: n.IPAMs(), Flags: n.Flags, State: n.state, SchemaVersion: schema.V2,
	}
	// NAT is number 0 of the enumeration, and HNS leaves zero members out:
	// hcsshim presets NAT (hcn/hcnnetwork.go).
	if n.Type == schema.TypeNAT {
		doc.Type = ""
	}
	doc.MacPool.Ranges = n.MACRanges()
	doc.Health.Extra.SwitchGUID = n.switchID()
	return doc
}

// switchID returns an id for the network's virtual switch.
func (n *network) switchID() string {
	return "5" + n.upperID()[1:]
}
