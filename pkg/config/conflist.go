// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
)

// Plugin is the part of a network configuration list that one plugin gets, with the
// list's name and version.
type Plugin struct {
	members document
	// alone is true for the one plugin of an old file.
	alone bool
	// path is where the file has it.
	path string
	// delegate is true for what flannel hands on, and lacks what flannel adds.
	delegate bool
}

// IsFileName reports whether a runtime loads a file of that name from its folder of
// configurations (cni, libcni/conf.go).
func IsFileName(name string) bool {
	return slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(name))
}

// Plugins returns the plugins of a conflist, or the one plugin of an old file. For
// flannel it returns the plugin that flannel hands on to. It fails with an *Error.
func Plugins(text []byte) ([]Plugin, error) {
	doc, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	if err := checkRepeated("", bytes.TrimPrefix(text, byteOrderMark)); err != nil {
		return nil, err
	}
	if doc["plugins"] == nil {
		return []Plugin{delegated(Plugin{members: doc, alone: true})}, nil
	}
	var list []document
	if json.Unmarshal(doc["plugins"], &list) != nil {
		return nil, wrongType("plugins", "a list of objects", doc["plugins"])
	}
	var out []Plugin
	for i, members := range list {
		path := index("plugins", i)
		if members == nil {
			return nil, wrongType(path, "an object", json.RawMessage("null"))
		}
		for _, key := range []string{"name", "cniVersion"} {
			if doc[key] != nil {
				members[key] = doc[key]
			}
		}
		out = append(out, delegated(Plugin{members: members, path: path}))
	}
	return out, nil
}

// delegated returns the plugin that flannel hands on to, win-bridge where the file names
// none (flannel-io/cni-plugin, flannel_windows.go), and any other plugin as it is.
func delegated(p Plugin) Plugin {
	var delegate document
	if p.Type() != "flannel" || json.Unmarshal(p.members["delegate"], &delegate) != nil || delegate == nil {
		return p
	}
	for _, key := range []string{"name", "cniVersion"} {
		if p.members[key] != nil {
			delegate[key] = p.members[key]
		}
	}
	if isNull(delegate["type"]) {
		delegate["type"] = json.RawMessage(`"win-bridge"`)
	}
	return Plugin{members: delegate, alone: p.alone, path: join(p.path, "delegate"), delegate: true}
}

// ErrNotOurs is the error of a file that has no plugin of Bulkhead's.
var ErrNotOurs = errors.New(`plugins: none is of type "` + Type + `" or "` + TypeACL + `", nor of one whose files bulkhead reads: ` + dialectNames())

// OurPlugins returns Bulkhead's plugins of a conflist, at least one. A file of one plugin
// is that one, whatever its type.
func OurPlugins(text []byte) ([]Plugin, error) {
	plugins, err := Plugins(text)
	if err != nil {
		return nil, err
	}
	if ours := Ours(plugins); len(ours) > 0 {
		return ours, nil
	}
	if len(plugins) == 1 && plugins[0].alone {
		return plugins, nil
	}
	return nil, ErrNotOurs
}

// Ours returns Bulkhead's plugins of a list, or where there is none those that it can stand
// for: behind one of these, bulkhead-acl programs what that plugin made.
func Ours(plugins []Plugin) []Plugin {
	of := func(is func(Plugin) bool) []Plugin {
		return slices.DeleteFunc(slices.Clone(plugins), func(p Plugin) bool { return !is(p) })
	}
	if ours := of(Plugin.Ours); len(ours) > 0 {
		return ours
	}
	return of(Plugin.Replaced)
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

// Replaced reports whether the plugin is another one whose files Bulkhead reads.
func (p Plugin) Replaced() bool {
	_, _, ok := dialectOf(p.Type())
	return ok
}

// Delegate reports whether flannel hands on to the plugin. It adds ipam, ipMasq and
// ipMasqNetwork, which are not in the file.
func (p Plugin) Delegate() bool { return p.delegate }

// Path is where the file has the plugin: "plugins[0]"; empty for the one of an old file.
func (p Plugin) Path() string { return p.path }

// Has reports whether the plugin has a member.
func (p Plugin) Has(key string) bool { return !isNull(p.members[key]) }

// Faults is the function of that name, with the paths of the file.
func (p Plugin) Faults() []*Error {
	all := Faults(p.Stdin(), Env{})
	for _, e := range all {
		switch {
		case p.path == "" || e.Path == "name" || e.Path == "cniVersion":
		case e.Path == "" || e.Path[0] == '[':
			e.Path = p.path + e.Path
		default:
			e.Path = p.path + "." + e.Path
		}
	}
	return all
}

// Only returns the plugin with these members alone.
func (p Plugin) Only(keys ...string) Plugin {
	out := document{}
	for _, key := range keys {
		if raw := p.members[key]; raw != nil {
			out[key] = raw
		}
	}
	return p.of(out)
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
	return p.of(out)
}

// of returns the plugin with other members.
func (p Plugin) of(members document) Plugin {
	p.members = members
	return p
}

// Stdin returns the plugin as a runtime sends it.
func (p Plugin) Stdin() []byte {
	text, _ := json.Marshal(p.members) // what was parsed can be written
	return text
}
