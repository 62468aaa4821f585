// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"reflect"
	"testing"
)

// refusal is a configuration that Parse must refuse, with the whole error.
type refusal struct {
	want string
	conf string
	args string
}

func l2bridge(subnet string) string {
	return native(`"driver": "l2bridge", "network": {"subnets": [` + subnet + `]}`)
}

func network(driver, members string) string {
	return native(`"driver": "` + driver + `", "network": {` + members + `}`)
}

func mapping(members string) string {
	return native(`"runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "udp"}, {` + members + `}]}`)
}

func policy(members string) string { return native(`"policies": [{` + members + `}]`) }

var malformed = []refusal{
	{want: "malformed JSON at line 1, column 1: unexpected end of JSON input", conf: ""},
	{want: "malformed JSON at line 1, column 2: invalid character 'x' looking for beginning of object key string", conf: "{x"},
	{want: "malformed JSON at line 2, column 12: invalid character '}' looking for beginning of value", conf: "{\n  \"name\": \r}"},
	{want: "malformed JSON at line 2, column 1: invalid character '{' after top-level value", conf: native("") + "\n{}"},
	{want: "malformed JSON at line 1, column 62: invalid character 'x' after top-level value", conf: native("") + "x"},
	{want: "malformed JSON: it is UTF-16; save it as UTF-8 without a byte order mark, in PowerShell by [IO.File]::WriteAllText", conf: "\xff\xfe{\x00}\x00"},
	{want: "malformed JSON: it is UTF-16; save it as UTF-8 without a byte order mark, in PowerShell by [IO.File]::WriteAllText", conf: "\x00{\x00}"},
}

var invalidDocuments = []refusal{
	{want: "want one JSON object, got a list", conf: " [1]"},
	{want: "want one JSON object, got null", conf: "null"},
	{want: `want one JSON object, got "x"`, conf: `"x"`},
	{want: "name: missing", conf: `{"type": "bulkhead"}`},
	{want: "name: missing", conf: `{"type": "bulkhead", "name": ""}`},
	{want: "name: want a string, got 5", conf: `{"type": "bulkhead", "name": 5}`},
	{
		want: `name: "../x" is not a network name: letters, digits, dots, hyphens and underscores only, a letter or a digit first`,
		conf: `{"type": "bulkhead", "name": "../x"}`,
	},
	{want: "type: missing", conf: `{"name": "n"}`},
	{want: "type: want a string, got a list", conf: `{"name": "n", "type": []}`},
	{
		want: "plugins: this is a network configuration list; a plugin gets one element of it, with the list's name and cniVersion",
		conf: `{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "bulkhead"}]}`,
	},
	{want: "cniVersion: want a string, got 1.1", conf: `{"name": "n", "type": "bulkhead", "cniVersion": 1.1}`},
	{want: "Driver: unknown key; did you mean \"driver\"?", conf: native(`"Driver": "nat"`)},
	{want: `ipMasq: want true or false, got "yes"`, conf: native(`"ipMasq": "yes"`)},
	{want: `ipMasqNetwork: "10.244.0.0" is an address, not a CIDR; write its length, too: 10.244.0.0/16`, conf: native(`"ipMasq": true, "ipMasqNetwork": "10.244.0.0"`)},
	{want: "colour: unknown key", conf: native(`"zeal": 1, "colour": 1`)},
	{want: `["a b"]: unknown key`, conf: native(`"a b": 1`)},
	{want: "runtimeConfig: want an object, got a list", conf: native(`"runtimeConfig": []`)},
	{want: `driver: "vlan" is not one of nat, transparent, l2bridge, l2tunnel, overlay`, conf: native(`"driver": "vlan"`)},
	{want: `driver: want a string, got false`, conf: native(`"driver": false`)},
	{want: `isolation: "vm" is not one of process, hyperv`, conf: native(`"isolation": "vm"`)},
	{want: `loopbackDSR: want true or false, got "yes"`, conf: native(`"loopbackDSR": "yes"`)},
	{want: "ipam: want an object, got \"host-local\"", conf: native(`"ipam": "host-local"`)},
	{want: "ipam.type: want a string, got 5", conf: native(`"ipam": {"type": 5}`)},
	{
		want: "ipam.type: missing; write \"host-local\" for the section's own addresses, or leave the section out to let HNS choose",
		conf: native(`"ipam": {"subnet": "10.0.0.0/8"}`),
	},
	{want: `ipam.type: "..\\x" is a path, not the name of a plugin`, conf: native(`"ipam": {"type": "..\\x"}`)},
	{want: `timeouts.add: "90" is not a duration such as 90s`, conf: native(`"timeouts": {"add": "90"}`)},
	{want: "timeouts.del: want a string, got 45", conf: native(`"timeouts": {"del": 45}`)},
	{want: "timeouts.status: 0s is not above 0 and up to 10m0s", conf: native(`"timeouts": {"status": "0s"}`)},
	{want: "timeouts.call: 10m0.001s is not above 0 and up to 10m0s", conf: native(`"timeouts": {"call": "10m1ms"}`)},
	{want: "timeouts.ADD: unknown key; did you mean \"add\"?", conf: native(`"timeouts": {"ADD": "1s"}`)},
	{want: `log: want an object, got "debug"`, conf: native(`"log": "debug"`)},
	{want: `log.level: "trace" is not one of off, info, debug`, conf: native(`"log": {"level": "trace"}`)},
	{want: `log.level: want a string, got 1`, conf: native(`"log": {"level": 1}`)},
	{want: `log.files: unknown key; did you mean "file"?`, conf: native(`"log": {"files": "C:/x"}`)},
	{want: `log.file: "x.log" is not the whole path of a file on a drive of the node, such as C:/ProgramData/bulkhead/logs/bulkhead.log`, conf: native(`"log": {"file": "x.log"}`)},
	{want: `log.file: "" is not the whole path of a file on a drive of the node, such as C:/ProgramData/bulkhead/logs/bulkhead.log`, conf: native(`"log": {"file": ""}`)},
	{want: `metrics.file: missing; write the file that windows_exporter's textfile collector is to read`, conf: native(`"metrics": {}`)},
	{want: `metrics.file: "\\\\server\\x.prom" is not the whole path of a file on a drive of the node`, conf: native(`"metrics": {"file": "\\\\server\\x.prom"}`)},
	{want: `metrics.file: "C:x.prom" is not the whole path of a file on a drive of the node`, conf: native(`"metrics": {"file": "C:x.prom"}`)},
	{want: `metrics.file: "C:/x.txt" does not end in .prom, and windows_exporter's textfile collector reads no other file`, conf: native(`"metrics": {"file": "C:/x.txt"}`)},
}

