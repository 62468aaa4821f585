// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// staticTest is a configuration for static and what upstream's plugin makes of it;
// the errors are our own words.
type staticTest struct {
	name    string
	section string
	args    string
	more    []string
	want    string // "address gateway" pairs
	wantErr string
}

const staticSection = `{"type":"static","addresses":[{"address":"10.1.0.5/24","gateway":"10.1.0.1"},{"address":"fd00::5/64"}],
	"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}],"dns":{"nameservers":["1.1.1.1"],"domain":"d"}}`

const staticEmpty = `{"type":"static"}`

var staticTests = []staticTest{
	{name: "configuration", section: staticSection, want: "10.1.0.5/24 10.1.0.1, fd00::5/64 -"},
	{
		name: "CNI_ARGS come on top", section: `{"type":"static","addresses":[{"address":"fd00::5/64"}]}`, args: "IP=10.1.0.9/24;GATEWAY=10.1.0.254",
		want: "fd00::5/64 -, 10.1.0.9/24 10.1.0.254",
	},
	{
		name: "CNI_ARGS: a gateway goes where it belongs", section: staticEmpty,
		args: "IP=10.1.0.9/24, fd01::9/64;GATEWAY=fd01::1, 10.1.0.1",
		want: "10.1.0.9/24 10.1.0.1, fd01::9/64 fd01::1",
	},
	{name: "CNI_ARGS: the last gateway wins", section: staticEmpty, args: "IP=10.1.0.9/24;GATEWAY=10.1.0.1,10.1.0.2", want: "10.1.0.9/24 10.1.0.2"},
	{name: "CNI_ARGS of Kubernetes", section: staticSection, args: "IgnoreUnknown=1;K8S_POD_NAME=web", want: "10.1.0.5/24 10.1.0.1, fd00::5/64 -"},
	{
		name: "args.cni.ips instead of both", section: staticSection, args: "IP=10.1.0.9/24;GATEWAY=10.1.0.1",
		more: []string{`"args":{"cni":{"ips":["10.1.0.10/24"]}}`}, want: "10.1.0.10/24 10.1.0.1",
	},
	{
		name: "runtimeConfig.ips instead of all", section: staticSection, args: "IP=10.1.0.9/24;GATEWAY=10.1.0.1",
		more: []string{`"args":{"cni":{"ips":["10.1.0.10/24"]}}`, `"runtimeConfig":{"ips":["10.1.0.11/24","fd00::11/64"]}`},
		want: "10.1.0.11/24 10.1.0.1, fd00::11/64 -",
	},
	{name: "runtimeConfig.ips alone", section: staticEmpty, more: []string{`"runtimeConfig":{"ips":["10.1.0.11/24"]}`}, want: "10.1.0.11/24 -"},
	{name: "an IPv4 address written as IPv6", section: `{"type":"static","addresses":[{"address":"::ffff:10.1.0.5/120","gateway":"::ffff:10.1.0.1"}]}`, want: "10.1.0.5/24 10.1.0.1"},
	{name: "bad addresses that do not count", section: `{"type":"static","addresses":[{"address":"x"}]}`, more: []string{`"runtimeConfig":{"ips":["10.1.0.11/24"]}`}, want: "10.1.0.11/24 -"},
	{name: "null for a route", section: `{"type":"static","addresses":[{"address":"10.1.0.5/24"}],"routes":[null]}`, want: "10.1.0.5/24 -"},

	{name: "no address", section: staticEmpty, wantErr: "ipam.addresses: static needs at least one address, here or in runtimeConfig.ips"},
	{name: "a gateway alone", section: staticSection, args: "GATEWAY=10.1.0.1", wantErr: "CNI_ARGS GATEWAY[0]: 10.1.0.1 is in the subnet of no address of CNI_ARGS IP"},
	{name: "a gateway of another subnet", section: staticEmpty, args: "IP=10.1.0.9/24;GATEWAY=10.9.0.1", wantErr: "CNI_ARGS GATEWAY[0]: 10.9.0.1 is in the subnet of no address"},
	{name: "no prefix length", section: `{"type":"static","addresses":[{"address":"10.1.0.5"}]}`, wantErr: `ipam.addresses[0]: "10.1.0.5" is not an address with a prefix length`},
	{name: "bad gateway", section: `{"type":"static","addresses":[{"address":"10.1.0.5/24","gateway":"x"}]}`, wantErr: `ipam.addresses[0].gateway: "x" is not an IP address`},
	{name: "bad IP", section: staticSection, args: "IP=10.1.0.9/24,x", wantErr: `CNI_ARGS IP[1]: "x" is not`},
	{name: "bad IP that does not count", section: staticSection, args: "IP=x", more: []string{`"runtimeConfig":{"ips":["10.1.0.11/24"]}`}, wantErr: `CNI_ARGS IP: "x" is not`},
	{name: "bad GATEWAY", section: staticSection, args: "IP=10.1.0.9/24;GATEWAY=10.1.0.1,x", wantErr: `CNI_ARGS GATEWAY[1]: "x" is not an IP address`},
	{name: "bad args.cni.ips", section: staticSection, more: []string{`"args":{"cni":{"ips":["x"]}}`}, wantErr: `args.cni.ips[0]: "x" is not`},
	{name: "bad runtimeConfig.ips", section: staticSection, more: []string{`"runtimeConfig":{"ips":["10.1.0.11"]}`}, wantErr: `runtimeConfig.ips[0]: "10.1.0.11" is not`},
	{name: "null in runtimeConfig.ips", section: staticSection, more: []string{`"runtimeConfig":{"ips":[null]}`}, wantErr: `runtimeConfig.ips[0]: want a string, got null`},
	{name: "unknown CNI_ARGS", section: staticSection, args: "COLOUR=red", wantErr: `CNI_ARGS: unknown key "COLOUR"`},
	{
		name: "two of a family", section: staticEmpty, more: []string{`"runtimeConfig":{"ips":["10.1.0.11/24","10.1.0.12/24"]}`},
		wantErr: "runtimeConfig.ips[1]: an endpoint takes one address of a family",
	},
}

