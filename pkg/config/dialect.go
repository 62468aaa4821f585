// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// dialect is the configuration of another plugin, whose files work as they are where
// bulkhead.exe stands under that plugin's name.
type dialect struct {
	// keys are the plugin's own, beside those that CNI gives a meaning to.
	keys []string
	// steps rewrite the file, in this order.
	steps []func(*translation) error
}

// dialects are those that Bulkhead reads, by type.
func dialects() map[string]dialect {
	return map[string]dialect{
		"win-bridge":  {winBridgeKeys, []func(*translation) error{winPolicies, winBridgeNAT, winDSR, winIPAM, winBridgeGateway}},
		"win-overlay": {winOverlayKeys, []func(*translation) error{winPolicies, winOverlayNAT, winDSR, winIPAM, winOverlayGateway}},
		"nat":         {sdnKeys, sdnSteps},
		"sdnbridge":   {sdnKeys, sdnSteps},
		"sdnoverlay":  {sdnKeys, sdnSteps},
	}
}

// dialectOf returns the dialect of a type in small letters. The program behind sdnbridge
// and sdnoverlay takes the names of network types, too
// (microsoft/windows-container-networking, cni/cni.go).
func dialectOf(typ string) (name string, d dialect, ok bool) {
	switch typ {
	case "l2bridge":
		typ = "sdnbridge"
	case "overlay":
		typ = "sdnoverlay"
	}
	d, ok = dialects()[typ]
	return typ, d, ok
}

// dialectNames lists the types in words.
func dialectNames() string {
	names := slices.Sorted(maps.Keys(dialects()))
	for i, name := range names {
		names[i] = strconv.Quote(name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// sharedKeys are Bulkhead's own keys that files of every dialect may have, for what the
// other plugin has no word for.
var sharedKeys = []string{"acl", "isolation", "hostPorts", "timeouts", "log", "metrics"}

// translation rewrites the file of another plugin as a native document. What is wrong
// with one part keeps none of the others from being rewritten: DEL needs them.
type translation struct {
	typ string
	// file is the document, under the dialect's own spelling of its keys: the plugins
	// take them in any letter case. spelled is how the file has them.
	file    document
	spelled map[string]string
	out     map[string]any
	origins origins
	faults  []error

	policies []peerPolicy
	nat      peerNAT
	flags    wireFlags
}

// translate returns what a file of a dialect means in the native one, where its parts
// come from, and what is wrong with it.
func translate(doc document, typ string) (document, origins, []error) {
	name, d, _ := dialectOf(typ)
	t := &translation{typ: name, file: document{}, spelled: map[string]string{}, out: map[string]any{}, origins: origins{}}
	t.spell(doc, slices.Concat(d.keys, runtimeKeys, sharedKeys))
	t.shared()
	for _, step := range append(d.steps, translateDNS, translateCapabilities) {
		if err := step(t); err != nil {
			t.faults = append(t.faults, err)
		}
	}
	t.writePolicies()
	out := document{}
	for key, value := range t.out {
		out[key], _ = json.Marshal(value) // it is made of what was parsed
	}
	return out, t.origins, t.faults
}

// spell takes the file's members by the dialect's own spelling.
func (t *translation) spell(doc document, known []string) {
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, key) })
		switch {
		case strings.HasPrefix(key, "cni.dev/"):
			t.out[key] = doc[key]
		case i < 0:
			t.faults = append(t.faults, document{key: doc[key]}.unknown("", known))
		case t.spelled[known[i]] != "":
			t.faults = append(t.faults, invalid(join("", key), "given twice, as %s, too; remove one of the two", t.spelled[known[i]]))
		default:
			t.file[known[i]], t.spelled[known[i]] = doc[key], key
		}
	}
}

// shared writes what means the same in every dialect. The other plugins program no ACL, and
// a policy agent that knows them relies on it.
func (t *translation) shared() {
	for _, key := range slices.Concat(runtimeKeys, sharedKeys) {
		if raw := t.file[key]; raw != nil {
			t.set(key, raw, t.spelled[key])
		}
	}
	for _, key := range []string{"ipam", "dns", "capabilities"} {
		delete(t.out, key) // steps write them
	}
	t.set("type", Type, "type")
	if isNull(t.file["acl"]) {
		t.set("acl", map[string]any{"program": false}, "type")
	}
}

// set writes a native key, which comes from a path of the file.
func (t *translation) set(key string, value any, from string) {
	t.out[key] = value
	t.origins[key] = from
}

// within writes a member of a native section.
func (t *translation) within(section, key string, value any, from string) {
	members, ok := t.out[section].(map[string]any)
	if !ok {
		members = map[string]any{}
		t.out[section] = members
	}
	members[key] = value
	t.origins[section+"."+key] = from
}

