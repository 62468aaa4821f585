// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// findings returns what bulkhead.exe doctor finds on a node: the evidence by its id.
func (c *cluster) findings(n spec.Node) map[string]string {
	c.Helper()
	out, err := c.bulkhead(n, "doctor", "-o", "json")
	at := strings.Index(out, "{")
	var d struct {
		Findings []struct{ ID, Evidence string }
	}
	if at < 0 || json.NewDecoder(strings.NewReader(out[at:])).Decode(&d) != nil {
		c.Fatalf("doctor: %v: %s", err, out)
	}
	all := map[string]string{}
	for _, f := range d.Findings {
		all[f.ID] = f.Evidence
	}
	return all
}

// The commands of an administrator know a node's pods by their names and kube-proxy.exe by
// its arguments, find nothing wrong, and then what is planted.
func TestAdministrator(t *testing.T) {
	c := open(t)
	n := c.Nodes[0]
	p := c.run("web", on(n.Name, pods(web("web", 80))), nil)
	// The cluster's kube-proxy.exe does without direct server return.
	healthy := func() {
		t.Helper()
		found := c.findings(n)
		_, dsr := found["kubeproxy.dsr"]
		if len(found) != 1 || !dsr {
			t.Errorf("on a node with nothing wrong but kube-proxy's arguments: %v", found)
		}
	}
	healthy()
	for _, args := range [][]string{{"list"}, {"show", c.ns + "/web"}} {
		if out, err := c.bulkhead(n, args...); err != nil || !strings.Contains(out, c.ns+"/web") || !strings.Contains(out, p.Status.PodIP) {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	for _, tt := range []struct {
		id    string
		plant func() (undo func())
	}{
		{"conflist.encoding", func() func() {
			return c.planted(c.confOf(n), func(text string) string { return "\ufeff" + text })
		}},
		{"conflist.first", func() func() {
			return c.planted(filepath.Join(filepath.Dir(c.confOf(n)), "05-other.conflist"), func(string) string {
				return `{"cniVersion": "1.0.0", "name": "other", "plugins": [{"type": "flannel"}]}`
			})
		}},
		{"network.differs", func() func() {
			return c.planted(c.confOf(n), func(text string) string { return strings.ReplaceAll(text, "10.10.", "10.66.") })
		}},
		{"ipam.leaked", func() func() {
			networks, err := filepath.Glob(filepath.Join(c.drive(n), "ProgramData/bulkhead/networks/*/"+p.Status.PodIP))
			if err != nil || len(networks) != 1 {
				t.Fatalf("reservations of %s: %v, %v", p.Status.PodIP, networks, err)
			}
			return c.planted(filepath.Join(filepath.Dir(networks[0]), "10.10.0.249"), func(string) string { return strings.Repeat("f", 64) + "\r\neth0" })
		}},
		{"hns.stopped", func() func() {
			c.command(n.Name, "hns-stop")
			return func() { c.command(n.Name, "hns-start") }
		}},
	} {
		undo := tt.plant()
		found := c.findings(n)
		undo()
		if _, ok := found[tt.id]; !ok {
			t.Errorf("found %v, want %s", found, tt.id)
		}
		if tt.id != "hns.stopped" {
			healthy()
		}
	}
	// HNS comes back without the pod's interface, but on Windows Server 2019.
	found := c.findings(n)
	if n.Profile == "2019" {
		healthy()
	} else if !strings.Contains(found["namespace.cutOff"], p.Status.PodIP) || found["ipam.leaked"] != "" {
		t.Errorf("after HNS was started again: %v", found)
	}
	c.gone("web")
	healthy()
}

// planted changes a file of a node, and returns what changes it back.
func (c *cluster) planted(file string, change func(string) string) (undo func()) {
	c.Helper()
	before, missing := os.ReadFile(file)
	write := func(text string) {
		c.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			c.Fatal(err)
		}
	}
	write(change(string(before)))
	return func() {
		c.Helper()
		if missing == nil {
			write(string(before))
		} else if err := os.Remove(file); err != nil {
			c.Fatal(err)
		}
	}
}