// pairs writes addresses and their gateways.
func pairs(in []Address) string {
	var out []string
	for _, a := range in {
		gw := "-"
		if a.Gateway.IsValid() {
			gw = a.Gateway.String()
		}
		out = append(out, a.Prefix.String()+" "+gw)
	}
	return strings.Join(out, ", ")
}

func TestStatic(t *testing.T) {
	for _, tt := range staticTests {
		t.Run(tt.name, func(t *testing.T) {
			r := request{ContainerID: "c", IfName: "eth0", Args: tt.args, Conf: conf(t, tt.section, tt.more...)}
			got, err := open("static").Add(context.Background(), r)
			if invalid := open("static").Validate(r); (invalid == nil) != (err == nil) {
				t.Errorf("Validate says %v, Add %v", invalid, err)
			}
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || !errors.Is(err, ErrConfig) {
					t.Fatalf("got %v, want an ErrConfig with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := pairs(got.Addresses); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestStaticDNS(t *testing.T) {
	got, err := open("static").Add(context.Background(), request{ContainerID: "c", IfName: "eth0", Conf: conf(t, staticSection)})
	if err != nil {
		t.Fatal(err)
	}
	want := Result{
		Addresses: []Address{
			{Prefix: netip.MustParsePrefix("10.1.0.5/24"), Gateway: netip.MustParseAddr("10.1.0.1")},
			{Prefix: netip.MustParsePrefix("fd00::5/64")},
		},
		DNS: hns.DNS{Domain: "d", Servers: []string{"1.1.1.1"}},
	}
	if diff := cmp.Diff(want, got, byValue, prefixByValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A runtime asks for the status without what it passes to ADD.
func TestStaticStatus(t *testing.T) {
	tests := []struct {
		name, section string
		more          []string
		wantErr       string
	}{
		{name: "addresses", section: staticSection},
		{name: "none yet", section: staticEmpty, more: []string{`"capabilities":{"ips":true}`}},
		{name: "at run time", section: staticEmpty, more: []string{`"runtimeConfig":{"ips":["10.1.0.11/24"]}`}},
		{name: "bad address", section: `{"type":"static","addresses":[{"address":"10.1.0.5"}]}`, wantErr: "ipam.addresses[0]"},
		{name: "bad section", section: `[]`, wantErr: "ipam"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := open("static").Status(context.Background(), conf(t, tt.section, tt.more...))
			if (err == nil) != (tt.wantErr == "") || err != nil && (!strings.Contains(err.Error(), tt.wantErr) || !errors.Is(err, ErrConfig)) {
				t.Errorf("got %v, want %q", err, tt.wantErr)
			}
		})
	}
}
