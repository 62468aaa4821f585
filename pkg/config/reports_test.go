// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestReportNN are reports of users of Windows nodes; test/reports has those that need a
// node.

// Each case is one configuration and what Parse says of it.
func refusedAs(t *testing.T, want, conf, args string) {
	t.Helper()
	_, err := Parse([]byte(conf), testEnv(args))
	if err == nil || err.Error() != want {
		t.Errorf("%s\n got %v\nwant %s", conf, err, want)
	}
}

// The name of a file is no plugin's name on Windows, and DEL and the commands know what
// is meant.
func TestReport07Type(t *testing.T) {
	for typ, want := range map[string]string{"bulkhead.exe": "bulkhead", "Bulkhead": "bulkhead", "BULKHEAD-ACL.EXE": "bulkhead-acl"} {
		conf := `{"cniVersion": "1.0.0", "name": "n", "type": "` + typ + `"}`
		refusedAs(t, `type: "`+typ+`" is not the plugin's name; write "`+want+`"`, conf, "")
		c, err := ParseLenient([]byte(conf), Env{})
		if err != nil || c.Type != want {
			t.Errorf("DEL of %q is for %q, %v", typ, c.Type, err)
		}
		ours, err := OurPlugins([]byte(`{"name": "n", "plugins": [{"type": "x"}, ` + conf + `]}`))
		if err != nil || len(ours) != 1 || ours[0].Type() != want {
			t.Errorf("%q is not found in a list: %v, %v", typ, ours, err)
		}
	}
}

// What other plugins' files have is told as it is written here.
func TestReport13OtherPluginsSpellings(t *testing.T) {
	for conf, want := range map[string]string{
		native(`"apiVersion": 2`):                                                                                              "apiVersion: this is another plugin's key: bulkhead speaks HNS's v2 schema alone; remove it" + orUnchanged,
		native(`"endpointMacPrefix": "0E-2A"`):                                                                                 "endpointMacPrefix: this is another plugin's key: HNS chooses the MAC address; remove it, or write network.macPool" + orUnchanged,
		native(`"master": "Ethernet"`):                                                                                         "master: this is another plugin's key: write network.adapter" + orUnchanged,
		native(`"AdditionalArgs": [{"Name": "EndpointPolicy"}]`):                                                               `AdditionalArgs: this is another plugin's key: write policies, as [{"Type": ..., "Settings": {...}}]` + orUnchanged,
		native(`"additionalRoutes": [{"dst": "0.0.0.0/0"}]`):                                                                   `additionalRoutes: this is another plugin's key: write a default route into ipam.routes, as {"dst", "gw"}, and others into routes, as {"dst", "nextHop"}` + orUnchanged,
		native(`"optionalFlags": {"localRoutedPortMapping": true}`):                                                            "optionalFlags.localRoutedPortMapping: this is another plugin's key: port mappings are so wherever VFP makes them; remove it" + orUnchanged,
		native(`"optionalFlags": {"allowAclPortMapping": true}`):                                                               "optionalFlags.allowAclPortMapping: this is another plugin's key: the rules let in what is mapped; remove it" + orUnchanged,
		native(`"optionalFlags": {"forceBridgeGateway": true}`):                                                                "optionalFlags.forceBridgeGateway: this is another plugin's key: write network.gatewayEndpoint, or the gateway in ipam.ranges" + orUnchanged,
		native(`"optionalFlags": {"enableDualStack": true}`):                                                                   "optionalFlags.enableDualStack: this is another plugin's key: write a subnet of each family; remove it" + orUnchanged,
		native(`"optionalFlags": {"loopbackDSR": true}`):                                                                       "optionalFlags.loopbackDSR: this is another plugin's key: write the key loopbackDSR beside driver" + orUnchanged,
		native(`"optionalFlags": {"gatewayFromAdditionalRoutes": 1}`):                                                          "optionalFlags.gatewayFromAdditionalRoutes: this is another plugin's key: write the default route into ipam.routes" + orUnchanged,
		native(`"capabilities": {"dnsCapabilities": true}`):                                                                    `capabilities.dnsCapabilities: no runtime knows it; write "dns"`,
		policy(`"Name": "EndpointPolicy", "Value": {"Type": "OutBoundNAT", "ExceptionList": ["10.0.0.0/8"]}`):                  `policies[0]: write {"Type": "OutBoundNAT", "Settings": {"Exceptions":["10.0.0.0/8"]}}`,
		policy(`"name": "endpointpolicy", "value": {"type": "outboundnat", "settings": {"exceptions": ["10.0.0.0/8"]}}`):       `policies[0]: write {"Type": "OutBoundNAT", "Settings": {"exceptions": ["10.0.0.0/8"]}}`,
		policy(`"Name": "EndpointPolicy", "Value": {"Type": "ROUTE", "DestinationPrefix": "10.96.0.0/12", "NeedEncap": true}`): `policies[0]: write {"Type": "SDNRoute", "Settings": {"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}}`,
		policy(`"Name": "EndpointPolicy", "Value": {"Type": "SDNRoute", "Settings": {"DestinationPrefix": "10.96.0.0/12"}}`):   `policies[0]: write {"Type": "SDNRoute", "Settings": {"DestinationPrefix": "10.96.0.0/12"}}`,
		policy(`"Name": "EndpointPolicy", "Value": {"Type": "PA", "PA": "10.0.0.5"}`):                                          `policies[0]: write {"Type": "ProviderAddress", "Settings": {"ProviderAddress":"10.0.0.5"}}`,
		policy(`"Name": "EndpointPolicy", "Value": {"Type": "ACL", "Action": "Block"}`):                                        `policies[0]: "ACL" is not passed through: use the acl section; only with acl.program false ACLs are passed through`,
		policy(`"Name": "EndpointPolicy", "Value": 5`):                                                                         `policies[0]: write {"Type": ..., "Settings": {...}}`,
		policy(`"Name": "NetworkPolicy", "Value": {}`):                                                                         "policies[0]: a policy of the network; the network section says what a network is like",
		policy(`"Name": "OutBoundNatPolicy", "Value": {}`):                                                                     "policies[0]: write the key outboundNAT",
		policy(`"Type": "L2Driver", "Settings": {}}, {"Type": "OutBondNat", "Settings": {}`):                                   `policies[1].Type: HNS has no policy "OutBondNat"; did you mean "OutBoundNAT"?`,
		policy(`"Type": "Encryptoin", "Settings": {}`):                                                                         `policies[0].Type: HNS has no policy "Encryptoin"; did you mean "Encryption"?`,
	} {
		refusedAs(t, want, conf, "")
	}
}

