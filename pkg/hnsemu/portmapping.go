// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// ephemeralPort is where HNS starts to look for a host port when the client
// leaves it to choose: the dynamic range of Windows.
const ephemeralPort = 49152

// placePolicies checks the policies that an endpoint is to have against each
// other and against those of the other endpoints of the network, and fills in
// what the client left to HNS.
func (h *Host) placePolicies(e *endpoint, list []policy) ([]policy, error) {
	var taken []portMapping
	if slices.ContainsFunc(list, func(p policy) bool { return p.kind == kindPortMapping }) {
		taken = h.takenPorts(e)
	}
	parameters := 0
	placed := make([]policy, 0, len(list))
	for _, p := range list {
		switch p.kind {
		case kindPortMapping:
			m := mappings([]policy{p})[0]
			if m.ExternalPort == 0 {
				p, m = assignPort(p, m, taken)
			}
			if slices.ContainsFunc(taken, m.collides) {
				return nil, refuse(hns.CodePortExists, "port %d of protocol %d is mapped on network %q", m.ExternalPort, m.Protocol, e.network.name)
			}
			taken = append(taken, m)
		case "InterfaceParameters":
			if parameters++; parameters > 1 {
				return nil, refuse(codeOneInterface, "two InterfaceParameters")
			}
		}
		placed = append(placed, p)
	}
	return placed, nil
}

// takenPorts returns the port mappings of the other endpoints of the network.
func (h *Host) takenPorts(e *endpoint) []portMapping {
	var taken []portMapping
	for _, other := range e.network.endpoints(h) {
		if other != e {
			taken = append(taken, mappings(other.policies)...)
		}
	}
	return taken
}

// mappings returns the port mappings among policies.
func mappings(list []policy) []portMapping {
	var found []portMapping
	for _, p := range list {
		var m portMapping
		if p.kind == kindPortMapping && p.read(&m) == nil {
			found = append(found, m)
		}
	}
	return found
}

// collides reports whether two mappings want the same port of the node: on the
// same address, or one of them on all.
func (m portMapping) collides(other portMapping) bool {
	if m.Protocol != other.Protocol || m.ExternalPort != other.ExternalPort || m.Flags&natIPv6 != other.Flags&natIPv6 {
		return false
	}
	return m.anyVIP() || other.anyVIP() || m.VIP == other.VIP
}

// anyVIP reports whether the mapping is for all addresses of the node.
func (m portMapping) anyVIP() bool {
	a, err := netip.ParseAddr(m.VIP)
	return err != nil || a.IsUnspecified()
}

// assignPort picks the host port of a mapping that has none; docker reads it
// back from the endpoint (hns.md section 4.2).
func assignPort(p policy, m portMapping, taken []portMapping) (policy, portMapping) {
	m.ExternalPort = ephemeralPort
	for slices.ContainsFunc(taken, m.collides) {
		m.ExternalPort++
	}
	members := p.members()
	members["ExternalPort"] = m.ExternalPort
	return newPolicy(p.kind, members), m
}
