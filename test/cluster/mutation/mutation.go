// SPDX-License-Identifier: Apache-2.0

// Package mutation breaks Bulkhead and its data plane on purpose, to see that tests notice.
package mutation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Mutation is a fault: a piece of a file's text that is replaced by another when the program
// is built.
type Mutation struct {
	// Name is what does not happen any more, or happens wrongly.
	Name           string
	File, From, To string
	// Plane says that it is a fault of the data plane, and not of the plugin.
	Plane bool
}

// Control changes nothing: nobody may notice it.
var Control = Mutation{Name: "no fault", File: "pkg/acl/clause.go", From: "package acl", To: "package acl"}

// All are the mutations.
var All = []Mutation{
	{Name: "pods have no inbound default", File: "pkg/acl/clause.go", From: "return append(out, usual()...)", To: "return out"},
	{Name: "pods have no outbound default", File: "pkg/acl/clause.go", From: "if !s.DenyOutbound {", To: "if false {"},
	{Name: "the last rule of VFP is forgotten", File: "pkg/acl/compile.go", From: "s.addClause(hns.Switch, d, tail, tailLevel)", To: "_ = tail"},
	{Name: "pods have another gateway", File: "pkg/plan/endpoint.go", From: "gw := gatewayOf(a, subnet, f.Config)\n", To: "gw := gatewayOf(a, subnet, f.Config).Next().Next()\n"},
	{Name: "outbound NAT has no exceptions", File: "pkg/plan/policy.go", From: "hns.OutboundNAT{Exceptions: exceptions}", To: "hns.OutboundNAT{Exceptions: exceptions[:0]}"},
	{Name: "there is no outbound NAT", File: "pkg/plan/policy.go", From: "out = append(out, outboundNAT(f)...)", To: "_ = outboundNAT(f)"},
	{Name: "port mappings are dropped", File: "pkg/plan/policy.go", From: "out = append(out, portMapping(m, f.Config.Driver, six))", To: "_ = portMapping(m, f.Config.Driver, six)"},
	{Name: "the search list of DNS is lost", File: "pkg/plan/endpoint.go", From: "f.Config.DNS,", To: "hns.DNS{Servers: f.Config.DNS.Servers},"},
	{Name: "the limit of bandwidth is lost", File: "pkg/plan/policy.go", From: "if f.Config.EgressRate > 0 {", To: "if false {"},
	{Name: "addresses are not freed", File: "pkg/pod/del.go", From: "err = v.IPAM.Del(ctx, c, addrsOf(removed))", To: "_ = addrsOf(removed)"},
	{Name: "endpoints are not deleted", File: "pkg/pod/del.go", From: "range found {\n\t\tif err := v.remove(ctx, e)", To: "range found[:0] {\n\t\tif err := v.remove(ctx, e)"},
	{Name: "denied packets pass", File: "pkg/hnsemu/dataplane/filter.go", From: "if a.Block {", To: "if false {", Plane: true},
	{Name: "rules do not know their ports", File: "pkg/hnsemu/dataplane/rules.go", From: "if len(r.destinationPorts) > 0 {", To: "if false {", Plane: true},
	{Name: "services lead to one of their backends", File: "pkg/hnsemu/dataplane/nat.go", From: "t.add(backends, f.choose(n), mark,", To: "t.add(backends, f.choose(n)[:0], mark,", Plane: true},
	{Name: "sources are not translated", File: "pkg/hnsemu/dataplane/nat.go", From: "range x.masquerades {", To: "range x.masquerades[:0] {", Plane: true},
}

// Overlay writes the changed file and the list for the compiler's option -overlay into a
// folder, and returns the list's path. It fails when the text is not there exactly once.
func (m Mutation) Overlay(root, dir string) (string, error) {
	file := filepath.Join(root, m.File)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.From); n != 1 {
		return "", fmt.Errorf("%s: %q is there %d times, want once", m.File, m.From, n)
	}
	changed, list := filepath.Join(dir, filepath.Base(m.File)), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), m.From, m.To, 1)), 0o644); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		return "", err
	}
	return list, os.WriteFile(list, replace, 0o644)
}

// Result says who noticed a mutation: Kubernetes' specs and Bulkhead's scenarios.
type Result struct {
	Mutation
	Specs, Scenarios []string
}

// Noticed reports whether anybody did.
func (r Result) Noticed() bool { return len(r.Specs)+len(r.Scenarios) > 0 }

// Save keeps the result in a folder.
func (r Result) Save(dir string) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(r.file(dir), text, 0o644)
}

func (m Mutation) file(dir string) string {
	return filepath.Join(dir, strings.ReplaceAll(m.Name, " ", "-")+".json")
}

// Saved returns the results of all mutations that a folder has. It fails when one was not
// tried, or was another then.
func Saved(dir string) ([]Result, error) {
	var out []Result
	for _, m := range All {
		var r Result
		text, err := os.ReadFile(m.file(dir))
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err == nil && r.Mutation != m {
			err = errors.New("it was another mutation then")
		}
		if err != nil {
			return nil, fmt.Errorf("%s is to be tried yet: %w", m.Name, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Table writes the results as a table.
func Table(w io.Writer, results []Result) error {
	var b strings.Builder
	b.WriteString("| fault | in | Kubernetes' specs that fail | scenarios that fail |\n|---|---|---|---|\n")
	for _, r := range results {
		in := "the plugin"
		if r.Plane {
			in = "the data plane"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Name, in, cell(r.Specs), cell(r.Scenarios))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.ReplaceAll(strings.Join(names, "<br>"), "|", `\|`)
}
