// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// onLinux pins pods to a Linux node, whose taint they tolerate.
func onLinux(n spec.Node, of corev1.PodSpec) corev1.PodSpec {
	of = on(n.Name, of)
	of.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
	return of
}

// Pods of a Linux node and of Windows nodes reach each other, each seen by its own address, and by
// services, also after a reboot of the Linux node, and pods that name no system come to Windows nodes.
func TestLinuxNode(t *testing.T) {
	c := open(t)
	if len(c.LinuxNodes) == 0 {
		t.Skip("the cluster has no Linux node: scripts/cluster.sh test --linux-nodes 1 starts one that has")
	}
	n := c.LinuxNodes[0]
	linux := []corev1.Pod{c.run("linux", onLinux(n, pods(web("web", 80))), nil)}
	anywhere := pods(web("web", 80))
	anywhere.NodeSelector = nil
	windows := c.deploy("anywhere", int32(2*len(c.Nodes)), anywhere)
	for _, p := range windows {
		if !slices.ContainsFunc(c.Nodes, func(n spec.Node) bool { return n.Name == p.Spec.NodeName }) {
			t.Errorf("%s, which names no system, is on %s", p.Name, p.Spec.NodeName)
		}
	}
	c.meet(linux, windows)
	toLinux, toWindows := c.serve("linux", webPort), c.serve("anywhere", webPort)
	c.asked(windows, toLinux, linux)
	c.asked(linux, toWindows, windows)
	c.command(n.Name, "reboot")
	c.eventually("the pod's container was started again", func() error {
		linux = c.allReady("linux", 1)
		if linux[0].Status.ContainerStatuses[0].RestartCount == 0 {
			return fmt.Errorf("%s has not", linux[0].Name)
		}
		return nil
	})
	c.meet(linux, windows)
	c.asked(windows, toLinux, linux)
	c.asked(linux, toWindows, windows)
}

// asked waits until one of some pods answers each of others by a service, whose proxies may
// not know of it yet.
func (c *cluster) asked(clients []corev1.Pod, by *corev1.Service, some []corev1.Pod) {
	c.Helper()
	for _, from := range clients {
		for _, ip := range by.Spec.ClusterIPs {
			url := fmt.Sprintf("http://%s/hostname", net.JoinHostPort(ip, fmt.Sprint(webPort.Port)))
			c.eventually(from.Name+" on "+from.Spec.NodeName+" is served by "+by.Name, func() error {
				out, err := c.exec(from.Name, "timeout", "5", "wget", "-qO-", url)
				if err == nil && !slices.ContainsFunc(some, func(p corev1.Pod) bool { return p.Name == out }) {
					err = fmt.Errorf("%q answers", out)
				}
				return err
			})
		}
	}
}

// meet has pods of two kinds ask each other which address they see, in each family that they
// have.
func (c *cluster) meet(some, others []corev1.Pod) {
	c.Helper()
	ask := func(from, to corev1.Pod) {
		c.Helper()
		wants := addressesOf(from)
		for i, a := range addressesOf(to) {
			out, err := c.exec(from.Name, "timeout", "5", "wget", "-qO-", fmt.Sprintf("http://%s/clientip", net.JoinHostPort(a, "80")))
			if got, parse := netip.ParseAddrPort(out); err != nil || parse != nil || got.Addr().String() != wants[i] {
				c.Errorf("%s on %s asks %s on %s at %s, and the answer is %q, %v; want %s", from.Name, from.Spec.NodeName, to.Name, to.Spec.NodeName, a, out, err, wants[i])
			}
		}
	}
	for _, a := range some {
		for _, b := range others {
			ask(a, b)
			ask(b, a)
		}
	}
}
