// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// The nodes are Windows of the release that they were made for, each with its own address.
func TestNodes(t *testing.T) {
	c := open(t)
	seen := map[string]bool{}
	for _, n := range c.Nodes {
		got, err := c.kubectl("get", "node", n.Name, "-o", "jsonpath={.status.nodeInfo.operatingSystem} {.status.nodeInfo.osImage} {.status.nodeInfo.kernelVersion} "+
			`{.status.addresses[?(@.type=="InternalIP")].address}`)
		build := map[string]string{"2019": "17763", "2022": "20348", "2025": "26100"}[n.Profile]
		want := fmt.Sprintf("windows Windows Server %s Datacenter 10.0.%s.1 %s", n.Profile, build, n.Address())
		if err != nil || got != want && !strings.HasPrefix(got, want+" ") {
			t.Errorf("%s: got %q, %v, want %q", n.Name, got, err, want)
		}
		seen[n.Address().String()] = true
	}
	if len(seen) != len(c.Nodes) {
		t.Errorf("addresses of the nodes: %v", seen)
	}
}

// Pods of a Deployment on all nodes have addresses of their node's own range, HNS has them
// too, and they reach each other.
func TestDeploymentOverNodes(t *testing.T) {
	c := open(t)
	pods := c.deploy("web", int32(3*len(c.Nodes)), pods(web("web", 80)))
	nodes, addresses := map[string]int{}, map[string]bool{}
	for _, p := range pods {
		nodes[p.Spec.NodeName]++
		addresses[p.Status.PodIP] = true
		if e := c.endpoint(p.Spec.NodeName, p.Status.PodIP); e.NamespaceID == "" {
			t.Errorf("the endpoint of %s is in no namespace", p.Name)
		}
	}
	if len(nodes) != len(c.Nodes) || len(addresses) != len(pods) {
		t.Errorf("pods on nodes %v, addresses %v", nodes, addresses)
	}
	for _, p := range pods[1:] {
		out, err := c.exec(pods[0].Name, "timeout", "5", "wget", "-qO-", fmt.Sprintf("http://%s/hostname", address(p)))
		if err != nil || out != p.Name {
			t.Errorf("%s on %s reaches %s on %s: %q, %v", pods[0].Name, pods[0].Spec.NodeName, p.Name, p.Spec.NodeName, out, err)
		}
	}
}

// address is a pod's, as a URL has it.
func address(p corev1.Pod) string {
	if a, err := netip.ParseAddr(p.Status.PodIP); err == nil && a.Is6() {
		return "[" + p.Status.PodIP + "]"
	}
	return p.Status.PodIP
}

// The containers of a pod share its one endpoint.
func TestPodOfThreeContainers(t *testing.T) {
	c := open(t)
	p := c.run("three", pods(web("one", 80), web("two", 81), web("three", 82)), nil)
	for _, container := range []string{"one", "two", "three"} {
		for port := 80; port <= 82; port++ {
			out, err := c.kubectl("-n", c.ns, "exec", p.Name, "-c", container, "--", "timeout", "5", "wget", "-qO-", fmt.Sprintf("http://127.0.0.1:%d/hostname", port))
			if err != nil || out != p.Name {
				t.Errorf("container %s, port %d: %q, %v", container, port, out, err)
			}
		}
	}
	c.endpoint(p.Spec.NodeName, p.Status.PodIP)
}

// A container that ends is started again in the pod's network.
func TestContainerRestart(t *testing.T) {
	c := open(t)
	before := c.run("web", pods(web("web", 80), web("other", 81)), nil)
	endpoint := c.endpoint(before.Spec.NodeName, before.Status.PodIP)
	if _, err := c.exec("web", "timeout", "5", "wget", "-qO-", "http://127.0.0.1:80/exit?code=7"); err != nil {
		t.Logf("the request that ends the container: %v", err)
	}
	var after corev1.Pod
	c.eventually("the container was started again", func() error {
		after = c.ready("web")
		if n := after.Status.ContainerStatuses; n[0].RestartCount+n[1].RestartCount == 0 {
			return fmt.Errorf("no restart yet")
		}
		return nil
	})
	for _, s := range after.Status.ContainerStatuses {
		if s.Name == "web" && (s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 7) {
			t.Errorf("how it ended: %+v", s.LastTerminationState.Terminated)
		}
	}
	if again := c.endpoint(after.Spec.NodeName, before.Status.PodIP); again.ID != endpoint.ID || after.Status.PodIP != before.Status.PodIP {
		t.Errorf("address %s, endpoint %s; before %s, %s", after.Status.PodIP, again.ID, before.Status.PodIP, endpoint.ID)
	}
}

