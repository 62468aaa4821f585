// SPDX-License-Identifier: Apache-2.0

// Package topology tells what a cluster's network is: its nodes, networks, pods and rules, as
// a page, and the way that a packet takes through it.
package topology

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
)

// Cluster is what a cluster's network is at a moment.
type Cluster struct {
	Name  string
	Nodes []Node
	// names are those of pods and services by their addresses: "default/web".
	names map[netip.Addr]string
}

// Node is a node with what its HNS has.
type Node struct {
	spec.Node
	On       bool
	State    hnsemu.State
	counters map[dataplane.Match]uint64
}

// Read asks a cluster. The names are those of the pods and services.
func Read(ctx context.Context, of spec.Cluster, pods []corev1.Pod, services []corev1.Service) (Cluster, error) {
	client := supervisor.NewClient(of.Dir)
	status, err := client.Status(ctx)
	if err != nil {
		return Cluster{}, err
	}
	out := Cluster{Name: of.Name, names: map[netip.Addr]string{}}
	name := func(address, namespace, name string) {
		if a, err := netip.ParseAddr(address); err == nil { // it may have none
			out.names[a] = namespace + "/" + name
		}
	}
	for _, p := range pods {
		for _, ip := range p.Status.PodIPs {
			name(ip.IP, p.Namespace, p.Name)
		}
	}
	for _, s := range services {
		for _, ip := range s.Spec.ClusterIPs {
			name(ip, s.Namespace, s.Name)
		}
	}
	for i, n := range of.Nodes {
		node := Node{Node: n, On: status.Nodes[i].On, counters: map[dataplane.Match]uint64{}}
		if node.State, err = client.HNS(ctx, n.Name); err != nil {
			return Cluster{}, err
		}
		counters, err := client.Counters(ctx, n.Name)
		if err != nil {
			return Cluster{}, err
		}
		for _, c := range counters {
			node.counters[c.Match] = c.Packets
		}
		out.Nodes = append(out.Nodes, node)
	}
	return out, nil
}

// name returns an address with the name of who has it.
func (c Cluster) name(a netip.Addr) string {
	if name := c.names[a]; name != "" {
		return name + " (" + a.String() + ")"
	}
	for _, n := range c.Nodes {
		if n.has(a) {
			return n.Name + " (" + a.String() + ")"
		}
	}
	return a.String()
}

// has reports whether an address is the node's own.
func (n Node) has(a netip.Addr) bool {
	return slices.ContainsFunc(n.Addresses(), func(p netip.Prefix) bool { return p.Addr() == a })
}

// address returns the node's of the family of another.
func (n Node) address(like netip.Addr) netip.Addr {
	for _, p := range n.Addresses() {
		if p.Addr().Is4() == like.Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// pod returns the endpoint of a pod that has an address, and its node.
func (c Cluster) pod(a netip.Addr) (Node, hnsemu.EndpointState, bool) {
	for _, n := range c.Nodes {
		for _, e := range n.State.Interfaces() {
			if !e.Remote && e.NamespaceID != "" && slices.ContainsFunc(e.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
				return n, e, true
			}
		}
	}
	return Node{}, hnsemu.EndpointState{}, false
}

// DroppedSince says what was dropped since an earlier moment, by whom.
func (c Cluster) DroppedSince(before Cluster) []string {
	earlier := map[dataplane.Match]uint64{}
	for _, n := range before.Nodes {
		maps.Copy(earlier, n.counters)
	}
	var out []string
	for _, n := range c.Nodes {
		for _, e := range n.State.Interfaces() {
			for by, packets := range n.counters {
				if dropped := packets - earlier[by]; by.EndpointID == e.ID && by.Rule == "" && dropped > 0 {
					out = append(out, fmt.Sprintf("%d dropped by %s at %s, %s, on %s", dropped, point(by.At), c.name(e.Addresses[0].Addr()), by.Direction, n.Name))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// point is what an enforcement point is called.
func point(at hns.RuleType) string {
	switch at {
	case hns.Host:
		return "the firewall"
	case hns.Switch:
		return "VFP"
	}
	return "nobody"
}
