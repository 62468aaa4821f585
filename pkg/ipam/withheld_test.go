// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func excluding(t *testing.T, dir, ranges, exclude string, more ...string) []byte {
	t.Helper()
	return conf(t, fmt.Sprintf(`{"type":"host-local","dataDir":%q,"ranges":%s,"exclude":%s}`, dir, ranges, exclude), more...)
}

// until returns what Add gives before it fails, and how it fails.
func until(t *testing.T, r request) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var out []string
	for i := range 300 {
		r.ContainerID, r.IfName = fmt.Sprintf("c%d", i), "eth0"
		got, err := open("host-local").Add(ctx, r)
		if err != nil {
			return out, err
		}
		for _, a := range got.Addresses {
			out = append(out, a.Prefix.Addr().String())
		}
	}
	t.Fatal("a range without end")
	return nil, nil
}

func TestWithheld(t *testing.T) {
	const to9 = `[[{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.9"}]]`
	tests := []struct {
		name, ranges, exclude string
		reserved              []string
		want, end             string
	}{
		{
			name: "an address", ranges: to9, exclude: `["10.1.0.7"]`, want: "2 3 4 5 6 8 9",
			end: "all 7 addresses of ipam.ranges[0] (10.1.0.1-10.1.0.9), where 1 more are excluded or in use by the network, are reserved; run GC",
		},
		{name: "a prefix and an address of it", ranges: to9, exclude: `["10.1.0.4/30","10.1.0.5","10.1.0.4"]`, want: "2 3 8 9", end: "where 4 more are"},
		{name: "the beginning", ranges: to9, exclude: `["10.1.0.0/29"]`, want: "8 9", end: "where 6 more are"},
		{name: "the end", ranges: to9, exclude: `["10.1.0.8/29"]`, want: "2 3 4 5 6 7", end: "where 2 more are"},
		{name: "the gateway", ranges: to9, exclude: `["10.1.0.1"]`, want: "2 3 4 5 6 7 8 9", end: "all 8 addresses of ipam.ranges[0] (10.1.0.1-10.1.0.9) are"},
		{name: "elsewhere", ranges: to9, exclude: `["10.2.0.0/16","10.1.0.10","fd00::/8"]`, want: "2 3 4 5 6 7 8 9", end: "(10.1.0.1-10.1.0.9) are"},
		{name: "no", ranges: to9, exclude: `[]`, want: "2 3 4 5 6 7 8 9", end: "(10.1.0.1-10.1.0.9) are"},
		{name: "null", ranges: to9, exclude: `null`, want: "2 3 4 5 6 7 8 9", end: "(10.1.0.1-10.1.0.9) are"},
		{name: "everything", ranges: to9, exclude: `["0.0.0.0/0"]`, end: "ipam.ranges[0] (10.1.0.1-10.1.0.9), where 8 more are excluded or in use by the network, has none beside its gateway"},
		{name: "HNS's", ranges: to9, exclude: `[]`, reserved: []string{"10.1.0.1", "10.1.0.2", "::ffff:10.1.0.3", "10.1.0.255", "fd00::1"}, want: "4 5 6 7 8 9", end: "where 2 more are"},
		{name: "both", ranges: to9, exclude: `["10.1.0.8/30"]`, reserved: []string{"10.1.0.2"}, want: "3 4 5 6 7", end: "where 3 more are"},
		{
			name: "two ranges", ranges: `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.2","rangeEnd":"10.1.0.3"},{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.6","rangeEnd":"10.1.0.9"}]]`,
			exclude: `["10.1.0.2/31","10.1.0.7"]`, want: "6 8 9", end: "where 3 more are",
		},
		{
			name: "the last address there is", ranges: `[[{"subnet":"255.255.255.0/24","rangeStart":"255.255.255.252"}]]`, exclude: `["255.255.255.254/31"]`,
			want: "255.255.255.252 255.255.255.253", end: "where 1 more are",
		},
		{
			name: "IPv6 beyond counting", ranges: `[[{"subnet":"fd00::/64","rangeEnd":"fd00::8000:0:0:3"}]]`, exclude: `["fd00::/65"]`,
			want: "fd00::8000:0:0:0 fd00::8000:0:0:1 fd00::8000:0:0:2 fd00::8000:0:0:3", end: "where 9223372036854775806 more are",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := excluding(t, tempDir(t), tt.ranges, tt.exclude)
			got, err := until(t, request{Conf: c, Reserved: addrs(tt.reserved...)})
			var want []string
			for _, s := range strings.Fields(tt.want) {
				if len(s) == 1 {
					s = "10.1.0." + s
				}
				want = append(want, s)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
			if !errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), tt.end) {
				t.Errorf("got %v\nwant %s", err, tt.end)
			}
			if status := open("host-local").Status(context.Background(), c); len(want) > 0 && status != nil {
				t.Errorf("Status of a node that is full: %v", status)
			}
		})
	}
}

