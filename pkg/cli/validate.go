// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

func (s *session) validate() *cobra.Command {
	var suggest bool
	var f set
	c := &cobra.Command{
		Use:   "validate FILE",
		Short: "Tell what a conflist means and every fault in it, without a node",
		Long: "Tell what a conflist, or one plugin's configuration, means: network, addresses, endpoint and ACLs of a pod,\n" +
			"and every fault with its JSON path. HNS is not asked, so nothing needs to be installed.\n\n" +
			"Files of win-bridge, win-overlay, nat, sdnbridge and sdnoverlay mean what they do where bulkhead.exe stands\n" +
			"under that plugin's name. --suggest prints such a file as one of type bulkhead.",
		Example: "  bulkhead validate 10-bulkhead.conflist\n" +
			"  bulkhead validate 10-win-bridge.conf --suggest > 10-bulkhead.conf",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			if _, err := hns.ParseDriver(f.driver); f.driver != "" && err != nil {
				return fmt.Errorf("--driver: %w", err)
			}
			f.conf = args[0]
			if suggest {
				return s.suggest(f.conf, text)
			}
			return s.validateFile(f, text)
		},
	}
	c.Flags().BoolVar(&suggest, "suggest", false, "print the file in Bulkhead's own words")
	c.Flags().StringVar(&f.driver, "driver", "", "`driver` of the network where the file does not say it: nat, transparent, l2bridge, l2tunnel, overlay")
	c.Flags().StringSliceVar(&f.node, "node", nil, "`addresses` of the node, for acl.allowHost (default: those that this machine would reach pods from)")
	return c
}

func (s *session) suggest(file string, text []byte) error {
	out, replaced, err := config.Suggest(text)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	case replaced == 0:
		return fmt.Errorf("%s has no plugin of another type whose files bulkhead reads, so there is nothing to suggest", file)
	}
	_, err = s.Stdout.Write(out)
	return err
}

// fault is what is wrong at one place of a file.
type fault struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
}

// meaning is what validate prints.
type meaning struct {
	Plugins []pluginMeaning `json:"plugins"`
	Faults  []fault         `json:"faults"`
}

// pluginMeaning is what one plugin's part of a file means.
type pluginMeaning struct {
	Path string `json:"path,omitempty"`
	Type string `json:"type"`
	// Notes are sentences on what the file alone does not tell.
	Notes     []string         `json:"notes,omitempty"`
	Network   *networkMeaning  `json:"network,omitempty"`
	Addresses []string         `json:"addresses,omitempty"`
	Endpoint  *endpointMeaning `json:"endpoint,omitempty"`
	ACLs      []line           `json:"acls"`
}

type networkMeaning struct {
	Name   string     `json:"name"`
	Driver hns.Driver `json:"driver,omitempty"`
	// Made is true for a network that Bulkhead makes when it is missing.
	Made    bool     `json:"made"`
	Subnets []string `json:"subnets,omitempty"`
	Adapter string   `json:"adapter,omitempty"`
}

// endpointMeaning is the endpoint of the first pod that there could be.
type endpointMeaning struct {
	Name      string         `json:"name"`
	Addresses []string       `json:"addresses"`
	MAC       hns.MAC        `json:"mac,omitempty"`
	Routes    []string       `json:"routes"`
	DNS       *dnsMeaning    `json:"dns,omitempty"`
	Policies  []policyOfFile `json:"policies"`
}

type dnsMeaning struct {
	Servers []string `json:"servers,omitempty"`
	Domain  string   `json:"domain,omitempty"`
	Search  []string `json:"search,omitempty"`
	Options []string `json:"options,omitempty"`
}

// String returns "10.96.0.10, domain cluster.local, search svc.cluster.local".
func (d dnsMeaning) String() string {
	var parts []string
	add := func(name string, words ...string) {
		if text := strings.TrimSpace(strings.Join(words, " ")); text != "" {
			parts = append(parts, strings.TrimSpace(name+" "+text))
		}
	}
	add("", d.Servers...)
	add("domain", d.Domain)
	add("search", d.Search...)
	add("options", d.Options...)
	return strings.Join(parts, ", ")
}

