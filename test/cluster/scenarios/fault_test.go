// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// nodeReady waits until a node is ready, or is not, and returns what its condition says.
func (c *cluster) nodeReady(name string, want corev1.ConditionStatus) string {
	c.Helper()
	message := ""
	c.eventually(fmt.Sprintf("Ready of node %s is %s", name, want), func() error {
		n, err := c.api.CoreV1().Nodes().Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				message = condition.Message
				if condition.Status == want {
					return nil
				}
			}
		}
		return fmt.Errorf("not yet: %s", message)
	})
	return message
}

// While HNS is stopped the node says so in Bulkhead's words, and pods wait.
func TestHNSStops(t *testing.T) {
	c := open(t)
	node := c.Nodes[0].Name
	before := c.run("before", on(node, pods(web("web", 80))), nil)
	unharmed := c.probe(c.Nodes...)
	c.command(node, "hns-stop")
	started := false
	defer func() {
		if !started {
			c.command(node, "hns-start")
		}
	}()
	message := c.nodeReady(node, corev1.ConditionFalse)
	if !strings.Contains(message, "network") || !strings.Contains(message, "HNS") {
		t.Errorf("the node says %q", message)
	}
	waiting := on(node, pods(web("web", 80)))
	waiting.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	c.start("waits", waiting, nil)
	c.command(node, "hns-start")
	started = true
	c.nodeReady(node, corev1.ConditionTrue)
	c.ready("waits")
	if after := c.ready("before"); after.Status.PodIP != before.Status.PodIP {
		t.Errorf("the pod had %s and has %s", before.Status.PodIP, after.Status.PodIP)
	}
	unharmed()
}

// Pods live on while kubelet and containerd are started again: the same containers at the
// same addresses.
func TestRestarts(t *testing.T) {
	for _, verb := range []string{"kubelet-restart", "containerd-restart"} {
		t.Run(verb, func(t *testing.T) {
			c := open(t)
			node := c.Nodes[0].Name
			before := c.run("web", on(node, pods(web("web", 80))), nil)
			unharmed := c.probe(c.Nodes...)
			c.command(node, verb)
			c.nodeReady(node, corev1.ConditionTrue)
			c.run("new", on(node, pods(web("web", 80))), nil)
			after := c.ready("web")
			if a, b := before.Status.ContainerStatuses[0], after.Status.ContainerStatuses[0]; a.ContainerID != b.ContainerID || before.Status.PodIP != after.Status.PodIP {
				t.Errorf("before %s at %s, after %s at %s", a.ContainerID, before.Status.PodIP, b.ContainerID, after.Status.PodIP)
			}
			unharmed()
		})
	}
}

// After a node's reboot its pods run again, and no address, endpoint or namespace is lost.
func TestReboot(t *testing.T) {
	c := open(t)
	node := c.Nodes[0].Name
	of := on(node, pods(web("web", 80)))
	of.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	c.deploy("web", 4, of)
	unharmed := func() {}
	if len(c.Nodes) > 1 {
		unharmed = c.probe(c.Nodes[1:]...)
	}
	c.command(node, "reboot")
	c.eventually("the pods' containers were started again", func() error {
		for _, p := range c.allReady("web", 4) {
			if p.Status.ContainerStatuses[0].RestartCount == 0 {
				return fmt.Errorf("%s has not", p.Name)
			}
		}
		return nil
	})
	for _, p := range c.allReady("web", 4) {
		c.endpoint(node, p.Status.PodIP)
	}
	unharmed()
	c.eventually("the node has what its pods have", c.leftovers)
}

