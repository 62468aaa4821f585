// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/version"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// Every conflist of the repository works as it is, through libcni, but for the
// folder of the addresses.
func TestConflists(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(conflists, "*.conflist"))
	if err != nil || len(files) != 2*len(hns.Drivers()) {
		t.Fatalf("%d conflists (%v), want one for each driver and isolation", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".conflist"), func(t *testing.T) { runConflist(t, f) })
	}
}

func runConflist(t *testing.T, file string) {
	p := newPlugin(t, "2022")
	scratch := t.TempDir()
	conf := filepath.Join(scratch, "conf.conflist")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dataDir, err := json.Marshal(wine.WindowsPath(p.dir))
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.ReplaceAll(string(text), `"C:/ProgramData/bulkhead/networks"`, string(dataDir))
	if err := os.WriteFile(conf, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	isolation := hns.Process
	if strings.HasSuffix(file, "-hyperv.conflist") {
		isolation = hns.HyperV
	}
	runtime := p.node.Build(t, "./test/runtime")
	args := func(verb, id string, more ...string) []string {
		return append([]string{
			verb, "--conf", wine.WindowsPath(conf), "--plugins", wine.WindowsPath(filepath.Dir(p.exe)),
			"--cache", wine.WindowsPath(filepath.Join(scratch, "cache")), "--id", id, "--pod", "web",
		}, more...)
	}
	netns := map[string]string{}
	for _, id := range []string{"c1", "c2"} {
		r := p.node.Run(t, wine.Cmd{Path: runtime, Args: args("run", id)})
		var pod struct{ NetNS string }
		if err := json.Unmarshal([]byte(r.Stdout), &pod); err != nil || r.Code != 0 {
			t.Fatalf("ADD of %s: %s%s", id, r.Stdout, r.Stderr)
		}
		netns[id] = pod.NetNS
		if err := p.node.Host.StartContainer(hnsemu.Container{ID: id, NamespaceID: pod.NetNS, Isolation: isolation}); err != nil {
			t.Fatal(err)
		}
	}
	p.twoPods(isolation)
	if held := p.addresses(); strings.Contains(moved, "host-local") && len(held) != 2 {
		t.Errorf("IPAM holds %v for two pods", held)
	}
	for _, id := range []string{"c1", "c2"} {
		if err := p.node.Host.StopContainer(id); err != nil {
			t.Fatal(err)
		}
		if r := p.node.Run(t, wine.Cmd{Path: runtime, Args: args("stop", id, "--netns", netns[id])}); r.Code != 0 {
			t.Fatalf("DEL of %s: %s%s", id, r.Stdout, r.Stderr)
		}
	}
	p.nothingLeft("after both DELs")
}

// twoPods looks at two running pods: a compartment of their own each, different
// addresses, and the traffic of the ACL table.
func (p *plugin) twoPods(isolation hns.Isolation) {
	p.Helper()
	s, err := p.node.Host.State()
	if err != nil {
		p.Fatal(err)
	}
	if len(s.Endpoints) != 2 || len(s.Namespaces) != 2 || len(s.Networks) != 1 {
		p.Fatalf("%d endpoints, %d namespaces, %d networks", len(s.Endpoints), len(s.Namespaces), len(s.Networks))
	}
	if a, b := s.Endpoints[0].Addresses[0], s.Endpoints[1].Addresses[0]; a == b {
		p.Errorf("both pods have %s", a)
	}
	if a, b := s.Namespaces[0].Compartment, s.Namespaces[1].Compartment; a < 2 || b < 2 || a == b {
		p.Errorf("compartments %d and %d", a, b)
	}
	for protocol, want := range map[int]bool{6: true, 17: true, 1: true, 2: true, 47: isolation == hns.HyperV, 132: isolation == hns.HyperV} {
		for _, direction := range []hns.Direction{hns.In, hns.Out} {
			v, err := p.node.Host.Evaluate(hnsemu.Packet{
				EndpointID: s.Endpoints[0].ID, Direction: direction, Protocol: protocol, Remote: netip.MustParseAddr("203.0.113.7"),
			})
			if err != nil {
				p.Fatal(err)
			}
			if wanted := want || direction == hns.Out; v.Allowed != wanted {
				p.Errorf("protocol %d %s: allowed %t (%s), want %t", protocol, direction, v.Allowed, v.Why, wanted)
			}
		}
	}
}

// A runtime of any version gets a result of its version, twice the same.
func TestEveryCNIVersion(t *testing.T) {
	p := newPlugin(t, "2025")
	netns := p.namespace()
	for _, v := range version.All.SupportedVersions() {
		t.Run(v, func(t *testing.T) {
			conf := strings.Replace(p.conf(hns.L2Bridge), `"cniVersion":"1.0.0"`, fmt.Sprintf(`"cniVersion":%q`, v), 1)
			c := call{verb: "ADD", id: "c1", netns: netns, conf: conf}
			first, second := p.run(c), p.run(c)
			if first.Code != 0 || first.Stdout != second.Stdout || first.Stderr != "" {
				t.Fatalf("first %q %q, second %q", first.Stdout, first.Stderr, second.Stdout)
			}
			res, err := version.NewResult(v, []byte(first.Stdout))
			if err != nil || res.Version() != v {
				t.Errorf("%v: %s", err, first.Stdout)
			}
			c.verb = "DEL"
			if err := deleted(p.run(c)); err != nil {
				t.Error(err)
			}
			p.nothingLeft("after DEL")
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	p := newPlugin(t, "2022")
	if r := p.run(call{verb: "VERSION"}); r.Code != 0 || !strings.Contains(r.Stdout, `"supportedVersions":["0.1.0","0.2.0"`) {
		t.Errorf("VERSION: %+v", r)
	}
	if r := p.node.Run(t, wine.Cmd{Path: p.exe}); r.Code != 0 || !strings.Contains(r.Stdout, "a CNI plugin for Windows nodes") {
		t.Errorf("help: %+v", r)
	}
	if r := p.node.Run(t, wine.Cmd{Path: p.exe, Args: []string{"frobnicate"}}); r.Code != 2 || !strings.Contains(r.Stderr, `"frobnicate"`) {
		t.Errorf("unknown command: %+v", r)
	}
}

func TestStatus(t *testing.T) {
	p := newPlugin(t, "2022")
	conf := strings.Replace(p.conf(hns.L2Bridge), `"cniVersion":"1.0.0"`, `"cniVersion":"1.1.0"`, 1)
	if r := p.run(call{verb: "STATUS", conf: conf}); r.Code != 0 || r.Stdout != "" {
		t.Errorf("on a healthy node: %+v", r)
	}
	if err := p.node.Host.StopService(); err != nil {
		t.Fatal(err)
	}
	e, err := refused(p.run(call{verb: "STATUS", conf: conf}))
	if err != nil || e.Code != 50 || !strings.Contains(e.Msg, "Start-Service hns") {
		t.Errorf("with HNS stopped: %+v, %v", e, err)
	}
}