type policyOfFile struct {
	Type     string          `json:"type"`
	Settings json.RawMessage `json:"settings"`
}

func (s *session) validateFile(f set, text []byte) error {
	m := meaning{Plugins: []pluginMeaning{}, Faults: []fault{}}
	add := func(all ...*config.Error) {
		for _, e := range all {
			m.Faults = append(m.Faults, fault{e.Path, e.Problem})
		}
	}
	if config.EncodingOf(text) == config.UTF8BOM {
		m.Faults = append(m.Faults, fault{Problem: "the file begins with a byte order mark, and no runtime loads it; save it as UTF-8 without one, in PowerShell by [IO.File]::WriteAllText"})
	}
	plugins, err := config.Plugins(text)
	var e *config.Error
	if errors.As(err, &e) {
		add(e)
	}
	seen := false
	for _, p := range plugins {
		if !p.Ours() && !p.Replaced() && len(plugins) > 1 {
			continue
		}
		seen = true
		p = p.WithFlannel()
		if faults := p.Faults(); len(faults) > 0 {
			add(faults...)
			continue
		}
		of, err := s.meaningOf(f, p)
		if err != nil {
			m.Faults = append(m.Faults, fault{p.Path(), err.Error()})
		}
		if of.Type == config.TypeACL && slices.ContainsFunc(m.Plugins, func(before pluginMeaning) bool { return before.Type != config.TypeACL && len(before.ACLs) > 0 }) {
			m.Faults = append(m.Faults, fault{p.Path(), "ADD refuses it behind a plugin with rules of its own; write these into that plugin's acl section"})
		}
		m.Plugins = append(m.Plugins, of)
	}
	if err == nil && !seen {
		return fmt.Errorf("%s: %w", f.conf, config.ErrNotOurs)
	}
	if err := s.print(m, m.text); err != nil {
		return err
	}
	switch n := len(m.Faults); n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s has a fault", f.conf)
	default:
		return fmt.Errorf("%s has %d faults", f.conf, n)
	}
}

// meaningOf plans the endpoint of a pod by a plugin that has no fault in itself.
func (s *session) meaningOf(f set, p config.Plugin) (pluginMeaning, error) {
	out := pluginMeaning{Path: p.Path(), Type: p.Type(), ACLs: []line{}}
	c, err := config.Parse(p.Stdin(), config.Env{})
	if err != nil {
		return out, err
	}
	if p.Replaced() {
		out.note("It is another plugin's; --suggest prints the same of type bulkhead.")
	}
	if p.Delegate() {
		out.note("flannel adds ipam, ipMasq and ipMasqNetwork; %s stands for the node's subnet.", config.FlannelSubnet)
	}
	if c.Type == config.TypeACL {
		out.note("The plugin before it makes network and endpoint.")
	} else {
		out.Network = meaningOf(c)
		out.Addresses = addressesOf(c)
	}
	facts, err := s.factsOf(f, c, &out)
	if err != nil {
		return out, err
	}
	set, err := plan.ACLs(facts)
	if err != nil {
		return out, err
	}
	for _, r := range set.Rules {
		l := lineOf(r)
		l.From = set.Origins[r.ID]
		out.ACLs = append(out.ACLs, l)
	}
	if c.Type == config.TypeACL {
		return out, nil
	}
	e, err := plan.Endpoint(facts)
	if err != nil {
		return out, err
	}
	out.Endpoint, err = endpointOf(e, len(set.Rules))
	return out, err
}

func (m *pluginMeaning) note(format string, args ...any) {
	m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
}

func meaningOf(c config.Config) *networkMeaning {
	n, owned := plan.Network(c)
	out := networkMeaning{Name: n.Name, Driver: n.Driver, Made: owned, Adapter: n.Adapter}
	for _, s := range n.Subnets {
		out.Subnets = append(out.Subnets, fmt.Sprintf("%s via %s", s.Prefix, s.Gateway))
	}
	return &out
}

