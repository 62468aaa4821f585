// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the table in MIGRATION.md")

// dialectKey is a key of other plugins' files with what it means.
type dialectKey struct {
	key string
	// of are the types that have it, with blanks between.
	of string
	// conf are members of a file, native those that they add to, or change in, the native
	// one. change is what is not as it was, for the table.
	conf, native, change string
}

const (
	winTypes = "win-bridge win-overlay"
	sdnTypes = "nat sdnbridge sdnoverlay"
	allTypes = winTypes + " " + sdnTypes
)

const hostLocal = `"ipam": {"type": "host-local", "subnet": "10.244.1.0/24"}`

// dialectKeys has every key of every dialect.
var dialectKeys = []dialectKey{
	{key: "type", of: "win-bridge", native: `"acl":{"program":false},"gateway":{"ipv4":"node","ipv6":"node"},"loopbackDSR":false,"type":"bulkhead"`, change: "a pod never gets the second address of the subnet, which is its gateway"},
	{key: "type", of: "win-overlay", native: `"acl":{"program":false},"driver":"overlay","gateway":{"ipv4":"network"},"loopbackDSR":false,"type":"bulkhead"`},
	{key: "type", of: "nat", native: `"acl":{"program":false},"driver":"nat","loopbackDSR":false,"type":"bulkhead"`, change: "the network must be of the type, unless `ipam.subnet` is given"},
	{key: "type", of: "sdnbridge", native: `"acl":{"program":false},"loopbackDSR":false,"type":"bulkhead"`},
	{key: "type", of: "sdnoverlay", native: `"acl":{"program":false},"driver":"overlay","loopbackDSR":false,"type":"bulkhead"`, change: "a missing network is not made: no key says its VSID"},

	{key: "apiVersion", of: winTypes, conf: `"apiVersion": 1`, change: "always HNS's v2 schema; policies of either schema are read"},
	{key: "policies", of: winTypes, conf: `"policies": [{"name": "EndpointPolicy", "value": {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["10.96.0.0/12"]}}}]`, native: `"outboundNAT":{"exceptions":["10.96.0.0/12"]}`},
	{key: "policies", of: winTypes, conf: `"policies": [{"Name": "EndpointPolicy", "Value": {"Type": "OutBoundNAT", "ExceptionList": ["10.96.0.0/12", "10.0.0.5"]}}]`, native: `"policies":[{"Settings":{"Exceptions":["10.96.0.0/12","10.0.0.5"]},"Type":"OutBoundNAT"}]`, change: "what cannot be read is refused, where it was passed over"},
	{key: "policies", of: winTypes, conf: `"policies": [{"Name": "EndpointPolicy", "Value": {"Type": "ROUTE", "DestinationPrefix": "10.96.0.0/12", "NeedEncap": true}}]`, native: `"routes":[{"dst":"10.96.0.0/12","needEncap":true}]`},
	{key: "policies", of: winTypes, conf: `"policies": [{"Name": "EndpointPolicy", "Value": {"Type": "SDNRoute", "Settings": {"DestinationPrefix": "10.96.0.0/12", "NextHop": "10.244.1.2", "NeedEncap": false}}}]`, native: `"routes":[{"dst":"10.96.0.0/12","nextHop":"10.244.1.2"}]`},
	{key: "policies", of: winTypes, conf: `"policies": [{"Name": "EndpointPolicy", "Value": {"Type": "PA", "PA": "192.168.1.5"}}]`, native: `"policies":[{"Settings":{"ProviderAddress":"192.168.1.5"},"Type":"ProviderAddress"}]`, change: "the only one: the node's own is not added"},
	{key: "policies", of: winTypes, conf: `"policies": [{"Name": "EndpointPolicy", "Value": {"Type": "ACL", "Protocol": 6, "Action": "Allow", "Direction": "In", "LocalPort": 80, "Priority": 200}}]`, native: `"policies":[{"Settings":{"Action":"Allow","Direction":"In","LocalPorts":"80","Priority":200,"Protocols":"6"},"Type":"ACL"}]`, change: "refused beside an `acl` section"},
	{key: "policies", of: winTypes, conf: `"policies": [{"Name": "EndpointPolicy", "Value": {"Type": "QOS", "MaximumOutgoingBandwidthInBytes": 1000}}]`, native: `"policies":[{"Settings":{"MaximumOutgoingBandwidthInBytes":1000},"Type":"QOS"}]`},
	{key: "loopbackDSR", of: winTypes, conf: `"loopbackDSR": true`, native: `"loopbackDSR":true`, change: "refused where HNS is too old, where it was passed over"},
	{key: "ipMasqNetwork", of: "win-bridge", conf: `"ipMasqNetwork": "10.244.0.0/16"`, native: `"outboundNAT":{"exceptions":["10.244.0.0/16"]}`, change: "one policy together with that of `policies`"},
	{key: "ipMasq", of: "win-bridge", conf: `"ipMasq": true`, native: `"outboundNAT":{}`, change: "was passed over"},
	{key: "ipMasq", of: "win-overlay", conf: `"ipMasq": true`, native: `"outboundNAT":{"exceptNetwork":true}`, change: "one policy together with that of `policies`"},
	{key: "ipMasqNetwork", of: "win-overlay", conf: `"ipMasq": true, "ipMasqNetwork": "10.244.0.0/16"`, native: `"outboundNAT":{"exceptNetwork":true,"exceptions":["10.244.0.0/16"]}`, change: "was passed over"},
	{key: "endpointMacPrefix", of: "win-overlay", conf: hostLocal + `, "endpointMacPrefix": "0A-2B"`, native: hostLocalOut + `,"macPrefix":"0A-2B"`},
	{key: "ipam", of: "win-bridge", conf: hostLocal, native: hostLocalOut, change: "keys that host-local does not have are refused; every family that it gives is used"},
	{key: "ipam", of: "win-overlay", conf: hostLocal, native: hostLocalOut + `,"macPrefix":"0E-2A"`, change: "the same"},

	{key: "master", of: "sdnbridge", conf: subnetOnly + `, "master": "Ethernet"`, native: `"driver":"l2bridge","network":{"adapter":"Ethernet","subnets":[{"gateway":"10.244.1.1","prefix":"10.244.1.0/24"}],"takeExisting":true}`, change: "was passed over: the adapter of a network that is made"},
	{key: "master", of: "nat sdnoverlay", conf: `"master": "Ethernet"`, change: "nothing, as before"},
	{key: "ipam.subnet", of: "nat", conf: subnetOnly, native: `"driver":"nat","network":{"subnets":[{"gateway":"10.244.1.1","prefix":"10.244.1.0/24"}],"takeExisting":true}`},
	{key: "ipam.subnet", of: "sdnbridge", conf: subnetOnly, native: `"driver":"l2bridge","network":{"subnets":[{"gateway":"10.244.1.1","prefix":"10.244.1.0/24"}],"takeExisting":true}`},
	{key: "ipam.subnet", of: "sdnoverlay", conf: subnetOnly},
	{key: "ipam.routes", of: "nat", conf: `"ipam": {"subnet": "10.244.1.0/24", "routes": [{"GW": "10.244.1.254"}]}`, native: `"driver":"nat","network":{"subnets":[{"gateway":"10.244.1.254","prefix":"10.244.1.0/24"}],"takeExisting":true}`, change: "`gateway` is read for `gw`"},
	{key: "ipam.type", of: "nat", conf: hostLocal, native: `"driver":"nat",` + hostLocalLed + `,"network":{"subnets":[{"gateway":"10.244.1.1","prefix":"10.244.1.0/24"}],"takeExisting":true}`, change: "every key of host-local is read but `dataDir`, which is refused without `enableDualStack`: it was passed over, and the addresses are elsewhere"},
	{key: "ipam.type", of: "sdnbridge", conf: hostLocal, native: `"driver":"l2bridge",` + hostLocalLed + `,"network":{"subnets":[{"gateway":"10.244.1.1","prefix":"10.244.1.0/24"}],"takeExisting":true}`, change: "the same"},
	{key: "ipam.type", of: "sdnoverlay", conf: hostLocal, native: hostLocalLed, change: "the same"},
	{key: "ipam.environment", of: sdnTypes, conf: `"ipam": {"environment": "azure"}`, change: "nothing, as before; an executed plugin gets the file itself"},
	{key: "optionalFlags.localRoutedPortMapping", of: sdnTypes, conf: `"optionalFlags": {"localRoutedPortMapping": true}`, change: "always on but on nat, whose WinNAT does without"},
	{key: "optionalFlags.allowAclPortMapping", of: sdnTypes, conf: `"optionalFlags": {"allowAclPortMapping": true}`, native: `"acl":{"mappedPorts":"allow","program":false}`, change: "one ACL for each port where the file has ACLs, none where nothing would be let in otherwise"},
	{key: "optionalFlags.forceBridgeGateway", of: sdnTypes, conf: `"optionalFlags": {"forceBridgeGateway": true}`, native: `"gateway":{"ipv4":"node"}`, change: "the second address of the subnet, for any length of it; refused but on l2bridge and l2tunnel"},
	{key: "optionalFlags.enableDualStack", of: "nat sdnoverlay", conf: `"optionalFlags": {"enableDualStack": true}`, native: `"driver":"l2bridge"`},
	{key: "optionalFlags.enableDualStack", of: "sdnbridge", conf: `"optionalFlags": {"enableDualStack": true}`, native: `"driver":"l2bridge"`, change: "without it both families work, too"},
	{key: "optionalFlags.loopbackDSR", of: "sdnbridge sdnoverlay", conf: `"ipam": {"type": "azure-vnet-ipam"}, "optionalFlags": {"loopbackDSR": true}`, native: `"ipam":{"type":"azure-vnet-ipam"},"loopbackDSR":true`, change: "refused without an IPAM plugin, and where HNS is too old"},
	{key: "optionalFlags.loopbackDSR", of: "nat", conf: `"optionalFlags": {"loopbackDSR": true}`, native: `"loopbackDSR":true`, change: "refused: WinNAT translates whatever leaves the node"},
	{key: "optionalFlags.gatewayFromAdditionalRoutes", of: sdnTypes, conf: `"optionalFlags": {"gatewayFromAdditionalRoutes": true}, "additionalRoutes": [{"GW": "fe80::1", "Dst": "::/0"}]`, native: `"gateway":{"ipv6":"fe80::1"}`, change: "the routes count without it, too"},
	{key: "additionalRoutes", of: sdnTypes, conf: `"additionalRoutes": [{"dst": "0.0.0.0/0", "gw": "10.244.1.2"}, {"dst": "10.96.0.0/12", "gw": "10.244.1.9"}]`, native: `"gateway":{"ipv4":"10.244.1.2"},"routes":[{"dst":"10.96.0.0/12","nextHop":"10.244.1.9"}]`, change: "others than default routes were passed over"},
	{key: "AdditionalArgs", of: sdnTypes, conf: `"AdditionalArgs": [{"Name": "EndpointPolicy", "Value": {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["10.96.0.0/12"]}}}]`, native: `"outboundNAT":{"exceptions":["10.96.0.0/12"]}`, change: "as `policies` above; `OutBoundNatPolicy` and other names are refused, where they were passed over"},
	{key: "AdditionalArgs", of: "sdnbridge", conf: subnetOnly + `, "AdditionalArgs": [{"Name": "NetworkPolicy", "Value": {"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "Ethernet 2"}}}]`, native: `"driver":"l2bridge","network":{"adapter":"Ethernet 2","subnets":[{"gateway":"10.244.1.1","prefix":"10.244.1.0/24"}],"takeExisting":true}`, change: "`NetAdapterName` and `HostRoute`, with `ipam.subnet`"},
	{key: "ipMasq", of: sdnTypes, conf: `"ipMasq": true`, native: `"outboundNAT":{}`, change: "was passed over"},
	{key: "ipMasqNetwork", of: sdnTypes, conf: `"ipMasq": true, "ipMasqNetwork": "10.244.0.0/16"`, native: `"outboundNAT":{"exceptions":["10.244.0.0/16"]}`, change: "was passed over"},

	{key: "dns", of: allTypes, conf: `"DNS": {"Nameservers": ["10.96.0.10"], "Search": ["svc.cluster.local"]}`, native: `"dns":{"nameservers":["10.96.0.10"],"search":["svc.cluster.local"]}`, change: "a first entry `svc.X` gets `<namespace>.svc.X` before it, and `default` in `default.svc.X` becomes the namespace; any other stays"},
	{key: "capabilities", of: allTypes, conf: `"capabilities": {"portMappings": true, "dnsCapabilities": true}`, native: `"capabilities":{"portMappings":true}`, change: "`dnsCapabilities` says nothing, as before; `dns`, `bandwidth` and the others of Bulkhead work"},
	{key: "runtimeConfig", of: allTypes, conf: `"runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}`, native: `"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}`, change: "port mappings on win-overlay and `dns.options` were passed over; `sctp` is refused"},
	{key: "acl, isolation, hostPorts, timeouts, log, metrics", of: allTypes, conf: `"acl": {"inbound": {"default": "deny"}}`, native: `"acl":{"inbound":{"default":"deny"}}`, change: "new: Bulkhead's own keys, as in its own files. Without `acl` no ACL is programmed"},
}

