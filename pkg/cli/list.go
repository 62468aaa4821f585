// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

func (s *session) list() *cobra.Command {
	var pods podFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the pods that have an interface of Bulkhead's on this node",
		Long: "List the interfaces that Bulkhead made for pods, as HNS has them. A pod's namespace, name and age are from the\n" +
			"results that the runtime's libcni keeps (--cache-dir): HNS knows the sandbox's id alone. Where they are missing the\n" +
			"pod is its sandbox's id, and its age that of its address in host-local.\n\n" +
			"State: running, attached (in a namespace that tells no container, as that of a Hyper-V isolated pod or of one that\n" +
			"just begins), detached (in no namespace), stale (its namespace is gone).",
		Example: "  bulkhead list\n  bulkhead list -o json",
		Args:    cobra.NoArgs,
	}
	pods.cacheFlag(c)
	overConflists(c, func(ctx context.Context, _, dirs []string) error { return s.listPods(ctx, pods, dirs) })
	return c
}

// row is an interface of a pod as list prints it.
type row struct {
	Namespace   string     `json:"namespace,omitempty"`
	Name        string     `json:"name,omitempty"`
	ContainerID string     `json:"containerID"`
	IfName      string     `json:"ifName"`
	Network     string     `json:"network"`
	Addresses   []string   `json:"addresses"`
	Ports       []string   `json:"ports"`
	ACL         aclSummary `json:"acl"`
	Since       *time.Time `json:"since,omitempty"`
	State       string     `json:"state"`
	EndpointID  string     `json:"endpointID"`
	NamespaceID string     `json:"namespaceID,omitempty"`
	age         string
	of          hns.Endpoint
}

// aclSummary counts the rules of an endpoint.
type aclSummary struct {
	Rules int `json:"rules"`
	Deny  int `json:"deny"`
	// Owners counts them by whose they are.
	Owners map[string]int `json:"owners"`
}

// String returns "14 rules, 2 deny", and whose they are where not all are Bulkhead's.
func (a aclSummary) String() string {
	if a.Rules == 0 {
		return "none"
	}
	out := strconv.Itoa(a.Rules) + " rules"
	if a.Owners[config.Type] != a.Rules {
		var of []string
		for name, n := range a.Owners {
			of = append(of, fmt.Sprintf("%s %d", name, n))
		}
		slices.Sort(of)
		out += " (" + strings.Join(of, ", ") + ")"
	}
	if a.Deny > 0 {
		out += fmt.Sprintf(", %d deny", a.Deny)
	}
	return out
}

func (s *session) listPods(ctx context.Context, pods podFlags, dirs []string) error {
	i := s.look(ctx, dirs)
	if err := errors.Join(i.Err(node.HNS), i.Err(node.Endpoints)); err != nil {
		return failed{err}
	}
	known, cacheErr := results(pods.cache)
	rows := rowsOf(i, known)
	return s.print(rows, func(w io.Writer) error {
		if len(rows) == 0 {
			_, err := fmt.Fprintln(w, "No pod has an interface of Bulkhead's on this node.")
			return err
		}
		var out [][]string
		for _, r := range rows {
			out = append(out, []string{r.label(), short(r.ContainerID), r.IfName, r.Network, joined(r.Addresses), joined(r.Ports), r.ACL.String(), r.age, r.State})
		}
		if err := columns(w, "POD SANDBOX INTERFACE NETWORK ADDRESSES PORTS ACL AGE STATE", out); err != nil {
			return err
		}
		if cacheErr != nil {
			fmt.Fprintf(w, "Pods have no names here: %v.\n", cacheErr)
		}
		return nil
	})
}

// label is the pod's namespace and name, "-" where nobody tells.
func (r row) label() string {
	if r.Name == "" {
		return "-"
	}
	return r.Namespace + "/" + r.Name
}