// addressesOf says in words where a pod's addresses come from.
func addressesOf(c config.Config) []string {
	var out []string
	for _, set := range c.IPAM.RangeSets {
		var ranges []string
		for _, r := range set.Ranges {
			ranges = append(ranges, fmt.Sprintf("%s of %s", r, r.Subnet))
		}
		out = append(out, c.IPAM.Type+": "+strings.Join(ranges, ", "))
	}
	for _, a := range c.IPAM.Addresses {
		out = append(out, c.IPAM.Type+": "+a.Prefix.String())
	}
	switch {
	case c.IPAM.Type == "":
		return []string{"HNS chooses one of the network's"}
	case len(out) == 0:
		return []string{"the IPAM plugin " + c.IPAM.Type + " chooses"}
	default:
		return out
	}
}

// endpointOf describes an endpoint, but for its rules, which are the last of its policies.
func endpointOf(e hns.Endpoint, rules int) (*endpointMeaning, error) {
	out := endpointMeaning{Name: e.Name, Addresses: []string{}, MAC: e.MAC, Routes: []string{}, Policies: []policyOfFile{}}
	for _, a := range e.Addresses {
		out.Addresses = append(out.Addresses, a.String())
	}
	for _, r := range e.Routes {
		out.Routes = append(out.Routes, r.String())
	}
	if !e.DNS.IsZero() {
		out.DNS = &dnsMeaning{e.DNS.Servers, e.DNS.Domain, e.DNS.Search, e.DNS.Options}
	}
	for _, p := range e.Policies[:len(e.Policies)-rules] {
		kind, settings, err := plan.Document(p)
		if err != nil {
			return nil, err
		}
		out.Policies = append(out.Policies, policyOfFile{kind, settings})
	}
	return &out, nil
}

func (m meaning) text(w io.Writer) error {
	for i, p := range m.Plugins {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := p.text(w); err != nil {
			return err
		}
	}
	for i, f := range m.Faults {
		if i == 0 && len(m.Plugins) > 0 {
			fmt.Fprintln(w)
		}
		if f.Path != "" {
			fmt.Fprintf(w, "%s: ", f.Path)
		}
		fmt.Fprintln(w, f.Problem)
	}
	return nil
}

func (m pluginMeaning) text(w io.Writer) error {
	const gap = 2
	tw := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	row := func(name string, values ...string) {
		for _, v := range values {
			fmt.Fprintf(tw, "%s\t%s\n", name, v)
			name = ""
		}
	}
	row("PLUGIN", strings.TrimSpace(m.Type+" "+m.Path))
	row("", m.Notes...)
	if m.Network != nil {
		row("NETWORK", m.Network.String())
	}
	row("ADDRESSES", m.Addresses...)
	if e := m.Endpoint; e != nil {
		row("ENDPOINT", e.Name)
		row("", e.Addresses...)
		if e.MAC != "" {
			row("", "MAC address "+string(e.MAC))
		}
		row("ROUTES", e.Routes...)
		if e.DNS != nil {
			row("DNS", e.DNS.String())
		}
		var policies []string
		for _, p := range e.Policies {
			policies = append(policies, p.Type+" "+string(p.Settings))
		}
		row("POLICIES", policies...)
	}
	if len(m.ACLs) == 0 {
		row("ACLS", "none of bulkhead's")
	}
	if err := tw.Flush(); err != nil || len(m.ACLs) == 0 {
		return err
	}
	fmt.Fprintln(w)
	return table(w, m.ACLs)
}

// String returns "l2bridge "podnet", made when it is missing: 10.10.0.0/24 via 10.10.0.1".
func (n networkMeaning) String() string {
	out := fmt.Sprintf("%s %q", n.Driver, n.Name)
	if n.Driver == "" {
		out = fmt.Sprintf("%q, of its own type", n.Name)
	}
	if !n.Made {
		return out + ", which must be there"
	}
	out += ", made when it is missing"
	if len(n.Subnets) > 0 {
		out += ": " + strings.Join(n.Subnets, ", ")
	}
	if n.Adapter != "" {
		out += " on " + n.Adapter
	}
	return out
}
