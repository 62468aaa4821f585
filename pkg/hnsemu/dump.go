// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"slices"
	"strings"
)

// Dump prints every object, sorted. An id is printed when the client chose it;
// a namespace without such an id is called by a number. MAC addresses and
// policies are left out when HNS made them up.
func (h *Host) Dump() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var p printer
	if h.stopped {
		p.line(0, "service stopped")
	}
	d := dumper{h, h.namespaceLabels()}
	sections := [][]string{
		render(all[*network](&h.store, networkClass), d.network),
		render(all[*namespace](&h.store, namespaceClass), d.namespace),
		render(all[*balancer](&h.store, balancerClass), d.balancer),
		render(all[*route](&h.store, routeClass), d.route),
	}
	for _, s := range sections {
		p.WriteString(strings.Join(s, ""))
	}
	for _, m := range h.store.managed {
		p.line(0, "management mac %s", m.MacAddress)
	}
	return p.String(), nil
}

// printer writes indented lines.
type printer struct {
	strings.Builder
}

// line prints one line, indented by two blanks for each level.
func (p *printer) line(depth int, format string, args ...any) {
	p.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

// list prints a line when there is anything to list.
func (p *printer) list(depth int, word string, items []string) {
	if len(items) > 0 {
		p.line(depth, "%s %s", word, strings.Join(items, " "))
	}
}

// render prints objects and sorts the text: their order of creation is not part
// of the state.
func render[T any](objects []T, block func(T) string) []string {
	var blocks []string
	for _, o := range objects {
		blocks = append(blocks, block(o))
	}
	slices.Sort(blocks)
	return blocks
}

// dumper prints objects; labels hold what namespaces are called.
type dumper struct {
	host   *Host
	labels map[*namespace]string
}

// namespaceLabels returns what namespaces are called: by the id that the client
// chose, else by their number among those that are there. A number that never
// came back would make a state after a roll-back differ from the one before.
func (h *Host) namespaceLabels() map[*namespace]string {
	labels := map[*namespace]string{}
	n := 0
	for _, s := range all[*namespace](&h.store, namespaceClass) {
		if s.named {
			labels[s] = s.id
			continue
		}
		n++
		labels[s] = fmt.Sprintf("#%d", n)
	}
	return labels
}

// named returns a name, and the id when the client chose it.
func named(b *base) string {
	if b.named {
		return fmt.Sprintf("%q id %s", b.name, b.id)
	}
	return fmt.Sprintf("%q", b.name)
}

// network prints a network and, indented, the endpoints on it.
func (d dumper) network(n *network) string {
	var p printer
	p.line(0, "network %s %s", named(&n.base), n.kind)
	if n.adapter != "" {
		p.line(1, "adapter %q", n.adapter)
	}
	if n.flags != 0 {
		p.line(1, "flags %d", n.flags)
	}
	for _, s := range n.subnets {
		p.subnet(s)
	}
	if n.ownPool {
		for _, r := range n.pool {
			p.line(1, "macs %s to %s", formatMAC(r.first), formatMAC(r.last))
		}
	}
	p.dns(1, n.dns)
	p.policies(1, n.policies)
	p.WriteString(strings.Join(render(n.endpoints(d.host), d.endpoint), ""))
	return p.String()
}

// subnet prints a subnet in one line, with its VLAN or VSID as a word.
func (p *printer) subnet(s *subnet) {
	words := []string{s.prefix.String()}
	if s.gateway.IsValid() {
		words = append(words, "gateway", s.gateway.String())
	}
	for _, kind := range []string{"VLAN", "VSID"} {
		if id := s.isolation(kind); id != 0 {
			words = append(words, strings.ToLower(kind), itoa(id))
		}
	}
	if s.flags != 0 {
		words = append(words, "flags", itoa(s.flags))
	}
	p.list(1, "subnet", words)
	p.routes(2, s.routes)
}

// routes prints routes in their order: the first default route is the gateway.
func (p *printer) routes(depth int, list []routeDoc) {
	for _, r := range list {
		p.line(depth, "route %s via %s", r.DestinationPrefix, r.NextHop)
	}
}

// dns prints what is configured, nothing when nothing is.
func (p *printer) dns(depth int, d dnsDoc) {
	if d.Domain != "" {
		p.line(depth, "dns domain %s", d.Domain)
	}
	p.list(depth, "dns search", d.Search)
	p.list(depth, "dns servers", d.ServerList)
	p.list(depth, "dns options", d.Options)
}

// policies prints policies in their order, which clients read back, with sorted
// members, whose order means nothing.
func (p *printer) policies(depth int, list []policy) {
	for _, each := range list {
		if !each.generated {
			p.line(depth, "policy %s %s", each.kind, each.canonical())
		}
	}
}

var stateNames = map[uint16]string{
	stateCreated: "created", stateAttached: "attached", stateShared: "attached sharing",
	stateDetached: "detached", stateDegraded: "degraded",
}

// endpoint prints an endpoint. Its address is printed although HNS may have
// chosen it: the choice is the lowest free one, so it repeats.
func (d dumper) endpoint(e *endpoint) string {
	var p printer
	p.line(1, "endpoint %s", named(&e.base))
	words := []string{stateNames[e.state]}
	if e.namespace != nil {
		words = append(words, "in namespace", d.labels[e.namespace])
	}
	if e.system != "" {
		words = append(words, "to "+e.system)
		words = append(words, e.shared...)
	}
	p.list(2, "state", words)
	if e.flags != 0 {
		p.line(2, "flags %d", e.flags)
	}
	for _, a := range e.addresses {
		p.line(2, "address %s", a)
	}
	if e.ownMAC {
		p.line(2, "mac %s", e.mac)
	}
	p.routes(2, e.routes)
	p.dns(2, e.dns)
	p.policies(2, e.policies)
	return p.String()
}

// endpointNames lists endpoints as "network/name".
func endpointNames(list []*endpoint) []string {
	var names []string
	for _, e := range list {
		names = append(names, fmt.Sprintf("%q/%q", e.network.name, e.name))
	}
	slices.Sort(names)
	return names
}

// namespace prints a namespace with what is in it.
func (d dumper) namespace(s *namespace) string {
	var p printer
	p.line(0, "namespace %s %s", d.labels[s], s.kind)
	if s.compartment != 0 {
		p.line(1, "compartment %d", s.compartment)
	}
	if s.state == stateRefused {
		p.line(1, "state deletion refused")
	}
	for _, name := range endpointNames(s.endpoints) {
		p.line(1, "endpoint %s", name)
	}
	for _, m := range s.containers {
		p.line(1, "container %s %s", m.id, m.isolation)
	}
	return p.String()
}

// balancer prints a load balancer under its virtual addresses, having no name.
func (d dumper) balancer(b *balancer) string {
	var p printer
	p.line(0, "loadbalancer %s", strings.Join(b.frontendVIPs, " "))
	if b.named {
		p.line(1, "id %s", b.id)
	}
	if b.sourceVIP != "" {
		p.line(1, "source %s", b.sourceVIP)
	}
	if b.flags != 0 {
		p.line(1, "flags %d", b.flags)
	}
	for _, port := range b.ports {
		p.line(1, "port %s", marshal(port))
	}
	for _, name := range endpointNames(b.endpoints) {
		p.line(1, "endpoint %s", name)
	}
	return p.String()
}

// route prints an SDN route under its destinations, having no name.
func (d dumper) route(r *route) string {
	var p printer
	var words []string
	for _, s := range r.settings {
		words = append(words, s.DestinationPrefix+" via "+s.NextHop)
	}
	p.line(0, "route %s", strings.Join(words, ", "))
	if r.named {
		p.line(1, "id %s", r.id)
	}
	for _, name := range endpointNames(r.endpoints) {
		p.line(1, "endpoint %s", name)
	}
	return p.String()
}
