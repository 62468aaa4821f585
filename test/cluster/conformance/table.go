// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/test/cluster/table"
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

// groupOf returns the group of a spec by its place in groups.
func groupOf(name string) int {
	for i, g := range groups {
		if g.specs.MatchString(name) {
			return i
		}
	}
	return len(groups) - 1
}

// Table writes a table for each group of specs, with a column for each run.
func Table(w io.Writer, runs []Run) error {
	rows := make([][]string, len(groups))
	cells := make([]map[string]Spec, len(runs))
	head, line, counts := "|", "|---|", "| passed, failed as they must, failed, not run |"
	for i, r := range runs {
		cells[i] = map[string]Spec{}
		known := 0
		for _, s := range r.Specs {
			if s.Ran && s.Failed == "" && s.Reason != "" {
				known++
			}
			cells[i][s.Name] = s
			rows[groupOf(s.Name)] = append(rows[groupOf(s.Name)], s.Name)
		}
		passed, failed, skipped := Count(r.Specs)
		head, line = head+" "+r.Network+" |", line+"---|"
		counts += fmt.Sprintf(" %d, %d, %d, %d |", passed-known, known, failed, skipped)
	}
	var b strings.Builder
	var why table.Notes
	for _, r := range runs {
		fmt.Fprintf(&b, "- %s: specs that match `%s`\n", r.Network, r.Focus)
	}
	fmt.Fprintf(&b, "\n| %s\n%s\n%s\n", head, line, counts)
	for i, g := range groups {
		if len(rows[i]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\nA pass proves %s.\n\n| spec %s\n%s\n", g.name, g.proves, head, line)
		slices.Sort(rows[i])
		for _, name := range slices.Compact(rows[i]) {
			fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(name, "|", `\|`))
			for _, of := range cells {
				s, there := of[name]
				fmt.Fprintf(&b, " %s |", cell(s, there, &why))
			}
			b.WriteString("\n")
		}
	}
	fmt.Fprintf(&b, "\n%s", why)
	_, err := io.WriteString(w, b.String())
	return err
}

// cell says how a spec ended.
func cell(s Spec, there bool, why *table.Notes) string {
	switch {
	case !there:
		return ""
	case s.Failed != "":
		return "**failed**"
	case s.Ran && s.Reason != "":
		return fmt.Sprintf("fails [%d]", why.Number(s.Reason))
	case s.Ran && s.Again:
		return s.Took.Round(100*time.Millisecond).String() + ", tried twice"
	case s.Ran:
		return s.Took.Round(100 * time.Millisecond).String()
	}
	return fmt.Sprintf("no [%d]", why.Number(s.Reason))
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
			if s.Again {
				b.WriteString("                  it failed before, and was tried again\n")
			}
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
