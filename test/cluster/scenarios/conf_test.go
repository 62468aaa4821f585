// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/test/cluster/build"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// repository is the top of Bulkhead's, seen from here.
const repository = "../../.."

// Every conflist that Bulkhead comes with gives a pod addresses, at each of which the node
// reaches it, and takes them back. Those for flannel need the network that flanneld makes, see
// TestFlannel; Hyper-V's are the same files for another runtime class.
func TestConflists(t *testing.T) {
	files, err := filepath.Glob(repository + "/plugins/bulkhead/conf/*.conflist")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".conflist")
		if strings.HasPrefix(name, "flannel") || strings.HasSuffix(name, "-hyperv") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := open(t)
			n := c.Nodes[len(c.Nodes)-1]
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var list struct {
				Name    string
				Plugins []struct{ Driver string }
			}
			if err := json.Unmarshal(text, &list); err != nil {
				t.Fatal(err)
			}
			if n.Profile == "2019" && strings.Contains(string(text), "::/64") {
				t.Skip("Windows Server 2019 has no IPv6 in HNS")
			}
			own, err := spec.Renumber(string(text), n.Number+20)
			if err != nil {
				t.Fatal(err)
			}
			// Networks of the same name differ from file to file, and those of different drivers
			// cannot share the node's adapter.
			if out, err := c.bulkhead(n, "network", "delete", "--name", "podl2bridge"); err != nil {
				t.Logf("the cluster's network: %v: %s", err, out)
			}
			network := "c-" + name
			c.conflist(n, strings.Replace(own, `"name": "`+list.Name+`"`, `"name": "`+network+`"`, 1))
			c.removeNetwork(n, network)
			p := c.run("web", on(n.Name, pods(web("web", 80))), nil)
			e := c.endpoint(n.Name, p.Status.PodIP)
			state, err := c.hns.HNS(c.ctx(), n.Name)
			if err != nil {
				t.Fatal(err)
			}
			for _, of := range state.Networks {
				if of.ID == e.NetworkID && (of.Name != network || string(of.Driver) != list.Plugins[0].Driver) {
					t.Errorf("the pod is on %s, a %s network", of.Name, of.Driver)
				}
			}
			for _, a := range e.Addresses {
				name, err := c.nodePlace(n).get(netip.AddrPortFrom(a.Addr(), 80).String(), "/hostname")
				if err != nil || name != "web" {
					t.Errorf("the node asks %s: answered by %q, %v", a, name, err)
				}
			}
			c.gone("web")
		})
	}
}

// removeNetwork removes a network of a node at the end of the test, while the conflist that
// made it is still there: beside the cluster's own the node would not be ready for a moment.
func (c *cluster) removeNetwork(n spec.Node, name string) {
	c.Cleanup(func() {
		if out, err := c.bulkhead(n, "network", "delete", "--name", name); err != nil {
			c.Errorf("delete network %s of %s: %v: %s", name, n.Name, err, out)
		}
	})
}

// conflist replaces a node's conflist for the rest of the test.
func (c *cluster) conflist(n spec.Node, text string) {
	c.Helper()
	c.edit(n, func(string) string { return text })
}

// winBridge is a conflist for win-bridge with host-local, as its documentation has it.
const winBridge = `{"cniVersion": "1.0.0", "name": "winbridge", "plugins": [{
	"type": "win-bridge", "apiVersion": 2, "capabilities": {"dns": true, "portMappings": true},
	"ipam": {"type": "host-local", "dataDir": "C:/ProgramData/bulkhead/networks", "ranges": [[{"subnet": "10.10.%d.0/24", "rangeStart": "10.10.%[1]d.10", "rangeEnd": "10.10.%[1]d.250", "gateway": "10.10.%[1]d.1"}]]},
	"policies": [{"name": "EndpointPolicy", "value": {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["10.10.0.0/16", "10.96.0.0/12"]}}}]}]}`