// rowsOf returns the interfaces of pods, sorted by pod.
func rowsOf(i node.Inventory, known map[string]result) []row {
	rows := []row{}
	for _, e := range i.Endpoints {
		n := networkOf(i, e)
		id, ifName, ours := plan.ParseEndpointName(e.Name, n.Name)
		if !ours || e.Remote {
			continue
		}
		pod := known[id]
		r := row{
			Namespace: pod.Namespace, Name: pod.Name, ContainerID: id, IfName: ifName, Network: n.Name,
			Addresses: texts(e.Addrs()), Ports: portsOf(e), ACL: summary(e), State: stateOf(i, e), EndpointID: e.ID, NamespaceID: e.NamespaceID,
			age: "-", of: e,
		}
		if since := cmp.Or(pod.Since, reservedSince(i, n.Name, e)); !since.IsZero() {
			r.Since, r.age = &since, age(i.At.Sub(since))
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.ContainerID, b.ContainerID), strings.Compare(a.IfName, b.IfName))
	})
	return rows
}

func networkOf(i node.Inventory, e hns.Endpoint) hns.Network {
	at := slices.IndexFunc(i.Networks, func(n hns.Network) bool { return n.ID == e.NetworkID })
	if at < 0 {
		return hns.Network{}
	}
	return i.Networks[at]
}

// reservedSince returns since when host-local holds an address of an endpoint; zero where
// it holds none.
func reservedSince(i node.Inventory, network string, e hns.Endpoint) time.Time {
	at := slices.IndexFunc(i.Reservations, func(r ipam.Reservation) bool { return r.Network == network && slices.Contains(e.Addrs(), r.Addr) })
	if at < 0 {
		return time.Time{}
	}
	return i.Reservations[at].Since
}

// stateOf says where an endpoint is.
func stateOf(i node.Inventory, e hns.Endpoint) string {
	at := slices.IndexFunc(i.Namespaces, func(ns hns.Namespace) bool { return strings.EqualFold(ns.ID, e.NamespaceID) })
	switch {
	case e.NamespaceID == "":
		return "detached"
	case at < 0:
		return "stale"
	case len(i.Namespaces[at].Containers) == 0:
		return "attached"
	default:
		return "running"
	}
}

func summary(e hns.Endpoint) aclSummary {
	out := aclSummary{Owners: map[string]int{}}
	for _, p := range e.Policies {
		r, ok := p.(hns.ACL)
		if !ok {
			continue
		}
		out.Rules++
		out.Owners[ownerName(r)]++
		if r.Action == hns.Block {
			out.Deny++
		}
	}
	return out
}

// portsOf returns the ports of the node that lead to an endpoint: "8080->80/tcp".
func portsOf(e hns.Endpoint) []string {
	out := []string{}
	for _, p := range e.Policies {
		m, ok := p.(hns.PortMapping)
		if !ok {
			continue
		}
		from := strconv.Itoa(int(m.ExternalPort))
		if m.VIP.IsValid() {
			from = netip.AddrPortFrom(m.VIP, m.ExternalPort).String()
		}
		text := fmt.Sprintf("%s->%d/%s", from, m.InternalPort, config.ProtocolName(m.Protocol))
		if !slices.Contains(out, text) { // one for each family
			out = append(out, text)
		}
	}
	return out
}

// age is a duration as kubectl tells it: its largest unit alone.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < day:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}

// short is an id as crictl prints it.
func short(id string) string {
	const digits = 13
	return cmp.Or(id[:min(len(id), digits)], "-")
}

func joined(words []string) string { return cmp.Or(strings.Join(words, ", "), "-") }

// texts returns values as text, never nil.
func texts[T fmt.Stringer](values []T) []string {
	out := []string{}
	for _, v := range values {
		out = append(out, v.String())
	}
	return out
}

// columns prints rows under a header, whose words are the columns' names.
func columns(w io.Writer, header string, rows [][]string) error {
	const gap = 2
	tw := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	fmt.Fprintln(tw, strings.ReplaceAll(header, " ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	return tw.Flush()
}