// A node that was deleted comes back with its kubelet, and runs pods.
func TestNodeDeleted(t *testing.T) {
	c := open(t)
	node := c.Nodes[len(c.Nodes)-1].Name
	c.run("before", on(node, pods(web("web", 80))), nil)
	if err := c.api.CoreV1().Nodes().Delete(c.ctx(), node, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.command(node, "kubelet-restart")
	c.nodeReady(node, corev1.ConditionTrue)
	c.run("after", on(node, pods(web("web", 80))), nil)
}

// A plugin that is killed in the middle of its work costs its pod a while, and nothing else.
func TestPluginKilled(t *testing.T) {
	c := open(t)
	node := c.Nodes[0].Name
	unharmed := c.probe(c.Nodes...)
	for i := range 3 {
		c.start(fmt.Sprintf("web%d", i), on(node, pods(web("web", 80))), nil)
	}
	killed := 0
	for deadline := time.Now().Add(10 * time.Second); killed < 3 && time.Now().Before(deadline); {
		if c.killPlugin() {
			killed++
			time.Sleep(100 * time.Millisecond)
		}
	}
	if killed == 0 {
		t.Fatal("no plugin was seen running")
	}
	t.Logf("killed the plugin %d times", killed)
	for i := range 3 {
		c.ready(fmt.Sprintf("web%d", i))
	}
	unharmed()
	c.eventually("the node has what its pods have", c.leftovers)
}

// killPlugin kills a bulkhead.exe of the cluster's first node, if one runs.
func (c *cluster) killPlugin() bool {
	plugins := spec.Processes(func(line string) bool {
		return strings.Contains(strings.ReplaceAll(line, `\`, "/"), "cni/bin/bulkhead.exe")
	})
	for _, p := range plugins {
		environ, err := os.ReadFile(filepath.Join(p, "environ"))
		if err != nil || !strings.Contains(string(environ), "WINEPREFIX="+c.In(c.Nodes[0].Name)+"/") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(p))
		return err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil
	}
	return false
}

// A hundred pods come and go, nothing is left, and others do not notice.
func TestChurn(t *testing.T) {
	c := open(t)
	c.deploy("web", 1, pods(web("web", 80)))
	unharmed := c.probe(c.Nodes...)
	const many = 100
	begun := time.Now()
	all := c.scale("web", many)
	up := time.Since(begun)
	addresses := map[string]bool{}
	for _, p := range all {
		addresses[p.Status.PodIP] = true
	}
	if len(addresses) != many {
		t.Errorf("%d pods have %d addresses", many, len(addresses))
	}
	begun = time.Now()
	c.scale("web", 0)
	c.eventually("nothing is left", c.leftovers)
	t.Logf("%d pods ready in %s, gone in %s", many, up.Round(100*time.Millisecond), time.Since(begun).Round(100*time.Millisecond))
	unharmed()
}

// Pods beyond the range wait, and run when addresses come free.
func TestExhausted(t *testing.T) {
	c := open(t)
	if !c.usesHostLocal() {
		t.Skip("the cluster's addresses are not host-local's")
	}
	n := c.Nodes[0]
	c.edit(n, func(conf string) string {
		return strings.Replace(conf, "."+lastOfRange+`"`, `.`+strconv.Itoa(firstOfRange+2)+`"`, 1)
	})
	c.deploy("web", 2, on(n.Name, pods(web("web", 80))))
	c.start("one", on(n.Name, pods(web("web", 80))), nil)
	c.ready("one")
	c.start("waits", on(n.Name, pods(web("web", 80))), nil)
	c.eventually("the pod says what it waits for", func() error {
		events, err := c.kubectl("-n", c.ns, "get", "events", "--field-selector=involvedObject.name=waits")
		if err == nil && !strings.Contains(events, "no free address: all 3 addresses of ipam.ranges[0]") {
			err = errors.New(events)
		}
		return err
	})
	c.nodeReady(n.Name, corev1.ConditionTrue) // it is full, not broken
	c.delete("one")
	c.ready("waits")
}

// The conflists' ranges begin and end with these.
const (
	firstOfRange = 10
	lastOfRange  = "250"
)

// edit changes a node's conflist for the rest of the test.
func (c *cluster) edit(n spec.Node, change func(string) string) {
	c.Helper()
	before, err := os.ReadFile(c.confOf(n))
	if err != nil {
		c.Fatal(err)
	}
	after := change(string(before))
	if after == string(before) {
		c.Fatalf("nothing changes in\n%s", before)
	}
	c.replace(n, after)
	c.Cleanup(func() { c.replace(n, string(before)) })
}

func (c *cluster) confOf(n spec.Node) string {
	c.Helper()
	return filepath.Join(c.drive(n), spec.ConfDir, spec.ConfName)
}

// replace writes a node's conflist, and waits a moment for containerd to see it.
func (c *cluster) replace(n spec.Node, text string) {
	c.Helper()
	if err := c.SetConflist(n, text); err != nil {
		c.Fatal(err)
	}
}
