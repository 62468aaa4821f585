// SPDX-License-Identifier: Apache-2.0

package topology

import (
	_ "embed" // page.html
	"fmt"
	"html/template"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// nodeView, networkView, podView, pointView, ruleView and serviceView are what the page shows.
type nodeView struct {
	Name, Windows, Addresses, State string
	Networks                        []networkView
	Services                        []serviceView
}

type networkView struct {
	Name, Subnets string
	Driver        hns.Driver
	Pods          []podView
}

type podView struct {
	Name, Addresses, Seen string
	Isolation             hns.Isolation
	Ports                 []string
	Points                []pointView
}

type pointView struct {
	Name    string
	Dropped uint64
	Rules   []ruleView
	Default string
}

type ruleView struct {
	Action, About, ID string
	Block             bool
	Packets           uint64
}

type serviceView struct{ Name, Backends string }

// WritePage writes a page of HTML that draws the cluster: nodes, networks, pods, and their
// rules in the order in which they are tried, with what they have matched and dropped.
func (c Cluster) WritePage(w io.Writer) error {
	var nodes []nodeView
	for _, n := range c.Nodes {
		nodes = append(nodes, c.nodeView(n))
	}
	return page.Execute(w, struct {
		Name  string
		Nodes []nodeView
	}{c.Name, nodes})
}

func (c Cluster) nodeView(n Node) nodeView {
	out := nodeView{Name: n.Name, Windows: "Windows Server " + n.Profile, Addresses: list(n.Addresses(), netip.Prefix.String)}
	switch {
	case !n.On:
		out.State = "off"
	case n.State.Stopped:
		out.State = "HNS is stopped"
	}
	for _, of := range n.State.Networks {
		view := networkView{Name: of.Name, Driver: of.Driver, Subnets: list(of.Subnets, func(s hnsemu.SubnetState) string {
			return s.Prefix.String() + " by " + s.Gateway.String()
		})}
		for _, e := range n.State.Interfaces() {
			if e.NetworkID == of.ID && !e.Remote && e.NamespaceID != "" {
				view.Pods = append(view.Pods, c.podView(n, e))
			}
		}
		out.Networks = append(out.Networks, view)
	}
	addresses := map[string][]netip.Prefix{}
	for _, e := range n.State.Endpoints {
		addresses[e.ID] = e.Addresses
	}
	for _, b := range n.State.LoadBalancers {
		var backends []string
		for _, id := range b.Endpoints {
			for _, a := range addresses[id] {
				backends = append(backends, c.name(a.Addr()))
			}
		}
		for _, p := range b.Ports {
			front := "the node's own addresses"
			if len(b.FrontendVIPs) > 0 {
				front = list(b.FrontendVIPs, c.nameText)
			}
			out.Services = append(out.Services, serviceView{
				fmt.Sprintf("%s %s port %d", front, protocolName(int(p.Protocol)), p.ExternalPort),
				fmt.Sprintf("port %d of %s", p.InternalPort, strings.Join(backends, ", ")),
			})
		}
	}
	return out
}

func (c Cluster) nameText(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return c.name(a)
}

func (c Cluster) podView(n Node, e hnsemu.EndpointState) podView {
	view := n.State.PacketEndpoint(e)
	if view.Isolation == "" {
		view.Isolation = hns.Process
	}
	out := podView{Name: e.Name, Isolation: view.Isolation, Addresses: list(e.Addresses, netip.Prefix.String)}
	for _, a := range e.Addresses {
		if name := c.names[a.Addr()]; name != "" {
			out.Name = name
		}
	}
	if outside := netip.IPv4Unspecified(); len(e.Addresses) > 0 && e.Addresses[0].Addr().Is4() {
		out.Seen = orNode(dataplane.SeenAs(n.State, e, outside, 6), n, outside).String()
	}
	for _, m := range e.PortMappings {
		host := m.VIP
		if host == "" {
			host = "any address"
		}
		out.Ports = append(out.Ports, fmt.Sprintf("%s %d of %s", protocolName(int(m.Protocol)), m.ExternalPort, host))
	}
	for _, d := range []hns.Direction{hns.In, hns.Out} {
		for _, p := range view.Points(view.Isolation) {
			out.Points = append(out.Points, n.pointView(e, view, p, d))
		}
	}
	return out
}

func (n Node) pointView(e hnsemu.EndpointState, view packet.Endpoint, p packet.Point, d hns.Direction) pointView {
	by := dataplane.Drop{EndpointID: e.ID, At: p.At, Direction: d}
	out := pointView{Name: fmt.Sprintf("%s, %s", strings.TrimPrefix(point(p.At), "the "), d), Dropped: n.counters[dataplane.Match{Drop: by}]}
	add := func(a schema.ACL, action string) {
		if a.Direction == d {
			out.Rules = append(out.Rules, ruleView{action, about(a), a.ID, a.Block, n.counters[dataplane.Match{Drop: by, Rule: a.ID}]})
		}
	}
	for _, t := range p.Tiers {
		for _, r := range t.Rules {
			action := actionName(r.ACL)
			if r.Pass {
				action = "pass"
			}
			add(r.ACL, action)
		}
	}
	for _, a := range p.Rules {
		add(a, actionName(a))
	}
	switch {
	case p.Ruled(view, d):
		out.Default = "anything else is dropped"
	case p.At == hns.Host && d == hns.In:
		out.Default = "TCP, UDP, ICMP and IGMP pass, anything else is dropped"
	default:
		out.Default = "everything passes"
	}
	return out
}

func actionName(a schema.ACL) string {
	if a.Block {
		return "block"
	}
	return "allow"
}

// about says which packets a rule matches.
func about(a schema.ACL) string {
	out := []string{"any protocol"}
	if len(a.Protocols) > 0 {
		out[0] = list(a.Protocols, protocolName)
	}
	part := func(word string, items string) {
		if items != "" {
			out = append(out, word+" "+items)
		}
	}
	addresses := func(l schema.AddrList) string {
		all := slices.Clone(l.Sets)
		for _, p := range l.Prefixes {
			all = append(all, p.String())
		}
		return list(all, func(s string) string { return s })
	}
	ports := func(r hns.PortRange) string {
		if r.First == r.Last {
			return fmt.Sprint(r.First)
		}
		return fmt.Sprintf("%d-%d", r.First, r.Last)
	}
	part("port", list(a.LocalPorts, ports))
	part("own", addresses(a.Local))
	part("peer", addresses(a.Remote))
	part("peer's port", list(a.RemotePorts, ports))
	if a.Priority > 0 {
		out = append(out, fmt.Sprintf("(%d)", a.Priority))
	}
	return strings.Join(out, " ")
}

// list joins words; of many it shows the first few.
func list[T any](items []T, word func(T) string) string {
	const most = 6
	var out []string
	for i, item := range items {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(items)-most))
			break
		}
		out = append(out, word(item))
	}
	return strings.Join(out, ", ")
}

// protocolName is the short name of an IP protocol number.
func protocolName(n int) string {
	for name, number := range map[string]int{"ICMP": 1, "IGMP": 2, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132} {
		if n == number {
			return name
		}
	}
	return fmt.Sprintf("protocol %d", n)
}
