// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bulkhead-cni/bulkhead/test/cluster/build"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// flannelConf has flannel delegate to Bulkhead, as its users have it delegate to win-overlay.
const flannelConf = `{"cniVersion": "0.3.1", "name": "flannel.4096", "plugins": [{"type": "flannel",
	"subnetFile": "C:/run/flannel/subnet.env", "dataDir": "C:/var/lib/cni/flannel", "capabilities": {"dns": true, "portMappings": true},
	"delegate": {"type": "bulkhead", "driver": "overlay", "loopbackDSR": true, "routes": [{"dst": "` + spec.Services4 + `", "needEncap": true}]}}]}`

// flanneld.exe makes the overlay, and the flannel plugin delegates to bulkhead.exe: pods have
// addresses of the node's lease, each node knows the others' subnets, and pods of all nodes
// reach each other by VXLAN.
func TestFlannel(t *testing.T) {
	c := open(t)
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	b := build.Builder{Root: root, Progress: os.Stderr}
	if err := b.Flannel(); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		// Overlay and l2bridge cannot share the node's adapter.
		if out, err := c.bulkhead(n, "network", "delete", "--name", "podl2bridge"); err != nil {
			t.Logf("the cluster's network: %v: %s", err, out)
		}
		for _, name := range []string{"flanneld.exe", "flannel.exe"} {
			c.install(n, filepath.Join(b.Dir(), name), name)
		}
		c.flanneld(n)
	}
	for _, n := range c.Nodes {
		c.eventually(n.Name+" has its lease and the others' subnets", func() error { return c.leased(n) })
		c.conflist(n, flannelConf)
		c.removeNetwork(n, "flannel.4096")
	}
	all := c.deploy("web", int32(2*len(c.Nodes)), pods(web("web", 80)))
	for _, p := range all {
		e := c.endpoint(p.Spec.NodeName, p.Status.PodIP)
		if e.NetworkName != "flannel.4096" || !strings.HasPrefix(p.Status.PodIP, "10.244.") {
			t.Errorf("%s has %s on %s", p.Name, p.Status.PodIP, e.NetworkName)
		}
		if got := policy(e, "ProviderAddress"); len(got) == 0 {
			t.Errorf("%s has no provider address: %+v", p.Name, e.Policies)
		}
		for _, to := range all {
			if got := c.podPlace(p).seenBy(to.Status.PodIP + ":80"); got != p.Status.PodIP {
				t.Errorf("%s on %s sees %s, want %s", to.Name, to.Spec.NodeName, got, p.Status.PodIP)
			}
		}
	}
	c.scale("web", 0)
	c.eventually("nothing is left", c.leftovers)
}

// flanneld runs flanneld.exe on a node for the rest of the test, on a network of its own.
func (c *cluster) flanneld(n spec.Node) {
	c.Helper()
	for file, text := range map[string]string{
		"etc/kube-flannel/net-conf.json": `{"Network": "` + spec.PodCIDR + `", "Backend": {"Type": "vxlan", "VNI": 4096, "Port": 4789}}`,
		"run/flannel/subnet.env":         "",
	} {
		path := filepath.Join(c.drive(n), file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			c.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(c.TempDir(), n.Name))
	if err != nil {
		c.Fatal(err)
	}
	cmd := c.windows(context.Background(), n, "flanneld.exe", "--kube-subnet-mgr", "--kubeconfig-file=Z:"+c.In("control", "kubeconfig"),
		"--iface="+n.Address().String(), "--ip-masq", `--net-config-path=C:\etc\kube-flannel\net-conf.json`, `--subnet-file=C:\run\flannel\subnet.env`)
	cmd.Env = append(cmd.Env, "NODE_NAME="+n.Name)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // nsenter's child ends with it
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); c.Failed() {
			c.Logf("flanneld.exe of %s: %v\n%s", n.Name, err, text)
		}
	})
}

// leased reports what flanneld.exe has not yet done on a node.
func (c *cluster) leased(n spec.Node) error {
	text, err := os.ReadFile(filepath.Join(c.drive(n), "run/flannel/subnet.env"))
	if err != nil || !strings.Contains(string(text), "FLANNEL_SUBNET=") {
		return fmt.Errorf("subnet.env: %q, %w", text, err)
	}
	state, err := c.hns.HNS(context.Background(), n.Name)
	if err != nil {
		return err
	}
	for _, of := range state.Networks {
		if of.Name != "flannel.4096" {
			continue
		}
		remote := 0
		for _, p := range of.Policies {
			if p.Type == "RemoteSubnetRoute" {
				remote++
			}
		}
		if remote != len(c.Nodes)-1 {
			return fmt.Errorf("%d remote subnets", remote)
		}
		return nil
	}
	return fmt.Errorf("there is no network flannel.4096")
}
