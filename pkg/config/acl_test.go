// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// aclCases are the acl section and the pod's annotation.
var aclCases = []acceptance{
	{
		name: "ACL rules",
		want: with(func(c *Config) {
			c.Driver = hns.L2Bridge
			c.ACL = ACL{Program: true, Asked: "acl.rules", Spec: acl.Spec{
				DenyInbound: true, DenyOutbound: true, DenyHost: true,
				Rules: []acl.Rule{
					{
						Name: "acl.rules[0]", Direction: hns.In, Action: hns.Allow, Protocols: []int{6}, Priority: 100,
						Ports: []hns.PortRange{{First: 80, Last: 80}, {First: 8000, Last: 8080}}, Remote: prefixes("10.0.0.0/8", "fd00::/8"),
					},
					{Name: "acl.rules[1]", Direction: hns.Out, Action: hns.Block, Protocols: []int{1, 58}},
					{Name: "acl.rules[2]", Direction: hns.Out, Action: hns.Allow, Protocols: []int{47}},
					{Name: "acl.rules[3]", Direction: hns.Out, Action: hns.Allow, Protocols: []int{17}, Ports: []hns.PortRange{{First: 53, Last: 53}}},
					{Name: "acl.rules[4]", Direction: hns.In, Action: hns.Allow},
					{Name: "acl.rules[5]", Direction: hns.In, Action: hns.Allow, Protocols: []int{132}},
				},
			}}
		}),
		conf: native(`"driver": "l2bridge", "acl": {
			"inbound": {"default": "deny"}, "outbound": {"default": "deny"}, "allowHost": false,
			"rules": [
				{"direction": "in", "action": "allow", "protocol": "TCP", "ports": "80, 8000-8080", "remote": ["10.0.0.0/8", "fd00::/8"], "priority": 100},
				{"direction": "out", "action": "deny", "protocol": "icmp"},
				{"direction": "out", "action": "allow", "protocol": 47},
				{"direction": "out", "action": "allow", "protocol": "17", "ports": 53},
				{"direction": "in", "action": "allow"},
				{"direction": "in", "action": "allow", "protocol": "sctp"}]}`),
	},
	{
		name: "what the node reaches, and where a pod sends from",
		want: with(func(c *Config) {
			c.Driver = hns.Overlay
			c.ACL = ACL{Program: true, SpoofGuard: true, Asked: "acl.inbound.default", Spec: acl.Spec{
				DenyInbound: true,
				HostTo: []acl.Service{
					{Protocols: []int{6}, Ports: []hns.PortRange{{First: 8080, Last: 8080}, {First: 9000, Last: 9100}}},
					{Protocols: []int{1, 58}},
				},
			}}
		}),
		conf: native(`"driver": "overlay", "acl": {"inbound": {"default": "deny"}, "spoofGuard": true,
			"allowHost": [{"protocol": "tcp", "ports": "8080,9000-9100"}, {"protocol": "icmp"}]}`),
	},
	{
		name: "a pod's annotation tightens",
		want: with(func(c *Config) {
			c.Driver = hns.Overlay
			c.Annotations = map[string]string{"other": "x", Annotation: annotated}
			c.ACL = ACL{Program: true, Asked: "acl.podAnnotations", Tighter: []acl.Spec{{
				DenyInbound: true,
				Rules:       []acl.Rule{{Name: "annotation bulkhead.dev/acl.rules[0]", Direction: hns.Out, Action: hns.Block, Protocols: []int{6}}},
			}}}
		}),
		conf: native(`"driver": "overlay", "acl": {"podAnnotations": true}, ` + arrives + annotate(annotated)),
	},
	{
		name: "behind another plugin",
		want: with(func(c *Config) {
			c.Type, c.Isolation = TypeACL, hns.HyperV
			c.ACL = ACL{Program: true, Asked: "acl.outbound.default", Spec: acl.Spec{DenyOutbound: true}}
		}),
		conf: `{"cniVersion": "1.1.0", "name": "podnet", "type": "bulkhead-acl", "isolation": "hyperv", "acl": {"outbound": {"default": "deny"}}}`,
	},
	{
		name: "an annotation that the conflist does not ask for",
		want: with(func(c *Config) {
			c.Driver, c.Annotations = hns.Overlay, map[string]string{"other": "x", Annotation: "{"}
		}),
		conf: native(`"driver": "overlay", ` + annotate("{")),
	},
}

const annotated = `{"inbound": {"default": "deny"}, "rules": [{"direction": "out", "action": "deny", "protocol": "tcp"}]}`

