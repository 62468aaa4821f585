// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// sandbox is a line of test/gocni: a pod and what go-cni returned for it.
type sandbox struct {
	Name       string                   `json:"name"`
	ID         string                   `json:"id"`
	HostPort   uint16                   `json:"hostPort"`
	NetNS      string                   `json:"netns"`
	IP         string                   `json:"ip"`
	Interfaces map[string]*gocni.Config `json:"interfaces"`
	DNS        []types.DNS              `json:"dns"`
	Error      string                   `json:"error"`
}

// containerd is test/gocni with a conflist of the repository.
type containerd struct {
	*plugin
	exe, confDir, network string
}

func newContainerd(t *testing.T, d hns.Driver) *containerd {
	t.Helper()
	p := newPlugin(t, "2022")
	c := &containerd{plugin: p, exe: p.node.Build(t, "./test/gocni"), confDir: t.TempDir()}
	c.network = p.conflist(filepath.Join(conflists, string(d)+".conflist"), filepath.Join(c.confDir, "10-bulkhead.conflist")).Name
	return c
}

// do runs a verb for the pods and returns what became of each.
func (c *containerd) do(verb string, pods []sandbox, flags ...string) []sandbox {
	c.Helper()
	var in bytes.Buffer
	for _, p := range pods {
		if err := json.NewEncoder(&in).Encode(p); err != nil {
			c.Fatal(err)
		}
	}
	r := c.node.Run(c.T, wine.Cmd{
		Path: c.exe, Stdin: in.String(), Timeout: 2 * time.Minute,
		Args: append([]string{
			verb, "--conf-dir", wine.WindowsPath(c.confDir), "--plugin-dir", wine.WindowsPath(filepath.Dir(c.plugin.exe)),
		}, flags...),
	})
	if r.Code != 0 {
		c.Fatalf("%s: exit code %d: %s%s", verb, r.Code, r.Stdout, r.Stderr)
	}
	var out []sandbox
	for line := range strings.Lines(r.Stdout) {
		var s sandbox
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			c.Fatalf("%s: %v: %s", verb, err, line)
		}
		out = append(out, s)
	}
	return out
}

// well runs a verb that must fail for no pod.
func (c *containerd) well(verb string, pods []sandbox, flags ...string) []sandbox {
	c.Helper()
	out := c.do(verb, pods, flags...)
	for _, p := range out {
		if p.Error != "" {
			c.Errorf("%s of %s: %s", verb, p.Name, p.Error)
		}
	}
	return out
}

// start starts pods and fails unless each is as go-cni says.
func (c *containerd) start(n int) []sandbox {
	c.Helper()
	pods := c.well("run", nil, "--pods", fmt.Sprint(n), "--status-every", "1s")
	if len(pods) != n {
		c.Fatalf("got %d pods, want %d", len(pods), n)
	}
	owner := map[string]string{}
	for _, p := range pods {
		if other, taken := owner[p.IP]; taken {
			c.Errorf("%s was given to %s and to %s", p.IP, other, p.Name)
		}
		owner[p.IP] = p.Name
		c.asPromised(p)
	}
	return pods
}

// asPromised compares what containerd learns of a pod with what HNS has.
func (c *containerd) asPromised(p sandbox) {
	c.Helper()
	e := c.endpoint(p.ID + "_" + c.network)
	eth0 := p.Interfaces["eth0"]
	if len(p.Interfaces) != 1 || eth0 == nil || len(eth0.IPConfigs) != 1 || len(e.Addresses) != 1 {
		c.Fatalf("%s has the interfaces %v and the addresses %v, want eth0 with one", p.Name, p.Interfaces, e.Addresses)
	}
	address := e.Addresses[0].Addr()
	want := []string{address.String(), address.String(), e.Gateway(address).String(), string(e.MAC), e.NamespaceID, e.NamespaceID}
	got := []string{p.IP, eth0.IPConfigs[0].IP.String(), eth0.IPConfigs[0].Gateway.String(), eth0.Mac, eth0.Sandbox, p.NetNS}
	if strings.Join(want, " ") != strings.Join(got, " ") {
		c.Errorf("%s: go-cni says %v, HNS has %v", p.Name, got, want)
	}
	if len(p.DNS) != 1 || strings.Join(p.DNS[0].Nameservers, " ") != "10.96.0.53" {
		c.Errorf("%s: go-cni says DNS %+v", p.Name, p.DNS)
	}
	c.wishesGranted(e, p.HostPort, "cluster.local")
	const egress = 10_000_000 / 8 // bits to bytes
	if !slices.Contains(e.Policies, hns.Policy(hns.QOS{Egress: egress})) {
		c.Errorf("%s has no egress limit of %d bytes a second: %v", e.Name, egress, e.Policies)
	}
}

// gone fails when anything of a pod is left on the node.
func (c *containerd) gone(when string) {
	c.Helper()
	c.nothingLeft(when)
	if s, err := c.node.Host.State(); err != nil || len(s.Namespaces) > 0 {
		c.Errorf("%s: namespaces left: %+v, %v", when, s.Namespaces, err)
	}
}

// refusesAll fails unless go-cni passed on an error of every pod that has the
// sentence. It takes one that says "not found" for success.
func (c *containerd) refusesAll(verb string, pods []sandbox, sentence string) {
	c.Helper()
	for _, p := range c.do(verb, pods) {
		if !strings.Contains(p.Error, sentence) || strings.Contains(p.Error, "not found") {
			c.Errorf("%s of %s: got %q, want a sentence with %q", verb, p.Name, p.Error, sentence)
		}
	}
}

