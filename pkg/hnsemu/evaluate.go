// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// Evaluate says what would become of a packet.
func (h *Host) Evaluate(p Packet) (Verdict, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.findEndpoint(p.EndpointID)
	if err != nil {
		return Verdict{}, &hns.Error{Op: "evaluate", Object: p.EndpointID, Code: schema.CodeOf(err), Err: err}
	}
	s := State{Unknowns: h.unknowns, Networks: []NetworkState{e.network.snapshot(h)}, Endpoints: []EndpointState{e.snapshot()}}
	if e.namespace != nil {
		s.Namespaces = []NamespaceState{e.namespace.snapshot()}
	}
	v, err := packet.Evaluate(s.PacketEndpoint(s.Endpoints[0]), p)
	if err != nil {
		return Verdict{}, fmt.Errorf("evaluate a packet of endpoint %q: %w", e.name, err)
	}
	return v, nil
}

// PacketEndpoint returns e as package packet reads it.
func (s State) PacketEndpoint(e EndpointState) packet.Endpoint {
	view := packet.Endpoint{
		Remote: e.Remote, Addresses: e.Addresses, ACLs: e.ACLs, Tiers: e.Tiers,
		NATBySwitch: s.Unknowns.NATBySwitch, DenyPerDirection: s.Unknowns.DenyPerDirection,
		SCTPWithoutPorts: s.Unknowns.SCTPWithoutPorts,
	}
	for _, n := range s.Networks {
		if n.ID == e.NetworkID {
			view.Driver, view.Sets = n.Driver, n.Sets
			if len(n.ACLs) > 0 {
				view.ACLs = slices.Concat(n.ACLs, e.ACLs)
			}
		}
	}
	for _, n := range s.Namespaces {
		if n.ID == e.NamespaceID {
			view.Isolation = n.Isolation
		}
	}
	return view
}
