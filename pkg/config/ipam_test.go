// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func rangeOf(subnet, first, last string) Range {
	return Range{Subnet: netip.MustParsePrefix(subnet), First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

func withGateway(r Range, gateway string) Range {
	r.Gateway = netip.MustParseAddr(gateway)
	return r
}

// ipamCases are configurations of the ipam section.
var ipamCases = []acceptance{
	{
		name: "host-local with everything",
		want: with(func(c *Config) {
			c.Requested = []RequestedAddr{
				{"CNI_ARGS IP", netip.MustParseAddr("10.1.0.11")}, {"args.cni.ips[0]", netip.MustParseAddr("fd00::7")},
			}
			c.IPAM = IPAM{
				Type: "host-local", DataDir: "C:/cni", ResolvConf: "C:/resolv.conf",
				RangeSets: []RangeSet{
					{"runtimeConfig.ipRanges[0]", []Range{rangeOf("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff")}},
					{"ipam.ranges[0]", []Range{
						rangeOf("10.2.0.0/30", "10.2.0.1", "10.2.0.2"), rangeOf("10.3.0.0/24", "10.3.0.9", "10.3.0.254"),
						withGateway(rangeOf("10.1.0.0/24", "10.1.0.10", "10.1.0.20"), "10.1.0.5"),
					}},
				},
				Exclude: prefixes("10.1.0.12/32", "10.3.0.128/25"),
				Routes: []hns.Route{
					{Destination: netip.MustParsePrefix("10.9.0.0/16")},
					{Destination: netip.MustParsePrefix("::/0"), NextHop: netip.MustParseAddr("fd00::9")},
				},
			}
		}),
		args: "IP=10.1.0.11/24",
		conf: native(`"ipam": {"type": "host-local", "dataDir": "C:/cni", "resolvConf": "C:/resolv.conf",
			"ranges": [[{"subnet": "10.2.0.0/30"}, {"subnet": "10.3.0.0/24", "rangeStart": "10.3.0.9"},
				{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.20", "gateway": "10.1.0.5"}]],
			"routes": [{"dst": "10.9.0.0/16", "mtu": 0}, null, {"dst": "::/0", "gw": "fd00::9"}], "exclude": ["10.1.0.12", "10.3.0.128/25"]},
			"args": {"cni": {"ips": ["fd00::7"]}},
			"runtimeConfig": {"ipRanges": [[{"subnet": "fd00::/64"}]], "ips": ["10.1.0.11/16"]}`),
	},
	{
		name: "host-local with one range, the old way",
		want: with(func(c *Config) {
			c.IPAM = IPAM{Type: "host-local", RangeSets: []RangeSet{
				{"ipam.subnet", []Range{withGateway(rangeOf("10.1.0.0/24", "10.1.0.10", "10.1.0.20"), "10.1.0.5")}},
			}}
		}),
		conf: native(`"ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.20", "gateway": "10.1.0.5"}`),
	},
	{
		name: "static with everything",
		want: with(func(c *Config) {
			c.Requested = []RequestedAddr{{"CNI_ARGS IP", netip.MustParseAddr("fd00::5")}}
			c.IPAM = IPAM{
				Type: "static",
				Addresses: []IPAMAddress{
					{Prefix: netip.MustParsePrefix("10.1.0.5/24"), Gateway: netip.MustParseAddr("10.1.0.1")},
					{Prefix: netip.MustParsePrefix("fd00::5/64"), Gateway: netip.MustParseAddr("fd00::1")},
				},
				Routes: []hns.Route{{Destination: netip.MustParsePrefix("10.9.0.0/16"), NextHop: netip.MustParseAddr("10.1.0.9")}},
				DNS:    hns.DNS{Domain: "d", Search: []string{"s"}, Servers: []string{"1.1.1.1"}, Options: []string{"o"}},
			}
		}),
		args: "IP=fd00::5/64;GATEWAY=fd00::1",
		conf: native(`"ipam": {"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}],
			"routes": [{"dst": "10.9.0.0/16", "gw": "10.1.0.9"}], "dns": {"nameservers": ["1.1.1.1"], "domain": "d", "search": ["s"], "options": ["o"]}}`),
	},
	{
		name: "another plugin's section is its own",
		want: with(func(c *Config) { c.IPAM.Type = "azure-ipam" }),
		conf: native(`"ipam": {"type": "azure-ipam", "dataDir": 5, "ranges": "x", "subnet": []}`),
	},
}

// What contradicts itself within one file is refused before HNS is touched.
func TestIPAMContradictions(t *testing.T) {
	t.Parallel()
	const l2bridge = `"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1"}, {"prefix": "fd00::/64", "gateway": "fd00::1"}]}, `
	hostLocal := func(ranges, more string) string {
		return native(l2bridge + `"ipam": {"type": "host-local", "ranges": ` + ranges + `}` + more)
	}
	for _, tc := range []struct{ want, conf string }{
		{"ipam.ranges[0][0]: 10.9.0.254 is outside of network.subnets (10.1.0.0/24, fd00::/64)", hostLocal(`[[{"subnet": "10.9.0.0/24"}]]`, "")},
		{"ipam.ranges[1][0]: 10.1.1.254 is outside of network.subnets (10.1.0.0/24, fd00::/64)", hostLocal(`[[{"subnet": "fd00::/64"}], [{"subnet": "10.1.0.0/23"}]]`, "")},
		{
			"runtimeConfig.ipRanges[0][0]: 10.9.0.254 is outside of network.subnets (10.1.0.0/24, fd00::/64)",
			hostLocal(`[[{"subnet": "10.1.0.0/24"}]]`, `, "runtimeConfig": {"ipRanges": [[{"subnet": "10.9.0.0/24"}]]}`),
		},
		{"ipam.addresses[0]: 10.9.0.5 is outside of network.subnets (10.1.0.0/24, fd00::/64)", native(l2bridge + `"ipam": {"type": "static", "addresses": [{"address": "10.9.0.5/24"}]}`)},
		{
			"runtimeConfig.ips[1]: requested address 10.1.0.9 is in no range of the ipam section",
			hostLocal(`[[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10"}], [{"subnet": "fd00::/64"}]]`, `, "runtimeConfig": {"ips": ["fd00::9", "10.1.0.9"]}`),
		},
		{
			"runtimeConfig.ips[0]: requested address 10.1.0.8 is the second one of ipam.ranges[0], which gives one",
			hostLocal(`[[{"subnet": "10.1.0.0/24"}]]`, `, "args": {"cni": {"ips": ["10.1.0.9"]}}, "runtimeConfig": {"ips": ["10.1.0.8"]}`),
		},
		{
			"args.cni.ips[0]: requested address 10.1.0.9 is never handed out: ipam.exclude[1] excludes it",
			native(l2bridge + `"ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "exclude": ["10.1.0.7", "10.1.0.8/29"]}, "args": {"cni": {"ips": ["10.1.0.9"]}}`),
		},
		{
			"runtimeConfig.portMappings[0].hostIP: \"fd00::9\" is of a family that the pod has no address of; leave hostIP out",
			hostLocal(`[[{"subnet": "10.1.0.0/24"}]]`, `, "runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "tcp", "hostIP": "fd00::9"}]}`),
		},
		{
			"runtimeConfig.portMappings[0].hostIP: \"192.168.1.5\" is of a family that the pod has no address of; leave hostIP out",
			native(l2bridge + `"ipam": {"type": "static", "addresses": [{"address": "fd00::5/64"}]},
				"runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "tcp", "hostIP": "192.168.1.5"}]}`),
		},
		{"CNI_ARGS IP[0]: 10.9.0.5 is outside of network.subnets (10.1.0.0/24, fd00::/64)", native(l2bridge + `"ipam": {"type": "static"}`)},
		{`ipam.addresses[0]: "::ffff:10.1.0.3/64" is IPv4 written as IPv6; write it as IPv4`, native(`"ipam": {"type": "static", "addresses": [{"address": "::ffff:10.1.0.3/64"}]}`)},
		{"ipam.gateway: without ipam.subnet it is of no range; move it into one of ipam.ranges", native(`"ipam": {"type": "host-local", "gateway": "10.1.0.1", "ranges": [[{"subnet": "10.1.0.0/24"}]]}`)},
		{"ipam.ranges: missing; host-local needs at least one range", native(`"ipam": {"type": "host-local"}`)},
		{"ipam.ranges[0]: empty; it needs a range", hostLocal(`[[]]`, "")},
		{`ipam.Ranges: unknown key; did you mean "ranges"?`, native(`"ipam": {"type": "host-local", "Ranges": []}`)},
		{`ipam.DataDir: unknown key; did you mean "dataDir"?`, native(`"ipam": {"type": "host-local", "DataDir": "x"}`)},
		{`ipam.excludes: unknown key; did you mean "exclude"?`, native(`"ipam": {"type": "host-local", "excludes": []}`)},
		{`ipam.ranges[0][0].rangeStrat: unknown key; did you mean "rangeStart"?`, hostLocal(`[[{"subnet": "10.1.0.0/24", "rangeStrat": "10.1.0.9"}]]`, "")},
		{`ipam.addresses[0].gatway: unknown key; did you mean "gateway"?`, native(`"ipam": {"type": "static", "addresses": [{"address": "10.1.0.5/24", "gatway": "10.1.0.1"}]}`)},
		{`ipam.routes[0].via: unknown key`, native(`"ipam": {"type": "static", "routes": [{"dst": "0.0.0.0/0", "via": "10.1.0.1"}]}`)},
		{`ipam.type: given twice; remove one of the two`, native(`"ipam": {"type": "static", "type": "host-local"}`)},
		{`ipam.type: "Bulkhead.exe" is this plugin itself, which gives no addresses; write "host-local" or "static"`, native(`"ipam": {"type": "Bulkhead.exe"}`)},
		{"ipam.ranges[0][0].subnet: missing; want a CIDR such as 10.10.0.0/24", hostLocal(`[[{}]]`, "")},
		{`ipam.ranges[0][0].subnet: "10.1.0.5/24" has host bits set; write 10.1.0.0/24`, hostLocal(`[[{"subnet": "10.1.0.5/24"}]]`, "")},
		{"ipam.ranges[0][0].subnet: 10.1.0.0/31 is too small for a pod and its gateway", hostLocal(`[[{"subnet": "10.1.0.0/31"}]]`, "")},
		{"ipam.ranges[0][0].gateway: 10.2.0.1 is outside of 10.1.0.0/24", hostLocal(`[[{"subnet": "10.1.0.0/24", "gateway": "10.2.0.1"}]]`, "")},
		{"ipam.ranges[0][0].rangeStart: 10.1.0.9 is after the range's end, 10.1.0.5", hostLocal(`[[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.5"}]]`, "")},
		{"ipam.ranges[0][1]: fd00::/64 is of another family than 10.1.0.0/24 of the same set", hostLocal(`[[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]]`, "")},
		{"ipam.ranges[0][1]: 10.1.0.9-10.1.0.254 overlaps 10.1.0.1-10.1.0.9 of ipam.ranges[0][0]", hostLocal(`[[{"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.9"}, {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9"}]]`, "")},
		{"ipam.ranges[1][0]: 10.1.0.1-10.1.0.254 overlaps 10.1.0.1-10.1.0.254 of ipam.ranges[0]", hostLocal(`[[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/24"}]]`, "")},
		{
			"ipam.ranges[1]: an endpoint takes one address of a family, which ipam.ranges[0] gives; remove one of the two",
			`{"cniVersion": "1.0.0", "name": "n", "type": "bulkhead", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]}}`,
		},
		{`ipam.routes[1].scope: HNS has nothing like it; remove it`, native(l2bridge + `"ipam": {"type": "static", "routes": [{"dst": "10.0.0.0/8"}, {"dst": "10.0.0.0/8", "scope": 0}]}`)},
		{
			`policies[0].Type: HNS has no policy "Firewall" that is known here: QOS, L2Driver, OutBoundNAT, SDNRoute, L4Proxy, L4WFPPROXY, ProviderAddress, PortName, EncapOverhead, InterfaceConstraint, Encryption, VLAN, InterfaceParameters, Iov, TierAcl`,
			native(`"policies": [{"Type": "Firewall", "Settings": {}}]`),
		},
	} {
		env := Env{}
		if strings.HasPrefix(tc.want, "CNI_ARGS IP") {
			env.Args = "IP=10.9.0.5/24"
		}
		_, err := Parse([]byte(tc.conf), env)
		if err == nil {
			t.Errorf("accepted %s\nwant %s", tc.conf, tc.want)
			continue
		}
		if diff := cmp.Diff(tc.want, asError(t, err).Error()); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", tc.conf, diff)
		}
	}
}

