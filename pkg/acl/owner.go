// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Owner is a program that puts rules on endpoints. Its value begins the id of each of
// its rules, so that it finds them again and leaves those of others alone.
type Owner string

// Owners of rules.
const (
	// Pod is the CNI plugin, which programs what the configuration of the pod's
	// network calls for.
	Pod Owner = "bulkhead-pod-"
	// Chained is bulkhead-acl behind another CNI plugin.
	Chained Owner = "bulkhead-acl-"
	// PolicyAgent is the agent that programs Kubernetes' network policies.
	PolicyAgent Owner = "bulkhead-policy-"
)

// anyOwner begins the rules of every owner. Versions before there were owners used it
// alone.
const anyOwner = "bulkhead-"

// OwnerOf returns whose a rule is, empty when it is not Bulkhead's. A rule of a
// version without owners is Pod's.
func OwnerOf(r hns.ACL) Owner {
	owners := []Owner{Chained, PolicyAgent, Pod}
	i := slices.IndexFunc(owners, func(o Owner) bool { return strings.HasPrefix(r.ID, string(o)) })
	switch {
	case i >= 0:
		return owners[i]
	case strings.HasPrefix(r.ID, anyOwner):
		return Pod
	default:
		return ""
	}
}
