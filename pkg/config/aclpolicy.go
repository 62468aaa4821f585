// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"slices"
	"strings"
)

// typeACL is HNS's name of the policy.
const typeACL = "ACL"

// wireACLSettings are what an ACL that is passed through must or can say (hcsshim
// hcn/hcnpolicy.go, AclPolicySetting). HNS names no field of one that it refuses.
type wireACLSettings struct {
	Protocols       string `json:"Protocols"`
	Action          string `json:"Action"`
	Direction       string `json:"Direction"`
	LocalAddresses  string `json:"LocalAddresses"`
	RemoteAddresses string `json:"RemoteAddresses"`
	LocalPorts      string `json:"LocalPorts"`
	RemotePorts     string `json:"RemotePorts"`
	RuleType        string `json:"RuleType"`
	Priority        int64  `json:"Priority"`
}

func checkACLSettings(path string, raw json.RawMessage) error {
	var w wireACLSettings
	if err := decodeLax(path, raw, &w); err != nil {
		return err
	}
	for _, f := range []struct {
		key, text string
		of        []string
	}{
		{"Action", w.Action, []string{"Allow", "Block", "Pass"}},
		{"Direction", w.Direction, []string{"In", "Out"}},
		{"RuleType", w.RuleType, []string{"", "Host", "Switch"}},
	} {
		if !slices.Contains(f.of, f.text) {
			return invalid(path+"."+f.key, "%q is not one of %s", f.text, strings.Trim(strings.Join(f.of, ", "), ", "))
		}
	}
	for _, f := range []struct{ key, text string }{{"LocalAddresses", w.LocalAddresses}, {"RemoteAddresses", w.RemoteAddresses}} {
		if f.text == "" {
			continue
		}
		for _, s := range splitList(f.text) {
			if err := checkRanges(path+"."+f.key, []string{s}); err != nil {
				return invalid(path+"."+f.key, "%q is neither an address nor a CIDR without host bits", s)
			}
		}
	}
	const most = 65535
	return inRange(path+".Priority", w.Priority, 0, most)
}
