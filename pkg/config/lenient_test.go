// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func TestParseLenient(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		want Config
		conf string
		args string
	}{
		{
			name: "everything wrong",
			want: with(func(c *Config) { c.CNIVersion = "0.1.0" }),
			conf: `{"name": "podnet", "type": "bulkhead", "cniVersion": 1, "driver": "x", "isolation": 5, "network": [], "acl": "x",
				"outboundNAT": 1, "loopbackDSR": 1, "routes": 1, "policies": 1, "dns": 1, "timeouts": {"del": "x"},
				"runtimeConfig": 1, "prevResult": 1, "args": 1, "Unknown": 1}`,
			args: "nonsense",
		},
		{
			name: "what is right beside what is wrong",
			want: with(func(c *Config) {
				c.Driver = hns.L2Bridge
				c.IPAM.Type = "host-local"
				c.Timeouts.Del = 5 * time.Second
				c.Pod.Name = "x"
				c.DNS.Servers = []string{"10.0.0.10"}
			}),
			conf: native(`"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.0.0.1/8"}]}, "ipam": {"type": "host-local"},
				"acl": {"rules": [{}]}, "timeouts": {"del": "5s"}, "oops": 1,
				"runtimeConfig": {"portMappings": [{"protocol": "sctp"}], "dns": {"servers": ["10.0.0.10"]}, "mac": "x"}`),
			args: "IgnoreUnknown=1;K8S_POD_NAME=x",
		},
		{
			name: "the network, for STATUS",
			want: with(func(c *Config) {
				c.Driver, c.Network = hns.L2Tunnel, &Network{Subnets: []hns.Subnet{subnet("10.0.0.0/8", "10.0.0.1")}}
			}),
			conf: native(`"driver": "l2tunnel", "network": {"subnets": [{"prefix": "10.0.0.0/8", "gateway": "10.0.0.1"}]}, "acl": 5`),
		},
		{
			name: "another plugin's configuration",
			want: with(func(c *Config) { c.Type, c.IPAM.Type = "azure-vnet", "host-local" }),
			conf: `{"cniVersion": "1.1.0", "name": "podnet", "type": "azure-vnet", "ipMasqNetwork": "10.0.0.0/8", "ipam": {"type": "host-local"}}`,
		},
		{
			name: "no type and an odd name",
			want: with(func(c *Config) { c.Name, c.Type = "vEthernet (nat)", "" }),
			conf: `{"cniVersion": "1.1.0", "name": "vEthernet (nat)", "type": 5}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseLenient([]byte(tc.conf), testEnv(tc.args))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, equateAddrs); diff != "" {
				t.Errorf("ParseLenient (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseLenientRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want string
		kind error
		conf string
	}{
		{"malformed JSON at line 1, column 1: unexpected end of JSON input", ErrSyntax, ""},
		{"malformed JSON at line 1, column 4: invalid character 'x' after top-level value", ErrSyntax, "{} x"},
		{"want one JSON object, got a list", ErrInvalid, "[]"},
		{"name: missing", ErrInvalid, `{"type": "bulkhead"}`},
		{"name: want a string, got 5", ErrInvalid, `{"name": 5}`},
	} {
		_, err := ParseLenient([]byte(tc.conf), Env{})
		if err == nil || err.Error() != tc.want || !errors.Is(err, tc.kind) {
			t.Errorf("ParseLenient(%s) = %v, want %s", tc.conf, err, tc.want)
		}
	}
}

// TestLenientTakesEveryRefusal: whatever Parse finds wrong beyond JSON, name and
// who has the addresses, a DEL must still get through.
func TestLenientTakesEveryRefusal(t *testing.T) {
	t.Parallel()
	for _, group := range refusals {
		for _, tc := range group.cases {
			got, err := ParseLenient([]byte(tc.conf), testEnv(tc.args))
			if err != nil {
				if e := asError(t, err); e.Path != "" && e.Path != "name" {
					t.Errorf("ParseLenient(%s): %v", tc.conf, err)
				}
			} else if got.Name == "" || got.Timeouts.Del <= 0 {
				t.Errorf("ParseLenient(%s) = %+v", tc.conf, got)
			}
		}
	}
}

func TestWithDriver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want   string
		driver hns.Driver
		conf   string
	}{
		{"", hns.L2Bridge, native("")},
		{"", hns.L2Bridge, native(`"driver": "l2bridge"`)},
		{"", hns.Overlay, native(`"isolation": "hyperv", "acl": {"program": true}`)},
		{"", hns.NAT, native(`"isolation": "hyperv", "acl": {"inbound": {"default": "allow"}}`)},
		{`driver: "nat" is configured, but the network is of type "overlay"`, hns.Overlay, native(`"driver": "nat"`)},
		{`driver: the network is of type "ics", which pods cannot use`, "ics", native("")},
		{
			"acl.program: Windows cannot reconfigure the port ACLs of a hyperv pod on a nat network; remove the key",
			hns.NAT, native(`"isolation": "hyperv", "acl": {"program": true}`),
		},
		{
			"runtimeConfig.portMappings: a transparent network maps no ports of the node: the pod has an address of its own on the physical network",
			hns.Transparent, mapping(`"hostPort": 2, "containerPort": 1, "protocol": "tcp"`),
		},
		{"routes[0].dst: fd00:: is IPv6, which nat networks do not have", hns.NAT, native(`"routes": [{"dst": "fd00::/8"}]`)},
	} {
		c, err := Parse([]byte(tc.conf), Env{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.WithDriver(tc.driver)
		if tc.want == "" {
			if err != nil || got.Driver != tc.driver {
				t.Errorf("WithDriver(%q) = %q, %v", tc.driver, got.Driver, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("WithDriver(%q) accepted %s", tc.driver, tc.conf)
			continue
		}
		if asError(t, err).Error() != tc.want {
			t.Errorf("\n got %s\nwant %s", err, tc.want)
		}
	}
}
