// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// span names the IPv4 addresses of 10.1.0.0/24 from first to last as held.
func span(first, last int) map[string]string {
	out := map[string]string{}
	for i := first; i <= last; i++ {
		out[fmt.Sprintf("10.1.0.%d", i)] = fmt.Sprintf("c%d\r\neth0", i)
	}
	return out
}

func TestHostLocalExhausted(t *testing.T) {
	with := func(a map[string]string, b ...string) map[string]string {
		for _, name := range b {
			a[name] = "x\r\neth0"
		}
		return a
	}
	tests := []struct {
		name, ranges string
		more         []string
		files        map[string]string
		want         string // "" is an address left
	}{
		{name: "no directory", ranges: dualStack},
		{
			name: "all held", ranges: `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.253"}]]`, files: span(10, 253),
			want: "no free address: all 244 addresses of ipam.ranges[0] (10.1.0.10-10.1.0.253) are reserved; run GC or widen the range",
		},
		{name: "all but one", ranges: `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.253"}]]`, files: span(11, 253)},
		{name: "those of others do not count", ranges: `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.20"}]]`, files: with(span(1, 19), "10.1.0.21", "10.2.0.20", "fd00::20")},
		{name: "a gateway's file does not count", ranges: `[[{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.9","gateway":"10.1.0.5"}]]`, files: span(1, 8)},
		{
			name: "the gateway is never given", ranges: `[[{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.9","gateway":"10.1.0.9"}]]`, files: span(1, 8),
			want: "all 8 addresses of ipam.ranges[0] (10.1.0.1-10.1.0.9) are",
		},
		{name: "the guessed gateway neither", ranges: `[[{"subnet":"10.1.0.0/28"}]]`, files: span(2, 14), want: "all 13 addresses of ipam.ranges[0] (10.1.0.1-10.1.0.14) are"},
		{
			name: "the network's gateway instead of the guess", ranges: `[[{"subnet":"10.1.0.0/28"}]]`,
			more: []string{`"network":{"subnets":[{"prefix":"10.1.0.0/28","gateway":"10.1.0.14"}]}`}, files: span(1, 13),
			want: "all 13 addresses of",
		},
		{
			name: "the network's gateway, and its guess free", ranges: `[[{"subnet":"10.1.0.0/28"}]]`,
			more: []string{`"network":{"subnets":[{"prefix":"10.1.0.0/28","gateway":"10.1.0.14"}]}`}, files: span(2, 14),
		},
		{name: "nothing but the gateway", ranges: `[[{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.1"}]]`, want: "ipam.ranges[0] (10.1.0.1-10.1.0.1) has none beside its gateway; widen the range"},
		{name: "one", ranges: `[[{"subnet":"10.1.0.0/30"}]]`, files: span(2, 2), want: "the one address of ipam.ranges[0] (10.1.0.1-10.1.0.2) is reserved; run GC"},
		{
			name: "two ranges of a set", ranges: `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.4","rangeEnd":"10.1.0.5"},{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.8","rangeEnd":"10.1.0.9"}]]`,
			files: with(span(4, 5), "10.1.0.8", "10.1.0.9"), want: "all 4 addresses of ipam.ranges[0] (10.1.0.4-10.1.0.5,10.1.0.8-10.1.0.9) are",
		},
		{
			name: "one of two ranges of a set", ranges: `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.4","rangeEnd":"10.1.0.5"},{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.8","rangeEnd":"10.1.0.9"}]]`,
			files: with(span(4, 7), "10.1.0.8"),
		},
		{
			name: "the second set", ranges: `[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64","rangeStart":"fd00::a","rangeEnd":"fd00::b"}]]`,
			files: with(span(2, 3), "fd00::a", "fd00::b"), want: "all 2 addresses of ipam.ranges[1] (fd00::a-fd00::b) are",
		},
		{
			name: "the runtime's set", ranges: `[[{"subnet":"fd00::/64"}]]`, more: []string{`"runtimeConfig":{"ipRanges":[[{"subnet":"10.1.0.0/30"}]]}`},
			files: span(2, 2), want: "the one address of runtimeConfig.ipRanges[0] (",
		},
		{
			name: "behind the runtime's set", ranges: `[[{"subnet":"10.1.0.0/30"}]]`, more: []string{`"runtimeConfig":{"ipRanges":[[{"subnet":"fd00::/64"}]]}`},
			files: span(2, 2), want: "the one address of ipam.ranges[0] (",
		},
		{name: "damaged ones are held", ranges: `[[{"subnet":"10.1.0.0/30"}]]`, files: map[string]string{"10.1.0.2": ""}, want: "the one address of"},
		{name: "a quarter of all IPv4", ranges: `[[{"subnet":"64.0.0.0/2"}]]`, files: span(1, 3)},
		{name: "IPv6 beyond counting", ranges: `[[{"subnet":"fd00::/8"}]]`, files: map[string]string{"fd00::2": "c\r\neth0", "fdff::2": "c\r\neth0"}},
		{
			name: "IPv6, the end of a subnet", ranges: `[[{"subnet":"fd00::/64","rangeStart":"fd00::ffff:ffff:ffff:fffe"}]]`,
			files: map[string]string{"fd00::ffff:ffff:ffff:fffe": "c\r\neth0", "fd00::ffff:ffff:ffff:ffff": "c\r\neth0"},
			want:  "all 2 addresses of ipam.ranges[0] (fd00::ffff:ffff:ffff:fffe-fd00::ffff:ffff:ffff:ffff) are",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tempDir(t)
			if tt.files != nil {
				reserve(t, dir, tt.files)
			}
			p, ctx, c := open("host-local"), context.Background(), hostLocalConf(t, dir, tt.ranges, tt.more...)
			status := p.Status(ctx, c)
			_, add := p.Add(ctx, request{ContainerID: "new", IfName: "eth0", Conf: c})
			switch {
			case tt.want == "" && add != nil:
				t.Errorf("Add: %v", add)
			case tt.want != "" && (!errors.Is(add, ErrExhausted) || !strings.Contains(add.Error(), tt.want)):
				t.Errorf("Add: %v\nwant an ErrExhausted with %s", add, tt.want)
			}
			// A node whose addresses are all in use is ready, one that can never have any is not.
			if never := tt.want != "" && tt.files == nil; errors.Is(status, ErrExhausted) != never || !never && status != nil {
				t.Errorf("Status: %v", status)
			}
			if tt.want != "" && !strings.Contains(add.Error(), "no IP addresses available") {
				t.Errorf("Add does not say what the allocator says: %v", add)
			}
		})
	}
}

