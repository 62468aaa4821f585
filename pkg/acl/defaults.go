// SPDX-License-Identifier: Apache-2.0

package acl

import "github.com/bulkhead-cni/bulkhead/pkg/hns"

// Defaults returns the ACLs of a pod for which the user wrote none, the Host
// rules before the Switch rules, always in the same order. It is empty where the
// ACLs cannot be reconfigured. An unknown driver or isolation is an error.
func Defaults(d hns.Driver, i hns.Isolation) ([]hns.ACL, error) {
	set, err := Compile(Target{Driver: d, Isolation: i}, Spec{})
	return set.Rules, err
}
