// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

func (s *session) show() *cobra.Command {
	var pod podFlags
	c := &cobra.Command{
		Use:     "show POD",
		Short:   "Show all that HNS has for a pod: NAMESPACE/NAME, or the id of its sandbox or the beginning of it",
		Example: "  bulkhead show default/web\n  bulkhead show 3f2a9c",
		Args:    cobra.ExactArgs(1),
	}
	pod.cacheFlag(c)
	overConflists(c, func(ctx context.Context, args, dirs []string) error {
		pod.name = args[0]
		return s.describe(ctx, pod, dirs)
	})
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		known, _ := results(pod.cache) // without it the sandboxes' ids are left
		var out []string
		for _, r := range rowsOf(s.look(c.Context(), nil), known) {
			if out = append(out, r.ContainerID); r.Name != "" {
				out[len(out)-1] = r.label()
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

// details is what show prints of one interface.
type details struct {
	row
	Driver      hns.Driver `json:"driver"`
	Prefixes    []string   `json:"prefixes"`
	MAC         hns.MAC    `json:"mac"`
	Routes      []string   `json:"routes"`
	DNS         hns.DNS    `json:"dns"`
	Compartment uint32     `json:"compartment"`
	Containers  []string   `json:"containers"`
	// Reserved is for whom and since when host-local holds the address.
	Reserved string   `json:"reserved,omitempty"`
	Policies []string `json:"policies"`
	Rules    []line   `json:"rules"`
}

func (s *session) describe(ctx context.Context, pod podFlags, dirs []string) error {
	i := s.look(ctx, dirs)
	if err := errors.Join(i.Err(node.HNS), i.Err(node.Endpoints)); err != nil {
		return failed{err}
	}
	found, err := endpointsOf(i, pod)
	if err != nil {
		return failed{err}
	}
	known, _ := results(pod.cache) // it told the pod, if it was asked by name
	var all []details
	for _, r := range rowsOf(i, known) {
		if slices.ContainsFunc(found, func(e hns.Endpoint) bool { return e.ID == r.EndpointID }) {
			all = append(all, detailsOf(i, r))
		}
	}
	return s.print(all, func(w io.Writer) error {
		for at, d := range all {
			if at > 0 {
				fmt.Fprintln(w)
			}
			if err := d.text(w); err != nil {
				return err
			}
		}
		return nil
	})
}

func detailsOf(i node.Inventory, r row) details {
	d := details{
		row: r, Driver: networkOf(i, r.of).Driver, Prefixes: texts(r.of.Addresses), MAC: r.of.MAC, Routes: texts(r.of.Routes), DNS: r.of.DNS,
		Containers: []string{}, Policies: []string{}, Rules: []line{},
	}
	for _, ns := range i.Namespaces {
		if strings.EqualFold(ns.ID, r.NamespaceID) {
			d.Compartment, d.Containers = ns.Compartment, append(d.Containers, ns.Containers...)
		}
	}
	for _, held := range i.Reservations {
		if held.Network == r.Network && slices.Contains(r.of.Addrs(), held.Addr) {
			d.Reserved = fmt.Sprintf("for %s of %s, since %s", cmp.Or(held.Attachment.IfName, "all"), cmp.Or(held.Attachment.ContainerID, "nobody"), held.Since.UTC().Format("2006-01-02T15:04:05Z"))
		}
	}
	for _, p := range r.of.Policies {
		if rule, ok := p.(hns.ACL); ok {
			l := lineOf(rule)
			l.From = ownerName(rule)
			d.Rules = append(d.Rules, l)
		} else if text := policyText(p); text != "" {
			d.Policies = append(d.Policies, text)
		}
	}
	return d
}

func (d details) text(w io.Writer) error {
	const gap = 2
	tw := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	say := func(what, text string) { fmt.Fprintf(tw, "%s:\t%s\n", what, cmp.Or(text, "-")) }
	say("Pod", d.label())
	say("Sandbox", d.ContainerID)
	say("Interface", d.IfName)
	say("Network", fmt.Sprintf("%s (%s)", d.Network, d.Driver))
	say("Endpoint", d.EndpointID)
	say("Namespace", d.NamespaceID)
	say("Compartment", fmt.Sprint(d.Compartment))
	say("Containers", joined(d.Containers))
	say("State", d.State)
	say("Age", d.age)
	say("Addresses", joined(d.Prefixes))
	say("Reserved", d.Reserved)
	say("MAC", string(d.MAC))
	say("Routes", joined(d.Routes))
	say("DNS servers", joined(d.DNS.Servers))
	say("DNS search", joined(append(slices.DeleteFunc([]string{d.DNS.Domain}, func(s string) bool { return s == "" }), d.DNS.Search...)))
	say("Ports", joined(d.Ports))
	for _, p := range d.Policies {
		say("Policy", p)
	}
	say("ACL rules", d.ACL.String())
	if err := tw.Flush(); err != nil || len(d.Rules) == 0 {
		return err
	}
	return table(w, d.Rules)
}

// policyText says a policy in words; empty for those that have a line of their own.
func policyText(p hns.Policy) string {
	switch p := p.(type) {
	case hns.OutboundNAT:
		switch {
		case len(p.Destinations) > 0:
			return "what goes to " + joined(p.Destinations) + " has the node's address (loopback DSR)"
		case len(p.Exceptions) > 0:
			return "what leaves has the node's address, except to " + plan.List(p.Exceptions)
		default:
			return "what leaves has the node's address"
		}
	case hns.SDNRoute:
		text := "route to " + p.Destination.String()
		if p.NextHop.IsValid() {
			text += " via " + p.NextHop.String()
		}
		if p.NeedEncap {
			text += ", encapsulated"
		}
		return text
	case hns.ProviderAddress:
		return "under the overlay the node is " + p.Address.String()
	case hns.QOS:
		return fmt.Sprintf("sends at most %d bytes a second", p.Egress)
	case hns.Opaque:
		return p.Type + " " + string(p.Settings)
	default:
		return ""
	}
}
