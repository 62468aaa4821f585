// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

type wireDNS struct {
	Nameservers []string `json:"nameservers"`
	Domain      string   `json:"domain"`
	Search      []string `json:"search"`
	Options     []string `json:"options"`
}

func readDNS(doc document, c *Config) error {
	var w wireDNS
	if err := doc.section("dns", &w); err != nil {
		return err
	}
	servers, err := parseServers("dns.nameservers", w.Nameservers)
	if err != nil {
		return err
	}
	if err := checkWords("dns.search", w.Search); err != nil {
		return err
	}
	if err := checkWords("dns.options", w.Options); err != nil {
		return err
	}
	if w.Domain != "" {
		if err := checkWord("dns.domain", w.Domain); err != nil {
			return err
		}
	}
	c.nameservers = servers
	c.DNS = hns.DNS{Domain: w.Domain, Search: w.Search, Servers: servers, Options: w.Options}
	return nil
}

type wireRuntimeDNS struct {
	Servers  []string `json:"servers"`
	Searches []string `json:"searches"`
	Options  []string `json:"options"`
}

// readRuntimeDNS lets each list that the runtime fills take the place of the
// configuration's: an empty one means that the pod has no wish (CNI's
// conventions, "dns" capability).
func readRuntimeDNS(doc document, c *Config) error {
	var w wireRuntimeDNS
	if err := doc.runtime("dns", &w); err != nil {
		return err
	}
	servers, err := parseServers("runtimeConfig.dns.servers", w.Servers)
	if err != nil {
		return err
	}
	if err := checkWords("runtimeConfig.dns.searches", w.Searches); err != nil {
		return err
	}
	if err := checkWords("runtimeConfig.dns.options", w.Options); err != nil {
		return err
	}
	override(&c.DNS.Servers, servers)
	override(&c.DNS.Search, w.Searches)
	override(&c.DNS.Options, w.Options)
	return nil
}

// qualifyDNS makes the configuration's names of one cluster those of the pod's own
// namespace, as kubelet does: default.svc.X, which fits the pods of one namespace
// only, becomes the pod's, and before svc.X goes the pod's. What the runtime asks
// for is the pod's already.
func qualifyDNS(doc document, c *Config) {
	if checkWord("CNI_ARGS", c.Pod.Namespace) != nil {
		return
	}
	c.DNS.Domain = ofNamespace(c.DNS.Domain, c.Pod.Namespace)
	var w wireRuntimeDNS
	if err := doc.runtime("dns", &w); err == nil && len(w.Searches) == 0 {
		c.DNS.Search = searchOf(c.DNS.Search, c.Pod.Namespace)
	}
}

// searchOf looks at the first name alone: that is where kubelet's list has the
// namespace.
func searchOf(list []string, namespace string) []string {
	if len(list) == 0 {
		return list
	}
	own, rest := ofNamespace(list[0], namespace), list[1:]
	if hasLabels(list[0], "svc.") {
		own, rest = namespace+"."+list[0], list
	}
	rest = slices.DeleteFunc(slices.Clone(rest), func(s string) bool { return strings.EqualFold(s, own) })
	return append([]string{own}, rest...)
}

func ofNamespace(name, namespace string) string {
	const other = "default."
	if !hasLabels(name, other+"svc.") {
		return name
	}
	return namespace + "." + name[len(other):]
}

// hasLabels reports whether a name begins with labels, in any letter case.
func hasLabels(name, labels string) bool {
	return len(name) >= len(labels) && strings.EqualFold(name[:len(labels)], labels)
}

func override(into *[]string, list []string) {
	if len(list) > 0 {
		*into = list
	}
}

func parseServers(path string, list []string) ([]string, error) {
	var out []string
	for i, s := range list {
		a, err := parseAddr(index(path, i), s)
		if err != nil {
			return nil, err
		}
		out = append(out, a.String())
	}
	return out, nil
}

func checkWords(path string, list []string) error {
	for i, s := range list {
		if err := checkWord(index(path, i), s); err != nil {
			return err
		}
	}
	return nil
}

// checkWord refuses what would be two words: HNS's v1 schema and Windows' own
// settings keep such lists in one comma-separated string.
func checkWord(path, s string) error {
	if s == "" || strings.ContainsAny(s, ", \t\r\n") {
		return invalid(path, "%q is not one word", s)
	}
	return nil
}
