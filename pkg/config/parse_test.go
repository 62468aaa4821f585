// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

const podArgs = "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=front-0;" +
	"K8S_POD_INFRA_CONTAINER_ID=f00d;K8S_POD_UID=0a1b"

var equateAddrs = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.IgnoreFields(Config{}, "Raw"),
	cmpopts.IgnoreUnexported(Config{}),
}

// testEnv is the environment of every parsed case.
func testEnv(args string) Env {
	return Env{ContainerID: "c1", IfName: "eth0", NetNS: "none", Args: args}
}

// native returns a configuration with these further members.
func native(members string) string {
	if members != "" {
		members = ", " + members
	}
	return `{"cniVersion": "1.1.0", "name": "podnet", "type": "bulkhead"` + members + `}`
}

// with returns the Config of native(""), changed.
func with(changes ...func(*Config)) Config {
	c := Config{
		Attachment: Attachment{ContainerID: "c1", IfName: "eth0"},
		NetNS:      "none",
		CNIVersion: "1.1.0",
		Name:       "podnet",
		Type:       "bulkhead",
		Isolation:  hns.Process,
		ACL:        ACL{Program: true},
		Timeouts:   Timeouts{Add: 90 * time.Second, Del: 45 * time.Second, Status: 2 * time.Second, Call: 30 * time.Second},
	}
	for _, change := range changes {
		change(&c)
	}
	return c
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func subnet(prefix, gateway string) hns.Subnet {
	return hns.Subnet{Prefix: netip.MustParsePrefix(prefix), Gateway: netip.MustParseAddr(gateway)}
}

// acceptance is a configuration with what it means.
type acceptance struct {
	name string
	want Config
	conf string
	args string
}

// accepted are configurations of all sections but acl and ipam.
var accepted = []acceptance{
	{name: "nothing but the name", want: with(), conf: native("")},
	{
		name: "no version is the oldest",
		want: with(func(c *Config) { c.CNIVersion = "0.1.0" }),
		conf: `{"name": "podnet", "type": "bulkhead"}`,
	},
	{
		name: "null is absent",
		want: with(),
		conf: native(`"driver": null, "network": null, "acl": null, "outboundNAT": null,
			"dns": null, "ipam": null, "runtimeConfig": {"portMappings": null, "dns": {"Servers": null}}, "timeouts": null`),
	},
	{
		name: "all of it",
		want: with(func(c *Config) {
			c.Driver = hns.L2Bridge
			c.Network = &Network{
				Subnets:       []hns.Subnet{subnet("10.10.0.0/24", "10.10.0.1"), subnet("fd00:10::/64", "fd00:10::1")},
				Adapter:       "Ethernet",
				MACPool:       []hns.MACRange{{Start: "00:15:5d:52:c0:00", End: "00:15:5d:52:cf:ff"}},
				NonPersistent: true, GatewayEndpoint: true,
			}
			c.Network.Subnets[0].VLAN = 4094
			c.IPAM = IPAM{Type: "host-local", RangeSets: []RangeSet{
				{"ipam.ranges[0]", []Range{rangeOf("10.10.0.0/24", "10.10.0.1", "10.10.0.254")}},
				{"ipam.ranges[1]", []Range{rangeOf("fd00:10::/64", "fd00:10::1", "fd00:10::ffff:ffff:ffff:ffff")}},
			}}
			c.OutboundNAT = &OutboundNAT{Exceptions: prefixes("10.0.0.0/8", "fd00::/8")}
			c.LoopbackDSR = new(true)
			c.Routes = []hns.SDNRoute{
				{Destination: netip.MustParsePrefix("10.96.0.0/12"), NeedEncap: true},
				{Destination: netip.MustParsePrefix("10.1.2.3/32"), NextHop: netip.MustParseAddr("10.10.0.2")},
			}
			c.Policies = []hns.Opaque{
				{Type: "L2Driver", Settings: json.RawMessage(`{}`)},
				{Type: "QOS", Settings: json.RawMessage(`{"MaximumOutgoingBandwidthInBytes":1}`)},
			}
			c.DNS = hns.DNS{
				Domain: "cluster.local", Search: []string{"web.svc.cluster.local", "."},
				Servers: []string{"10.96.0.10"}, Options: []string{"ndots:5"},
			}
			c.PortMappings = []PortMapping{
				{Protocol: 6, HostPort: 8080, ContainerPort: 80, HostIP: netip.MustParseAddr("192.168.1.5")},
				{Protocol: 6, HostPort: 8081, ContainerPort: 80},
				{Protocol: 17, HostPort: 65535, ContainerPort: 1, HostIP: netip.MustParseAddr("fd00::1")},
			}
			c.ACL.Asked = "acl.program"
			c.Timeouts = Timeouts{Add: time.Minute, Del: 20 * time.Second, Status: 1500 * time.Millisecond, Call: 10 * time.Minute}
			c.Pod = Pod{Namespace: "web", Name: "front-0", UID: "0a1b"}
		}),
		args: podArgs,
		conf: native(`"driver": "L2Bridge", "isolation": "Process",
			"network": {
				"subnets": [
					{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1", "vlan": 4094},
					{"prefix": "fd00:10::/64", "gateway": "fd00:10::1"}],
				"adapter": "Ethernet",
				"macPool": [{"start": "00-15-5D-52-C0-00", "end": "00-15-5d-52-cf-ff"}],
				"nonPersistent": true, "gatewayEndpoint": true},
			"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.10.0.0/24"}], [{"subnet": "fd00:10::/64"}]]},
			"acl": {"program": true, "inbound": {"default": "allow"}, "outbound": {"default": "allow"}, "rules": [], "podAnnotations": false},
			"outboundNAT": {"exceptions": ["10.0.0.0/8", "fd00::/8"]},
			"loopbackDSR": true,
			"routes": [
				{"dst": "10.96.0.0/12", "needEncap": true},
				{"dst": "10.1.2.3/32", "nextHop": "10.10.0.2"}],
			"policies": [{"Type": "L2Driver", "Settings": {}}, {"Type": "QOS", "Settings": { "MaximumOutgoingBandwidthInBytes": 1 }}],
			"dns": {"nameservers": ["10.96.0.10"], "domain": "cluster.local", "search": ["web.svc.cluster.local", "."], "options": ["ndots:5"]},
			"timeouts": {"add": "1m", "del": "20s", "status": "1.5s", "call": "10m"},
			"capabilities": {"portMappings": true, "dns": true, "bandwidth": true},
			"runtimeConfig": {"portMappings": [
				{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "192.168.1.5"},
				{"hostPort": 8081, "containerPort": 80, "protocol": "TCP", "hostIP": ""},
				{"hostPort": 65535, "containerPort": 1, "protocol": "Udp", "hostIP": "fd00::1"}]}`),
	},
	{
		name: "log and metrics",
		want: with(func(c *Config) {
			c.Journal = Journal{Log: LogDebug, LogFile: `D:\logs\b.log`, MetricsFile: "C:/metrics/bulkhead.prom"}
		}),
		conf: native(`"log": {"level": "debug", "file": "D:\\logs\\b.log"}, "metrics": {"file": "C:/metrics/bulkhead.prom"}`),
	},
	{
		name: "a log with the defaults",
		want: with(func(c *Config) { c.Journal.Log = LogInfo }),
		conf: native(`"log": {}, "metrics": null`),
	},
	{
		name: "a log that is off",
		want: with(func(c *Config) { c.Journal.LogFile = "/var/log/b.log" }),
		conf: native(`"log": {"level": "off", "file": "/var/log/b.log"}`),
	},
	{
		name: "what is the runtime's passes",
		want: with(func(c *Config) { c.Annotations = map[string]string{"a": "b"} }),
		conf: native(`"disableCheck": true, "disableGC": true, "loadOnlyInlinedPlugins": false, "cniVersions": ["1.0.0"],
			"args": {"cni": {"labels": 5}}, "prevResult": {"x": []}, "cni.dev/valid-attachments": [], "cni.dev/x": 1,
			"runtimeConfig": {"ips": null, "io.kubernetes.cri.pod-annotations": {"a": "b"}, "cgroupPath": "x",
				"bandwidth": {"ingressRate": 0, "ingressBurst": 4294967295, "egressRate": 0, "x": 1}, "mac": "", "aliases": {}}`),
	},
	{
		name: "a limit and a MAC address",
		want: with(func(c *Config) { c.EgressRate, c.MAC = 1_250_000, "00:15:5d:00:00:01" }),
		conf: native(`"runtimeConfig": {"mac": "00-15-5D-00-00-01", "bandwidth": {"EgressRate": 10000000, "EgressBurst": 18446744073709551615}}`),
	},
	{
		name: "as go-cni spells and fills it",
		want: with(func(c *Config) {
			c.PortMappings = []PortMapping{{Protocol: 6, HostPort: 8080, ContainerPort: 80}}
			c.DNS = hns.DNS{Servers: []string{"10.96.0.10"}, Search: []string{"cluster.local"}, Options: []string{"ndots:1"}}
		}),
		conf: native(`"dns": {"nameservers": ["1.1.1.1"], "search": ["example.org"], "options": ["ndots:1"]},
			"runtimeConfig": {
				"portMappings": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}],
				"dns": {"Servers": ["10.96.0.10"], "Searches": ["cluster.local"], "Options": []},
				"bandwidth": {"IngressRate": 0, "IngressBurst": 4294967295, "EgressRate": 0, "EgressBurst": 18446744073709551615}}`),
	},
	{
		name: "overlay",
		want: with(func(c *Config) {
			c.Driver = hns.Overlay
			s := subnet("10.244.1.0/24", "10.244.1.1")
			s.VSID = 4096
			c.Network = &Network{
				Subnets: []hns.Subnet{s}, VXLANPort: 4789, ProviderAddress: netip.MustParseAddr("192.168.1.5"), Adapter: "Ethernet 2",
			}
		}),
		conf: native(`"driver": "overlay", "network": {
			"subnets": [{"prefix": "10.244.1.0/24", "gateway": "10.244.1.1", "vsid": 4096, "vlan": 0}],
			"vxlanPort": 4789, "providerAddress": "192.168.1.5", "adapter": "Ethernet 2"}`),
	},
	{
		name: "nat without a network section",
		want: with(func(c *Config) { c.Driver = hns.NAT }),
		conf: native(`"driver": "nat"`),
	},
	{
		name: "nat whose subnet HNS chooses",
		want: with(func(c *Config) { c.Driver, c.Network = hns.NAT, &Network{} }),
		conf: native(`"driver": "nat", "network": {}`),
	},
	{
		name: "l2tunnel",
		want: with(func(c *Config) {
			c.Driver, c.Network = hns.L2Tunnel, &Network{Subnets: []hns.Subnet{subnet("10.10.0.0/24", "10.10.0.254")}}
		}),
		conf: native(`"driver": "l2tunnel", "network": {"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.254"}]}`),
	},
	{
		name: "transparent with IPv6",
		want: with(func(c *Config) {
			s := subnet("fd00:10::/64", "fd00:10::1")
			s.VLAN = 7
			c.Driver, c.Network = hns.Transparent, &Network{Subnets: []hns.Subnet{s}}
		}),
		conf: native(`"driver": "transparent", "network": {"subnets": [{"prefix": "fd00:10::/64", "gateway": "fd00:10::1", "vlan": 7}]}`),
	},
	{
		name: "hyperv on nat that asks for nothing",
		want: with(func(c *Config) { c.Driver, c.Isolation, c.ACL.Program = hns.NAT, hns.HyperV, false }),
		conf: native(`"driver": "nat", "isolation": "hyperv",
			"acl": {"program": false, "inbound": {"default": "allow"}, "outbound": {"default": "allow"}, "rules": []}`),
	},
	{
		name: "hyperv on a network of a type to be found out",
		want: with(func(c *Config) { c.Isolation, c.ACL.Asked = hns.HyperV, "acl.program" }),
		conf: native(`"isolation": "hyperv", "acl": {"program": true}`),
	},
	{
		name: "an overlay's other nodes",
		want: with(func(c *Config) {
			c.Driver = hns.Overlay
			c.Network = &Network{Subnets: []hns.Subnet{subnet("10.1.0.0/24", "10.1.0.1")}, HostRoute: true}
			c.Network.Subnets[0].VSID = 4096
			c.Network.RemoteSubnets = []hns.RemoteSubnet{{
				Prefix: netip.MustParsePrefix("10.1.1.0/24"), VSID: 4096, ProviderAddress: netip.MustParseAddr("192.168.1.6"), MAC: "00:15:5d:00:00:06",
			}}
		}),
		conf: network("overlay", `"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "vsid": 4096}], "hostRoute": true,
			"remoteSubnets": [{"prefix": "10.1.1.0/24", "vsid": 4096, "providerAddress": "192.168.1.6", "mac": "00-15-5D-00-00-06"}]`),
	},
	{
		name: "every address of the node",
		want: with(func(c *Config) {
			c.PortMappings = []PortMapping{
				{Protocol: 6, HostPort: 2, ContainerPort: 2, HostIP: netip.IPv6Unspecified()},
				{Protocol: 6, HostPort: 2, ContainerPort: 2, HostIP: netip.IPv4Unspecified()},
			}
		}),
		conf: native(`"runtimeConfig": {"portMappings": [
			{"hostPort": 2, "containerPort": 2, "protocol": "tcp", "hostIP": "::"},
			{"hostPort": 2, "containerPort": 2, "protocol": "tcp", "hostIP": "0.0.0.0"}]}`),
	},
	{
		name: "what the admin lets a pod's owner open",
		want: with(func(c *Config) {
			c.ACL.Spec.MappedByRules, c.ACL.Asked = true, "acl.mappedPorts"
			c.HostPorts = []hns.PortRange{{First: 80, Last: 80}, {First: 30000, Last: 32767}}
			c.PortMappings = []PortMapping{{Protocol: 6, HostPort: 30001, ContainerPort: 80}}
		}),
		conf: native(`"acl": {"mappedPorts": "rules"}, "hostPorts": ["80", "30000-32767"],
			"runtimeConfig": {"portMappings": [{"hostPort": 30001, "containerPort": 80, "protocol": "tcp"}]}`),
	},
	{
		name: "addresses and overhead",
		want: with(func(c *Config) {
			c.Driver, c.IPAM.Type, c.EncapOverhead = hns.L2Bridge, "static", 50
			c.Requested = []RequestedAddr{
				{"runtimeConfig.ips[0]", netip.MustParseAddr("10.1.0.77")}, {"runtimeConfig.ips[1]", netip.MustParseAddr("fd00::77")},
			}
			c.IPAM.Addresses = []IPAMAddress{{Prefix: netip.MustParsePrefix("10.1.0.77/16")}, {Prefix: netip.MustParsePrefix("fd00::77/64")}}
		}),
		conf: native(`"driver": "l2bridge", "ipam": {"type": "static"}, "encapOverhead": 50, "runtimeConfig": {"ips": ["10.1.0.77/16", "fd00::77/64"]}`),
	},
	{
		name: "empty ipam and empty outbound NAT",
		want: with(func(c *Config) { c.OutboundNAT = &OutboundNAT{} }),
		conf: native(`"ipam": { }, "outboundNAT": {}`),
	},
	{
		name: "policies that are passed through",
		want: with(func(c *Config) {
			c.Policies = []hns.Opaque{
				{Type: "OutBoundNAT", Settings: json.RawMessage(`{"VirtualIP":"","Exceptions":["10.0.0.0/8"],"Destinations":["10.0.0.7"],"Flags":1}`)},
				{Type: "SDNRoute", Settings: json.RawMessage(`{"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}`)},
			}
		}),
		conf: native(`"policies": [
			{"Type": "OutBoundNAT", "Settings": {"VirtualIP": "", "Exceptions": ["10.0.0.0/8"], "Destinations": ["10.0.0.7"], "Flags": 1}},
			{"Type": "sdnRoute", "Settings": {"DestinationPrefix": "10.96.0.0/12", "NeedEncap": true}}]`),
	},
	{
		name: "another program's network and gateways",
		want: with(func(c *Config) {
			c.Driver, c.IPAM.Type, c.MACPrefix = hns.L2Bridge, "azure-ipam", "0e:2a"
			c.Network = &Network{Subnets: []hns.Subnet{subnet("10.10.0.0/24", "10.10.0.1")}, TakeExisting: true}
			c.Gateways = Gateways{IPv4: Gateway{Node: true}, IPv6: Gateway{Addr: netip.MustParseAddr("fe80::1")}}
			c.OutboundNAT = &OutboundNAT{Exceptions: prefixes("10.96.0.0/12"), ExceptNetwork: true}
		}),
		conf: native(`"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.10.0.0/24"}], "takeExisting": true}, "ipam": {"type": "azure-ipam"},
			"gateway": {"ipv4": "node", "ipv6": "fe80::1"}, "macPrefix": "0e-2A", "outboundNAT": {"exceptions": ["10.96.0.0/12"], "exceptNetwork": true}`),
	},
	{
		name: "the network's gateway",
		want: with(func(c *Config) { c.Driver, c.Gateways = hns.Overlay, Gateways{IPv4: Gateway{Network: true}} }),
		conf: native(`"driver": "overlay", "gateway": {"ipv4": "network"}`),
	},
	{
		name: "another's ACLs, that of mapped ports among them",
		want: with(func(c *Config) {
			c.ACL.Program, c.ACL.OpenMapped = false, true
			c.Policies = []hns.Opaque{{Type: "ACL", Settings: json.RawMessage(`{"Action":"Block","Direction":"Out","RemoteAddresses":"10.0.0.0/8, fd00::1","Priority":200}`)}}
		}),
		conf: native(`"acl": {"program": false, "mappedPorts": "allow"},
			"policies": [{"Type": "acl", "Settings": {"Action": "Block", "Direction": "Out", "RemoteAddresses": "10.0.0.0/8, fd00::1", "Priority": 200}}]`),
	},
	{
		name: "arguments for an IPAM plugin",
		want: with(func(c *Config) {
			c.Pod.Name, c.IPAM.Type, c.Requested = "x", "azure-ipam", []RequestedAddr{{"CNI_ARGS IP", netip.MustParseAddr("10.0.0.5")}}
		}),
		conf: native(`"ipam": {"type": "azure-ipam"}`),
		args: "IP=10.0.0.5;GATEWAY=10.0.0.1;K8S_POD_NAME=x",
	},
	{
		name: "unknown arguments",
		want: with(func(c *Config) { c.Pod.Name = "x" }),
		conf: native(""),
		args: "WHO=me;K8S_POD_NAME=x;IgnoreUnknown=True",
	},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range slices.Concat(accepted, aclCases, ipamCases) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(tc.conf), testEnv(tc.args))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, equateAddrs); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			if string(got.Raw) != tc.conf {
				t.Errorf("Raw = %s", got.Raw)
			}
			lenient, err := ParseLenient([]byte(tc.conf), testEnv(tc.args))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, lenient, equateAddrs); diff != "" {
				t.Errorf("ParseLenient (-Parse +ParseLenient):\n%s", diff)
			}
		})
	}
}