// arrives declares the capability by which annotations arrive.
const arrives = `"capabilities": {"io.kubernetes.cri.pod-annotations": true}, `

// annotate returns the runtimeConfig of a pod with an ACL annotation.
func annotate(text string) string {
	quoted, _ := json.Marshal(text)
	return `"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"other": "x", "bulkhead.dev/acl": ` + string(quoted) + `}}`
}

func rule(members string) string {
	return native(`"driver": "l2bridge", "acl": {"rules": [{"direction": "in", "action": "allow"}, {` + members + `}]}`)
}

func annotation(text string) string {
	return native(`"driver": "l2bridge", "acl": {"podAnnotations": true}, ` + arrives + annotate(text))
}

// annotatedAs is a pod with an annotation of another key.
func annotatedAs(key string) string {
	return strings.Replace(annotation(`{"inbound":{"default":"deny"}}`), "bulkhead.dev/acl", key, 1)
}

// refusedACLs are sets that cannot be read, or not be enforced.
var refusedACLs = []refusal{
	{want: `acl.rules[1].direction: missing; want in or out`, conf: rule(`"action": "deny"`)},
	{want: `acl.rules[1].direction: "inbound" is not one of in, out`, conf: rule(`"direction": "inbound", "action": "deny"`)},
	{want: `acl.rules[1].action: missing; want allow or deny`, conf: rule(`"direction": "in"`)},
	{want: `acl.rules[1].action: "block" is not one of allow, deny`, conf: rule(`"direction": "in", "action": "block"`)},
	{want: `acl.rules[1].port: unknown key; did you mean "ports"?`, conf: rule(`"port": 80`)},
	{
		want: `acl.rules[1].protocol: "tpc" is neither a number nor one of the names that bulkhead knows: ` + protocolNames(),
		conf: rule(`"direction": "in", "action": "allow", "protocol": "tpc"`),
	},
	{want: `acl.rules[1].protocol: 256 is not in 1 to 255`, conf: rule(`"direction": "in", "action": "allow", "protocol": 256`)},
	{want: `acl.rules[1].protocol: 0 is not in 1 to 255`, conf: rule(`"direction": "in", "action": "allow", "protocol": 0`)},
	{want: `acl.rules[1].remote: null says nothing; remove the key, or write what is meant`, conf: rule(`"direction": "in", "action": "allow", "remote": null`)},
	{want: `acl.inbound: null says nothing; remove the key, or write what is meant`, conf: native(`"driver": "l2bridge", "acl": {"inbound": null}`)},
	{want: `acl.inbound: given twice; remove one of the two`, conf: native(`"driver": "l2bridge", "acl": {"inbound": {"default": "deny"}, "inbound": {"default": "allow"}}`)},
	{want: `acl.Inbound: unknown key; did you mean "inbound"?`, conf: native(`"driver": "l2bridge", "acl": {"Inbound": {"default": "deny"}}`)},
	{want: `acl.rules[1].protocol: remove the key for any protocol`, conf: rule(`"direction": "in", "action": "allow", "protocol": "any"`)},
	{
		want: `acl.rules[1].ports: only TCP and UDP have ports; write "protocol": "tcp" or "udp", and a rule for each`,
		conf: rule(`"direction": "in", "action": "allow", "ports": "80"`),
	},
	{
		want: `acl.rules[1].ports: "90-80" is not a port or a range of ports such as "8000-8080", in 1 to 65535`,
		conf: rule(`"direction": "in", "action": "allow", "protocol": "tcp", "ports": "80,90-80"`),
	},
	{
		want: `acl.rules[1].ports: "" is not a port or a range of ports such as "8000-8080", in 1 to 65535`,
		conf: rule(`"direction": "in", "action": "allow", "protocol": "tcp", "ports": "80,"`),
	},
	{
		want: `acl.rules[1].ports: "65536" is not a port or a range of ports such as "8000-8080", in 1 to 65535`,
		conf: rule(`"direction": "in", "action": "allow", "protocol": "udp", "ports": 65536`),
	},
	{
		want: `acl.rules[1].remote[0]: "10.0.0.1/8" has host bits set; write 10.0.0.0/8`,
		conf: rule(`"direction": "in", "action": "allow", "remote": ["10.0.0.1/8"]`),
	},
	{want: `acl.rules[1].remote: an empty list matches nothing; remove the key for any address`, conf: rule(`"direction": "in", "action": "allow", "remote": []`)},
	{want: `acl.rules[1].priority: 99 is not in 100 to 65500`, conf: rule(`"direction": "in", "action": "allow", "priority": 99`)},
	{
		want: `acl.rules[0].remote[0]: fd00:: is IPv6, which overlay networks do not have`,
		conf: native(`"driver": "overlay", "acl": {"rules": [{"direction": "in", "action": "deny", "remote": ["fd00::/8"]}]}`),
	},
	{
		want: `acl.rules: acl.program is false, so bulkhead programs no ACL; remove one of the two`,
		conf: native(`"driver": "overlay", "acl": {"program": false, "rules": [{"direction": "in", "action": "deny"}]}`),
	},
	{
		want: "acl: ACLs cannot be enforced: the Windows Firewall, which alone enforces the ACLs of a process pod on a nat network, lets a deny beat every allow: " +
			"acl.rules[0] allows packets that acl.rules[1], which comes later, denies; write them so that they share none",
		conf: native(`"driver": "nat", "acl": {"rules": [
			{"direction": "in", "action": "allow", "protocol": "tcp", "ports": 80}, {"direction": "in", "action": "deny", "protocol": "tcp"}]}`),
	},
	{
		want: "acl.podAnnotations: Windows cannot reconfigure the port ACLs of a hyperv pod on a nat network; remove the key",
		conf: native(`"driver": "nat", "isolation": "hyperv", "acl": {"podAnnotations": true}, ` + arrives + annotate("{}")),
	},
	{
		want: "ipam: bulkhead-acl programs ACLs alone; this belongs to the plugin before it",
		conf: `{"name": "n", "type": "bulkhead-acl", "ipam": {"type": "static"}}`,
	},
	{
		want: "loopbackDSR: bulkhead-acl programs ACLs alone; this belongs to the plugin before it",
		conf: `{"name": "n", "type": "bulkhead-acl", "loopbackDSR": true}`,
	},
	{want: `acls: unknown key; did you mean "acl"?`, conf: `{"name": "n", "type": "bulkhead-acl", "acls": {}}`},
	{
		want: `runtimeConfig["io.kubernetes.cri.pod-annotations"]: want an object of strings, got a list`,
		conf: native(`"runtimeConfig": {"io.kubernetes.cri.pod-annotations": []}`),
	},
}