// The cluster does not flatter Bulkhead: the plugin of containernetworking/plugins works on
// it, too.
func TestWinBridge(t *testing.T) {
	c := open(t)
	n := c.Nodes[0]
	c.peer(n)
	p := c.run("web", on(n.Name, pods(web("web", 80))), nil)
	if e := c.endpoint(n.Name, p.Status.PodIP); !strings.EqualFold(e.NetworkName, "winbridge") {
		t.Errorf("the pod is on %s", e.NetworkName)
	}
	c.gone("web")
}

// gone deletes a pod and waits until its nodes have nothing of it. containerd calls DEL
// with the conflist of the moment, so that of another network comes only then.
func (c *cluster) gone(pod string) {
	c.Helper()
	c.delete(pod)
	c.eventually("nothing of "+pod+" is left", c.leftovers)
}

// peer makes win-bridge the plugin of a node for the rest of the test, on a network that
// somebody has made, as it needs one.
func (c *cluster) peer(n spec.Node) {
	c.Helper()
	for _, name := range []string{"win-bridge.exe", "host-local.exe"} {
		c.install(n, c.Program(name), name)
	}
	subnet := 100 + n.Number
	// A pod of Bulkhead's makes it, with the node's endpoint, which win-bridge takes for the
	// gateway of its pods.
	native := fmt.Sprintf(`{"cniVersion": "1.1.0", "name": "winbridge", "plugins": [{"type": "bulkhead", "driver": "l2bridge",
		"network": {"adapter": "Ethernet", "gatewayEndpoint": true, "subnets": [{"prefix": "10.10.%d.0/24", "gateway": "10.10.%[1]d.1"}]},
		"ipam": {"type": "host-local", "dataDir": "C:/ProgramData/bulkhead/networks"}}]}`, subnet)
	c.Cleanup(func() {
		// Networks of other drivers cannot share its adapter.
		if out, err := c.bulkhead(n, "network", "delete", "--name", "winbridge"); err != nil {
			c.Errorf("delete win-bridge's network: %v: %s", err, out)
		}
	})
	c.conflist(n, native)
	c.run("maker", on(n.Name, pods(web("web", 80))), nil)
	c.gone("maker")
	c.conflist(n, fmt.Sprintf(winBridge, subnet))
}

// install puts a program into a node's folder of CNI plugins.
func (c *cluster) install(n spec.Node, from, name string) {
	c.Helper()
	if err := build.CopyFile(from, filepath.Join(c.drive(n), spec.BinDir, name), 0o755); err != nil {
		c.Fatal(err)
	}
}

// An update: pods of the previous commit's executable live on, are checked and removed by
// this one's.
func TestUpgrade(t *testing.T) {
	c := open(t)
	old := previous(t)
	n := c.Nodes[0]
	c.install(n, old, "bulkhead.exe")
	t.Cleanup(func() { c.install(n, c.Program("bulkhead.exe"), "bulkhead.exe") })
	before := c.deploy("web", 3, on(n.Name, pods(web("web", 80))))
	c.install(n, c.Program("bulkhead.exe"), "bulkhead.exe")
	c.run("new", on(n.Name, pods(web("web", 80))), nil)
	for _, p := range before {
		if out, err := c.exec("new", "timeout", "5", "wget", "-qO-", "http://"+address(p)+"/hostname"); err != nil || out != p.Name {
			t.Errorf("%s after the update: %q, %v", p.Name, out, err)
		}
	}
	c.scale("web", 0)
	c.eventually("the older pods left nothing", c.leftovers)
}

// previous builds the executable of the commit before this one.
func previous(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	archive := exec.Command("git", "archive", "--output", filepath.Join(dir, "source.tar"), "HEAD~1")
	archive.Dir = repository
	if out, err := archive.CombinedOutput(); err != nil {
		t.Skipf("there is no previous commit here: %s", out)
	}
	for _, line := range [][]string{
		{"tar", "xf", "source.tar"},
		{"go", "build", "-trimpath", "-o", "old.exe", "./plugins/bulkhead"},
	} {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOOS=windows", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(line, " "), err, out)
		}
	}
	return filepath.Join(dir, "old.exe")
}