// withoutHNS has HNS stopped while f runs.
func (c *containerd) withoutHNS(f func()) {
	c.Helper()
	if err := c.node.Host.StopService(); err != nil {
		c.Fatal(err)
	}
	f()
	if err := c.node.Host.StartService(); err != nil {
		c.Fatal(err)
	}
}

// containerd's own client gets on with the executable: twenty pods, some at once,
// live and die on the drivers that Kubernetes nodes have most.
func TestContainerd(t *testing.T) {
	t.Parallel()
	for _, d := range []hns.Driver{hns.L2Bridge, hns.NAT, hns.Overlay} {
		t.Run(string(d), func(t *testing.T) {
			c := newContainerd(t, d)
			pods := c.start(20)
			c.well("check", pods)
			c.well("stop", pods, "--status-every", "1s")
			c.gone("after all pods")
		})
	}
}

// kubelet asks for the status every few seconds and shows the answer in the
// node's condition.
func TestContainerdStatus(t *testing.T) {
	t.Parallel()
	for _, d := range []hns.Driver{hns.L2Bridge, hns.NAT} {
		t.Run(string(d), func(t *testing.T) {
			c := newContainerd(t, d)
			c.well("status", nil)
			pods := c.start(1)
			c.well("status", nil)
			c.withoutHNS(func() {
				if got := c.do("status", nil); len(got) != 1 || !strings.Contains(got[0].Error, "Start-Service hns") {
					t.Errorf("with HNS stopped: %+v", got)
				}
			})
			c.well("status", nil)
			c.well("stop", pods)
			c.gone("after the pod")
		})
	}
}

// A pod that lost its endpoint fails its Check, and no other does.
func TestContainerdCheck(t *testing.T) {
	t.Parallel()
	c := newContainerd(t, hns.L2Bridge)
	pods := c.start(2)
	if err := c.hns.DeleteEndpoint(t.Context(), c.endpoint(pods[0].ID+"_"+c.network).ID); err != nil {
		t.Fatal(err)
	}
	c.refusesAll("check", pods[:1], "there is no endpoint "+pods[0].ID+"_"+c.network)
	c.well("check", pods[1:])
	c.well("stop", pods)
	c.gone("after the pods")
}

// vfpPortSetting is a code whose own text says "not found", and which is no kind of
// "gone".
const vfpPortSetting = 0x803b0009

// What Remove could not do is an error, so that kubelet comes back.
func TestContainerdFailedRemove(t *testing.T) {
	t.Parallel()
	for _, d := range []hns.Driver{hns.L2Bridge, hns.NAT} {
		t.Run(string(d), func(t *testing.T) {
			c := newContainerd(t, d)
			pods := c.start(2)
			for i, proc := range []string{"HcnEnumerateEndpoints", "HcnDeleteEndpoint"} {
				f := hnsemu.Fault{Proc: proc, Nth: 1, Kind: hnsemu.FaultFail, Code: vfpPortSetting, Every: true}
				if err := c.node.Host.AddFault(f); err != nil {
					t.Fatal(err)
				}
				c.refusesAll("remove", pods[i:i+1], "cannot detach eth0 of pod default/"+pods[i].Name)
				if err := c.node.Host.ClearFaults(); err != nil {
					t.Fatal(err)
				}
			}
			c.withoutHNS(func() { c.refusesAll("remove", pods, "Start-Service hns") })
			c.well("stop", pods)
			c.gone("after the pods")
		})
	}
}

// After a reboot no pod's namespace is there: containerd removes with an empty
// netns.
func TestContainerdReboot(t *testing.T) {
	t.Parallel()
	for _, d := range []hns.Driver{hns.L2Bridge, hns.NAT, hns.Overlay} {
		t.Run(string(d), func(t *testing.T) {
			c := newContainerd(t, d)
			pods := c.start(3)
			if err := c.node.Host.Reboot(); err != nil {
				t.Fatal(err)
			}
			for _, p := range c.well("stop", pods) {
				if p.NetNS != "" {
					t.Errorf("%s was removed with netns %s", p.Name, p.NetNS)
				}
			}
			c.gone("after the reboot")
			again := c.start(3)
			c.well("stop", again)
			c.gone("after the second life")
		})
	}
}

// A pod that nobody knows is removed without an error, twice.
func TestContainerdUnknownPod(t *testing.T) {
	t.Parallel()
	for _, d := range []hns.Driver{hns.L2Bridge, hns.NAT} {
		t.Run(string(d), func(t *testing.T) {
			c := newContainerd(t, d)
			unknown := []sandbox{
				{Name: "rebooted", ID: strings.Repeat("0", 64), HostPort: 31000},
				{Name: "elsewhere", ID: strings.Repeat("1", 64), HostPort: 31001, NetNS: "5e7ec6f4-3d7c-4b6e-8d6e-000000000001"},
			}
			c.well("remove", unknown)
			known := c.start(1)
			c.well("remove", unknown)
			c.well("stop", unknown[1:])
			c.well("check", known)
			c.well("stop", known)
			c.well("stop", known)
			c.gone("after all")
		})
	}
}
