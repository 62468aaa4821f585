// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// balancer is a load balancer. In v1 it is a policy list with an ELB policy.
type balancer struct {
	base
	endpoints    []*endpoint
	sourceVIP    string
	frontendVIPs []string
	ports        []schema.LoadBalancerPort
	flags        uint32
	// flat is the v1 policy, if the client wrote that.
	flat json.RawMessage
}

// property returns the v1 property that a query filter names.
func (b *balancer) property(string) (string, bool) { return "", false }

// createBalancer is HcnCreateLoadBalancer.
func createBalancer(h *Host, id, settings string) (object, error) {
	var doc schema.LoadBalancer
	if err := schema.Decode(settings, &doc); err != nil {
		return nil, err
	}
	if err := schema.CheckID(doc.ID); err != nil {
		return nil, err
	}
	common, err := h.chooseID(balancerClass, id, doc.ID)
	if err != nil {
		return nil, err
	}
	b := &balancer{base: common}
	if err := b.read(h, doc); err != nil {
		return nil, err
	}
	h.store.add(balancerClass, b)
	return b, nil
}

// modifyBalancer is HcnModifyLoadBalancer, whose settings are a whole load
// balancer (hcsshim, hcn/hcnloadbalancer.go, Update).
func modifyBalancer(h *Host, o object, settings string) error {
	b := o.(*balancer)
	if !h.profile.Version.AtLeast(15, 4) {
		return schema.Errorf(schema.CodeNotImplemented, "load balancers can be modified since HNS 15.4")
	}
	var doc schema.LoadBalancer
	if err := schema.Decode(settings, &doc); err != nil {
		return err
	}
	changed := &balancer{base: b.base}
	if err := changed.read(h, doc); err != nil {
		return err
	}
	*b = *changed
	return nil
}

// removeBalancer is HcnDeleteLoadBalancer.
func removeBalancer(h *Host, o object) error {
	h.store.remove(balancerClass, o)
	return nil
}

// read reads a document. The virtual addresses can be in no subnet: in
// TestCreateDeleteLoadBalancer they are.
func (b *balancer) read(h *Host, doc schema.LoadBalancer) (err error) {
	if b.endpoints, err = h.referredEndpoints(doc.HostComputeEndpoints); err != nil {
		return err
	}
	for _, vip := range append(slices.Clone(doc.FrontendVIPs), doc.SourceVIP) {
		if vip != "" && !schema.IsAddr(vip) {
			return schema.Errorf(schema.CodeInvalidIP, "virtual address %q", vip)
		}
	}
	b.sourceVIP, b.frontendVIPs, b.ports, b.flags = doc.SourceVIP, doc.FrontendVIPs, doc.PortMappings, doc.Flags
	for _, other := range all[*balancer](&h.store, balancerClass) {
		if other.id != b.id && other.collides(b) {
			return schema.Errorf(hns.CodePortExists, "load balancer %s has that address and port", other.id)
		}
	}
	return nil
}

// collides reports whether two load balancers serve one address and port.
func (b *balancer) collides(other *balancer) bool {
	sharesVIP := slices.ContainsFunc(b.frontendVIPs, func(vip string) bool { return slices.Contains(other.frontendVIPs, vip) })
	samePort := func(p, q schema.LoadBalancerPort) bool {
		return p.Protocol == q.Protocol && p.ExternalPort == q.ExternalPort
	}
	return sharesVIP && slices.ContainsFunc(b.ports, func(p schema.LoadBalancerPort) bool {
		return slices.ContainsFunc(other.ports, func(q schema.LoadBalancerPort) bool { return samePort(p, q) })
	})
}

// referredEndpoints returns the endpoints that a list of ids or v1 references
// names. It wants at least one; what HNS does is not documented.
func (h *Host) referredEndpoints(ids []string) ([]*endpoint, error) {
	var list []*endpoint
	for _, text := range ids {
		id, err := schema.Reference(strings.TrimPrefix(text, "/endpoints/"))
		if err != nil {
			return nil, err
		}
		o := h.store.find(endpointClass, id)
		if o == nil {
			return nil, schema.Errorf(schema.CodeInvalidReference, "no endpoint %q", text)
		}
		list = append(list, o.(*endpoint))
	}
	if len(list) == 0 {
		return nil, schema.Errorf(schema.CodeInvalidReference, "no endpoint is referred to")
	}
	return list, nil
}

// endpointIDs returns ids in lower case, as v2 writes them.
func endpointIDs(list []*endpoint) []string {
	var ids []string
	for _, e := range list {
		ids = append(ids, e.id)
	}
	return ids
}

// v2 returns the load balancer in the v2 schema.
func (b *balancer) v2(*Host) any {
	return schema.LoadBalancer{
		ID: b.id, HostComputeEndpoints: endpointIDs(b.endpoints), SourceVIP: b.sourceVIP,
		FrontendVIPs: b.frontendVIPs, PortMappings: b.ports, Flags: b.flags, SchemaVersion: schema.V2,
	}
}

// v1 returns the load balancer in the v1 schema: a policy list.
func (b *balancer) v1(*Host) any {
	doc := schema.PolicyList{ID: b.upperID(), References: references(b.endpoints)}
	if b.flat != nil {
		doc.Policies = []json.RawMessage{b.flat}
		return doc
	}
	for _, p := range b.ports {
		doc.Policies = append(doc.Policies, json.RawMessage(schema.Marshal(schema.ELBPolicy{
			Type: "ELB", SourceVIP: b.sourceVIP, VIPs: b.frontendVIPs, ILB: p.Flags&schema.FlagILB != 0,
			IsDSR: b.flags&schema.FlagDSR != 0, Protocol: p.Protocol, InternalPort: p.InternalPort, ExternalPort: p.ExternalPort,
		})))
	}
	return doc
}
