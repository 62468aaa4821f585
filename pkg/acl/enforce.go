// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// EnforcedBy returns who enforces the port ACLs of a pod, the Windows Firewall
// first; a packet must pass all of them. It is empty where the defaults cannot
// be reconfigured, and for a driver or an isolation that is unknown (Microsoft,
// "Network isolation and security", "Customizing default port ACLs").
func EnforcedBy(d hns.Driver, i hns.Isolation) []hns.RuleType {
	if known(d, i) != nil {
		return nil
	}
	var out []hns.RuleType
	if i == hns.Process {
		out = append(out, hns.Host)
	}
	if d.HasVFP() {
		out = append(out, hns.Switch)
	}
	return out
}

func known(d hns.Driver, i hns.Isolation) error {
	if !slices.Contains(hns.Drivers(), d) {
		return fmt.Errorf("no ACLs are known for driver %q", d)
	}
	if i != hns.Process && i != hns.HyperV {
		return fmt.Errorf("no ACLs are known for isolation %q", i)
	}
	return nil
}