func TestWithheldIsNotGivenOnRequest(t *testing.T) {
	asked := func(ip string) request {
		c := excluding(t, tempDir(t), `[[{"subnet":"10.1.0.0/24"}]]`, `["10.1.0.16/28","10.1.0.7"]`, fmt.Sprintf(`"runtimeConfig":{"ips":[%q]}`, ip))
		return request{ContainerID: "c", IfName: "eth0", Conf: c, Reserved: addrs("10.1.0.3")}
	}
	for ip, want := range map[string]string{
		"10.1.0.20/24": "requested address 10.1.0.20 is never handed out: ipam.exclude[0] excludes it",
		"10.1.0.7/24":  "requested address 10.1.0.7 is never handed out: ipam.exclude[1] excludes it",
		"10.1.0.3/24":  "requested address 10.1.0.3 is never handed out: the network or the node has it",
		"10.1.0.8/24":  "",
	} {
		got, err := open("host-local").Add(context.Background(), asked(ip))
		switch {
		case want == "" && (err != nil || got.Addresses[0].Prefix.String() != ip):
			t.Errorf("%s: got %v, %v", ip, got, err)
		case want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v\nwant %s", ip, err, want)
		}
	}
}

func TestExcludeRefusals(t *testing.T) {
	for exclude, want := range map[string]string{
		`["10.1.0.0/28","10.1.0.7/28"]`: `ipam.exclude[1]: "10.1.0.7/28" has host bits set; write 10.1.0.0/28, or 10.1.0.7 for the one address`,
		`["10.1.0"]`:                    `ipam.exclude[0]: "10.1.0" is neither a CIDR such as 10.10.0.0/28 nor an address`,
		`["10.1.0.1-10.1.0.9"]`:         `ipam.exclude[0]: "10.1.0.1-10.1.0.9" is neither`,
		`["fe80::1%3"]`:                 `ipam.exclude[0]: "fe80::1%3" is neither`,
		`["::ffff:10.1.0.7"]`:           `ipam.exclude[0]: "::ffff:10.1.0.7" is IPv4 written as IPv6`,
		`[7]`:                           `ipam.exclude[0]: want a CIDR or an address in quotes, got 7`,
		`[null]`:                        `ipam.exclude[0]: want a CIDR or an address in quotes, got null`,
		`"10.1.0.7"`:                    `ipam.exclude: want a list of CIDRs and addresses, got "10.1.0.7"`,
	} {
		dir := tempDir(t)
		r := request{ContainerID: "c", IfName: "eth0", Conf: excluding(t, dir, dualStack, exclude)}
		p, ctx := open("host-local"), context.Background()
		_, add := p.Add(ctx, r)
		for verb, err := range map[string]error{"Validate": p.Validate(r), "Add": add, "Status": p.Status(ctx, r.Conf)} {
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v\nwant %s", verb, err, want)
			}
		}
		for verb, err := range map[string]error{"Del": p.Del(ctx, r), "GC": p.GC(ctx, r.Conf, nil)} {
			if err != nil {
				t.Errorf("%s is stopped by %s: %v", verb, exclude, err)
			}
		}
	}
}

// The executable passes over the key, and what it gives all the same is released.
func TestExecutablePassesOverExclude(t *testing.T) {
	exe := buildHostLocal(t)
	r := request{ContainerID: "c", IfName: "eth0", Conf: excluding(t, tempDir(t), `[[{"subnet":"10.1.0.0/24"}]]`, `["10.1.0.0/28"]`)}
	got, err := exe.add(r)
	if err != nil || !slices.Equal(got, addrs("10.1.0.2")) {
		t.Fatalf("got %v, %v", got, err)
	}
	if err := (inProcess{open("host-local")}).del(r); err != nil {
		t.Error(err)
	}
	r.ContainerID = "c2"
	if got, err := (inProcess{open("host-local")}).add(r); err != nil || !slices.Equal(got, addrs("10.1.0.16")) {
		t.Errorf("ours after it: %v, %v", got, err)
	}
}

// Whatever is withheld of a range, Add gives exactly the rest.
func TestWithheldLeavesTheRest(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		first := 1 + rng.IntN(8)
		last := first + rng.IntN(16)
		var exclude []string
		never := map[string]bool{"10.1.0.1": true}
		for range rng.IntN(4) {
			p, err := netip.AddrFrom4([4]byte{10, 1, 0, byte(rng.IntN(32))}).Prefix(28 + rng.IntN(5))
			if err != nil {
				t.Fatal(err)
			}
			exclude = append(exclude, fmt.Sprintf("%q", p))
			for a := p.Addr(); p.Contains(a); a = a.Next() {
				never[a.String()] = true
			}
		}
		var want []string
		for i := first; i <= last; i++ {
			if a := fmt.Sprintf("10.1.0.%d", i); !never[a] {
				want = append(want, a)
			}
		}
		ranges := fmt.Sprintf(`[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.%d","rangeEnd":"10.1.0.%d"}]]`, first, last)
		list := "[" + strings.Join(exclude, ",") + "]"
		got, err := until(t, request{Conf: excluding(t, tempDir(t), ranges, list)})
		if !slices.Equal(got, want) || !errors.Is(err, ErrExhausted) {
			t.Errorf("%s without %s: got %v, %v\nwant %v", ranges, list, got, err, want)
		}
	}
}
