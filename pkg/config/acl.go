// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

type wireACL struct {
	Program        *bool             `json:"program"`
	Inbound        wireDirection     `json:"inbound"`
	Outbound       wireDirection     `json:"outbound"`
	Rules          []json.RawMessage `json:"rules"`
	AllowHost      *bool             `json:"allowHost"`
	PodAnnotations bool              `json:"podAnnotations"`
}

type wireDirection struct {
	Default *string `json:"default"`
}

// readACL needs driver and isolation to be read before.
func readACL(doc document, c *Config) error {
	w := wireACL{}
	if err := doc.section("acl", &w); err != nil {
		return err
	}
	inbound, err := w.Inbound.denies("acl.inbound.default")
	if err != nil {
		return err
	}
	outbound, err := w.Outbound.denies("acl.outbound.default")
	if err != nil {
		return err
	}
	asked := firstSet([]key{
		{"acl.rules", len(w.Rules) > 0},
		{"acl.inbound.default", inbound},
		{"acl.outbound.default", outbound},
		{"acl.allowHost", w.AllowHost != nil},
		{"acl.podAnnotations", w.PodAnnotations},
		{"acl.program", w.Program != nil && *w.Program},
	})
	if err := checkReconfigurable(c.Driver, c.Isolation, asked); err != nil {
		return err
	}
	if asked != "" && asked != "acl.program" {
		return unsupported(asked)
	}
	c.ACL = ACL{Program: w.Program == nil || *w.Program, Asked: asked}
	return nil
}

// key is a JSON path and whether it asks for something.
type key struct {
	path string
	set  bool
}

func firstSet(keys []key) string {
	for _, k := range keys {
		if k.set {
			return k.path
		}
	}
	return ""
}

func (w wireDirection) denies(path string) (bool, error) {
	switch {
	case w.Default == nil || *w.Default == "allow":
		return false, nil
	case *w.Default == "deny":
		return true, nil
	default:
		return false, invalid(path, "%q is not one of allow, deny", *w.Default)
	}
}

// checkReconfigurable refuses a wish for ACLs where Windows cannot reconfigure
// them (Microsoft, "Network isolation and security", "Customizing default port
// ACLs"). An empty driver is not known yet.
func checkReconfigurable(d hns.Driver, i hns.Isolation, asked string) error {
	if asked == "" || d == "" || i != hns.HyperV || d.HasVFP() {
		return nil
	}
	return invalid(asked, "Windows cannot reconfigure the port ACLs of a hyperv pod on a %s network; remove the key", d)
}