const (
	subnetOnly   = `"ipam": {"subnet": "10.244.1.0/24"}`
	hostLocalOut = `"ipam":{"subnet":"10.244.1.0/24","type":"host-local"}`
	hostLocalLed = `"ipam":{"gateway":"10.244.1.1","subnet":"10.244.1.0/24","type":"host-local"}`
)

// peerFile is a file of a type with these members more.
func peerFile(typ, members string) string {
	if members != "" {
		members = ", " + members
	}
	return `{"cniVersion": "1.0.0", "name": "net1", "type": "` + typ + `"` + members + `}`
}

// translated returns what a file is in the native dialect.
func translated(t *testing.T, file string) document {
	t.Helper()
	doc, err := parseDocument([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	typ, _ := doc.text("type")
	out, _, faults := translate(doc, typ)
	if len(faults) > 0 {
		t.Errorf("%s: %v", file, faults)
	}
	return out
}

// members writes what a document has, and an older one has not, in the alphabet's order.
func members(t *testing.T, doc, before document) string {
	t.Helper()
	differ := document{}
	for key, raw := range doc {
		if !bytes.Equal(raw, before[key]) {
			differ[key] = raw
		}
	}
	text, err := json.Marshal(differ)
	if err != nil {
		t.Fatal(err)
	}
	return string(text[1 : len(text)-1])
}

func TestDialectKeys(t *testing.T) {
	t.Parallel()
	for _, k := range dialectKeys {
		for typ := range strings.FieldsSeq(k.of) {
			t.Run(typ+" "+k.key, func(t *testing.T) {
				t.Parallel()
				before := translated(t, peerFile(typ, ""))
				if k.key == "type" {
					before = document{"cniVersion": json.RawMessage(`"1.0.0"`), "name": json.RawMessage(`"net1"`)}
				}
				out := translated(t, peerFile(typ, k.conf))
				if got := members(t, out, before); got != withoutSame(t, k.native, before) {
					t.Errorf("got  %s\nwant %s", got, k.native)
				}
				sameMeaning(t, peerFile(typ, k.conf), out)
			})
		}
	}
}

// withoutSame leaves out members that are as before.
func withoutSame(t *testing.T, text string, before document) string {
	t.Helper()
	doc, err := parseDocument([]byte("{" + text + "}"))
	if err != nil {
		t.Fatal(err)
	}
	return members(t, doc, before)
}

// sameMeaning fails unless the file and its translation are the same Config, or the same
// error.
func sameMeaning(t *testing.T, file string, out document) {
	t.Helper()
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv(podArgs)
	want, wantErr := Parse(text, env)
	got, err := Parse([]byte(file), env)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("the file: %v; its translation %s: %v", err, text, wantErr)
	}
	if err == nil && !got.Replaces {
		t.Error("Replaces is false")
	}
	want.Replaces = got.Replaces
	if diff := cmp.Diff(want, got, equateAddrs); diff != "" {
		t.Errorf("translation %s (-translation +file):\n%s", text, diff)
	}
	lenient, err := ParseLenient([]byte(file), env)
	if wantErr == nil && err == nil {
		if diff := cmp.Diff(got, lenient, equateAddrs); diff != "" {
			t.Errorf("ParseLenient (-Parse +ParseLenient):\n%s", diff)
		}
	}
}

// TestDialectKeysAreAllTested fails when a key of a dialect has no row.
func TestDialectKeysAreAllTested(t *testing.T) {
	t.Parallel()
	for typ, d := range dialects() {
		keys := slices.Clone(d.keys)
		if strings.Contains(sdnTypes, typ) {
			for _, flag := range keysOf(reflect.TypeFor[wireFlags]()) {
				keys = append(keys, "optionalFlags."+flag)
			}
			keys = slices.DeleteFunc(keys, func(k string) bool { return k == "optionalFlags" })
		}
		for _, key := range keys {
			if !slices.ContainsFunc(dialectKeys, func(k dialectKey) bool {
				return k.key == key && slices.Contains(strings.Fields(k.of), typ)
			}) {
				t.Errorf("%s of %s has no row", key, typ)
			}
		}
	}
}

// What is wrong in a file is told by its path in that file.
func TestDialectRefuses(t *testing.T) {
	t.Parallel()
	pol := func(value string) string {
		return `"policies": [{"name": "EndpointPolicy", "value": {"Type": "QOS", "Settings": {}}}, {"name": "EndpointPolicy", "value": ` + value + `}]`
	}
	for _, tc := range []struct{ want, typ, conf string }{
		{`policies[1].value.ExceptionList[1]: "10.1.0.0/8" has host bits set; write 10.0.0.0/8`, "win-bridge", pol(`{"Type": "OutBoundNAT", "ExceptionList": ["10.96.0.0/12", "10.1.0.0/8"]}`)},
		{`policies[1].value.settings.exceptions[0]: "ten" is not a CIDR such as 10.10.0.0/24`, "win-bridge", pol(`{"type": "OutBoundNAT", "settings": {"exceptions": ["ten"]}}`)},
		{`policies[1].value.DestinationPrefix: "10.96.0.0" is an address, not a CIDR; write its length, too: 10.96.0.0/16`, "win-bridge", pol(`{"Type": "ROUTE", "DestinationPrefix": "10.96.0.0"}`)},
		{`policies[1].value.Type: "NAT" is not passed through: this is the v1 name of PortMapping; port mappings come from runtimeConfig.portMappings`, "win-overlay", pol(`{"Type": "NAT", "InternalPort": 80}`)},
		{`policies[1].value.Type: HNS has no policy "OutBondNAT"; did you mean "OutBoundNAT"?`, "win-overlay", pol(`{"Type": "OutBondNAT"}`)},
		{`policies[1].value.Type: missing; want the name of a policy`, "win-bridge", pol(`{}`)},
		{`policies[1].value: want an object, got 5`, "win-bridge", pol(`5`)},
		{`policies[1].value.VirtualIP: says the same as policies[1].value.VIP; remove one of the two`, "win-bridge", pol(`{"Type": "OutBoundNAT", "VirtualIP": "10.0.0.1", "VIP": "10.0.0.1"}`)},
		{`policies[1].value.Exceptions: beside Settings nothing is read; move it there`, "win-bridge", pol(`{"Type": "OutBoundNAT", "Settings": {}, "Exceptions": []}`)},
		{`policies[1].value.ServiceName: HNS's v2 schema has no such setting of an ACL; remove it`, "win-bridge", pol(`{"Type": "ACL", "ServiceName": "x"}`)},
		{`policies[1].value.Action: "Drop" is not one of Allow, Block, Pass`, "win-bridge", pol(`{"Type": "ACL", "Action": "Drop"}`)},
		{`policies[1].value.Type: "ACL" is not passed through: use the acl section; only with acl.program false ACLs are passed through`, "win-bridge", pol(`{"Type": "ACL", "Action": "Block", "Direction": "In"}`) + `, "acl": {}`},
		{`policies[0].Name: "NetworkPolicy": win-bridge makes nothing of it; write EndpointPolicy, or remove it`, "win-bridge", `"policies": [{"Name": "NetworkPolicy", "Value": {}}]`},
		{`policies[0].nam: unknown key; did you mean "name"?`, "win-bridge", `"policies": [{"nam": "EndpointPolicy"}]`},
		{`AdditionalArgs[0].Name: "OutBoundNatPolicy": sdnbridge makes nothing of it; write EndpointPolicy, or remove it`, "sdnbridge", `"AdditionalArgs": [{"Name": "OutBoundNatPolicy", "Value": {}}]`},
		{`AdditionalArgs[0].Value: bulkhead makes no network for this file, which needs ipam.subnet; remove the policy, or make the network with it`, "sdnoverlay", `"AdditionalArgs": [{"Name": "NetworkPolicy", "Value": {"Type": "VxlanPort", "Settings": {"Port": 4789}}}]`},
		{`policies: unknown key`, "sdnbridge", `"policies": []`},
		{`apiversoin: unknown key; did you mean "apiVersion"?`, "win-bridge", `"apiversoin": 2`},
		{`apiVersion: want an integer, got "2"`, "win-bridge", `"apiVersion": "2"`},
		{`dns: given twice, as DNS, too; remove one of the two`, "win-bridge", `"DNS": {}, "dns": {}`},
		{`loopbackDSR: want true or false, got 1`, "win-overlay", `"loopbackDSR": 1`},
		{`ipMasqNetwork: "10.244.0.0" is an address, not a CIDR; write its length, too: 10.244.0.0/16`, "win-bridge", `"ipMasqNetwork": "10.244.0.0"`},
		{`endpointMacPrefix: "0E:2A:3" is not the beginning of a MAC address such as 0E-2A`, "win-overlay", hostLocal + `, "endpointMacPrefix": "0E:2A:3"`},
		{`endpointMacPrefix: the rest is the pod's IPv4 address, which HNS chooses; add an ipam section`, "win-overlay", `"endpointMacPrefix": "0E-2A"`},
		{`optionalflags.loopbackDRS: unknown key; did you mean "loopbackDSR"?`, "sdnbridge", `"optionalflags": {"loopbackDRS": true}`},
		{`optionalFlags.loopbackDSR: a nat network has no VFP, which alone does this: it translates whatever leaves the node; remove the key`, "nat", `"optionalFlags": {"loopbackDSR": true}`},
		{"optionalFlags.loopbackDSR: HNS chooses the pod's address, so no policy can name it; write ipam.type, or remove the key", "sdnbridge", `"optionalFlags": {"loopbackDSR": true}`},
		{`optionalFlags.forceBridgeGateway: only on l2bridge and l2tunnel networks pods leave by an endpoint of the node, not on overlay`, "sdnoverlay", `"optionalFlags": {"forceBridgeGateway": true}`},
		{`ipMasq: a nat network has no VFP, which alone does this: it translates whatever leaves the node; remove the key`, "nat", `"ipMasq": true`},
		{`additionalRoutes[0].gw: missing; a default route needs it`, "sdnbridge", `"additionalRoutes": [{"dst": "::/0"}]`},
		{`additionalRoutes[0].dst: missing; want a CIDR such as 10.10.0.0/24`, "sdnbridge", `"additionalRoutes": [{"gw": "10.0.0.1"}]`},
		{`ipam.subnet: "10.244.1" is not a CIDR such as 10.10.0.0/24`, "sdnbridge", `"ipam": {"subnet": "10.244.1"}`},
		{`ipam.subnet: fd00:: is IPv6, which nat networks do not have`, "nat", `"ipam": {"subnet": "fd00::/64"}`},
		{`ipam.routes[0].gw: 10.9.0.1 is outside of 10.244.1.0/24`, "sdnbridge", `"ipam": {"subnet": "10.244.1.0/24", "routes": [{"gw": "10.9.0.1"}]}`},
		{`ipam.type: missing; write "host-local", or remove ranges: without a plugin HNS chooses the address`, "sdnbridge", `"ipam": {"ranges": []}`},
		{`ipam.ipAddress: without ipam.type HNS chooses the address; remove it`, "sdnbridge", `"ipam": {"ipAddress": "10.0.0.5"}`},
		{`ipam.dataDir: sdnbridge does not hand it on without optionalFlags.enableDualStack, so the addresses in use are in host-local's own folder; remove it`, "sdnbridge", `"ipam": {"type": "host-local", "subnet": "10.244.1.0/24", "dataDir": "C:/x"}`},
		{`ipam.type: missing; write "host-local" for the section's own addresses, or leave the section out to let HNS choose`, "win-bridge", `"ipam": {"subnet": "10.244.1.0/24"}`},
		{`ipam.ranges[0][0].subnet: "10.244.1.1/24" has host bits set; write 10.244.1.0/24`, "win-bridge", `"ipam": {"Type": "host-local", "ranges": [[{"subnet": "10.244.1.1/24"}]]}`},
		{`ipam.subnet: given twice, in another letter case, too; remove one of the two`, "win-bridge", `"ipam": {"type": "host-local", "SUBNET": "10.244.1.0/24", "subnet": "10.244.1.0/24"}`},
		{`ipam.type: "win-bridge" is this plugin itself, which gives no addresses; write "host-local" or "static"`, "win-bridge", `"ipam": {"type": "win-bridge"}`},
		{`acl.rules[0].action: missing; want allow or deny`, "nat", `"acl": {"rules": [{"direction": "in"}]}`},
	} {
		_, err := Parse([]byte(peerFile(tc.typ, tc.conf)), testEnv(""))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s %s\n got %v\nwant %s", tc.typ, tc.conf, err, tc.want)
		}
	}
}

