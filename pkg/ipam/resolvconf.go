// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// dnsOfFile reads the file that ipam.resolvConf names as host-local does
// (containernetworking/plugins, plugins/ipam/host-local/dns.go). No name is no
// DNS. What is wrong with the file is an ErrConfig.
func dnsOfFile(ctx context.Context, name string) (hns.DNS, error) {
	if name == "" {
		return hns.DNS{}, nil
	}
	text, err := bounded.Do(ctx, func() (string, error) { return readSmall(name) })
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return hns.DNS{}, fmt.Errorf("wait for ipam.resolvConf (%s): %w", name, err)
	}
	if err != nil {
		return hns.DNS{}, problem.New(ErrConfig, err, "ipam.resolvConf")
	}
	out, err := dnsFrom("", parseResolvConf(text))
	if err != nil {
		return hns.DNS{}, problem.New(ErrConfig, err, "ipam.resolvConf: %s", name)
	}
	return out, nil
}

// readSmall reads a file that has no more than a resolv.conf can.
func readSmall(name string) (string, error) {
	const most = 64 << 10
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return string(text), err
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
