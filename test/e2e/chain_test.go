// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

const peers = "github.com/containernetworking/plugins/plugins/"

// bulkhead-acl works behind win-bridge.exe of containernetworking/plugins: it
// passes the result on, adds rules to the endpoint that win-bridge made and
// keeps the rest of it, and takes off no more than its own.
func TestChainBehindWinBridge(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	winBridge := p.node.Build(t, peers+"main/windows/win-bridge")
	hostLocal := p.node.Build(t, peers+"ipam/host-local")
	path := "CNI_PATH=" + wine.WindowsPath(filepath.Dir(hostLocal)) + ";" + wine.WindowsPath(filepath.Dir(winBridge))
	if _, err := p.hns.CreateNetwork(context.Background(), hns.Network{
		Name: "net1", Driver: hns.L2Bridge, Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")}},
	}); err != nil {
		t.Fatal(err)
	}
	bridge := call{id: "c1", netns: p.namespace(), more: []string{path}, conf: fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "net1", "type": "win-bridge", "apiVersion": 2,
		"ipMasqNetwork": "10.0.0.0/8", "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/16", "rangeStart": "10.1.0.10"}]]}}`, wine.WindowsPath(p.dir))}
	result := p.peer(winBridge, "ADD", bridge)
	before := p.endpointPolicies("c1_net1")

	chained := call{id: bridge.id, netns: bridge.netns, conf: `{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead-acl",
		"acl": {"rules": [{"direction": "out", "action": "deny", "remote": ["169.254.169.254/32"]}]}, "prevResult": ` + result + `}`}
	passed := p.works("ADD", chained)
	if diff := cmp.Diff(decoded(t, result), decoded(t, passed)); diff != "" {
		t.Errorf("prevResult was changed (-want +got):\n%s", diff)
	}
	after := p.endpointPolicies("c1_net1")
	if diff := cmp.Diff(before, plan.ReplaceRules(acl.Chained, after, nil), cmp.Comparer(func(a, b hns.Policy) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" {
		t.Errorf("win-bridge's policies (-want +got):\n%s", diff)
	}
	if len(after) == len(before) {
		t.Error("no rule was added")
	}
	for _, verb := range []string{"CHECK", "ADD", "DEL"} {
		p.works(verb, chained)
	}
	if got := p.endpointPolicies("c1_net1"); len(got) != len(after) {
		t.Errorf("after DEL, which leaves the rules to their endpoint: %v, want %v", got, after)
	}
	p.peer(winBridge, "DEL", bridge)
	p.works("DEL", chained)
}

// peer runs another plugin, which must work.
func (p *plugin) peer(exe, verb string, c call) string {
	p.Helper()
	c.verb = verb
	r, err := p.node.Exec(context.Background(), wine.Cmd{Path: exe, Stdin: c.conf, Env: c.environment(p)})
	if err != nil || r.Code != 0 {
		p.Fatalf("%s %s: %v: %s%s", filepath.Base(exe), verb, err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// works runs a verb of Bulkhead's, which must work.
func (p *plugin) works(verb string, c call) string {
	p.Helper()
	c.verb = verb
	r := p.run(c)
	if r.Code != 0 || r.Stderr != "" {
		p.Fatalf("%s: status %d: %s%s", verb, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

func (p *plugin) endpointPolicies(name string) []hns.Policy {
	p.Helper()
	found, err := p.hns.EndpointsNamed(context.Background(), name)
	if err != nil || len(found) != 1 {
		p.Fatalf("endpoints %s: %v, %v", name, found, err)
	}
	return found[0].Policies
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}
