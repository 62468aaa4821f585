// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
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

// The rules of a live pod change again and again: each set decides at once about new
// connections, and others do not notice.
func TestRulesChange(t *testing.T) {
	c := open(t)
	n := c.Nodes[0]
	p := c.run("changes", on(n.Name, pods(talker())), nil)
	unharmed := c.probe(c.Nodes...)
	from := c.podPlace(c.ready("prober"))
	e := c.endpoint(n.Name, p.Status.PodIP)
	const changes = 40
	err := machine.In(filepath.Join(c.machine(n), "ns/net"), func() error {
		remote, err := wire.Dial(fmt.Sprintf("127.0.0.1:%d", spec.HNSPort))
		if err != nil {
			return err
		}
		defer remote.Close()
		client := emuclient.New(remote, "") // by the connection that Dial made on this thread
		of, err := client.Endpoint(c.ctx(), e.ID)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(slices.Clone(of.Policies), func(p hns.Policy) bool { _, is := p.(hns.ACL); return is })
		for i := range changes {
			open := i%2 == 1
			if err := client.SetPolicies(c.ctx(), e.ID, append(slices.Clone(others), portRules(open, i)...)); err != nil {
				return err
			}
			if name, err := from.hostname(p.Status.PodIP + ":81"); err != nil || name != p.Name {
				t.Errorf("change %d: the port that stays open: %q, %v", i, name, err)
			}
			wait := answerTime
			if !open {
				wait = pause
			}
			ctx, cancel := context.WithTimeout(c.ctx(), wait)
			conn, err := from.dial(ctx, "tcp", p.Status.PodIP+":80")
			if cancel(); (err == nil) != open {
				t.Errorf("change %d: port 80 is to be open: %t; %v", i, open, err)
			}
			if err == nil {
				conn.Close()
			}
		}
		return client.SetPolicies(c.ctx(), e.ID, of.Policies)
	})
	if err != nil {
		t.Fatal(err)
	}
	unharmed()
}

// portRules let everything through, or everything but what asks for port 80 by TCP, with a
// list of addresses that is another one each time.
func portRules(open bool, i int) []hns.Policy {
	rule := func(id string, d hns.Direction, action hns.Action, priority uint16) hns.ACL {
		return hns.ACL{ID: id, Direction: d, Action: action, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: priority}
	}
	out := []hns.Policy{rule("in", hns.In, hns.Allow, 2000), rule("out", hns.Out, hns.Allow, 2000)}
	if open {
		return out
	}
	closed := rule("closed", hns.In, hns.Block, 1000)
	closed.Protocol, closed.LocalPorts = 6, []hns.PortRange{{First: 80, Last: 80}}
	closed.Remote = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)}
	return append(out, closed)
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
