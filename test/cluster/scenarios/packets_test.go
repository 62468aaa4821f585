// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-cni/bulkhead/test/cluster/topology"
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
	before := c.topology()
	for _, from := range c.Nodes {
		for port, open := range map[int]bool{80: false, 81: true} {
			out, err := c.exec("from-"+from.Name, "timeout", "3", "wget", "-qO-", fmt.Sprintf("http://%s:%d/hostname", address(p), port))
			if got := err == nil && out == "closed"; got != open {
				t.Errorf("from %s, port %d: %q, %v", from.Name, port, out, err)
			}
			c.traced("from-"+from.Name, p, port, open)
		}
	}
	after := c.topology()
	drops := after.DroppedSince(before)
	if want := "dropped by VFP at " + c.ns + "/closed (" + p.Status.PodIP + "), In, on " + n.Name; len(drops) != 1 || !strings.HasSuffix(drops[0], want) {
		t.Errorf("drops %q, want one that ends with %q", drops, want)
	}
	var page strings.Builder
	if err := after.WritePage(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{c.ns + "/closed", "dropped by VFP, In", "bulkhead-pod-switch-in-"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// traced checks that a trace says whether a pod's packet reaches another.
func (c *cluster) traced(from string, to corev1.Pod, port int, open bool) {
	c.Helper()
	source := netip.MustParseAddr(c.ready(from).Status.PodIP)
	target := netip.AddrPortFrom(netip.MustParseAddr(to.Status.PodIP), uint16(port))
	steps, err := c.topology().Trace(source, target, 6)
	if err != nil {
		c.Fatal(err)
	}
	last := steps[len(steps)-1]
	if dropped := strings.Contains(last, "DROPPED by VFP"); dropped == open || !strings.HasPrefix(last, "into "+c.ns+"/"+to.Name) {
		c.Errorf("port %d is open: %t; the trace says %q", port, open, steps)
	}
}

func (c *cluster) topology() topology.Cluster {
	c.Helper()
	pods, err := c.api.CoreV1().Pods("").List(c.ctx(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	services, err := c.api.CoreV1().Services("").List(c.ctx(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	out, err := topology.Read(c.ctx(), c.Cluster, pods.Items, services.Items)
	if err != nil {
		c.Fatal(err)
	}
	return out
}
