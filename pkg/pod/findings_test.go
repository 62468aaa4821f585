// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestFindingNN are findings of a security review (plugins/bulkhead/SECURITY.md).

// A repeated ADD returns no pod whose rules are gone or old, of a worker neither.
func TestFinding07RulesAreRepaired(t *testing.T) {
	rulesOf := func(policies []hns.Policy) []string {
		var out []string
		for _, p := range policies {
			if r, ok := p.(hns.ACL); ok && acl.OwnerOf(r) == acl.Pod {
				out = append(out, fmt.Sprint(r))
			}
		}
		return out
	}
	for _, verb := range []string{"the sandbox again", "a worker"} {
		n := newNode(t, "2022")
		n.namespace(netns1)
		a := n.closedPod()
		a.NetNS = netns1
		first, err := n.attacher(a).Add(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		foreign := hns.ACL{ID: "other", Direction: hns.Out, Action: hns.Block, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 777}
		kept := slices.DeleteFunc(slices.Clone(first.Endpoint.Policies), func(p hns.Policy) bool {
			r, ok := p.(hns.ACL)
			return ok && acl.OwnerOf(r) == acl.Pod
		})
		if err := n.hns.SetPolicies(context.Background(), first.Endpoint.ID, append(kept, foreign)); err != nil {
			t.Fatal(err)
		}
		if verb == "a worker" {
			a.ContainerID = "worker"
		}
		again, err := n.attacher(a).Add(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(rulesOf(first.Endpoint.Policies), rulesOf(again.Endpoint.Policies)); d != "" || len(rulesOf(again.Endpoint.Policies)) == 0 {
			t.Errorf("%s: rules (-first +again):\n%s", verb, d)
		}
		if !strings.Contains(strings.Join(again.Notices, "\n"), "repaired the rules of endpoint web_net1") {
			t.Errorf("%s: notices %q", verb, again.Notices)
		}
		if !slices.ContainsFunc(again.Endpoint.Policies, func(p hns.Policy) bool { r, ok := p.(hns.ACL); return ok && r.ID == "other" }) {
			t.Errorf("%s: another agent's rule is gone", verb)
		}
		if third, err := n.attacher(a).Add(context.Background(), a); err != nil || len(third.Notices) > 0 {
			t.Errorf("%s: once more: %q, %v", verb, third.Notices, err)
		}
	}
}
