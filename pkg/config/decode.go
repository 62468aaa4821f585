// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder fills wire structs and names the JSON path of what does not fit:
// encoding/json leaves list indexes out of its errors, names Go's types and
// takes keys in any letter case. Members that are absent or null leave their
// field alone.
type decoder struct {
	// lax takes keys in any letter case and passes over unknown ones, as
	// encoding/json does. The runtime's own part needs it: go-cni sends
	// "HostPort" where CNI's conventions say "hostPort" (go-cni types.go).
	lax bool
	// fold takes keys in any letter case and refuses unknown ones. Paths have the keys as
	// they are written.
	fold bool
	// full refuses null, which elsewhere is as good as nothing: a rule must not come to
	// mean anything by what is left out of it.
	full bool
}

// decode fills the value that into points to, refusing unknown keys.
func decode(path string, raw json.RawMessage, into any) error {
	return decoder{}.value(path, raw, reflect.ValueOf(into).Elem())
}

// decodeFull is decode for what may not have null.
func decodeFull(path string, raw json.RawMessage, into any) error {
	return decoder{full: true}.value(path, raw, reflect.ValueOf(into).Elem())
}

// decodeLax fills the value that into points to, taking what it knows.
func decodeLax(path string, raw json.RawMessage, into any) error {
	return decoder{lax: true}.value(path, raw, reflect.ValueOf(into).Elem())
}

func (d decoder) value(path string, raw json.RawMessage, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(path, raw, v.Elem())
	case reflect.Struct:
		return d.object(path, raw, v)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes(raw)
			return nil
		}
		return d.list(path, raw, v)
	default:
		if isNull(raw) || json.Unmarshal(raw, v.Addr().Interface()) != nil {
			return wrongType(path, wanted(v.Kind()), raw)
		}
		return nil
	}
}

func (d decoder) object(path string, raw json.RawMessage, v reflect.Value) error {
	var members document
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return wrongType(path, "an object", raw)
	}
	keys := keysOf(v.Type())
	if d.fold {
		return d.folded(path, members, keys, v)
	}
	if !d.lax {
		if err := members.unknown(path, keys); err != nil {
			return err
		}
	}
	for i, key := range keys {
		member := members.member(key, d.lax)
		if member == nil || isNull(member) && !d.full {
			continue
		}
		if isNull(member) {
			return invalid(join(path, key), "null says nothing; remove the key, or write what is meant")
		}
		if err := d.value(join(path, key), member, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// folded is object for keys in any letter case.
func (d decoder) folded(path string, members document, keys []string, v reflect.Value) error {
	done := map[int]string{}
	for _, as := range slices.Sorted(maps.Keys(members)) {
		i := slices.IndexFunc(keys, func(k string) bool { return strings.EqualFold(k, as) })
		switch {
		case i < 0:
			return document{as: nil}.unknown(path, keys)
		case done[i] != "":
			return invalid(join(path, as), "given twice, as %s, too; remove one of the two", done[i])
		}
		done[i] = as
		if isNull(members[as]) {
			continue
		}
		if err := d.value(join(path, as), members[as], v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d decoder) list(path string, raw json.RawMessage, v reflect.Value) error {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return wrongType(path, "a list", raw)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		if err := d.value(index(path, i), item, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func keysOf(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		out = append(out, t.Field(i).Tag.Get("json"))
	}
	return out
}

func isNull(raw json.RawMessage) bool { return raw == nil || string(raw) == "null" }

func wanted(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	default:
		return "an integer"
	}
}

func wrongType(path, want string, raw json.RawMessage) error {
	return invalid(path, "want %s, got %s", want, show(raw))
}

// show returns a JSON value short enough for an error.
func show(raw json.RawMessage) string {
	const most = 40
	s := string(raw)
	switch {
	case strings.HasPrefix(s, "{"):
		return "an object"
	case strings.HasPrefix(s, "["):
		return "a list"
	case utf8.RuneCountInString(s) > most:
		return string([]rune(s)[:most]) + "..."
	default:
		return s
	}
}

// join returns the path of a member; a key that would blur the path is quoted.
func join(path, key string) string {
	plain := key != ""
	for _, c := range []byte(key) {
		plain = plain && (c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z')
	}
	switch {
	case !plain:
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
