// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Run is what the specs said on a network.
type Run struct {
	Network string
	// Focus is the expression that chose the specs.
	Focus string
	Specs []Spec
}

// groups say what a pass proves, and what it does not, by the specs' names. The first that
// matches counts.
var groups = []struct {
	name, proves string
	specs        *regexp.Regexp
}{
	{"Objects", "kube-apiserver's and the controllers' objects: nothing of a CNI plugin", regexp.MustCompile(
		`API operations|lifecycle of an Endpoint|secure master|delete a collection|status lifecycle|from listing|selector that matches no pods|mirror a custom|pointing to API Server|for Pods matching a Service|EndpointsController|NodePort out-of-range|NodePort collisions|release NodePorts|static URL paths|create (service with|a single stack)`)},
	{"Names", "a pod's DNS configuration as HNS has it, resolv.conf made of that, UDP and TCP to the name server's pods by kube-proxy.exe's load balancers; not Windows' resolver", regexp.MustCompile(`\bDNS\b|hosts entries`)},
	{"Pods", "pods' addresses, switches, routes, exceptions of OutBoundNAT and ACLs between pods of two nodes, by packets; not Windows' network stack", regexp.MustCompile(`Granular Checks: Pods|NoSNAT|Pod Lifecycle|IPv6DualStack|Hybrid`)},
	{"Services", "load balancers as kube-proxy.exe programs them, by packets, and pods' addresses and rules behind them; not VFP's own load balancing", regexp.MustCompile(`Service|Conntrack|Traffic Distribution|Topology`)},
	{"Proxies", "the way from the API server through a node to a pod", regexp.MustCompile(`Proxy version|proxy logs`)},
	{"Others", "what their names say, on containers that are Linux processes", regexp.MustCompile(``)},
}

// Table writes a table for each group of specs, with a column for each run.
func Table(w io.Writer, runs []Run) error {
	rows := map[string][]string{}
	cells := make([]map[string]Spec, len(runs))
	for i, r := range runs {
		cells[i] = map[string]Spec{}
		for _, s := range r.Specs {
			cells[i][s.Name] = s
			for _, g := range groups {
				if g.specs.MatchString(s.Name) {
					if !slices.Contains(rows[g.name], s.Name) {
						rows[g.name] = append(rows[g.name], s.Name)
					}
					break
				}
			}
		}
	}
	var b strings.Builder
	var why []string
	note := func(reason string) int {
		i := slices.Index(why, reason)
		if i < 0 {
			i = len(why)
			why = append(why, reason)
		}
		return i + 1
	}
	b.WriteString("| |")
	for _, r := range runs {
		fmt.Fprintf(&b, " %s |", r.Network)
	}
	fmt.Fprintf(&b, "\n|---|%s\n| passed, failed, skipped |", strings.Repeat("---|", len(runs)))
	for _, r := range runs {
		passed, failed, skipped := Count(r.Specs)
		fmt.Fprintf(&b, " %d, %d, %d |", passed, failed, skipped)
	}
	b.WriteString("\n")
	for _, g := range groups {
		if len(rows[g.name]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\nA pass proves %s.\n\n| spec |", g.name, g.proves)
		for _, r := range runs {
			fmt.Fprintf(&b, " %s |", r.Network)
		}
		fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---|", len(runs)))
		slices.Sort(rows[g.name])
		for _, name := range rows[g.name] {
			fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(name, "|", `\|`))
			for i := range runs {
				s, ran := cells[i][name]
				switch {
				case !ran:
					b.WriteString(" |")
				case s.Failed != "":
					b.WriteString(" **failed** |")
				case s.Ran && s.Reason != "":
					fmt.Fprintf(&b, " fails [%d] |", note(s.Reason))
				case s.Ran:
					fmt.Fprintf(&b, " %s |", s.Took.Round(100*time.Millisecond))
				default:
					fmt.Fprintf(&b, " no [%d] |", note(s.Reason))
				}
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
	for i, reason := range why {
		fmt.Fprintf(&b, "%d. %s\n", i+1, reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Print writes a line for each spec, those that did not do as they must last, with what they
// said.
func Print(w io.Writer, specs []Spec) error {
	var b strings.Builder
	for _, s := range specs {
		switch {
		case s.Failed != "":
		case s.Ran && s.Reason != "":
			fmt.Fprintf(&b, "fails as it must  %s\n                  %s\n", s.Name, s.Reason)
		case s.Ran:
			fmt.Fprintf(&b, "passed %9s  %s\n", s.Took.Round(100*time.Millisecond), s.Name)
		default:
			fmt.Fprintf(&b, "skipped           %s\n                  %s\n", s.Name, s.Reason)
		}
	}
	for _, s := range specs {
		if s.Failed != "" {
			fmt.Fprintf(&b, "FAILED %9s  %s\n                  %s\n", s.Took.Round(100*time.Millisecond), s.Name, strings.ReplaceAll(s.Failed, "\n", "\n                  "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