// section decodes the member called key, if there is one, taking keys in any letter case.
func (t *translation) section(key string, into any) error {
	if raw := t.file[key]; !isNull(raw) {
		return decodeFolded(t.path(key), raw, into)
	}
	return nil
}

// path returns a key as the file spells it.
func (t *translation) path(key string) string {
	if as := t.spelled[key]; as != "" {
		return as
	}
	return key
}

// decodeFolded fills the value that into points to, taking keys in any letter case and
// refusing unknown ones.
func decodeFolded(path string, raw json.RawMessage, into any) error {
	return decoder{fold: true}.value(path, raw, reflect.ValueOf(into).Elem())
}

// translateDNS is for every dialect: none knows more than CNI.
func translateDNS(t *translation) error {
	if isNull(t.file["dns"]) {
		return nil
	}
	raw, err := respell(t.path("dns"), t.file["dns"], []string{"nameservers", "domain", "search", "options"})
	if err != nil {
		return err
	}
	t.set("dns", raw, t.path("dns"))
	return nil
}

// translateCapabilities leaves out what no runtime knows and the examples of
// microsoft/windows-container-networking declare: no runtimeConfig comes of it.
func translateCapabilities(t *translation) error {
	var all document
	raw := t.file["capabilities"]
	if json.Unmarshal(raw, &all) != nil || all["dnsCapabilities"] == nil {
		if raw != nil {
			t.set("capabilities", raw, t.path("capabilities"))
		}
		return nil // what a runtime makes of another value is its own
	}
	delete(all, "dnsCapabilities")
	if len(all) > 0 {
		t.set("capabilities", all, t.path("capabilities"))
	}
	return nil
}

// respell returns a JSON value whose members have the spelling of words wherever they
// differ from one in letter case alone. Two members that become one are an error.
func respell(path string, raw json.RawMessage, words []string) (json.RawMessage, error) {
	var members document
	if json.Unmarshal(raw, &members) == nil && members != nil {
		out := document{}
		for _, key := range slices.Sorted(maps.Keys(members)) {
			as := key
			if i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, key) }); i >= 0 {
				as = words[i]
			}
			if out[as] != nil {
				return nil, invalid(join(path, key), "given twice, in another letter case, too; remove one of the two")
			}
			value, err := respell(join(path, key), members[key], words)
			if err != nil {
				return nil, err
			}
			out[as] = value
		}
		return json.Marshal(out)
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || list == nil {
		return raw, nil
	}
	for i := range list {
		var err error
		if list[i], err = respell(index(path, i), list[i], words); err != nil {
			return nil, err
		}
	}
	return json.Marshal(list)
}

// ipamWords are the keys of host-local's and static's sections, however deep.
var ipamWords = []string{
	"type", "dataDir", "subnet", "rangeStart", "rangeEnd", "gateway", "resolvConf", "routes", "ranges", "exclude",
	"addresses", "address", "dst", "gw", "dns", "nameservers", "domain", "search", "options",
}

// pluginIPAM returns the ipam section, spelled as native ones are, and the type of its
// plugin.
func (t *translation) pluginIPAM() (section document, typ string, err error) {
	raw := t.file["ipam"]
	if isNull(raw) {
		return nil, "", nil
	}
	if raw, err = respell(t.path("ipam"), raw, ipamWords); err != nil {
		return nil, "", err
	}
	if json.Unmarshal(raw, &section) != nil {
		return nil, "", wrongType(t.path("ipam"), "an object", raw)
	}
	if kind := section["type"]; !isNull(kind) && json.Unmarshal(kind, &typ) != nil {
		return nil, "", wrongType(t.path("ipam")+".type", "a string", kind)
	}
	return section, typ, nil
}

// nativePath matches paths of more than one key.
var nativePath = regexp.MustCompile(`[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*|\[\d+\])+`)

// origins are the JSON paths in a file of what a translation wrote, by native path. nil is
// for files that need none.
type origins map[string]string

// path returns where a native path comes from.
func (o origins) path(native string) string {
	for end := len(native); end > 0; end = strings.LastIndexAny(native[:end], ".[") {
		if from, ok := o[native[:end]]; ok {
			return from + native[end:]
		}
	}
	return native
}

// inFile makes the paths of an *Error those of the file.
func (o origins) inFile(err error) error {
	var e *Error
	if o == nil || !errors.As(err, &e) {
		return err
	}
	e.Path, e.Problem = o.path(e.Path), o.text(e.Problem)
	return err
}

// text makes the paths in a text those of the file.
func (o origins) text(text string) string {
	if o == nil {
		return text
	}
	return nativePath.ReplaceAllStringFunc(text, o.path)
}
