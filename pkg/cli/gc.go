// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/doctor"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

func (s *session) gc() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "gc",
		Short: "Show what pods left behind on this node, and remove what is surely stale",
		Long: "Show the endpoints of Bulkhead's own that are in no namespace, the addresses that host-local holds for no endpoint,\n" +
			"and the empty namespaces. --yes removes what is surely stale, as DEL does: the endpoint first, then its address.\n" +
			"Sure is what nothing that lives needs and what no ADD can be making. An empty namespace never is:\n" +
			"bulkhead netns delete removes one.",
		Example: "  bulkhead gc\n  bulkhead gc --yes",
		Args:    cobra.NoArgs,
	}
	overConflists(c, func(ctx context.Context, _, dirs []string) error { return s.sweep(ctx, dirs, yes) })
	c.Flags().BoolVar(&yes, "yes", false, "remove what is surely stale")
	return c
}

func (s *session) sweep(ctx context.Context, dirs []string, yes bool) error {
	i := s.look(ctx, dirs)
	if err := errors.Join(i.Err(node.HNS), i.Err(node.Endpoints), i.Err(node.Conflists), i.Err(node.Reservations)); err != nil {
		return failed{fmt.Errorf("not all is known of this node, so nothing is stale for sure (--conf-dir tells where the conflists are): %w", err)}
	}
	all := []removal{}
	if yes {
		all = append(all, s.collect(ctx, i)...)
	}
	for _, l := range doctor.Leftovers(i) {
		if !yes || !l.Sure {
			all = append(all, removal{Leftover: l})
		}
	}
	if err := s.print(all, func(w io.Writer) error { return leftoverTable(w, all, yes) }); err != nil {
		return err
	}
	for _, r := range all {
		if r.err != nil {
			return failed{errors.New("not everything could be removed")}
		}
	}
	return nil
}

// removal is a leftover, and what became of it.
type removal struct {
	doctor.Leftover
	Removed bool   `json:"removed"`
	Error   string `json:"error,omitempty"`
	err     error
}

// name says what it is.
func (r removal) name() string {
	what := string(r.Kind) + " "
	switch r.Kind {
	case doctor.LeftEndpoint:
		return what + plan.EndpointName(r.ContainerID, r.Network, r.IfName)
	case doctor.LeftAddress:
		return what + plan.List(r.Addresses) + " of " + r.ContainerID
	default:
		return what + r.ID
	}
}

// collect removes what is surely stale, as DEL of its pod would. It goes on after a
// failure.
func (s *session) collect(ctx context.Context, i node.Inventory) []removal {
	var out []removal
	for _, l := range doctor.Leftovers(i) {
		if !l.Sure {
			continue
		}
		r := removal{Leftover: l}
		c, known := doctor.ForNetwork(i, l.Network)
		if known {
			r.err = s.del(ctx, c, l)
		} else {
			r.err = fmt.Errorf("no conflist is of the network %q", l.Network)
		}
		r.Removed = r.err == nil
		if r.err != nil {
			r.Error = r.err.Error()
		}
		out = append(out, r)
	}
	return out
}

// del carries out DEL of an attachment whose runtime does not. It looks once more at what
// is to go: a list that HNS gave while it was changing is no proof.
func (s *session) del(ctx context.Context, c config.Config, l doctor.Leftover) error {
	verbs, err := s.Node.Verbs(c)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeouts.Del)
	defer cancel()
	if l.Kind == doctor.LeftEndpoint {
		if err := unused(limited, verbs.HNS, l.ID); err != nil {
			return err
		}
	}
	c.Attachment, c.NetNS = l.Attachment(), ""
	return verbs.Del(limited, c)
}

// unused fails when an endpoint is in a namespace that HNS has.
func unused(ctx context.Context, client hns.Client, id string) error {
	e, err := client.Endpoint(ctx, id)
	if err != nil || e.NamespaceID == "" {
		return hns.IgnoreNotFound(err)
	}
	if _, err = client.Namespace(ctx, e.NamespaceID); err == nil {
		return fmt.Errorf("it is in namespace %s after all", e.NamespaceID)
	}
	return hns.IgnoreNotFound(err)
}

func leftoverTable(w io.Writer, all []removal, yes bool) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is left over.")
		return err
	}
	var rows [][]string
	sure := 0
	for _, r := range all {
		state := "not sure"
		switch {
		case r.Error != "":
			state = "not removed: " + r.Error
		case r.Removed:
			state = "removed"
		case r.Sure:
			state = "stale"
			sure++
		}
		rows = append(rows, []string{string(r.Kind), cmp.Or(r.Network, "-"), short(r.ContainerID), cmp.Or(r.IfName, "-"), plan.List(r.Addresses), cmp.Or(r.ID, "-"), state, r.Why})
	}
	if err := columns(w, "KIND NETWORK SANDBOX INTERFACE ADDRESSES ID STATE WHY", rows); err != nil {
		return err
	}
	if !yes && sure > 0 {
		fmt.Fprintf(w, "bulkhead gc --yes removes what is stale (%d).\n", sure)
	}
	return nil
}