// The old way to write a single range, and an address that is asked for.
func TestHostLocalExhaustedNames(t *testing.T) {
	dir := tempDir(t)
	reserve(t, dir, span(2, 2))
	p, ctx := open("host-local"), context.Background()
	single := conf(t, fmt.Sprintf(`{"type":"host-local","dataDir":%q,"subnet":"10.1.0.0/30","ranges":[[{"subnet":"fd00::/64"}]]}`, dir))
	if _, err := p.Add(ctx, request{ContainerID: "new", IfName: "eth0", Conf: single}); !errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), "of ipam.subnet (10.1.0.1-10.1.0.2) is") {
		t.Errorf("got %v", err)
	}
	asked := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/30"}]]`, `"runtimeConfig":{"ips":["10.1.0.2"]}`)
	_, err := p.Add(ctx, request{ContainerID: "new", IfName: "eth0", Conf: asked})
	if err == nil || errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), "runtimeConfig.ips[0]: 10.1.0.2 is reserved for eth0 of container c2 (requested IP") {
		t.Errorf("got %v", err)
	}
}

// Add finds an address in every small range that has one, and Status is content with each.
func TestStatusOfFullRanges(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	rng := rand.New(rand.NewPCG(1, 2))
	full := 0
	for range rounds {
		dir := tempDir(t)
		first := 1 + rng.IntN(4)
		last := first + rng.IntN(4)
		ranges := fmt.Sprintf(`[[{"subnet":"10.1.0.0/28","rangeStart":"10.1.0.%d","rangeEnd":"10.1.0.%d","gateway":"10.1.0.%d"},`+
			`{"subnet":"10.1.0.0/28","rangeStart":"10.1.0.%d","rangeEnd":"10.1.0.%d"}]]`,
			first, last, 1+rng.IntN(9), last+1, last+1+rng.IntN(2))
		files := map[string]string{"last_reserved_ip.0": fmt.Sprintf("10.1.0.%d", rng.IntN(12))}
		for i := range 12 {
			if rng.IntN(12) > 0 {
				files[fmt.Sprintf("10.1.0.%d", i)] = "x\r\neth0"
			}
		}
		reserve(t, dir, files)
		p, ctx, c := open("host-local"), context.Background(), hostLocalConf(t, dir, ranges)
		status := p.Status(ctx, c)
		_, add := p.Add(ctx, request{ContainerID: "new", IfName: "eth0", Conf: c})
		if status != nil || add != nil && !errors.Is(add, ErrExhausted) {
			t.Fatalf("%s with %v:\nStatus: %v\nAdd: %v", ranges, files, status, add)
		}
		if add != nil {
			full++
		}
	}
	if full < rounds/10 || full > rounds*9/10 {
		t.Errorf("%d of %d were full: this proves little", full, rounds)
	}
}
