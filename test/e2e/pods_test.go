// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// conflist copies a conflist of the repository, with the addresses in a folder of
// the test.
func (p *plugin) conflist(from, to string) *types.NetConfList {
	p.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		p.Fatal(err)
	}
	dataDir, err := json.Marshal(wine.WindowsPath(p.dir))
	if err != nil {
		p.Fatal(err)
	}
	moved := bytes.ReplaceAll(text, []byte(`"C:/ProgramData/bulkhead/networks"`), dataDir)
	if err := os.WriteFile(to, moved, 0o600); err != nil {
		p.Fatal(err)
	}
	var list types.NetConfList
	if err := json.Unmarshal(moved, &list); err != nil || len(list.Plugins) != 1 {
		p.Fatalf("%s: %v", from, err)
	}
	return &list
}

// endpoint returns the one endpoint of that name.
func (p *plugin) endpoint(name string) hns.Endpoint {
	p.Helper()
	found, err := p.hns.EndpointsNamed(context.Background(), name)
	if err != nil || len(found) != 1 {
		p.Fatalf("%d endpoints %s, %v", len(found), name, err)
	}
	return found[0]
}

// wishesGranted looks for what test/runtime and test/gocni ask for by way of the
// capabilities: a port of the node, on each of the pod's families, unless it is
// 0; and another DNS than the conflist's but for the domain.
func (p *plugin) wishesGranted(e hns.Endpoint, port uint16, domain string) {
	p.Helper()
	var want, got []hns.PortMapping
	for _, a := range e.Addresses {
		m := hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: port}
		if a.Addr().Is6() {
			m.Flags = hns.IPv6
		}
		if port != 0 {
			want = append(want, m)
		}
	}
	for _, policy := range e.Policies {
		if m, ok := policy.(hns.PortMapping); ok {
			m.Flags &= hns.IPv6 // the other one is the driver's business
			got = append(got, m)
		}
	}
	if !slices.Equal(want, got) {
		p.Errorf("%s has the port mappings %v, want %v", e.Name, got, want)
	}
	dns := hns.DNS{
		Domain:  domain,
		Search:  []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
		Servers: []string{"10.96.0.53"},
		Options: []string{"ndots:5"},
	}
	if diff := cmp.Diff(dns, e.DNS); diff != "" {
		p.Errorf("DNS of %s (-want +got):\n%s", e.Name, diff)
	}
}

// twoPods looks at two running pods: a compartment of their own each, different
// addresses, and the traffic of the ACL table.
func (p *plugin) twoPods(isolation hns.Isolation) {
	p.Helper()
	s, err := p.node.Host.State()
	if err != nil {
		p.Fatal(err)
	}
	s.Endpoints = slices.DeleteFunc(s.Endpoints, verbs.OfTheNode)
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	p := newPlugin(t, "2022")
	conf := strings.Replace(p.conf(hns.L2Bridge), `"cniVersion":"1.0.0"`, `"cniVersion":"1.1.0"`, 1)
	if r := p.run(call{verb: "STATUS", conf: conf}); r.Code != 0 || r.Stdout != "" {
		t.Errorf("on a healthy node: %+v", r)
	}
	if err := p.node.Host.StopService(); err != nil {
		t.Fatal(err)
	}
	e, err := refused(p.run(call{verb: "STATUS", conf: conf}))
	if err != nil || e.Code != 51 || !strings.Contains(e.Msg, "Start-Service hns") {
		t.Errorf("with HNS stopped: %+v, %v", e, err)
	}
}
