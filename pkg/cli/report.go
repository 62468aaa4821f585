// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/doctor"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

//go:embed report.html
var reportText string

func (s *session) report() *cobra.Command {
	var pods podFlags
	var file string
	c := &cobra.Command{
		Use:   "report",
		Short: "Write a page with all that this node tells: findings, topology, pods, rules, addresses",
		Long: "Write one HTML page that needs nothing beside it, to look at and to attach to an issue: what doctor finds, the\n" +
			"networks and what is on them, pods with their rules, compartments, and host-local's addresses against HNS.\n" +
			"Conflists, tokens and environments are not in it.",
		Example: "  bulkhead report --file node.html",
		Args:    cobra.NoArgs,
	}
	pods.cacheFlag(c)
	c.Flags().StringVar(&file, "file", "bulkhead-report.html", "`file` to write")
	overConflists(c, func(ctx context.Context, _, dirs []string) error {
		known, cacheErr := results(pods.cache)
		i, findings := s.judged(ctx, dirs)
		page := pageOf(i, findings, known)
		page.Version = s.Version
		if page.Node, _ = os.Hostname(); page.Node == "" { // Windows has one
			page.Node = "this node"
		}
		if cacheErr != nil {
			page.Failures = append(page.Failures, "pods' names: "+cacheErr.Error())
		}
		var out bytes.Buffer
		t, err := template.New("report").Parse(reportText)
		if err == nil {
			err = t.Execute(&out, page)
		}
		if err == nil {
			err = os.WriteFile(file, out.Bytes(), 0o600)
		}
		if err != nil {
			return failed{err}
		}
		return s.print(map[string]string{"file": file}, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, file)
			return err
		})
	})
	return c
}

// page is what the report shows.
type page struct {
	Node, At, Version, HNS string
	Findings               []doctor.Finding
	Adapters, Failures     []string
	Networks               []pageNetwork
	Pods                   []pagePod
	Namespaces             []hns.Namespace
	Reservations           []pageReservation
}

type pageNetwork struct {
	Name      string
	Driver    hns.Driver
	Adapter   string
	Subnets   []string
	Endpoints []pageEndpoint
}

// pageEndpoint is a box of the topology. Class is its look.
type pageEndpoint struct{ Title, Class, Addresses, State string }

type pagePod struct {
	Label, ContainerID, IfName, Network, Addresses, Ports, ACL, Age, State string
	Rules                                                                  []line
}

type pageReservation struct {
	Network, Addr, ContainerID, IfName, Since, Endpoint string
}

// pageOf tells what one look at the node told.
func pageOf(i node.Inventory, findings []doctor.Finding, known map[string]result) page {
	out := page{At: i.At.UTC().Format(time.RFC1123), HNS: i.Version.String(), Findings: findings, Namespaces: i.Namespaces}
	for _, a := range i.Adapters {
		out.Adapters = append(out.Adapters, a.Name)
	}
	for _, f := range i.Failures {
		out.Failures = append(out.Failures, fmt.Sprintf("%s: %v", f.Part, f.Err))
	}
	rows := rowsOf(i, known)
	for _, r := range rows {
		pod := pagePod{
			Label: r.label(), ContainerID: r.ContainerID, IfName: r.IfName, Network: r.Network, Addresses: joined(r.Addresses),
			Ports: joined(r.Ports), ACL: r.ACL.String(), Age: r.age, State: r.State,
		}
		for _, p := range r.of.Policies {
			if rule, ok := p.(hns.ACL); ok {
				l := lineOf(rule)
				l.From = ownerName(rule)
				pod.Rules = append(pod.Rules, l)
			}
		}
		out.Pods = append(out.Pods, pod)
	}
	for _, n := range i.Networks {
		out.Networks = append(out.Networks, networkOnPage(i, n, rows))
	}
	for _, r := range i.Reservations {
		on := pageReservation{Network: r.Network, Addr: r.Addr.String(), ContainerID: r.Attachment.ContainerID, IfName: r.Attachment.IfName}
		if !r.Since.IsZero() {
			on.Since = r.Since.UTC().Format(time.DateTime)
		}
		if at := slices.IndexFunc(i.Endpoints, func(e hns.Endpoint) bool { return slices.Contains(e.Addrs(), r.Addr) }); at >= 0 {
			on.Endpoint = i.Endpoints[at].Label()
		}
		out.Reservations = append(out.Reservations, on)
	}
	return out
}

// networkOnPage draws a network: pods first, then what is the node's, and remote endpoints
// as one box.
func networkOnPage(i node.Inventory, n hns.Network, rows []row) pageNetwork {
	out := pageNetwork{Name: n.Name, Driver: n.Driver, Adapter: n.Adapter}
	for _, s := range n.Subnets {
		text := s.Prefix.String()
		if s.Gateway.IsValid() {
			text += " via " + s.Gateway.String()
		}
		out.Subnets = append(out.Subnets, text)
	}
	for _, r := range rows {
		if r.of.NetworkID == n.ID {
			title := r.label()
			if r.Name == "" {
				title = short(r.ContainerID)
			}
			out.Endpoints = append(out.Endpoints, pageEndpoint{title, r.State, joined(r.Addresses), r.IfName + ", " + r.State})
		}
	}
	var remote []string
	for _, e := range i.Endpoints {
		_, _, ours := plan.ParseEndpointName(e.Name, n.Name)
		switch {
		case e.NetworkID != n.ID:
		case e.Remote:
			remote = append(remote, texts(e.Addrs())...)
		case !ours:
			out.Endpoints = append(out.Endpoints, pageEndpoint{e.Label(), "host", joined(texts(e.Addrs())), "not a pod of Bulkhead's"})
		}
	}
	if len(remote) > 0 {
		out.Endpoints = append(out.Endpoints, pageEndpoint{fmt.Sprintf("%d remote endpoints", len(remote)), "remote", strings.Join(remote, ", "), "kube-proxy's"})
	}
	return out
}

// judged looks at the node and judges it, twice where a verb at work shows the same.
func (s *session) judged(ctx context.Context, dirs []string) (node.Inventory, []doctor.Finding) {
	i := s.look(ctx, dirs)
	found := doctor.Judge(i)
	if !slices.ContainsFunc(found, doctor.Finding.Momentary) {
		return i, found
	}
	select {
	case <-ctx.Done():
	case <-time.After(moment):
	}
	i = s.look(ctx, dirs)
	return i, doctor.Lasting(found, doctor.Judge(i))
}