var invalidNetworks = []refusal{
	{
		want: "network.remoteSubnets[0].prefix: 10.1.0.0/16 overlaps 10.1.0.0/24 of network.subnets[0].prefix",
		conf: network("overlay", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "vsid": 4096}], "remoteSubnets": [{"prefix": "10.1.0.0/16", "vsid": 4096, "providerAddress": "192.168.1.6", "mac": "00-15-5D-00-00-06"}]`),
	},
	{
		want: "network.remoteSubnets[1].prefix: 10.2.0.0/16 overlaps 10.2.0.0/16 of network.remoteSubnets[0].prefix",
		conf: network("overlay", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "vsid": 4096}], "remoteSubnets": [{"prefix": "10.2.0.0/16", "vsid": 4096, "providerAddress": "192.168.1.6", "mac": "00-15-5D-00-00-06"}, {"prefix": "10.2.0.0/16", "vsid": 4096, "providerAddress": "192.168.1.7", "mac": "00-15-5D-00-00-07"}]`),
	},
	{
		want: "network.remoteSubnets[0].vsid: missing; an overlay subnet needs one in 4096 to 16777215",
		conf: network("overlay", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "vsid": 4096}], "remoteSubnets": [{"prefix": "10.2.0.0/16", "providerAddress": "192.168.1.6", "mac": "00-15-5D-00-00-06"}]`),
	},
	{
		want: "network.remoteSubnets[0].mac: missing",
		conf: network("overlay", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "vsid": 4096}], "remoteSubnets": [{"prefix": "10.2.0.0/16", "vsid": 4096, "providerAddress": "192.168.1.6"}]`),
	},
	{
		want: "network.remoteSubnets[0].prefix: fd00:: is IPv6, which overlay networks do not have",
		conf: network("overlay", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "vsid": 4096}], "remoteSubnets": [{"prefix": "fd00::/64", "vsid": 4096, "providerAddress": "192.168.1.6", "mac": "00-15-5D-00-00-06"}]`),
	},
	{
		want: "network.hostRoute: only l2bridge, l2tunnel and overlay networks have it, not transparent",
		conf: network("transparent", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1"}], "hostRoute": true`),
	},
	{
		want: "network.remoteSubnets: only overlay networks have it, not l2bridge",
		conf: network("l2bridge", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1"}], "remoteSubnets": [{}]`),
	},
	{want: "driver: missing; a network section needs it", conf: native(`"network": {}`)},
	{want: "network.subnets: missing; only for nat does HNS choose a subnet", conf: network("l2bridge", "")},
	{want: "network.subnets: missing; only for nat does HNS choose a subnet", conf: network("overlay", `"subnets": []`)},
	{
		want: "network.subnets: a nat network takes one subnet (WinNAT), not 2",
		conf: network("nat", `"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}, {"prefix": "10.2.0.0/16", "gateway": "10.2.0.1"}]`),
	},
	{want: "network.subnets: want a list, got an object", conf: network("nat", `"subnets": {}`)},
	{want: "network.subnets[0]: want an object, got null", conf: l2bridge(`null`)},
	{want: "network.subnets[0]: want an object, got \"10.0.0.0/8\"", conf: l2bridge(`"10.0.0.0/8"`)},
	{want: "network.subnets[0].cidr: unknown key", conf: l2bridge(`{"cidr": "10.0.0.0/8"}`)},
	{want: `network.subnet: unknown key; did you mean "subnets"?`, conf: network("nat", `"subnet": {}`)},
	{want: "network.subnets[0].prefix: missing; want a CIDR such as 10.10.0.0/24", conf: l2bridge(`{}`)},
	{
		want: `network.subnets[0].prefix: "10.10.0.1/24" has host bits set; write 10.10.0.0/24`,
		conf: l2bridge(`{"prefix": "10.10.0.1/24", "gateway": "10.10.0.1"}`),
	},
	{want: `network.subnets[0].prefix: "10.0.0.0" is an address, not a CIDR; write its length, too: 10.0.0.0/8`, conf: l2bridge(`{"prefix": "10.0.0.0"}`)},
	{want: `network.subnets[0].prefix: "ten" is not a CIDR such as 10.10.0.0/24`, conf: l2bridge(`{"prefix": "ten"}`)},
	{want: `network.subnets[0].prefix: "::ffff:10.0.0.0/104" is IPv4 written as IPv6; write it as IPv4`, conf: l2bridge(`{"prefix": "::ffff:10.0.0.0/104"}`)},
	{want: `network.subnets[0].prefix: 0.0.0.0/0 is no range for pods`, conf: l2bridge(`{"prefix": "0.0.0.0/0"}`)},
	{want: `network.subnets[0].prefix: 224.0.0.0/8 is no range for pods`, conf: l2bridge(`{"prefix": "224.0.0.0/8"}`)},
	{want: `network.subnets[0].gateway: "x" is not an IP address`, conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "x"}`)},
	{want: `network.subnets[0].gateway: 10.10.1.1 is outside of 10.10.0.0/24`, conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "10.10.1.1"}`)},
	{want: `network.subnets[0].gateway: 10.10.0.0 is the network address of 10.10.0.0/24`, conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "10.10.0.0"}`)},
	{want: `network.subnets[0].gateway: 10.10.1.255 is the broadcast address of 10.10.0.0/23`, conf: l2bridge(`{"prefix": "10.10.0.0/23", "gateway": "10.10.1.255"}`)},
	{want: `network.subnets[0].gateway: "fe80::1%3" has a zone; write fe80::1`, conf: l2bridge(`{"prefix": "fe80::/64", "gateway": "fe80::1%3"}`)},
	{want: "network.subnets[0].vlan: 4095 is not in 0 to 4094", conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vlan": 4095}`)},
	{want: "network.subnets[0].vlan: -1 is not in 0 to 4094", conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vlan": -1}`)},
	{want: "network.subnets[0].vlan: want an integer, got 1.5", conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vlan": 1.5}`)},
	{
		want: "network.subnets[0].vlan: only transparent and l2bridge networks have VLANs, not nat",
		conf: network("nat", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vlan": 5}]`),
	},
	{
		want: "network.subnets[0].vsid: only overlay networks have a VSID, not l2bridge",
		conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vsid": 5000}`),
	},
	{
		want: "network.subnets[0].vsid: missing; an overlay subnet needs one in 4096 to 16777215",
		conf: network("overlay", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1"}]`),
	},
	{
		want: "network.subnets[0].vsid: 4095 is not in 4096 to 16777215",
		conf: network("overlay", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vsid": 4095}]`),
	},
	{
		want: "network.subnets[0].vsid: 16777216 is not in 4096 to 16777215",
		conf: network("overlay", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vsid": 16777216}]`),
	},
	{
		want: "network.subnets[0].prefix: fd00:: is IPv6, which overlay networks do not have",
		conf: network("overlay", `"subnets": [{"prefix": "fd00::/64", "gateway": "fd00::1", "vsid": 5000}]`),
	},
	{
		want: "network.subnets[1].prefix: 10.10.0.128/25 overlaps 10.10.0.0/24 of network.subnets[0].prefix",
		conf: l2bridge(`{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1"}, {"prefix": "10.10.0.128/25", "gateway": "10.10.0.129"}`),
	},
	{want: "network.adapter: a nat network has no adapter of its own: its switch is internal", conf: network("nat", `"adapter": "Ethernet"`)},
	{want: "network.vxlanPort: only overlay networks have it, not nat", conf: network("nat", `"vxlanPort": 4789`)},
	{want: "network.providerAddress: only overlay networks have it, not nat", conf: network("nat", `"providerAddress": "10.0.0.1"`)},
	{
		want: "network.vxlanPort: 0 is not in 1 to 65535",
		conf: network("overlay", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vsid": 5000}], "vxlanPort": 0`),
	},
	{
		want: "network.providerAddress: fd00::5 is IPv6, which overlay networks do not have",
		conf: network("overlay", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vsid": 5000}], "providerAddress": "fd00::5"`),
	},
	{want: `network.macPool[0].start: missing`, conf: network("nat", `"macPool": [{}]`)},
	{want: `network.macPool[0].end: "x" is not a MAC address of six bytes`, conf: network("nat", `"macPool": [{"start": "00-15-5D-00-00-00", "end": "x"}]`)},
	{want: `network.macPool[0].start: "01-15-5D-00-00-00" is a group address`, conf: network("nat", `"macPool": [{"start": "01-15-5D-00-00-00"}]`)},
	{
		want: `network.macPool[0]: ends at 00:15:5d:00:00:00, before its start 00:15:5d:00:00:01`,
		conf: network("nat", `"macPool": [{"start": "00-15-5D-00-00-01", "end": "00-15-5D-00-00-00"}]`),
	},
}

var invalidPolicies = []refusal{
	{want: `outboundNAT.exceptions[1]: "10.1.0.0/8" has host bits set; write 10.0.0.0/8`, conf: native(`"outboundNAT": {"exceptions": ["10.2.0.0/16", "10.1.0.0/8"]}`)},
	{want: `outboundNAT.exceptions: want a list, got "10.0.0.0/8"`, conf: native(`"outboundNAT": {"exceptions": "10.0.0.0/8"}`)},
	{want: `outboundNAT.ExceptionList: unknown key; did you mean "exceptions"?`, conf: native(`"outboundNAT": {"ExceptionList": []}`)},
	{want: `outboundNAT.exceptions[0]: fd00:: is IPv6, which nat networks do not have`, conf: native(`"driver": "nat", "outboundNAT": {"exceptions": ["fd00::/8"]}`)},
	{want: "routes[0].dst: missing; want a CIDR such as 10.10.0.0/24", conf: native(`"routes": [{"needEncap": true}]`)},
	{want: `routes[0].nextHop: "gw" is not an IP address`, conf: native(`"routes": [{"dst": "10.0.0.0/8", "nextHop": "gw"}]`)},
	{want: `routes[0].nextHop: fd00::1 is not of the family of 10.0.0.0/8`, conf: native(`"routes": [{"dst": "10.0.0.0/8", "nextHop": "fd00::1"}]`)},
	{want: `routes[0].gw: unknown key`, conf: native(`"routes": [{"dst": "10.0.0.0/8", "gw": "10.0.0.1"}]`)},
	{want: `routes[0].dst: fd00:: is IPv6, which overlay networks do not have`, conf: native(`"driver": "overlay", "routes": [{"dst": "fd00::/8"}]`)},
	{want: "policies[0].Type: missing", conf: policy(`"Settings": {}`)},
	{want: `policies[0].type: unknown key; did you mean "Type"?`, conf: policy(`"type": "QOS", "Settings": {}`)},
	{want: `policies[0]: write {"Type": "QOS", "Settings": {}}`, conf: policy(`"Name": "EndpointPolicy", "Value": {"Type": "QOS"}`)},
	{want: `policies[0]: write {"Type": "OutBoundNAT", "Settings": {"Exceptions":[]}}`, conf: policy(`"Type": "OutBoundNAT", "ExceptionList": []`)},
	{want: "policies[0].Settings: missing; write {} for none", conf: policy(`"Type": "L2Driver"`)},
	{want: "policies[0].Settings: want an object, got a list", conf: policy(`"Type": "L2Driver", "Settings": []`)},
	{want: `policies[0].Type: HNS has no policy "L4WFPProx"; did you mean "L4WFPPROXY"?`, conf: policy(`"Type": "L4WFPProx", "Settings": {}`)},
	{want: `policies[0].Type: HNS has no policy "SDNRoutes"; did you mean "SDNRoute"?`, conf: policy(`"Type": "SDNRoutes", "Settings": {}`)},
	{want: `policies[0].Type: "acl" is not passed through: use the acl section; only with acl.program false ACLs are passed through`, conf: policy(`"Type": "acl", "Settings": {}`)},
	{
		want: `policies[0].Type: "PortMapping" is not passed through: port mappings come from runtimeConfig.portMappings; declare the portMappings capability`,
		conf: policy(`"Type": "PortMapping", "Settings": {}`),
	},
	{want: `policies[0].Type: "ROUTE" is not passed through: this is the v1 name of SDNRoute; use the routes key`, conf: policy(`"Type": "ROUTE", "DestinationPrefix": "10.0.0.0/8"`)},
	{want: `policies[0].Type: "NAT" is not passed through: this is the v1 name of PortMapping; port mappings come from runtimeConfig.portMappings`, conf: policy(`"Type": "NAT"`)},
	{want: `policies[0].Type: "PA" is not passed through: this is the v1 name; use ProviderAddress`, conf: policy(`"Type": "PA"`)},
	{
		want: `policies[0].Type: "ELB" is not passed through: this is the v1 name of a load balancer, which is no endpoint policy; kube-proxy makes load balancers`,
		conf: policy(`"Type": "ELB"`),
	},
	{want: `policies[0].Settings.ExceptionList: this is the v1 name; use Exceptions`, conf: policy(`"Type": "OutBoundNAT", "Settings": {"ExceptionList": []}`)},
	{want: `policies[0].Settings.Exceptions[0]: "10.1.0.0/8" has host bits set; write 10.0.0.0/8`, conf: policy(`"Type": "OutboundNat", "Settings": {"Exceptions": ["10.1.0.0/8"]}`)},
	{want: `policies[0].Settings.Exceptions: want a list, got "10.1.0.0/8"`, conf: policy(`"Type": "OutBoundNAT", "Settings": {"Exceptions": "10.1.0.0/8"}`)},
	{want: `policies[0].Settings.Destinations[0]: "x" is not a CIDR such as 10.10.0.0/24`, conf: policy(`"Type": "OutBoundNAT", "Settings": {"Destinations": ["x"]}`)},
	{want: `policies[0].Settings.VirtualIP: "x" is not an IP address`, conf: policy(`"Type": "OutBoundNAT", "Settings": {"VirtualIP": "x"}`)},
	{want: `policies[0].Settings.DestinationPrefix: missing; want a CIDR such as 10.10.0.0/24`, conf: policy(`"Type": "SDNRoute", "Settings": {}`)},
	{want: `policies[0].Settings.DestinationPrefix: "10.1.0.0/8" has host bits set; write 10.0.0.0/8`, conf: policy(`"Type": "SDNRoute", "Settings": {"DestinationPrefix": "10.1.0.0/8"}`)},
	{want: `policies[0].Settings.NextHop: "x" is not an IP address`, conf: policy(`"Type": "SDNRoute", "Settings": {"DestinationPrefix": "10.0.0.0/8", "NextHop": "x"}`)},
	{want: `dns.nameservers[0]: "8.8.8" is not an IP address`, conf: native(`"dns": {"nameservers": ["8.8.8"]}`)},
	{want: `dns.Nameservers: unknown key; did you mean "nameservers"?`, conf: native(`"dns": {"Nameservers": ["8.8.8.8"]}`)},
	{want: `dns.domain: "a b" is not one word`, conf: native(`"dns": {"domain": "a b"}`)},
	{want: `dns.search[1]: "" is not one word`, conf: native(`"dns": {"search": ["a", ""]}`)},
	{want: `dns.options[0]: "a,b" is not one word`, conf: native(`"dns": {"options": ["a,b"]}`)},
	{want: `runtimeConfig.dns.servers[0]: "x" is not an IP address`, conf: native(`"runtimeConfig": {"dns": {"Servers": ["x"]}}`)},
	{want: `runtimeConfig.dns.searches[0]: "a,b" is not one word`, conf: native(`"runtimeConfig": {"dns": {"searches": ["a,b"]}}`)},
	{want: `runtimeConfig.dns.options[0]: want a string, got 5`, conf: native(`"runtimeConfig": {"dns": {"options": [5]}}`)},
}

var invalidRuntime = []refusal{
	{want: `runtimeConfig.portMappings[1].protocol: "sctp" is not one of tcp, udp`, conf: mapping(`"hostPort": 2, "containerPort": 1, "protocol": "sctp"`)},
	{want: `runtimeConfig.portMappings[1].protocol: "" is not one of tcp, udp`, conf: mapping(`"hostPort": 2, "containerPort": 1`)},
	{want: `runtimeConfig.portMappings[1].hostPort: missing`, conf: mapping(`"containerPort": 1, "protocol": "tcp"`)},
	{want: `runtimeConfig.portMappings[1].hostPort: 0 is not in 1 to 65535`, conf: mapping(`"HostPort": 0, "containerPort": 1, "protocol": "tcp"`)},
	{want: `runtimeConfig.portMappings[1].containerPort: 65536 is not in 1 to 65535`, conf: mapping(`"hostPort": 2, "containerPort": 65536, "protocol": "tcp"`)},
	{want: `runtimeConfig.portMappings[1].containerPort: want an integer, got "80"`, conf: mapping(`"hostPort": 2, "containerPort": "80", "protocol": "tcp"`)},
	{want: `runtimeConfig.portMappings[1].hostIP: "localhost" is not an IP address`, conf: mapping(`"hostPort": 2, "containerPort": 1, "protocol": "tcp", "hostIP": "localhost"`)},
	{
		want: `runtimeConfig.portMappings[1]: runtimeConfig.portMappings[0] asks for udp port 1 of the node, too; remove one of the two`,
		conf: mapping(`"hostPort": 1, "containerPort": 7, "protocol": "UDP", "hostIP": "0.0.0.0"`),
	},
	{
		want: "runtimeConfig.portMappings[0].hostPort: 10250 is not among those that hostPorts lets pods have",
		conf: native(`"hostPorts": ["30000-32767"], "runtimeConfig": {"portMappings": [{"hostPort": 10250, "containerPort": 1, "protocol": "tcp"}]}`),
	},
	{
		want: "runtimeConfig.portMappings[0].hostPort: 80 is not among those that hostPorts lets pods have",
		conf: native(`"hostPorts": [], "runtimeConfig": {"portMappings": [{"hostPort": 80, "containerPort": 1, "protocol": "tcp"}]}`),
	},
	{want: `hostPorts[0]: "90-80" is not a port or a range of ports such as "8000-8080", in 1 to 65535`, conf: native(`"hostPorts": ["90-80"]`)},
	{want: `acl.allowHost: want true, false or a list such as [{"protocol": "tcp", "ports": "8080"}], got "yes"`, conf: native(`"acl": {"allowHost": "yes"}`)},
	{want: "acl.allowHost: an empty list lets nothing in; write false", conf: native(`"acl": {"allowHost": []}`)},
	{want: "acl.allowHost: null says nothing; remove the key, or write what is meant", conf: native(`"acl": {"allowHost": null}`)},
	{want: `acl.allowHost[0].port: unknown key; did you mean "ports"?`, conf: native(`"acl": {"allowHost": [{"protocol": "tcp", "port": 80}]}`)},
	{want: `acl.allowHost[1].ports: only TCP and UDP have ports; write "protocol": "tcp" or "udp", and a rule for each`, conf: native(`"acl": {"allowHost": [{"protocol": "tcp"}, {"ports": "80"}]}`)},
	{want: "acl.spoofGuard: transparent networks have no VFP, which alone is told a pod's own addresses; remove the key", conf: native(`"driver": "transparent", "acl": {"spoofGuard": true}`)},
	{want: `acl.mappedPorts: "deny" is not one of allow, rules`, conf: native(`"acl": {"mappedPorts": "deny"}`)},
	{want: "runtimeConfig.portMappings: want a list, got an object", conf: native(`"runtimeConfig": {"portMappings": {}}`)},
	{
		want: "runtimeConfig.portMappings: a transparent network maps no ports of the node: the pod has an address of its own on the physical network",
		conf: native(`"driver": "transparent", "runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "udp"}]}`),
	},
	{
		want: "runtimeConfig.portMappings[0].hostIP: fd00::1 is IPv6, which nat networks do not have",
		conf: native(`"driver": "nat", "runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "udp", "hostIP": "fd00::1"}]}`),
	},
	{
		want: "runtimeConfig.bandwidth.ingressRate: HNS limits only what a pod sends, not what it receives; ask for egress alone",
		conf: native(`"runtimeConfig": {"bandwidth": {"IngressRate": 1, "IngressBurst": 4294967295}}`),
	},
	{want: "runtimeConfig.bandwidth.egressRate: 7 bits a second is less than one byte", conf: native(`"runtimeConfig": {"bandwidth": {"egressRate": 7}}`)},
	{
		want: "policies[0]: runtimeConfig.bandwidth.egressRate is the same limit; remove one of the two",
		conf: native(`"policies": [{"Type": "qos", "Settings": {}}], "runtimeConfig": {"bandwidth": {"egressRate": 800}}`),
	},
	{want: `runtimeConfig.mac: "00:15:5d" is not a MAC address of six bytes`, conf: native(`"runtimeConfig": {"mac": "00:15:5d"}`)},
	{want: `runtimeConfig.mac: "01:15:5d:00:00:01" is a group address`, conf: native(`"runtimeConfig": {"mac": "01:15:5d:00:00:01"}`)},
	{want: `runtimeConfig.mac: "00:00:00:00:00:00" is no address of an interface`, conf: native(`"runtimeConfig": {"mac": "00:00:00:00:00:00"}`)},
	{want: "runtimeConfig.bandwidth.egressRate: want an integer, got -1", conf: native(`"runtimeConfig": {"bandwidth": {"EgressRate": -1}}`)},
	{want: "runtimeConfig.mac: want a string, got 5", conf: native(`"runtimeConfig": {"mac": 5}`)},
	{want: `CNI_ARGS: "K8S_POD_NAME" is not a KEY=value pair`, conf: native(""), args: "IgnoreUnknown=1;K8S_POD_NAME"},
	{want: `CNI_ARGS: "A=b=c" is not a KEY=value pair`, conf: native(""), args: "IgnoreUnknown=1;A=b=c"},
	{want: `CNI_ARGS: "" is not a KEY=value pair`, conf: native(""), args: "IgnoreUnknown=1;"},
	{want: `CNI_ARGS: "=x" is not a KEY=value pair`, conf: native(""), args: "=x"},
	{want: `CNI_ARGS: unknown key "WHO", and no IgnoreUnknown=1`, conf: native(""), args: "WHO=me;IgnoreUnknown=0"},
	{want: `CNI_ARGS: IgnoreUnknown "yes" is not one of 1, true, 0, false`, conf: native(""), args: "IgnoreUnknown=yes"},
	{
		want: "outboundNAT: a nat network has no VFP, which alone does this: it translates whatever leaves the node; remove the key",
		conf: native(`"driver": "nat", "outboundNAT": {}`),
	},
	{
		want: "loopbackDSR: a transparent network has no VFP, which alone does this: the pod has an address of its own on the physical network; remove the key",
		conf: native(`"driver": "transparent", "loopbackDSR": true`),
	},
	{
		want: "routes: a nat network has no VFP, which alone does this: it translates whatever leaves the node; remove the key",
		conf: native(`"driver": "nat", "routes": [{"dst": "10.96.0.0/12"}]`),
	},
	{want: `runtimeConfig.ips[0]: "10.1.0.77/33" has the prefix length "33"; write 1 to 32, or none`, conf: native(`"ipam": {"type": "static"}, "runtimeConfig": {"ips": ["10.1.0.77/33"]}`)},
	{want: `runtimeConfig.ips[0]: "fd00::7/" has the prefix length ""; write 1 to 128, or none`, conf: native(`"ipam": {"type": "static"}, "runtimeConfig": {"ips": ["fd00::7/"]}`)},
	{want: `runtimeConfig.ips[1]: fd00::77 is IPv6, which nat networks do not have`, conf: native(`"driver": "nat", "ipam": {"type": "static"}, "runtimeConfig": {"ips": ["10.1.0.77/16", "fd00::77/64"]}`)},
	{want: `policies[1]: policies[0] says the same; remove one of the two`, conf: native(`"policies": [{"Type": "L2Driver", "Settings": {}}, {"Type": "l2driver", "Settings": {}}]`)},
	{want: `policies[0]: outboundNAT, or flannel's ipMasq, says outbound NAT, too; write these exceptions into outboundNAT.exceptions`, conf: native(`"outboundNAT": {}, "policies": [{"Type": "OutBoundNAT", "Settings": {"exceptions": ["10.0.0.0/8"]}}]`)},
	{
		want: "network.gatewayEndpoint: only l2bridge networks have one, not transparent",
		conf: network("transparent", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1"}], "gatewayEndpoint": true`),
	},
	{
		want: "network.subnets[0].prefix: fd00::/127 has no second address for the node's endpoint, which network.gatewayEndpoint asks for",
		conf: network("l2bridge", `"subnets": [{"prefix": "fd00::/127", "gateway": "fd00::1"}], "gatewayEndpoint": true`),
	},
	{
		want: "network.subnets[0].gateway: 10.10.0.2 is the address of the node's endpoint, which network.gatewayEndpoint asks for; take another one",
		conf: network("l2bridge", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.2"}], "gatewayEndpoint": true`),
	},
	{
		want: "network.gatewayEndpoint: the node's endpoint takes one address of a family; remove network.subnets[0] or network.subnets[2]",
		conf: network("l2bridge", `"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1"}, {"prefix": "fd00::/64", "gateway": "fd00::1"},
			{"prefix": "10.11.0.0/24", "gateway": "10.11.0.1"}], "gatewayEndpoint": true`),
	},
	{want: `runtimeConfig.ips[0]: "10.1.0" is not an IP address`, conf: native(`"ipam": {"type": "static"}, "runtimeConfig": {"ips": ["10.1.0/16"]}`)},
	{want: "encapOverhead: 501 is not in 1 to 500", conf: native(`"encapOverhead": 501`)},
	{
		want: "encapOverhead: a transparent network has no VFP, which alone does this: the pod has an address of its own on the physical network; remove the key",
		conf: native(`"driver": "transparent", "encapOverhead": 50`),
	},
	{
		want: "policies[0]: the key encapOverhead says the same; remove one of the two",
		conf: native(`"encapOverhead": 50, "policies": [{"Type": "EncapOverhead", "Settings": {"Overhead": 50}}]`),
	},
	{want: `acl.inbound.default: "reject" is not one of allow, deny`, conf: native(`"acl": {"inbound": {"default": "reject"}}`)},
	{want: `acl.inbound: want an object, got "deny"`, conf: native(`"acl": {"inbound": "deny"}`)},
	{want: `acl.program: want true or false, got 1`, conf: native(`"acl": {"program": 1}`)},
	{want: `acl.rule: unknown key; did you mean "rules"?`, conf: native(`"acl": {"rule": []}`)},
	{want: `acl.rules: want a list, got an object`, conf: native(`"acl": {"rules": {}}`)},
	{
		want: "acl.rules: Windows cannot reconfigure the port ACLs of a hyperv pod on a transparent network; remove the key",
		conf: native(`"driver": "transparent", "isolation": "hyperv", "acl": {"rules": [{"direction": "in", "action": "deny"}]}`),
	},
	{
		want: "acl.program: Windows cannot reconfigure the port ACLs of a hyperv pod on a nat network; remove the key",
		conf: native(`"driver": "nat", "isolation": "hyperv", "acl": {"program": true}`),
	},
}

var invalidGateways = []refusal{
	{want: `gateway.ipv4: "nodes" is not one of node, network, nor an IP address`, conf: native(`"gateway": {"ipv4": "nodes"}`)},
	{want: "gateway.ipv4: fd00::1 is of the other family", conf: native(`"gateway": {"ipv4": "fd00::1"}`)},
	{want: `gateway.ipv6: "fe80::1%4" has a zone; write fe80::1`, conf: native(`"gateway": {"ipv6": "fe80::1%4"}`)},
	{want: `gateway.IPv4: unknown key; did you mean "ipv4"?`, conf: native(`"gateway": {"IPv4": "node"}`)},
	{want: "gateway.ipv6: only on l2bridge and l2tunnel networks pods leave by an endpoint of the node, not on transparent", conf: native(`"driver": "transparent", "gateway": {"ipv6": "node"}`)},
	{
		want: "gateway: network.gatewayEndpoint makes the node's endpoint the gateway; remove one of the two",
		conf: native(`"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.1.0.0/24"}], "gatewayEndpoint": true}, "gateway": {"ipv4": "network"}`),
	},
	{
		want: "network.takeExisting: the node's endpoint, which network.gatewayEndpoint asks for, needs a network of these subnets; remove one of the two",
		conf: native(`"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.1.0.0/24"}], "gatewayEndpoint": true, "takeExisting": true}`),
	},
	{want: `macPrefix: "0E:2A:00" is not the beginning of a MAC address such as 0E-2A`, conf: native(`"macPrefix": "0E:2A:00"`)},
	{want: `macPrefix: "0F-2A" is not the beginning of a MAC address such as 0E-2A`, conf: native(`"macPrefix": "0F-2A"`)},
	{want: "macPrefix: the rest is the pod's IPv4 address, which HNS chooses; add an ipam section", conf: native(`"macPrefix": "0E-2A"`)},
	{want: `policies[0].Settings.Action: "allow" is not one of Allow, Block, Pass`, conf: native(`"acl": {"program": false}, "policies": [{"Type": "ACL", "Settings": {"Action": "allow", "Direction": "In"}}]`)},
	{want: `policies[0].Settings.Direction: "" is not one of In, Out`, conf: native(`"acl": {"program": false}, "policies": [{"Type": "ACL", "Settings": {"Action": "Allow"}}]`)},
	{want: `policies[0].Settings.Protocols: want a string, got 6`, conf: native(`"acl": {"program": false}, "policies": [{"Type": "ACL", "Settings": {"Protocols": 6}}]`)},
	{want: `policies[0].Settings.LocalAddresses: "10.0.0.1/8" is neither an address nor a CIDR without host bits`, conf: native(`"acl": {"program": false}, "policies": [{"Type": "ACL", "Settings": {"Action": "Allow", "Direction": "In", "LocalAddresses": "10.0.0.1/8"}}]`)},
	{want: `policies[0].Settings.RuleType: "Guest" is not one of Host, Switch`, conf: native(`"acl": {"program": false}, "policies": [{"Type": "ACL", "Settings": {"Action": "Allow", "Direction": "In", "RuleType": "Guest"}}]`)},
	{want: `policies[0].Settings.Priority: 70000 is not in 0 to 65535`, conf: native(`"acl": {"program": false}, "policies": [{"Type": "ACL", "Settings": {"Action": "Allow", "Direction": "In", "Priority": 70000}}]`)},
}

var unsupportedYet = []refusal{
	{want: `type: "azure-vnet" is not supported by this version of bulkhead, which speaks "bulkhead", "bulkhead-acl", "nat", "sdnbridge", "sdnoverlay", "win-bridge" and "win-overlay"`, conf: `{"name": "n", "type": "azure-vnet"}`},
}

// refusals are all of the above, by kind.
var refusals = []struct {
	kind  error
	cases []refusal
}{
	{ErrSyntax, malformed},
	{ErrInvalid, invalidDocuments},
	{ErrInvalid, invalidNetworks},
	{ErrInvalid, invalidPolicies},
	{ErrInvalid, invalidRuntime},
	{ErrInvalid, refusedACLs},
	{ErrInvalid, invalidGateways},
	{ErrAnnotation, refusedAnnotations},
	{ErrUnsupported, unsupportedYet},
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, group := range refusals {
		for _, tc := range group.cases {
			t.Run(tc.want, func(t *testing.T) {
				t.Parallel()
				got, err := Parse([]byte(tc.conf), testEnv(tc.args))
				if err == nil {
					t.Fatalf("Parse accepted %s", tc.conf)
				}
				_ = asError(t, err)
				if err.Error() != tc.want {
					t.Errorf("\n got %s\nwant %s", err, tc.want)
				}
				if !errors.Is(err, group.kind) {
					t.Errorf("error is not %q", group.kind)
				}
				if !reflect.ValueOf(got).IsZero() {
					t.Errorf("Config with the error: %+v", got)
				}
			})
		}
	}
}
