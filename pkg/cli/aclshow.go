// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func (s *session) aclShow() *cobra.Command {
	var f set
	var pod podFlags
	c := &cobra.Command{
		Use:   "show --conf FILE | --pod NAMESPACE/NAME|CONTAINERID",
		Short: "List the rules that a configuration means, or that a pod's endpoint has",
		Example: "  bulkhead acl show --conf 10-bulkhead.conflist\n" +
			"  bulkhead acl show --conf 10-bulkhead.conflist --driver overlay --isolation hyperv\n" +
			"  bulkhead acl show --pod default/web",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if pod.name != "" {
				return s.showPod(c.Context(), pod)
			}
			return s.showSet(f)
		},
	}
	f.flags(c)
	pod.flags(c)
	c.MarkFlagsOneRequired("conf", "pod")
	c.MarkFlagsMutuallyExclusive("conf", "pod")
	return c
}

// line is a rule as show prints it.
type line struct {
	At          hns.RuleType  `json:"at"`
	Direction   hns.Direction `json:"direction"`
	Action      string        `json:"action"`
	Protocol    string        `json:"protocol"`
	Local       string        `json:"local"`
	Remote      string        `json:"remote"`
	LocalPorts  string        `json:"localPorts"`
	RemotePorts string        `json:"remotePorts"`
	Priority    uint16        `json:"priority,omitempty"`
	Rule        string        `json:"rule"`
	// From tells which part of the configuration the rule is of.
	From string `json:"from,omitempty"`
}

func (s *session) showSet(f set) error {
	sets, err := s.compile(f)
	if err != nil {
		return err
	}
	lines := []line{}
	for _, set := range sets {
		for _, r := range set.Rules {
			l := lineOf(r)
			l.From = set.Origins[r.ID]
			if len(r.Local) > 0 {
				l.Local = "the pod's" // which ones ADD will know
			}
			lines = append(lines, l)
		}
	}
	return s.print(lines, func(w io.Writer) error {
		if len(lines) == 0 {
			t := sets[0].Target
			if t.Driver == "" {
				_, err := fmt.Fprintln(w, "No ACL is sent: acl.program is false.")
				return err
			}
			_, err := fmt.Fprintf(w, "No ACL is sent for a %s pod on a %s network.\n", t.Isolation, t.Driver)
			return err
		}
		return table(w, lines)
	})
}

// showPod lists the rules of a pod's endpoints as HNS has them, other agents'
// included.
func (s *session) showPod(ctx context.Context, pod podFlags) error {
	found, err := endpointsOf(s.Node.Inventory(ctx), pod)
	if err != nil {
		return failed{err}
	}
	lines := []line{}
	for _, e := range found {
		for _, p := range e.Policies {
			if r, ok := p.(hns.ACL); ok {
				l := lineOf(r)
				l.From = ownerName(r)
				lines = append(lines, l)
			}
		}
	}
	return s.print(lines, func(w io.Writer) error {
		if len(lines) == 0 {
			_, err := fmt.Fprintln(w, "The pod's endpoint has no ACL.")
			return err
		}
		return table(w, lines)
	})
}

func lineOf(r hns.ACL) line {
	action := "allow"
	if r.Action == hns.Block {
		action = "deny"
	}
	return line{
		At: cmp.Or(r.RuleType, hns.Switch), Direction: r.Direction, Action: action, Protocol: config.ProtocolName(r.Protocol),
		Local: listed(r.Local), Remote: listed(r.Remote), LocalPorts: ports(r.LocalPorts), RemotePorts: ports(r.RemotePorts),
		Priority: r.Priority, Rule: r.ID,
	}
}

// ownerName says in words whose a rule is.
func ownerName(r hns.ACL) string {
	switch acl.OwnerOf(r) {
	case acl.Pod:
		return config.Type
	case acl.Chained:
		return config.TypeACL
	case acl.PolicyAgent:
		return "bulkhead-agent"
	default:
		return "another agent"
	}
}

// table prints rules in the order given. Windows Firewall rules have no priority.
func table(w io.Writer, lines []line) error {
	const gap = 2
	tw := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	fmt.Fprintln(tw, "ENFORCED BY\tDIRECTION\tACTION\tPROTOCOL\tLOCAL\tREMOTE\tLOCAL PORTS\tREMOTE PORTS\tPRIORITY\tRULE\tFROM")
	for _, l := range lines {
		at, priority := "VFP", "-"
		if l.At == hns.Host {
			at = "Windows Firewall"
		}
		if l.Priority != 0 {
			priority = strconv.Itoa(int(l.Priority))
		}
		fmt.Fprintln(tw, strings.Join([]string{
			at, string(l.Direction), l.Action, l.Protocol, l.Local, l.Remote, l.LocalPorts, l.RemotePorts, priority, l.Rule, l.From,
		}, "\t"))
	}
	return tw.Flush()
}

// listed joins values; none is any.
func listed[T fmt.Stringer](values []T) string {
	var out []string
	for _, v := range values {
		out = append(out, v.String())
	}
	return cmp.Or(strings.Join(out, ","), "any")
}

func ports(ranges []hns.PortRange) string {
	var out []string
	for _, r := range ranges {
		text := strconv.Itoa(int(r.First))
		if r.Last != r.First {
			text += "-" + strconv.Itoa(int(r.Last))
		}
		out = append(out, text)
	}
	return cmp.Or(strings.Join(out, ","), "any")
}

// errNoPod is for pods that have no endpoint on this node.
var errNoPod = errors.New("no endpoint of that pod is on this node")
