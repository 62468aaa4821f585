// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// Plugin is the part of a network configuration list that one plugin gets, with the
// list's name and version.
type Plugin struct {
	members document
	// alone is true for the one plugin of an old file.
	alone bool
}

// Plugins returns the plugins of a conflist, or the one plugin of an old file. It
// fails with an *Error.
func Plugins(text []byte) ([]Plugin, error) {
	doc, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	if err := checkRepeated("", bytes.TrimPrefix(text, byteOrderMark)); err != nil {
		return nil, err
	}
	if doc["plugins"] == nil {
		return []Plugin{{doc, true}}, nil
	}
	var list []document
	if json.Unmarshal(doc["plugins"], &list) != nil {
		return nil, wrongType("plugins", "a list of objects", doc["plugins"])
	}
	var out []Plugin
	for i, members := range list {
		if members == nil {
			return nil, wrongType(index("plugins", i), "an object", json.RawMessage("null"))
		}
		for _, key := range []string{"name", "cniVersion"} {
			if doc[key] != nil {
				members[key] = doc[key]
			}
		}
		out = append(out, Plugin{members: members})
	}
	return out, nil
}

// ErrNotOurs is the error of a file that has no plugin of Bulkhead's.
var ErrNotOurs = errors.New(`plugins: none is of type "` + Type + `" or "` + TypeACL + `"`)

// OurPlugins returns Bulkhead's plugins of a conflist, at least one. A file of one plugin
// is that one, whatever its type.
func OurPlugins(text []byte) ([]Plugin, error) {
	plugins, err := Plugins(text)
	if err != nil {
		return nil, err
	}
	ours := slices.DeleteFunc(plugins, func(p Plugin) bool { return !p.Ours() && !p.alone })
	if len(ours) == 0 {
		return nil, ErrNotOurs
	}
	return ours, nil
}

// Type returns the plugin's type without regard to letter case and ".exe", empty when
// it is not a string.
func (p Plugin) Type() string {
	typ, _ := p.members.text("type")
	return canonicalType(typ)
}

// Ours reports whether the plugin is one of Bulkhead's.
func (p Plugin) Ours() bool { return ownKeys[p.Type()] != nil }

// Alone reports whether the plugin is the one of an old file, which is no list.
func (p Plugin) Alone() bool { return p.alone }

// Only returns the plugin with these members alone.
func (p Plugin) Only(keys ...string) Plugin {
	out := document{}
	for _, key := range keys {
		if raw := p.members[key]; raw != nil {
			out[key] = raw
		}
	}
	return Plugin{members: out}
}

// With returns the plugin with a member set to a value, which must be one that JSON
// has.
func (p Plugin) With(key string, value any) Plugin {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err) // the caller's mistake
	}
	out := maps.Clone(p.members)
	out[key] = raw
	return Plugin{members: out}
}

// Stdin returns the plugin as a runtime sends it.
func (p Plugin) Stdin() []byte {
	text, _ := json.Marshal(p.members) // what was parsed can be written
	return text
}
