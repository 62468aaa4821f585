// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
)

// Trace says step by step where the first packet of a connection goes that a pod sends, by
// what the nodes' HNS have, and who drops it. It fails when no pod has the address.
func (c Cluster) Trace(from netip.Addr, to netip.AddrPort, protocol int) ([]string, error) {
	node, own, ok := c.pod(from)
	if !ok {
		return nil, fmt.Errorf("no pod has %s", from)
	}
	steps := []string{fmt.Sprintf("%s sends by its endpoint on %s, a network of driver %s on %s", c.name(from), own.NetworkName, driver(node, own), node.Name)}
	v, err := packet.Evaluate(node.State.PacketEndpoint(own), packet.Packet{Direction: hns.Out, Protocol: protocol, Remote: to.Addr(), RemotePort: to.Port()})
	if err != nil {
		return nil, err
	}
	steps = append(steps, "out of the pod: "+judged(v))
	if !v.Allowed {
		return steps, nil
	}
	at := node
	service, ok := dataplane.Forward(node.State, to, protocol, node.has)
	for _, other := range c.Nodes {
		if !ok && other.Name != node.Name && other.has(to.Addr()) {
			at = other
			service, ok = dataplane.Forward(other.State, to, protocol, other.has)
		}
	}
	targets := []netip.AddrPort{to}
	if ok {
		targets = service.Backends
		var names []string
		for _, b := range targets {
			names = append(names, c.name(b.Addr()))
		}
		who := "which see the client"
		if !service.Direct {
			who = fmt.Sprintf("which see %s of %s", orNode(service.Source, at, to.Addr()), at.Name)
		}
		steps = append(steps, fmt.Sprintf("%s forwards %s port %d to one of %s, %s", at.Name, c.name(to.Addr()), to.Port(), strings.Join(names, ", "), who))
	}
	for _, target := range targets {
		seen := c.seen(node, own, from, target.Addr(), protocol)
		if ok && !service.Direct {
			seen = orNode(service.Source, at, target.Addr())
		}
		arrival, err := c.arrive(target, seen, protocol)
		if err != nil {
			return nil, err
		}
		steps = append(steps, arrival)
	}
	return steps, nil
}

// seen is the address that a target sees of a pod.
func (c Cluster) seen(node Node, own hnsemu.EndpointState, from, target netip.Addr, protocol int) netip.Addr {
	if other, e, ok := c.pod(target); ok && other.Name == node.Name && e.NetworkID == own.NetworkID {
		return from
	}
	if node.has(target) {
		return from
	}
	return orNode(dataplane.SeenAs(node.State, own, target, protocol), node, target)
}

// orNode returns an address, or the node's when it is zero.
func orNode(a netip.Addr, n Node, like netip.Addr) netip.Addr {
	if a.IsValid() {
		return a
	}
	return n.address(like)
}

// arrive says what becomes of a packet at its target.
func (c Cluster) arrive(target netip.AddrPort, seen netip.Addr, protocol int) (string, error) {
	where := fmt.Sprintf("%s port %d", c.name(target.Addr()), target.Port())
	node, e, ok := c.pod(target.Addr())
	if !ok {
		if slices.ContainsFunc(c.Nodes, func(n Node) bool { return n.has(target.Addr()) }) {
			return where + ": the node's own, which no ACL is about; it sees " + seen.String(), nil
		}
		return where + ": no pod of this cluster; who has it sees " + seen.String(), nil
	}
	v, err := packet.Evaluate(node.State.PacketEndpoint(e), packet.Packet{
		Direction: hns.In, Protocol: protocol, Remote: seen, Local: target.Addr(), LocalPort: target.Port(),
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("into %s on %s, from %s: %s", where, node.Name, seen, judged(v)), nil
}

func judged(v packet.Verdict) string {
	if v.Allowed {
		return "allowed: " + v.Why
	}
	return "DROPPED by " + point(v.At) + ": " + v.Why
}

func driver(n Node, e hnsemu.EndpointState) hns.Driver {
	for _, of := range n.State.Networks {
		if of.ID == e.NetworkID {
			return of.Driver
		}
	}
	return ""
}
