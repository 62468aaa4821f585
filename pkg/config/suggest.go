// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Suggest returns a file with the plugins of other types whose files Bulkhead reads in the
// native dialect, and how many they are. It fails with an *Error, at the first part that
// has no meaning.
func Suggest(text []byte) (suggested []byte, replaced int, err error) {
	plugins, err := Plugins(text)
	if err != nil {
		return nil, 0, err
	}
	file, err := parseDocument(text)
	if err != nil {
		return nil, 0, err
	}
	var list []document
	_ = json.Unmarshal(file["plugins"], &list) // Plugins has read it
	for i, p := range plugins {
		if !p.Replaced() {
			continue
		}
		replaced++
		place := &file
		if !p.alone {
			place = &list[i]
		}
		original := *place
		if p.delegate {
			original = nil
			_ = json.Unmarshal((*place)["delegate"], &original) // Plugins has read it
		}
		native, err := p.native()
		if err != nil {
			return nil, 0, err
		}
		for _, key := range []string{"name", "cniVersion"} {
			if original[key] == nil {
				delete(native, key) // they are the list's
			}
		}
		if !p.delegate {
			*place = native
			continue
		}
		(*place)["delegate"] = ordered(native)
	}
	if list != nil {
		parts := []json.RawMessage{}
		for _, members := range list {
			parts = append(parts, ordered(members))
		}
		file["plugins"], _ = json.Marshal(parts) // what was parsed can be written
	}
	var out bytes.Buffer
	if err := json.Indent(&out, ordered(file), "", "  "); err != nil {
		return nil, 0, err
	}
	out.WriteByte('\n')
	return out.Bytes(), replaced, nil
}

// native returns the plugin's part of a file in the native dialect. What flannel adds
// decides what is written, and is not: flannel adds it again, and flanneld makes the
// network.
func (p Plugin) native() (document, error) {
	whole := p.WithFlannel()
	if faults := whole.Faults(); len(faults) > 0 {
		return nil, faults[0]
	}
	out, _, _ := translate(whole.members, p.Type())
	if !p.delegate || p.Has("ipam") {
		return out, nil
	}
	bare, _, _ := translate(p.members, p.Type())
	for _, key := range []string{"ipam", "network", "driver"} {
		delete(out, key)
		if bare[key] != nil {
			out[key] = bare[key]
		}
	}
	if out["gateway"] == nil {
		// host-local would name the first address, which is the network's.
		out["gateway"] = json.RawMessage(`{"ipv4":"network"}`)
	}
	return out, nil
}

// Native returns a plugin whose files Bulkhead reads as one of the native dialect, and any
// other as it is. It fails with an *Error.
func (p Plugin) Native() (Plugin, error) {
	if !p.Replaced() {
		return p, nil
	}
	members, err := p.native()
	return p.of(members), err
}

// FlannelSubnet stands for the node's own, which flannel adds to what it hands on.
const FlannelSubnet = "10.244.0.0/24"

// WithFlannel returns the plugin with the ipam section that flannel adds, and FlannelSubnet
// in it, where flannel hands on to it.
func (p Plugin) WithFlannel() Plugin {
	if !p.delegate || p.Has("ipam") {
		return p
	}
	return p.With("ipam", map[string]string{"type": HostLocal, "subnet": FlannelSubnet})
}

// order is that of the keys of a file as people write them. Others follow in the
// alphabet's.
var order = []string{
	"cniVersion", "cniVersions", "name", "type", "driver", "isolation", "network", "gateway", "macPrefix", "ipam", "acl", "outboundNAT",
	"routes", "policies", "loopbackDSR", "dns", "capabilities", "plugins",
}

// ordered writes an object.
func ordered(members document) json.RawMessage {
	keys := slices.DeleteFunc(slices.Clone(order), func(key string) bool { return members[key] == nil })
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(key) // strings always can be
		b.Write(name)
		b.WriteByte(':')
		b.Write(members[key])
	}
	b.WriteByte('}')
	return b.Bytes()
}
