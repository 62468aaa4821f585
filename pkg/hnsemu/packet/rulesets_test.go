// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// ruleSet is a list of ACLs and what becomes of packets, in the notations of
// endpointWith and verdict.
type ruleSet struct {
	name, driver string
	isolation    hns.Isolation
	rules        []string
	want         map[string]string
}

// samples show one rule of evaluation each.
var samples = []ruleSet{
	{
		name: "the first by priority decides", driver: "L2Bridge", isolation: hns.HyperV,
		rules: []string{
			"Switch 2000 Allow In all",
			"Switch 1000 Block In web Protocols=6 LocalPorts=80",
			"Switch 500 Allow In friend Protocols=6 RemoteAddresses=10.0.0.9,10.9.0.0/16 LocalPorts=80",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1024":  "allow Switch friend",
			"In 6 10.9.1.1 80<1024":  "allow Switch friend",
			"In 6 10.0.0.8 80<1024":  "deny Switch web",
			"In 6 10.0.0.8 81<1024":  "allow Switch all",
			"In 17 10.0.0.8 80<1024": "allow Switch all",
			"Out 6 10.0.0.9 80<1024": "deny Switch default deny",
		},
	},
	{
		name: "equal priorities", driver: "L2Bridge", isolation: hns.HyperV,
		rules: []string{
			"Switch 1000 Allow In yes",
			"Switch 1000 Block In no",
			"Switch 1000 Allow In again",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1024": "deny Switch no",
		},
	},
	{
		name: "a lone block cuts everything", driver: "Overlay", isolation: hns.Process,
		rules: []string{
			"Switch 200 Block Out metadata Protocols=6 RemoteAddresses=168.63.129.16 RemotePorts=80",
		},
		want: map[string]string{
			"Out 6 168.63.129.16 1024<80": "deny Switch metadata",
			"Out 6 168.63.129.16 1024<81": "deny Switch default deny",
			"Out 17 8.8.8.8 1024<53":      "deny Switch default deny",
			"In 6 10.0.0.9 80<1024":       "deny Switch default deny",
		},
	},
	{
		name: "block beats allow in the firewall", driver: "NAT", isolation: hns.Process,
		rules: []string{
			"Host 0 Allow In all",
			"Host 0 Block In web Protocols=6 LocalPorts=80,8000-8080",
			"Host 0 Allow Out out Protocols=6,17",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1":    "deny Host web",
			"In 6 10.0.0.9 8000<1":  "deny Host web",
			"In 6 10.0.0.9 8080<1":  "deny Host web",
			"In 6 10.0.0.9 8081<1":  "allow Host all",
			"In 47 10.0.0.9":        "allow Host all",
			"Out 17 10.0.0.9 1<53":  "allow Host out",
			"Out 1 10.0.0.9":        "deny Host default deny",
			"Out 132 10.0.0.9 80<1": "deny Host default deny",
		},
	},
	{
		name: "a packet must pass both", driver: "L2Tunnel", isolation: hns.Process,
		rules: []string{
			"Host 0 Allow In h Protocols=6",
			"Host 0 Allow Out ho",
			"Switch 1000 Allow In s LocalPorts=80",
			"Switch 1000 Allow Out so",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1":  "allow Switch s",
			"In 6 10.0.0.9 81<1":  "deny Switch default deny",
			"In 17 10.0.0.9 80<1": "deny Host default deny",
			"In 1 10.0.0.9":       "deny Switch default deny",
			"Out 1 10.0.0.9":      "allow Switch so",
		},
	},
	{
		name: "addresses of both sides", driver: "L2Bridge", isolation: hns.HyperV,
		rules: []string{
			"Switch 1000 Allow In mine LocalAddresses=192.168.100.2",
			"Switch 1001 Block In other LocalAddresses=192.168.100.3",
			"Switch 1002 Allow Out six RemoteAddresses=fd00::/8",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1":         "allow Switch mine",
			"In 6 fd00::9 80<1":          "deny Switch default deny",
			"In 6 ::ffff:10.0.0.9 80<80": "allow Switch mine",
			"Out 6 fd00::9 80<1":         "allow Switch six",
			"Out 6 10.0.0.9 80<1":        "deny Switch default deny",
		},
	},
	{
		name: "any protocol", driver: "L2Bridge", isolation: hns.HyperV,
		rules: []string{
			"Switch 1000 Allow In empty",
			"Switch 1000 Allow Out v1 Protocols=256",
		},
		want: map[string]string{
			"In 255 10.0.0.9": "allow Switch empty",
			"Out 0 10.0.0.9":  "allow Switch v1",
		},
	},
	{
		name: "ports need a protocol that has them", driver: "L2Bridge", isolation: hns.HyperV,
		rules: []string{
			"Switch 1000 Allow In web LocalPorts=0-65535",
			"Switch 1001 Allow In ping Protocols=1,58",
		},
		want: map[string]string{
			"In 6 10.0.0.9 0<0":       "allow Switch web",
			"In 17 10.0.0.9 65535<0":  "allow Switch web",
			"In 132 10.0.0.9 2905<40": "allow Switch web",
			"In 1 10.0.0.9":           "allow Switch ping",
			"In 2 10.0.0.9":           "deny Switch default deny",
		},
	},
	{
		name: "Switch rules mean nothing on transparent", driver: "Transparent", isolation: hns.Process,
		rules: []string{
			"Switch 1000 Block In in",
			"Switch 1000 Block Out out",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1":  "allow default allow",
			"In 47 10.0.0.9":      "deny default deny",
			"Out 6 10.0.0.9 80<1": "allow default allow",
		},
	},
	{
		name: "Host rules mean nothing to a utility VM", driver: "Overlay", isolation: hns.HyperV,
		rules: []string{
			"Host 0 Block In in",
			"Host 0 Block Out out",
		},
		want: map[string]string{
			"In 47 10.0.0.9":      "allow default allow",
			"Out 6 10.0.0.9 80<1": "allow default allow",
		},
	},
}