// refusedAnnotations are wrong annotations of pods.
var refusedAnnotations = []refusal{
	{want: `annotation bulkhead.dev/acl: nested deeper than 32 levels`, conf: annotation(`{"rules":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`)},
	{want: `annotation bulkhead.dev/acl: empty; remove it, or write what the pod asks for`, conf: annotation("")},
	{want: `annotation bulkhead.dev/acl.inbound: given twice; remove one of the two`, conf: annotation(`{"inbound":{"default":"deny"},"inbound":{"default":"allow"}}`)},
	{want: `annotation bulkhead.dev/acl.Inbound: unknown key; did you mean "inbound"?`, conf: annotation(`{"Inbound":{"default":"deny"}}`)},
	{want: `annotation bulkhead.dev/acl.rules[0].remote: null says nothing; remove the key, or write what is meant`, conf: annotation(`{"rules":[{"direction":"in","action":"deny","remote":null}]}`)},
	{want: `annotation bulkhead.dev/ACL: bulkhead knows only bulkhead.dev/acl`, conf: annotatedAs("bulkhead.dev/ACL")},
	{want: `annotation Bulkhead.dev/acl: bulkhead knows only bulkhead.dev/acl`, conf: annotatedAs("Bulkhead.dev/acl")},
	{want: `annotation bulkhead.dev/acls: bulkhead knows only bulkhead.dev/acl`, conf: annotatedAs("bulkhead.dev/acls")},
	{want: `annotation bulkhead.dev/acl: malformed JSON at line 1, column 11: unexpected end of JSON input`, conf: annotation(`{"rules": [`)},
	{want: `annotation bulkhead.dev/acl: want one JSON object, got a list`, conf: annotation(`[]`)},
	{want: `annotation bulkhead.dev/acl: it has 16385 bytes; the most is 16384`, conf: annotation("{" + strings.Repeat(" ", 16383) + "}")},
	{want: `annotation bulkhead.dev/acl.program: unknown key`, conf: annotation(`{"program": false}`)},
	{want: `annotation bulkhead.dev/acl.rules[0].direction: missing; want in or out`, conf: annotation(`{"rules": [{}]}`)},
}
