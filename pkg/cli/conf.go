// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// members is a JSON object.
type members map[string]json.RawMessage

// readPlugin returns Bulkhead's part of a conflist, with the list's name and
// version as a runtime hands it over; a file of one plugin is that part.
func readPlugin(file string) (members, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list struct{ Plugins []members }
	var whole members
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("%s: malformed JSON: %w", file, err)
	}
	if whole["plugins"] == nil {
		return whole, nil
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: plugins: %w", file, err)
	}
	for _, p := range list.Plugins {
		if ours(p) {
			p["name"], p["cniVersion"] = whole["name"], whole["cniVersion"]
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s: plugins: none is of type %q or %q", file, config.Type, config.TypeACL)
}

func ours(plugin members) bool {
	var typ string
	return json.Unmarshal(plugin["type"], &typ) == nil && slices.Contains([]string{config.Type, config.TypeACL}, typ)
}

// set writes a member that is a string; the empty one leaves it as it is.
func (m members) set(key, value string) {
	if value != "" {
		m[key] = quoted(value)
	}
}

func quoted(s string) json.RawMessage {
	text, _ := json.Marshal(s) // a string always can be
	return text
}