// DEL must find the reservations, whatever else is wrong with the section.
func TestLenientFindsTheReservations(t *testing.T) {
	t.Parallel()
	for _, section := range []string{
		`{"type": "host-local", "dataDir": "C:/x", "ranges": 5}`,
		`{"type": "host-local", "dataDir": "C:/x", "subnet": "nonsense", "routes": [5], "exclude": 5}`,
		`{"type": "host-local", "DataDir": "C:/x"}`,
	} {
		c, err := ParseLenient([]byte(native(`"ipam": `+section)), Env{})
		if err != nil || c.IPAM.DataDir != "C:/x" || c.IPAM.Type != "host-local" {
			t.Errorf("%s: got %+v, %v", section, c.IPAM, err)
		}
	}
	for want, section := range map[string]string{
		"ipam.dataDir: want a string, got 5":                                   `{"type": "host-local", "dataDir": 5}`,
		"ipam: want an object, got 1":                                          `1`,
		`ipam.type: "C:\\cni\\host-local" is a path, not the name of a plugin`: `{"type": "C:\\cni\\host-local"}`,
	} {
		c, err := ParseLenient([]byte(native(`"ipam": `+section)), Env{})
		if err != nil || c.IPAMError == nil || c.IPAMError.Error() != want || c.IPAM.Type != "" {
			t.Errorf("%s: got %+v, %v, %v; want %s", section, c.IPAM, c.IPAMError, err, want)
		}
	}
}
