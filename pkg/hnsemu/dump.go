// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// Dump returns every object as text, sorted. It has the ids that the client
// chose, and numbers for other namespaces. It leaves out MAC addresses and
// policies that HNS made up.
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

// render prints objects and sorts the texts.
func render[T any](objects []T, block func(T) string) []string {
	var blocks []string
	for _, o := range objects {
		blocks = append(blocks, block(o))
	}
	slices.Sort(blocks)
	return blocks
}

// dumper prints objects. Labels are what namespaces are called.
type dumper struct {
	host   *Host
	labels map[*namespace]string
}

// namespaceLabels returns the id of each namespace if the client chose it, else
// its number among those that there are: a state after a roll-back is the same
// as before.
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
	p.line(0, "network %s %s", named(&n.base), n.Type)
	if n.adapter != "" {
		p.line(1, "adapter %q", n.adapter)
	}
	if n.Flags != 0 {
		p.line(1, "flags %d", n.Flags)
	}
	for _, s := range n.Subnets {
		p.subnet(s)
	}
	if n.ownPool {
		for _, r := range n.MACPool {
			p.line(1, "macs %s to %s", schema.FormatMAC(r.First), schema.FormatMAC(r.Last))
		}
	}
	p.dns(1, n.DNS)
	p.policies(1, n.Policies)
	p.WriteString(strings.Join(render(n.endpoints(d.host), d.endpoint), ""))
	return p.String()
}

// subnet prints a subnet in one line, with its VLAN or VSID as a word.
func (p *printer) subnet(s *schema.Subnet) {
	words := []string{s.Prefix.String()}
	if s.Gateway.IsValid() {
		words = append(words, "gateway", s.Gateway.String())
	}
	for _, kind := range []string{schema.PolicyVLAN, schema.PolicyVSID} {
		if id := s.Isolation(kind); id != 0 {
			words = append(words, strings.ToLower(kind), itoa(id))
		}
	}
	if s.Flags != 0 {
		words = append(words, "flags", itoa(s.Flags))
	}
	p.list(1, "subnet", words)
	p.routes(2, s.Routes)
}

// routes prints routes in their order.
func (p *printer) routes(depth int, list []schema.Route) {
	for _, r := range list {
		p.line(depth, "route %s via %s", r.DestinationPrefix, r.NextHop)
	}
}

// dns prints the DNS configuration.
func (p *printer) dns(depth int, d schema.DNS) {
	if d.Domain != "" {
		p.line(depth, "dns domain %s", d.Domain)
	}
	p.list(depth, "dns search", d.Search)
	p.list(depth, "dns servers", d.ServerList)
	p.list(depth, "dns options", d.Options)
}

// policies prints policies in their order, with sorted members.
func (p *printer) policies(depth int, list []schema.Policy) {
	for _, each := range list {
		if !each.Generated {
			p.line(depth, "policy %s %s", each.Type, each.Canonical())
		}
	}
}

var stateNames = map[uint16]string{
	schema.StateCreated: "created", schema.StateAttached: "attached", schema.StateAttachedSharing: "attached sharing",
	schema.StateDetached: "detached", schema.StateDegraded: "degraded",
}

// endpoint prints an endpoint. It prints an address that HNS chose, too: the
// lowest free one, which is the same each time.
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
	if e.Flags != 0 {
		p.line(2, "flags %d", e.Flags)
	}
	for _, a := range e.addresses {
		p.line(2, "address %s", a)
	}
	if e.ownMAC {
		p.line(2, "mac %s", e.MAC)
	}
	p.routes(2, e.Routes)
	p.dns(2, e.DNS)
	p.policies(2, e.Policies)
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

// balancer prints a load balancer with its virtual addresses for a name.
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
		p.line(1, "port %s", schema.Marshal(port))
	}
	for _, name := range endpointNames(b.endpoints) {
		p.line(1, "endpoint %s", name)
	}
	return p.String()
}

// route prints an SDN route with its destinations for a name.
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