// Ranges that are written wrong are told with what to write, and no message names a type
// of Go.
func TestReport14Ranges(t *testing.T) {
	const nested = `write [[{"subnet": ...}]], a list of sets of ranges`
	ranges := func(text string) string { return native(`"ipam": {"type": "host-local", "ranges": ` + text + `}`) }
	of := func(members string) string { return ranges(`[[{` + members + `}]]`) }
	for conf, want := range map[string]string{
		ranges(`[{"subnet": "10.10.0.0/24"}]`):     "ipam.ranges[0]: " + nested + "; got an object",
		ranges(`{"subnet": "10.10.0.0/24"}`):       "ipam.ranges: " + nested + "; got an object",
		ranges(`[[[{"subnet": "10.10.0.0/24"}]]]`): "ipam.ranges[0][0]: " + nested + "; this is a list too deep",
		ranges(`"10.10.0.0/24"`):                   "ipam.ranges: " + nested + `; got "10.10.0.0/24"`,
		ranges(`[["10.10.0.0/24"]]`):               `ipam.ranges[0][0]: want an object, got "10.10.0.0/24"`,
		ranges(`[]`):                               "ipam.ranges: missing; host-local needs at least one range",
		of(`"subnet": "10.10.0.0/24", "rangeStart": "10.10.0.50", "rangeEnd": "10.10.0.10"`): "ipam.ranges[0][0].rangeStart: 10.10.0.50 is after the range's end, 10.10.0.10",
		of(`"subnet": "10.10.0.1/24"`):                        `ipam.ranges[0][0].subnet: "10.10.0.1/24" has host bits set; write 10.10.0.0/24`,
		of(`"subnet": "10.10.5.0"`):                           `ipam.ranges[0][0].subnet: "10.10.5.0" is an address, not a CIDR; write its length, too: 10.10.5.0/24`,
		of(`"subnet": "fd00:10::"`):                           `ipam.ranges[0][0].subnet: "fd00:10::" is an address, not a CIDR; write its length, too: fd00:10::/64`,
		native(`"outboundNAT": {"exceptions": ["10.1.2.3"]}`): `outboundNAT.exceptions[0]: "10.1.2.3" is an address, not a CIDR; write its length, too: 10.1.2.3/32`,
		native(`"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.10.0.0/24"}]], "routes": [{"gw": "10.10.0.1"}]}`): "ipam.routes[0].dst: missing; want a CIDR such as 10.10.0.0/24",
	} {
		refusedAs(t, want, conf, "")
	}
	ofGo := regexp.MustCompile(`Go (value|struct)|\bjson:|\[\]\w+|netip|types\.`)
	for _, group := range refusals {
		for _, tc := range group.cases {
			if _, err := Parse([]byte(tc.conf), testEnv(tc.args)); err == nil || ofGo.MatchString(err.Error()) {
				t.Errorf("%s: %v", tc.conf, err)
			}
		}
	}
	for _, members := range []string{`"prevResult": 5`, `"prevResult": {"ips": 5}`, `"cni.dev/valid-attachments": 5`, `"cni.dev/valid-attachments": [{"containerID": 5}]`} {
		c, err := ParseLenient([]byte(native(members)), testEnv(""))
		if err != nil {
			t.Fatal(err)
		}
		_, prev := c.PrevResult()
		_, valid := c.ValidAttachments()
		if text := prev.Error() + valid.Error(); ofGo.MatchString(text) {
			t.Errorf("%s: %s", members, text)
		}
	}
}

