// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"os"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// dnsOfFile reads the file that ipam.resolvConf names as host-local does
// (containernetworking/plugins, plugins/ipam/host-local/dns.go). No name is no
// DNS.
func dnsOfFile(name string) (hns.DNS, error) {
	if name == "" {
		return hns.DNS{}, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return hns.DNS{}, fmt.Errorf("ipam.resolvConf: %w", err)
	}
	out, err := dnsFrom("", parseResolvConf(string(text)))
	if err != nil {
		return hns.DNS{}, fmt.Errorf("ipam.resolvConf: %s: %w", name, err)
	}
	return out, nil
}

func parseResolvConf(text string) types.DNS {
	var out types.DNS
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			out.Nameservers = append(out.Nameservers, words[1])
		case "domain":
			out.Domain = words[1]
		case "search":
			out.Search = append(out.Search, words[1:]...)
		case "options":
			out.Options = append(out.Options, words[1:]...)
		}
	}
	return out
}
