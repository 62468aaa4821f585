// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func TestOwnerOf(t *testing.T) {
	for id, want := range map[string]Owner{
		"bulkhead-pod-in-tcp": Pod, "bulkhead-acl-switch-in-tail": Chained, "bulkhead-policy-default-web": PolicyAgent,
		"bulkhead-in-tcp": Pod, "bulkhead-switch-out-tail": Pod,
		"": "", "azure-acl-1": "", "Bulkhead-in-tcp": "", "bulkhead": "",
	} {
		if got := OwnerOf(hns.ACL{ID: id}); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}

// Rules of every owner are told from those of the others.
func TestCompileNamesTheOwner(t *testing.T) {
	for owner, want := range map[Owner]Owner{"": Pod, Pod: Pod, Chained: Chained, PolicyAgent: PolicyAgent} {
		set, err := Compile(Target{Driver: hns.L2Bridge, Isolation: hns.Process, Owner: owner}, Spec{})
		if err != nil || len(set.Rules) == 0 {
			t.Fatal(set, err)
		}
		for _, r := range set.Rules {
			if got := OwnerOf(r); got != want {
				t.Errorf("owner %q: rule %s is of %q", owner, r.ID, got)
			}
		}
	}
}