// DEL and GC take what is right beside what is wrong.
func TestDialectLenient(t *testing.T) {
	t.Parallel()
	for typ := range dialects() {
		c, err := ParseLenient([]byte(peerFile(typ, `"ipam": {"type": "host-local", "DataDir": "C:/x"}, "policies": 5, "AdditionalArgs": [{}], "optionalFlags": {"x": 1}, "apiVersion": "x",
			"ipMasq": 5, "dns": 5, "unknown": 1, "runtimeConfig": {"portMappings": [{"protocol": "sctp"}]}`)), testEnv(""))
		dir := "C:/x"
		if strings.Contains(sdnTypes, typ) {
			dir = "" // which it did not hand on
		}
		if err != nil || !c.Replaces || c.Type != Type || c.IPAM.Type != HostLocal || c.IPAM.DataDir != dir || c.IPAMError != nil {
			t.Errorf("%s: %+v, %v", typ, c, err)
		}
	}
}

// The exe of sdnbridge and sdnoverlay takes HNS's names of networks for types, too, and
// Windows knows files in any letter case.
func TestDialectTypes(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"L2Bridge", "Overlay", "NAT", "Win-Bridge", "sdnbridge.exe"} {
		if c, err := Parse([]byte(peerFile(typ, "")), testEnv("")); err != nil || !c.Replaces {
			t.Errorf("%s: %+v, %v", typ, c, err)
		}
	}
}

