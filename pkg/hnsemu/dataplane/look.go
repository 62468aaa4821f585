// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// Drop says who drops packets of an endpoint.
type Drop struct {
	EndpointID string
	At         hns.RuleType
	Direction  hns.Direction
}

// Drops returns how many packets were dropped in an HCN namespace, by whom.
func (p *Plane) Drops(namespaceID string, endpointIDs ...string) (map[Drop]uint64, error) {
	out := map[Drop]uint64{}
	err := p.look(namespaceID, func(f firewall) error {
		counted, err := f.counters()
		for _, id := range endpointIDs {
			for _, h := range hooks {
				if n, ok := counted[counterName(LinkName(id), h.at, h.direction)]; ok {
					out[Drop{id, h.at, h.direction}] = n
				}
			}
		}
		return err
	})
	return out, err
}

// Match says which rule matches packets of an endpoint.
type Match struct {
	Drop
	// Rule is the id of an ACL. Those of one id count as one.
	Rule string
}

// Matches returns how many first packets of connections each rule in an HCN namespace has
// matched since the namespace's rules were last written.
func (p *Plane) Matches(namespaceID string, endpointIDs ...string) (map[Match]uint64, error) {
	out := map[Match]uint64{}
	err := p.look(namespaceID, func(f firewall) error {
		chains, err := f.c.ListChainsOfTableFamily(f.Family)
		if err != nil {
			return fmt.Errorf("read the chains: %w", err)
		}
		for _, id := range endpointIDs {
			for _, h := range hooks {
				own := chainName(h.chain, LinkName(id))
				for _, chain := range chains {
					if chain.Table.Name != f.Name || chain.Name != own && !strings.HasPrefix(chain.Name, own+"_") {
						continue
					}
					if err := f.matched(chain, Drop{id, h.at, h.direction}, out); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	return out, err
}

// matched adds what the rules of a chain have matched.
func (f firewall) matched(chain *nftables.Chain, by Drop, out map[Match]uint64) error {
	rules, err := f.c.GetRules(f.Table, chain)
	if err != nil {
		return fmt.Errorf("read the rules of %s: %w", chain.Name, err)
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				out[Match{by, commented(r.UserData)}] += c.Packets
			}
		}
	}
	return nil
}

// look reads the rules of an HCN namespace.
func (p *Plane) look(namespaceID string, read func(firewall) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := p.pods[namespaceID]
	if live == nil {
		return fmt.Errorf("namespace %s has no compartment", namespaceID)
	}
	return read(live.rules)
}

// Service is where new connections to an address go.
type Service struct {
	Backends []netip.AddrPort
	// Direct says that backends see the client. Else they see Source, or the address of
	// the interface by which the packet leaves when that is zero.
	Direct bool
	Source netip.Addr
}

// Forward returns where packets to an address go on a node in that state: to the backends
// of a load balancer, or a port mapping. The node's own addresses, which node ports are for,
// are those that local says. It reports false when they just go there.
func Forward(s hnsemu.State, to netip.AddrPort, protocol int, local func(netip.Addr) bool) (Service, bool) {
	for _, f := range planOf(s, Unknowns{}).nat.forwards {
		here := f.to == to.Addr() || !f.to.IsValid() && family(to.Addr()) == f.family && local(to.Addr())
		if here && f.protocol == protocol && f.port == to.Port() {
			return Service{f.backends, !f.hidden, f.source}, true
		}
	}
	return Service{}, false
}

// SeenAs returns the address that others see of an endpoint's packets to an address which is
// not of its own switch, zero for that of the interface by which they leave.
func SeenAs(s hnsemu.State, endpoint hnsemu.EndpointState, to netip.Addr, protocol int) netip.Addr {
	own := firstOf(endpoint, family(to))
	for _, n := range s.Networks {
		if n.ID != endpoint.NetworkID {
			continue
		}
		for _, m := range outboundNATOf(endpoint, n).masquerades {
			if m.from == own && m.translates(to, protocol) {
				return m.to
			}
		}
	}
	return own
}