// inTheField are the rules that other projects send, and what their authors say
// becomes of packets.
var inTheField = []ruleSet{
	{
		// "Connectivity may be broken" until the agent has added its rules.
		name: "Calico's plugin before its agent acts", driver: "L2Bridge", isolation: hns.Process,
		rules: []string{
			"Switch 65500 Block In default Protocols=256",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1024":  "deny Switch default",
			"In 1 10.0.0.9":          "deny Switch default",
			"Out 17 8.8.8.8 1024<53": "deny Switch default deny",
		},
	},
	{
		name: "Calico's agent", driver: "L2Bridge", isolation: hns.Process,
		rules: []string{
			"Switch 900 Allow In node RemoteAddresses=192.168.1.5/32 Protocols=256",
			"Switch 1000 Allow In policy Protocols=6 RemoteAddresses=10.0.0.0/24 LocalPorts=8080",
			"Switch 1001 Block In in Protocols=256",
			"Switch 1000 Allow Out out Protocols=256",
			"Host 0 Allow In hostin Protocols=256",
			"Host 0 Allow Out hostout Protocols=256",
		},
		want: map[string]string{
			"In 6 192.168.1.5 8080<1024": "allow Switch node",
			"In 6 192.168.1.5 9<1024":    "allow Switch node",
			"In 6 10.0.0.9 8080<1024":    "allow Switch policy",
			"In 6 10.0.0.9 8081<1024":    "deny Switch in",
			"In 6 10.0.1.9 8080<1024":    "deny Switch in",
			"Out 17 8.8.8.8 1024<53":     "allow Switch out",
		},
	},
	{
		name: "NPM's base on Calico", driver: "L2Bridge", isolation: hns.Process,
		rules: []string{
			"Switch 200 Block Out wireserver Protocols=6 RemoteAddresses=168.63.129.16 RemotePorts=80",
			"Switch 65499 Allow In in",
			"Switch 65499 Allow Out out",
			"Switch 65500 Block In calico Protocols=256",
			"Host 0 Allow In hostin",
			"Host 0 Allow Out hostout",
		},
		want: map[string]string{
			"Out 6 168.63.129.16 1024<80":  "deny Switch wireserver",
			"Out 6 168.63.129.16 1024<443": "allow Switch out",
			"In 6 10.0.0.9 80<1024":        "allow Switch in",
			"In 47 10.0.0.9":               "allow Switch in",
		},
	},
	{
		name: "NPM's policy", driver: "L2Bridge", isolation: hns.HyperV,
		rules: []string{
			"Switch 201 Allow In readiness RemoteAddresses=192.168.1.5",
			"Switch 221 Block In except RemoteAddresses=10.0.0.8",
			"Switch 222 Allow In cidr RemoteAddresses=10.0.0.0/24 Protocols=6 LocalPorts=80",
			"Switch 3000 Block In rest",
			"Switch 65499 Allow Out out",
		},
		want: map[string]string{
			"In 6 192.168.1.5 80<1024": "allow Switch readiness",
			"In 6 10.0.0.8 80<1024":    "deny Switch except",
			"In 6 10.0.0.9 80<1024":    "allow Switch cidr",
			"In 6 10.0.0.9 81<1024":    "deny Switch rest",
			"Out 6 10.0.0.9 1024<80":   "allow Switch out",
		},
	},
	{
		name: "Azure's multitenancy", driver: "L2Bridge", isolation: hns.Process,
		rules: []string{
			"Switch 200 Block Out wireserver Protocols=6 RemoteAddresses=168.63.129.16 RemotePorts=80",
			"Switch 65500 Allow In in",
			"Switch 65500 Allow Out out",
		},
		want: map[string]string{
			"Out 6 168.63.129.16 1024<80": "deny Switch wireserver",
			"Out 17 168.63.129.16 99<53":  "allow Switch out",
			"In 6 10.0.0.9 80<1024":       "allow Switch in",
			"In 47 10.0.0.9":              "deny default deny",
		},
	},
	{
		name: "Azure's SwiftV2, untyped", driver: "L2Bridge", isolation: hns.Process,
		rules: []string{
			"- 10000 Block In in",
			"- 10000 Block Out out",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1024":  "deny Switch in",
			"Out 6 10.0.0.9 1024<80": "deny Switch out",
		},
	},
	{
		name: "Amazon's metadata block", driver: "L2Bridge", isolation: hns.Process,
		rules: []string{
			"Switch 200 Block Out imds Protocols=256 RemoteAddresses=169.254.169.254",
			"Switch 300 Allow In in Protocols=256",
			"Switch 300 Allow Out out Protocols=256",
		},
		want: map[string]string{
			"Out 6 169.254.169.254 1024<80": "deny Switch imds",
			"Out 1 169.254.169.254":         "deny Switch imds",
			"Out 6 169.254.169.253 1024<80": "allow Switch out",
		},
	},
	{
		// An untyped rule per port mapping: on nat it is the firewall's, and the
		// priority plays no part.
		name: "sdnbridge's allowAclPortMapping on nat", driver: "NAT", isolation: hns.Process,
		rules: []string{
			"- 1000 Allow In web Protocols=6 LocalPorts=80",
		},
		want: map[string]string{
			"In 6 10.0.0.9 80<1024":  "allow Host web",
			"In 6 10.0.0.9 81<1024":  "deny Host default deny",
			"Out 6 10.0.0.9 1024<80": "deny Host default deny",
		},
	},
	{
		// The integration tests of winc show that an allow of UDP leaves TCP and
		// ICMP blocked.
		name: "winc on nat", driver: "NAT", isolation: hns.Process,
		rules: []string{
			"- 0 Allow Out udp Protocols=17 RemoteAddresses=8.8.8.8 RemotePorts=53",
		},
		want: map[string]string{
			"Out 17 8.8.8.8 1024<53": "allow Host udp",
			"Out 6 8.8.8.8 1024<53":  "deny Host default deny",
			"Out 1 8.8.8.8":          "deny Host default deny",
		},
	},
}

