// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"strings"
)

// wireIPAM is the one key of the ipam section that is not the IPAM plugin's.
type wireIPAM struct {
	Type *string `json:"type"`
}

func readIPAM(doc document, c *Config) error {
	raw := doc["ipam"]
	if isNull(raw) {
		return nil
	}
	var w wireIPAM
	if err := decodeLax("ipam", raw, &w); err != nil {
		return err
	}
	if w.Type == nil {
		return checkEmptyIPAM(raw)
	}
	if strings.ContainsAny(*w.Type, `/\:`) {
		return invalid("ipam.type", "%q is a path, not the name of a plugin", *w.Type)
	}
	c.IPAM.Type = *w.Type
	return nil
}

// checkEmptyIPAM takes {} for no section; settings of no plugin are a mistake.
func checkEmptyIPAM(raw json.RawMessage) error {
	var members document
	if json.Unmarshal(raw, &members) == nil && len(members) == 0 {
		return nil
	}
	return invalid("ipam.type", "missing; leave the ipam section out to let HNS choose addresses")
}
