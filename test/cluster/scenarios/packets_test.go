// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"strings"
	"testing"
)

// The rules that bulkhead.exe asked HNS for decide on packets: who is denied gets no answer,
// and the node itself, whose kubelet.exe probes the pod, does.
func TestRulesOnPackets(t *testing.T) {
	c := open(t)
	n := c.Nodes[0]
	for _, from := range c.Nodes {
		c.run("from-"+from.Name, on(from.Name, pods(web("web", 80))), nil)
	}
	c.edit(n, func(conf string) string {
		return strings.Replace(conf, `"capabilities": {`, `"acl": {"inbound": {"default": "deny"},
			"rules": [{"direction": "in", "action": "allow", "protocol": "tcp", "ports": "81"}]}, "capabilities": {`, 1)
	})
	p := c.run("closed", on(n.Name, pods(web("a", 80), web("b", 81))), nil)
	for _, from := range c.Nodes {
		for port, open := range map[int]bool{80: false, 81: true} {
			out, err := c.exec("from-"+from.Name, "timeout", "3", "wget", "-qO-", fmt.Sprintf("http://%s:%d/hostname", address(p), port))
			if got := err == nil && out == "closed"; got != open {
				t.Errorf("from %s, port %d: %q, %v", from.Name, port, out, err)
			}
		}
	}
}
