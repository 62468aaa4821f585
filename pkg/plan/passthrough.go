// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// passed returns a policy that is passed through as it is for a pod of these families:
// an outbound NAT with exceptions or destinations of both becomes one for each of the
// pod's. HNS translates one family by one policy, and what it does with a mixed list is
// not documented.
func passed(p hns.Opaque, families []bool) []hns.Policy {
	settings := map[string]json.RawMessage{}
	if p.Type != "OutBoundNAT" || json.Unmarshal(p.Settings, &settings) != nil {
		return []hns.Policy{p}
	}
	mixed := map[bool]bool{}
	for key, raw := range settings {
		for _, s := range addressList(key, raw) {
			mixed[isIPv6(s)] = true
		}
	}
	if len(mixed) < 2 {
		return []hns.Policy{p}
	}
	var out []hns.Policy
	for _, six := range families {
		of := map[string]json.RawMessage{}
		for key, raw := range settings {
			all := addressList(key, raw)
			if all == nil {
				of[key] = raw
				continue
			}
			if list := slices.DeleteFunc(all, func(s string) bool { return isIPv6(s) != six }); len(list) > 0 {
				of[key], _ = json.Marshal(list) // strings always can be
			}
		}
		for key, raw := range of {
			var a string
			if strings.EqualFold(key, "VirtualIP") && json.Unmarshal(raw, &a) == nil && a != "" && isIPv6(a) != six {
				delete(of, key)
			}
		}
		text, _ := json.Marshal(of) // what was parsed can be written
		out = append(out, hns.Opaque{Type: p.Type, Settings: text})
	}
	return out
}

// addressList returns a setting that lists addresses, nil for another.
func addressList(key string, raw json.RawMessage) []string {
	var out []string
	if !strings.EqualFold(key, "Exceptions") && !strings.EqualFold(key, "Destinations") || json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

func isIPv6(s string) bool { return strings.Contains(s, ":") }
