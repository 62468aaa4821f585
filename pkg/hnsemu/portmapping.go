// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// ephemeralPort is the first port of Windows' dynamic range. The emulator takes
// host ports from there that the client leaves to HNS; how HNS chooses is not
// documented.
const ephemeralPort = 49152

// placePolicies checks the policies of an endpoint against each other and
// against those of the network's other endpoints, and fills in what the client
// left to HNS.
func (h *Host) placePolicies(e *endpoint, list []schema.Policy) ([]schema.Policy, error) {
	var taken []schema.PortMapping
	if slices.ContainsFunc(list, func(p schema.Policy) bool { return p.Type == schema.PolicyPortMapping }) {
		taken = h.takenPorts(e)
	}
	parameters := 0
	placed := make([]schema.Policy, 0, len(list))
	for _, p := range list {
		switch p.Type {
		case schema.PolicyPortMapping:
			m := mappings([]schema.Policy{p})[0]
			if m.ExternalPort == 0 {
				p, m = assignPort(p, m, taken)
			}
			if slices.ContainsFunc(taken, m.Collides) {
				return nil, schema.Errorf(hns.CodePortExists, "port %d of protocol %d is mapped on network %q", m.ExternalPort, m.Protocol, e.network.name)
			}
			taken = append(taken, m)
		case "InterfaceParameters":
			if parameters++; parameters > 1 {
				return nil, schema.Errorf(schema.CodeOneInterface, "two InterfaceParameters")
			}
		}
		placed = append(placed, p)
	}
	return placed, nil
}

// takenPorts returns the port mappings of the other endpoints of the network.
func (h *Host) takenPorts(e *endpoint) []schema.PortMapping {
	var taken []schema.PortMapping
	for _, other := range e.network.endpoints(h) {
		if other != e {
			taken = append(taken, mappings(other.Policies)...)
		}
	}
	return taken
}

// mappings returns the port mappings among policies.
func mappings(list []schema.Policy) []schema.PortMapping {
	var found []schema.PortMapping
	for _, p := range list {
		var m schema.PortMapping
		if p.Type == schema.PolicyPortMapping && p.Read(&m) == nil {
			found = append(found, m)
		}
	}
	return found
}

// assignPort picks the host port of a mapping that has none. Docker reads it
// back from the endpoint (moby/moby, libnetwork/drivers/windows).
func assignPort(p schema.Policy, m schema.PortMapping, taken []schema.PortMapping) (schema.Policy, schema.PortMapping) {
	m.ExternalPort = ephemeralPort
	for slices.ContainsFunc(taken, m.Collides) {
		m.ExternalPort++
	}
	members := p.Members()
	members["ExternalPort"] = m.ExternalPort
	return schema.NewPolicy(p.Type, members), m
}
