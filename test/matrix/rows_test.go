// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// row is something that a conflist or a pod can ask for.
type row struct {
	name string
	// before makes what must be there before the pod, nil for nothing.
	before func(*pod, members) answer
	// ask adds to the configuration what the row is about.
	ask func(cell, members)
	// look returns what is missing after an ADD that worked.
	look func(*pod) error
}

var rows = []row{
	{name: "a pod", ask: nothing, look: routed},
	{name: "network made when missing", ask: nothing, look: madeNetwork},
	{name: "network that exists", before: aNetwork, ask: without("network", "driver"), look: routed},
	{name: "addresses by HNS", ask: without("ipam"), look: routed},
	{name: "`isolation` process", ask: nothing, look: isolated(hns.Process)},
	{name: "`isolation` hyperv", ask: add("isolation", "hyperv"), look: isolated(hns.HyperV)},
	{name: "`portMappings`", ask: mapPorts("", ""), look: mapped("", "")},
	{name: "`portMappings` with `hostIP`", ask: mapPorts(nodeIPv4, nodeIPv6), look: mapped(nodeIPv4, nodeIPv6)},
	{name: "`dns`", ask: runtimeFor("dns", podDNS), look: hasDNS},
	{name: "`bandwidth` egress", ask: runtime("bandwidth", members{"egressRate": 8_000_000, "egressBurst": 8_000_000}), look: shaped},
	{name: "`bandwidth` ingress", ask: runtime("bandwidth", members{"ingressRate": 8_000_000, "ingressBurst": 8_000_000}), look: nowhere},
	{name: "`ips`", ask: runtimeFor("ips", wantedIPs), look: hasIPs},
	{name: "`mac`", ask: runtime("mac", wantedMAC), look: hasMAC},
	{name: "`outboundNAT`", ask: addFor("outboundNAT", exceptions), look: translated},
	{name: "`loopbackDSR`", ask: add("loopbackDSR", true), look: reflected},
	{name: "`routes`", ask: addFor("routes", routes), look: encapsulated},
	{name: "`encapOverhead`", ask: add("encapOverhead", 50), look: policy("EncapOverhead", members{"Overhead": 50})},
	{name: "`network.subnets[].vlan`", ask: subnet("vlan", 7), look: tagged},
	{name: "`network.vxlanPort`", ask: network("vxlanPort", 4790), look: networkPolicy("VxlanPort", members{"Port": 4790})},
	{name: "`network.macPool`", ask: network("macPool", []members{{"start": poolStart, "end": poolEnd}}), look: pooled},
	{name: "`network.nonPersistent`", ask: network("nonPersistent", true), look: forgotten},
	{name: "`network.gatewayEndpoint`", ask: network("gatewayEndpoint", true), look: hasGateway},
	{name: "`network.hostRoute`", ask: network("hostRoute", true), look: networkPolicy("HostRoute", nil)},
	{name: "`network.remoteSubnets`", ask: network("remoteSubnets", remoteSubnets), look: networkPolicy("RemoteSubnetRoute", remoteSubnet)},
}

func nothing(cell, members) {}

// add asks by a key of the configuration.
func add(key string, value any) func(cell, members) {
	return func(_ cell, conf members) { conf[key] = value }
}

// addFor asks by a key whose value depends on the families.
func addFor(key string, value func(family) any) func(cell, members) {
	return func(c cell, conf members) { conf[key] = value(c.family) }
}

// runtime asks by a capability.
func runtime(key string, value any) func(cell, members) {
	return add("runtimeConfig", members{key: value})
}

func runtimeFor(key string, value func(family) any) func(cell, members) {
	return addFor("runtimeConfig", func(f family) any { return members{key: value(f)} })
}

// network asks by a key of the network section.
func network(key string, value any) func(cell, members) {
	return func(_ cell, conf members) { conf["network"].(members)[key] = value }
}

// subnet asks by a key of each subnet.
func subnet(key string, value any) func(cell, members) {
	return func(_ cell, conf members) {
		for _, s := range conf["network"].(members)["subnets"].([]members) {
			s[key] = value
		}
	}
}

// without leaves keys out.
func without(keys ...string) func(cell, members) {
	return func(_ cell, conf members) {
		for _, key := range keys {
			delete(conf, key)
		}
	}
}

// aNetwork has another pod make the network, and go.
func aNetwork(p *pod, conf members) answer {
	first := p.call
	first.Conf = text(p.T, conf)
	if _, err := p.node.Run(p.T, first); err != nil {
		return p.refused(err)
	}
	first.Verb = "DEL"
	if _, err := p.node.Run(p.T, first); err != nil {
		p.Error(err)
	}
	if err := p.node.Host.ResetLog(); err != nil {
		p.Fatal(err)
	}
	return answer{works: true}
}

// What the rows ask for.
const (
	nodeIPv4  = "192.168.1.5"
	nodeIPv6  = "fd00:9::5"
	wantedMAC = "00:15:5d:aa:bb:01"
	poolStart = "00-15-5D-77-00-00"
	poolEnd   = "00-15-5D-77-00-FF"
)

func mapPorts(v4, v6 string) func(cell, members) {
	return runtimeFor("portMappings", func(f family) any {
		mapping := func(ip string) members {
			return members{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ip}
		}
		if v4 == "" {
			return []members{mapping("")} // for every family that the pod has
		}
		return pick(f, mapping(v4), mapping(v6))
	})
}

func podDNS(f family) any {
	return members{
		"servers": pick(f, "10.96.0.53", "fd00:96::53"), "searches": []string{"default.svc.cluster.local"}, "options": []string{"ndots:5"},
	}
}

func wantedIPs(f family) any { return pick(f, "10.1.0.77/16", "fd00:1::77/64") }

func exceptions(f family) any {
	return members{"exceptions": pick(f, "10.0.0.0/8", "fd00::/16")}
}

func routes(f family) any {
	return pick(f, members{"dst": "10.96.0.0/12", "needEncap": true}, members{"dst": "fd00:96::/108", "needEncap": true})
}

var (
	remoteSubnets = []members{{"prefix": "10.2.0.0/16", "vsid": 4096, "providerAddress": "192.168.1.6", "mac": "00-15-5D-00-00-06"}}
	remoteSubnet  = members{"DestinationPrefix": "10.2.0.0/16", "IsolationId": 4096, "ProviderAddress": "192.168.1.6"}
)