// What kubectl does with a pod works: logs, exec with its exit status, the termination
// message.
func TestKubectl(t *testing.T) {
	c := open(t)
	script := corev1.Container{Name: "sh", Image: "docker.io/library/busybox:1.37", Command: []string{"sh", "-c", "echo out; echo err >&2; exec sleep 100000"}}
	c.run("sh", pods(script), nil)
	if out, err := c.kubectl("-n", c.ns, "logs", "sh"); err != nil || !strings.Contains(out, "out\n") || !strings.Contains(out, "err\n") {
		t.Errorf("logs: %q, %v", out, err)
	}
	if _, err := c.exec("sh", "sh", "-c", "exit 3"); err == nil || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("exit status: %v", err)
	}
	if out, err := c.exec("sh", "hostname"); err != nil || out != "sh" {
		t.Errorf("hostname: %q, %v", out, err)
	}
	if out, err := c.exec("sh", "cat", "/etc/resolv.conf"); err != nil || !strings.Contains(out, "nameserver "+spec.DNS) || !strings.Contains(out, c.ns+".svc.cluster.local") {
		t.Errorf("resolv.conf: %q, %v", out, err)
	}
	ends := corev1.Container{Name: "end", Image: "docker.io/library/busybox:1.37", Command: []string{"sh", "-c", "echo why > /dev/termination-log; exit 5"}}
	of := pods(ends)
	of.RestartPolicy = corev1.RestartPolicyNever
	c.start("end", of, nil)
	c.eventually("the pod's end is told", func() error {
		got, err := c.kubectl("-n", c.ns, "get", "pod", "end", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.terminated.message}")
		if err == nil && strings.TrimSpace(got) != "5 why" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
}

// A port of a pod is forwarded to this machine, and a program in it reads what is written to
// kubectl.
func TestStreams(t *testing.T) {
	c := open(t)
	p := c.run("web", pods(web("web", 80)), nil)
	forward := exec.Command(c.Program("kubectl"), "--kubeconfig", c.In("kubeconfig"), "-n", c.ns, "port-forward", "pod/web", ":80")
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = forward.Process.Kill()
		_ = forward.Wait() // it was killed
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(line, "Forwarding from 127.0.0.1:%d", &port); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/hostname", port))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != p.Name {
		t.Errorf("by the forwarded port: %q, %v", got, err)
	}
	cat := exec.Command(c.Program("kubectl"), "--kubeconfig", c.In("kubeconfig"), "-n", c.ns, "exec", "-i", "web", "--", "sh", "-c", "cat; exit 4")
	cat.Stdin = strings.NewReader("what is written")
	got, err := cat.Output()
	var exit *exec.ExitError
	if string(got) != "what is written" || !errors.As(err, &exit) || exit.ExitCode() != 4 {
		t.Errorf("exec: %q, %v", got, err)
	}
}

// A pod has its account's token, and sees a ConfigMap change.
func TestVolumes(t *testing.T) {
	c := open(t)
	if _, err := c.kubectl("-n", c.ns, "create", "configmap", "conf", "--from-literal=key=first"); err != nil {
		t.Fatal(err)
	}
	of := pods(web("web", 80))
	of.Volumes = []corev1.Volume{{Name: "conf", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "conf"}}}}}
	of.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "conf", MountPath: "/conf"}}
	c.run("web", of, nil)
	if out, err := c.exec("web", "cat", "/conf/key"); err != nil || out != "first" {
		t.Errorf("ConfigMap: %q, %v", out, err)
	}
	if out, err := c.exec("web", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/namespace"); err != nil || out != c.ns {
		t.Errorf("account: %q, %v", out, err)
	}
	if _, err := c.kubectl("-n", c.ns, "patch", "configmap", "conf", "-p", `{"data":{"key":"second"}}`); err != nil {
		t.Fatal(err)
	}
	c.eventually("the pod sees the change", func() error {
		out, err := c.exec("web", "cat", "/conf/key")
		if err == nil && out != "second" {
			err = fmt.Errorf("got %q", out)
		}
		return err
	})
}