func TestParseCopiesStdin(t *testing.T) {
	t.Parallel()
	stdin := []byte(native(`"policies": [{"Type": "QOS", "Settings": {"a": 1}}]`))
	got, err := Parse(stdin, Env{})
	if err != nil {
		t.Fatal(err)
	}
	clear(stdin)
	if got.Raw[0] != '{' || string(got.Policies[0].Settings) != `{"a":1}` {
		t.Errorf("the caller's buffer shows in %+v", got)
	}
}

// TestTableIsComplete fails when a field of Config was added that no accepted
// case sets.
func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	for _, of := range []any{Config{}, Network{}, OutboundNAT{}, PortMapping{}, Pod{}, ACL{}, Gateways{}, Gateway{}, RangeSet{}, Range{}, IPAMAddress{}, RequestedAddr{}, acl.Spec{}, acl.Rule{}, IPAM{}, Timeouts{}, hns.Subnet{}, hns.RemoteSubnet{}, hns.SDNRoute{}} {
		typ := reflect.TypeOf(of)
		for i := range typ.NumField() {
			if typ.Field(i).Name == "origins" {
				continue // a dialect's, too
			}
			name := typ.Field(i).Name
			set := name == "IPAMError" || name == "Replaces" // ParseLenient's, and a dialect's
			for _, tc := range slices.Concat(accepted, aclCases, ipamCases) {
				got, _ := Parse([]byte(tc.conf), testEnv(tc.args))
				set = set || anySet(reflect.ValueOf(got), typ, i)
			}
			if !set {
				t.Errorf("no accepted case sets %s.%s", typ.Name(), typ.Field(i).Name)
			}
		}
	}
}

// anySet reports whether a struct of type t somewhere in v has its i-th field set.
func anySet(v reflect.Value, t reflect.Type, i int) bool {
	if v.Type() == t && !v.Field(i).IsZero() {
		return true
	}
	switch v.Kind() {
	case reflect.Struct:
		for j := range v.NumField() {
			if v.Type().Field(j).IsExported() && anySet(v.Field(j), t, i) {
				return true
			}
		}
	case reflect.Slice:
		for j := range v.Len() {
			if anySet(v.Index(j), t, i) {
				return true
			}
		}
	case reflect.Pointer:
		return !v.IsNil() && anySet(v.Elem(), t, i)
	}
	return false
}

// asError returns the *Error that every failure of this package must be, of
// exactly one kind.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *Error", err)
	}
	kinds := 0
	for _, kind := range []error{ErrSyntax, ErrInvalid, ErrAnnotation, ErrUnsupported} {
		if errors.Is(err, kind) {
			kinds++
		}
	}
	if kinds != 1 {
		t.Errorf("error %v is of %d kinds", err, kinds)
	}
	return e
}