// Files that PowerShell saved are read, or it is said how to save them.
func TestReport15BOM(t *testing.T) {
	conf := native("")
	if c, err := Parse([]byte("\xef\xbb\xbf"+conf), testEnv("")); err != nil || c.Name != "podnet" {
		t.Errorf("with a byte order mark: %+v, %v", c, err)
	}
	if ours, err := OurPlugins([]byte("\xef\xbb\xbf" + conf)); err != nil || len(ours) != 1 {
		t.Errorf("with a byte order mark, by a command: %v, %v", ours, err)
	}
	if text, err := Plain([]byte("\xef\xbb\xbf" + conf)); err != nil || string(text) != conf {
		t.Errorf("Plain: %q, %v", text, err)
	}
	wide := func(order func(byte) []byte) string {
		var out []byte
		for _, b := range []byte(conf) {
			out = append(out, order(b)...)
		}
		return string(out)
	}
	little, big := wide(func(b byte) []byte { return []byte{b, 0} }), wide(func(b byte) []byte { return []byte{0, b} })
	for _, text := range []string{"\xff\xfe" + little, "\xfe\xff" + big, little, big} {
		_, err := Plain([]byte(text))
		if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "it is UTF-16; save it as UTF-8") {
			t.Errorf("%q: %v", text[:4], err)
		}
	}
}

// Gateways and ranges that are left out follow from the prefixes, for both families, as
// containerd's conf_template needs it.
func TestReport16PrefixAlone(t *testing.T) {
	conf := native(`"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.10.0.0/24"}, {"prefix": "fd00:10::/64"}]}, "ipam": {"type": "host-local"}`)
	c, err := Parse([]byte(conf), testEnv(""))
	if err != nil {
		t.Fatal(err)
	}
	wantSubnets := []hns.Subnet{
		{Prefix: netip.MustParsePrefix("10.10.0.0/24"), Gateway: netip.MustParseAddr("10.10.0.1")},
		{Prefix: netip.MustParsePrefix("fd00:10::/64"), Gateway: netip.MustParseAddr("fd00:10::1")},
	}
	if !slices.Equal(c.Network.Subnets, wantSubnets) {
		t.Errorf("subnets %v", c.Network.Subnets)
	}
	wantRanges := []RangeSet{
		{"network.subnets[0]", []Range{rangeOf("10.10.0.0/24", "10.10.0.3", "10.10.0.254")}},
		{"network.subnets[1]", []Range{rangeOf("fd00:10::/64", "fd00:10::3", "fd00:10::ffff:ffff:ffff:ffff")}},
	}
	if d := cmp.Diff(wantRanges, c.IPAM.RangeSets, equateAddrs); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	refusedAs(t, "ipam.ranges: missing; host-local needs at least one range", native(`"ipam": {"type": "host-local"}`), "")
}

// Windows hands nothing that is sent to a loopback address to a pod.
func TestReport17Loopback(t *testing.T) {
	for _, driver := range []string{"nat", "l2bridge"} {
		for _, ip := range []string{"127.0.0.1", "127.8.8.8", "::1"} {
			refusedAs(t, "runtimeConfig.portMappings[0].hostIP: Windows does not hand what is sent to "+ip+" to a pod; leave hostIP out, or name an address of the node",
				native(`"driver": "`+driver+`", "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "`+ip+`"}]}`), "")
		}
	}
}

// Arguments of Kubernetes are known, with IgnoreUnknown or without, whoever has the
// addresses.
func TestReport18KubernetesArguments(t *testing.T) {
	const args = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=1"
	for _, ipam := range []string{"", `"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.10.0.0/24"}]]}`, `"ipam": {"type": "static", "addresses": [{"address": "10.10.0.5/24"}]}`} {
		for _, more := range []string{"", ";IgnoreUnknown=1"} {
			if c, err := Parse([]byte(native(ipam)), testEnv(args+more)); err != nil || c.Pod.Name != "web" {
				t.Errorf("%s, %s: %+v, %v", ipam, more, c.Pod, err)
			}
		}
		refusedAs(t, `CNI_ARGS: unknown key "WHO", and no IgnoreUnknown=1`, native(ipam), args+";WHO=me")
	}
}
