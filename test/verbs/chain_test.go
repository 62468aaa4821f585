// SPDX-License-Identifier: Apache-2.0

package verbs_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/failure"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
)

// chain is a pod that another plugin gave an endpoint, with policies of that
// plugin's and a rule of a policy agent's.
type chain struct {
	*testing.T
	node     *verbs.Node
	call     verbs.Call
	endpoint hns.Endpoint
	others   []hns.Policy
}

func newChain(t *testing.T, rules string) *chain {
	t.Helper()
	ctx := context.Background()
	c := &chain{T: t, node: verbs.New(t, "2022", t.TempDir())}
	network, err := c.node.HNS.CreateNetwork(ctx, hns.Network{
		Name: "azure", Driver: hns.L2Bridge, Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.others = []hns.Policy{
		hns.OutboundNAT{Exceptions: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		hns.Opaque{Type: "L4WFPPROXY", Settings: json.RawMessage(`{"InboundProxyPort":"15001"}`)},
		hns.ACL{ID: "felix-1", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: 900},
	}
	id, err := c.node.HNS.CreateEndpoint(ctx, hns.Endpoint{
		Name: "7cd1e1f9-eth0", NetworkID: network.ID, Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.20/16")}, Policies: c.others,
	})
	if err != nil {
		t.Fatal(err)
	}
	ns := c.node.Namespace(t)
	if err := c.node.HNS.Attach(ctx, ns, id); err != nil {
		t.Fatal(err)
	}
	if c.endpoint, err = c.node.HNS.Endpoint(ctx, id); err != nil {
		t.Fatal(err)
	}
	c.call = verbs.Call{ContainerID: "7cd1e1f9aa", NetNS: ns, Conf: conf(rules, `, "prevResult": `+previous)}
	return c
}

const previous = `{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0"}], "ips": [{"address": "10.1.0.20/16", "gateway": "10.1.0.1"}], "dns": {"nameservers": ["10.96.0.10"]}}`

func conf(acl, more string) string {
	return `{"cniVersion": "1.0.0", "name": "podnet", "type": "bulkhead-acl", "acl": {` + acl + `}` + more + `}`
}

func (c *chain) run(verb string) (string, error) {
	c.Helper()
	c.call.Verb = verb
	return c.node.Run(c.T, c.call)
}

func (c *chain) must(verb string) string {
	c.Helper()
	out, err := c.run(verb)
	if err != nil {
		c.Fatalf("%s: %v", verb, err)
	}
	return out
}

// policies returns the endpoint's policies, ours and those of others.
func (c *chain) policies() (own []string, others []hns.Policy) {
	c.Helper()
	e, err := c.node.HNS.Endpoint(context.Background(), c.endpoint.ID)
	if err != nil {
		c.Fatal(err)
	}
	for _, p := range e.Policies {
		if r, ok := p.(hns.ACL); ok && acl.OwnerOf(r) == acl.Chained {
			own = append(own, r.ID)
			continue
		}
		others = append(others, p)
	}
	return own, others
}

func (c *chain) othersStay() {
	c.Helper()
	_, got := c.policies()
	if diff := cmp.Diff(c.others, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		c.Errorf("policies of others (-want +got):\n%s", diff)
	}
}

// changes counts what HNS was asked to change since the log was reset.
func (c *chain) changes() int {
	c.Helper()
	counts, err := c.node.Host.Counts()
	if err != nil {
		c.Fatal(err)
	}
	n := 0
	for proc, times := range counts {
		if strings.HasPrefix(proc, "HcnModify") {
			n += times
		}
	}
	return n
}

const denySSH = `"rules": [{"direction": "in", "action": "deny", "protocol": "tcp", "ports": "22"}]`

func TestChain(t *testing.T) {
	c := newChain(t, denySSH)
	out := c.must("ADD")
	var got, want any
	if err := errors.Join(json.Unmarshal([]byte(out), &got), json.Unmarshal([]byte(previous), &want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prevResult was changed (-want +got):\n%s", diff)
	}
	own, _ := c.policies()
	if !slices.Contains(own, "bulkhead-acl-switch-in-rule0-tcp") {
		t.Errorf("own rules %v", own)
	}
	c.othersStay()
	c.must("CHECK")
	c.must("GC")
	c.must("STATUS")

	if err := c.node.Host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	c.must("ADD")
	if n := c.changes(); n != 0 {
		t.Errorf("a repeated ADD changed %d times", n)
	}

	// The conflist changed, and so does the live endpoint.
	c.call.Conf = conf(`"outbound": {"default": "deny"}`, `, "prevResult": `+previous)
	if _, err := c.run("CHECK"); code(err) != failure.CodeDiffers {
		t.Errorf("CHECK of other rules: %v", err)
	}
	c.must("ADD")
	now, _ := c.policies()
	if slices.Equal(now, own) || slices.Contains(now, "bulkhead-acl-switch-in-rule0-tcp") {
		t.Errorf("rules after the change: %v", now)
	}
	c.othersStay()

	c.must("DEL")
	c.must("DEL")
}

// Behind bulkhead its rules would be in vain: what the first plugin's let in, they cannot keep
// out.
func TestChainBehindBulkhead(t *testing.T) {
	c := newChain(t, `"inbound": {"default": "deny"}`)
	first := hns.ACL{ID: "bulkhead-pod-switch-in-usual-tcp", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: 65000}
	if err := c.node.HNS.SetPolicies(context.Background(), c.endpoint.ID, append(slices.Clone(c.others), first)); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"ADD", "CHECK"} {
		if _, err := c.run(verb); code(err) != types.ErrInvalidNetworkConfig || !strings.Contains(err.Error(), "write them into that plugin's acl section") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if own, _ := c.policies(); len(own) > 0 {
		t.Errorf("own rules %v", own)
	}
	c.must("DEL")
}

// DEL takes no rule off: the endpoint takes them with it. A DEL of a worker that shares
// the namespace, or with a result that is another pod's by now, leaves a live pod closed.
func TestFinding03ChainedDelStripsNobody(t *testing.T) {
	c := newChain(t, denySSH)
	c.must("ADD")
	before, _ := c.policies()
	if err := c.node.Host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"worker", "unknown", c.call.ContainerID} {
		other := c.call
		other.Verb, other.ContainerID = "DEL", id
		if _, err := c.node.Run(t, other); err != nil {
			t.Errorf("DEL of %s: %v", id, err)
		}
	}
	if calls, err := c.node.Host.Calls(); err != nil || len(calls) > 0 {
		t.Errorf("HNS was called: %v, %v", calls, err)
	}
	if after, _ := c.policies(); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("rules %v, before %v", after, before)
	}
}

// An endpoint that is gone is no hindrance for DEL, and one for ADD and CHECK.
func TestChainOfNothing(t *testing.T) {
	tests := []struct {
		name   string
		change func(*chain)
		code   uint
	}{
		{"the endpoint is gone", func(c *chain) {
			if err := c.node.HNS.DeleteEndpoint(context.Background(), c.endpoint.ID); err != nil {
				c.Fatal(err)
			}
		}, failure.CodeGone},
		{"the namespace is gone", func(c *chain) {
			if err := c.node.HNS.DeleteNamespace(context.Background(), c.call.NetNS); err != nil {
				c.Fatal(err)
			}
		}, types.ErrInvalidEnvironmentVariables},
		{"no prevResult", func(c *chain) { c.call.Conf = conf(denySSH, "") }, types.ErrInvalidNetworkConfig},
		{"no address", func(c *chain) { c.call.Conf = conf(denySSH, `, "prevResult": {"cniVersion": "1.0.0"}`) }, types.ErrInvalidNetworkConfig},
		{"no namespace", func(c *chain) { c.call.NetNS = "none" }, types.ErrInvalidNetworkConfig},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(t, denySSH)
			tt.change(c)
			for _, verb := range []string{"ADD", "CHECK"} {
				if _, err := c.run(verb); code(err) != tt.code {
					t.Errorf("%s: code %d, want %d: %v", verb, code(err), tt.code, err)
				}
			}
			c.must("DEL")
		})
	}
}

// What HNS refuses is a failure of ADD: no pod runs without its rules.
func TestChainFailsClosed(t *testing.T) {
	c := newChain(t, denySSH)
	if err := c.node.Host.AddFault(hnsemu.Fault{Proc: "HcnModifyEndpoint", Kind: hnsemu.FaultFail, Nth: 1, Code: 0x803b001c}); err != nil {
		t.Fatal(err)
	}
	if out, err := c.run("ADD"); err == nil {
		t.Errorf("ADD printed %s", out)
	}
	c.othersStay()
}

// On a nat network the Windows Firewall alone enforces rules.
func TestChainRefusesWhatTheNetworkCannot(t *testing.T) {
	c := newChain(t, `"rules": [{"direction": "in", "action": "allow", "remote": ["fd00::/8"]}]`)
	c.call.Conf = strings.Replace(c.call.Conf, `"acl"`, `"driver": "overlay", "acl"`, 1)
	if _, err := c.run("ADD"); code(err) != types.ErrInvalidNetworkConfig {
		t.Errorf("got %v", err)
	}
	if own, _ := c.policies(); len(own) > 0 {
		t.Errorf("rules %v", own)
	}
}

// code returns the code of a CNI error, 0 for none.
func code(err error) uint {
	var e *types.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code
}
