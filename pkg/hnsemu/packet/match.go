// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// matches reports whether a rule is about a packet.
func (e Endpoint) matches(a schema.ACL, p Packet) bool {
	if a.Direction != p.Direction || len(a.Protocols) > 0 && !slices.Contains(a.Protocols, p.Protocol) {
		return false
	}
	local := p.Local
	for _, own := range e.Addresses {
		if !local.IsValid() && own.Addr().Is4() == p.Remote.Is4() {
			local = own.Addr()
			break
		}
	}
	// LocalAddresses takes sets of sources and RemoteAddresses sets of
	// destinations, whatever the direction (Azure/azure-container-networking,
	// npm/pkg/dataplane/policies/policy_windows.go).
	source, destination := local, p.Remote
	if p.Direction == hns.In {
		source, destination = p.Remote, local
	}
	return e.listMatches(a.Local, local, source) &&
		e.listMatches(a.Remote, p.Remote, destination) &&
		e.portsMatch(a.LocalPorts, p.Protocol, p.LocalPort) &&
		e.portsMatch(a.RemotePorts, p.Protocol, p.RemotePort)
}

// listMatches reports whether addr is in a prefix of the list or inSet in a set.
func (e Endpoint) listMatches(l schema.AddrList, addr, inSet netip.Addr) bool {
	return l.IsAny() || contains(l.Prefixes, addr) ||
		slices.ContainsFunc(l.Sets, func(id string) bool { return contains(e.Sets[id], inSet) })
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// WithPorts returns the protocols that a rule with ports is about.
func (e Endpoint) WithPorts() []int {
	if e.SCTPWithoutPorts {
		return []int{6, 17}
	}
	return []int{6, 17, 132}
}

// portsMatch reports whether a port is in the ranges. A rule with ports is about
// protocols that have ports.
func (e Endpoint) portsMatch(ranges []hns.PortRange, protocol int, port uint16) bool {
	if len(ranges) == 0 {
		return true
	}
	return slices.Contains(e.WithPorts(), protocol) && slices.ContainsFunc(ranges, func(r hns.PortRange) bool {
		return r.First <= port && port <= r.Last
	})
}