const migration = "../../plugins/bulkhead/MIGRATION.md"

// MIGRATION.md has the table above.
func TestMigrationTable(t *testing.T) {
	const begin, end = "<!-- keys: go test ./pkg/config -run TestMigrationTable -update -->\n", "<!-- end of keys -->\n"
	text, err := os.ReadFile(migration)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", migration)
	}
	var b strings.Builder
	b.WriteString("| key | of | for example | in a Bulkhead file | what is new |\n|---|---|---|---|---|\n")
	for _, k := range dialectKeys {
		of := strings.ReplaceAll(k.of, " ", ", ")
		switch k.of {
		case allTypes:
			of = "all"
		case winTypes:
			of = "win-*"
		case sdnTypes:
			of = "nat, sdn*"
		}
		conf := k.conf
		if k.key == "type" {
			conf = `"type": "` + k.of + `"`
		}
		b.WriteString("| `" + k.key + "` | " + of + " | " + code(conf) + " | " + code(k.native) + " | " + k.change + " |\n")
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(migration, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s is not current; go test ./pkg/config -run TestMigrationTable -update writes it (-want +got):\n%s", migration, diff)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// CHECK can read what the other plugins' ADD printed: sdnbridge writes the bytes of a MAC
// address into the JSON, and win-bridge calls the interface as its endpoint.
func TestDialectPromise(t *testing.T) {
	t.Parallel()
	for typ, result := range map[string]string{
		"sdnbridge":  `"interfaces": [{"name": "eth0", "mac": "\u0000\u0015]\u0001\u0002\u0003"}], "ips": [{"interface": 0, "address": "10.0.0.5/24", "gateway": "10.0.0.1"}]`,
		"win-bridge": `"interfaces": [{"name": "c1_net1", "mac": "00-15-5D-01-02-03"}], "ips": [{"address": "10.0.0.5/24", "gateway": "10.0.0.1"}]`,
	} {
		c, err := Parse([]byte(peerFile(typ, `"prevResult": {"cniVersion": "1.0.0", `+result+`}`)), testEnv(""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Promise()
		if err != nil || got.MAC != "" || len(got.Addresses) != 1 || got.Addresses[0].Prefix.String() != "10.0.0.5/24" {
			t.Errorf("%s: %+v, %v", typ, got, err)
		}
		c.Replaces = false
		if _, err := c.Promise(); (err == nil) != (typ == "win-bridge") {
			t.Errorf("%s, of a native file: %v", typ, err)
		}
	}
}
