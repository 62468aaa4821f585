// SPDX-License-Identifier: Apache-2.0

// Package doctor judges what one look at a node told: what is wrong, by which evidence, and
// what cures it. It reads nothing itself, so the same look has the same findings anywhere.
package doctor

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// Severity is how bad a finding is.
type Severity string

// Severities, the worst first.
const (
	// Error keeps pods from starting or from being reached.
	Error Severity = "error"
	// Warning will, or wastes something.
	Warning Severity = "warning"
	// Note is good to know, and may be as it is meant.
	Note Severity = "note"
)

// Fix is a cure that is safe without asking. Others change what runs, or what an admin
// wrote.
type Fix string

// Fixes.
const (
	// FixEncoding writes the finding's file anew in UTF-8, with the same text.
	FixEncoding Fix = "encoding"
	// FixLeftovers removes the Leftovers that are Sure.
	FixLeftovers Fix = "leftovers"
)

// Finding is one thing that is wrong with a node.
type Finding struct {
	Severity Severity `json:"severity"`
	// ID is stable: scripts may wait for it to be gone.
	ID string `json:"id"`
	// What is one sentence.
	What string `json:"what"`
	// Evidence is what was read that says so.
	Evidence string `json:"evidence"`
	// Cure is one command, or one edit.
	Cure string `json:"cure"`
	// Fix is empty where only an admin can decide. File is what FixEncoding is about.
	Fix  Fix    `json:"fix,omitempty"`
	File string `json:"file,omitempty"`
}

// Judge returns what is wrong with a node, the worst first; nothing when it is healthy.
func Judge(i node.Inventory) []Finding {
	e := &exam{Inventory: i}
	e.service()
	e.parts()
	e.conflists()
	if e.Err(node.Endpoints) == nil {
		e.networks()
		e.neighbours()
		e.pods()
		e.leftovers()
		e.proxies()
	}
	e.machine()
	slices.SortStableFunc(e.found, func(a, b Finding) int { return a.Severity.rank() - b.Severity.rank() })
	return e.found
}

// momentary are the ids of what can also be seen in the middle of an ADD or a DEL, which
// change HNS and host-local one after the other.
var momentary = []string{"endpoint.noAddress", "endpoint.idle", "endpoint.unreserved", "address.twice", "address.remote", "namespace.cutOff"}

// Momentary reports whether a second look may not find it any more, though nobody cured it.
func (f Finding) Momentary() bool { return slices.Contains(momentary, f.ID) }

// Lasting returns the findings of the second of two looks at a node without those of the
// moment alone.
func Lasting(first, second []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(second), func(f Finding) bool {
		return f.Momentary() && !slices.ContainsFunc(first, func(was Finding) bool { return was.ID == f.ID && was.Evidence == f.Evidence })
	})
}

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Note}, s) }

// exam is one look at a node and what was found so far.
type exam struct {
	node.Inventory
	found []Finding
}

func (e *exam) add(s Severity, id, what, evidence, cure string) {
	e.found = append(e.found, Finding{Severity: s, ID: id, What: what, Evidence: evidence, Cure: cure})
}

// addFix adds a finding that has a safe cure.
func (e *exam) addFix(f Fix, file string, s Severity, id, what, evidence, cure string) {
	e.found = append(e.found, Finding{s, id, what, evidence, cure, f, file})
}

// loaded is a plugin of Bulkhead's that makes interfaces, with the file that it is in.
type loaded struct {
	config.Config
	path string
}

// plugins returns Bulkhead's plugins that make interfaces: of each directory those of the
// first file that has any, and of several for one network the first.
func plugins(i node.Inventory) []loaded {
	var out []loaded
	dirs := map[string]bool{}
	for _, list := range i.Conflists {
		if dir := filepath.Dir(list.Path); len(list.Plugins) == 0 || dirs[dir] {
			continue
		}
		dirs[filepath.Dir(list.Path)] = true
		for _, c := range list.Plugins {
			known := slices.ContainsFunc(out, func(l loaded) bool { return l.Name == c.Name })
			if c.Type == config.Type && !known {
				out = append(out, loaded{c, list.Path})
			}
		}
	}
	return out
}

// ForNetwork returns the configuration by which pods get on an HNS network, and whether
// there is one.
func ForNetwork(i node.Inventory, network string) (config.Config, bool) {
	all := plugins(i)
	at := slices.IndexFunc(all, func(l loaded) bool { return strings.EqualFold(l.Name, network) })
	if at < 0 {
		return config.Config{}, false
	}
	return all[at].Config, true
}

// network returns the HNS network of that name. HNS does not tell letter case apart.
func (e *exam) network(name string) (hns.Network, bool) {
	at := slices.IndexFunc(e.Networks, func(n hns.Network) bool { return strings.EqualFold(n.Name, name) })
	if at < 0 {
		return hns.Network{}, false
	}
	return e.Networks[at], true
}

// firstLine is an error in one line.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// quoted is a name for PowerShell, in which a quote stands twice.
func quoted(name string) string { return "'" + strings.ReplaceAll(name, "'", "''") + "'" }

// listed joins words, "none" where there are none. A long list is cut.
func listed(words []string) string {
	const most = 8
	if len(words) > most {
		words = append(slices.Clone(words[:most]), "...")
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}