func TestRuleSets(t *testing.T) { evaluateSets(t, samples) }

func TestRuleSetsInTheField(t *testing.T) { evaluateSets(t, inTheField) }

func evaluateSets(t *testing.T, sets []ruleSet) {
	t.Helper()
	for _, tc := range sets {
		t.Run(tc.name, func(t *testing.T) {
			e := endpointWith(t, tc.driver, tc.rules...)
			for packet, want := range tc.want {
				if got := verdict(t, e, packet, tc.isolation); got != want {
					t.Errorf("%s: %s, want %s", packet, got, want)
				}
			}
		})
	}
}

// TestOrderOfRules: the order in the document does not matter, only priorities
// do.
func TestOrderOfRules(t *testing.T) {
	for _, tc := range samples {
		var reversed []string
		for _, rule := range tc.rules {
			reversed = append([]string{rule}, reversed...)
		}
		e := endpointWith(t, tc.driver, reversed...)
		for packet, want := range tc.want {
			if got := verdict(t, e, packet, tc.isolation); got != want {
				t.Errorf("%s, reversed, %s: %s, want %s", tc.name, packet, got, want)
			}
		}
	}
}

// TestScopeOfDeny: which directions a rule makes default to deny, under either
// answer to the unknown, for each enforcement point.
func TestScopeOfDeny(t *testing.T) {
	const pass = "allow default allow"
	for _, tc := range []struct {
		rule         string
		perDirection bool
		in, out      string
	}{
		{"Switch 1000 Allow In r RemoteAddresses=1.1.1.1", false, "deny Switch default deny", "deny Switch default deny"},
		{"Switch 1000 Allow In r RemoteAddresses=1.1.1.1", true, "deny Switch default deny", pass},
		{"Switch 1000 Allow Out r RemoteAddresses=1.1.1.1", false, "deny Switch default deny", "deny Switch default deny"},
		{"Switch 1000 Allow Out r RemoteAddresses=1.1.1.1", true, pass, "deny Switch default deny"},
		{"Host 0 Allow In r RemoteAddresses=1.1.1.1", false, "deny Host default deny", "deny Host default deny"},
		{"Host 0 Allow In r RemoteAddresses=1.1.1.1", true, "deny Host default deny", pass},
		{"Host 0 Allow Out r RemoteAddresses=1.1.1.1", false, "deny Host default deny", "deny Host default deny"},
		{"Host 0 Allow Out r RemoteAddresses=1.1.1.1", true, pass, "deny Host default deny"},
	} {
		e := endpointWith(t, "Overlay", tc.rule)
		e.DenyPerDirection = tc.perDirection
		if got := verdict(t, e, "In 6 10.0.0.9 80<1", hns.Process); got != tc.in {
			t.Errorf("%s, per direction %t: in %s, want %s", tc.rule, tc.perDirection, got, tc.in)
		}
		if got := verdict(t, e, "Out 6 10.0.0.9 80<1", hns.Process); got != tc.out {
			t.Errorf("%s, per direction %t: out %s, want %s", tc.rule, tc.perDirection, got, tc.out)
		}
	}
}
