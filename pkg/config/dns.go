// SPDX-License-Identifier: Apache-2.0

package config

import (
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
