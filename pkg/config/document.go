// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/utils"
)

// document is a JSON object whose members are not decoded yet.
type document map[string]json.RawMessage

// parseDocument reads the one JSON object that stdin must be.
func parseDocument(stdin []byte) (document, error) {
	if problem := encoding(stdin); problem != "" {
		return nil, &Error{Problem: problem, Err: ErrSyntax}
	}
	var doc document
	err := json.Unmarshal(stdin, &doc)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, column := position(stdin, syntax.Offset)
		problem := fmt.Sprintf("malformed JSON at line %d, column %d: %s", line, column, syntax.Error())
		return nil, &Error{Problem: problem, Err: ErrSyntax}
	case err != nil || doc == nil:
		return nil, wrongType("", "one JSON object", bytes.TrimSpace(stdin))
	}
	return doc, nil
}

// position returns where the offset-th byte stands, counted from 1.
func position(stdin []byte, offset int64) (line, column int) {
	before := stdin[:max(0, min(offset, int64(len(stdin)))-1)]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, len(before) - bytes.LastIndexByte(before, '\n')
}

// encoding names what Windows PowerShell's redirection and Out-File write in
// place of plain UTF-8; json's own error shows only an odd character.
func encoding(stdin []byte) string {
	switch {
	case bytes.HasPrefix(stdin, []byte("\xef\xbb\xbf")):
		return "malformed JSON: it starts with a byte order mark; save it as UTF-8 without one"
	case bytes.HasPrefix(stdin, []byte("\xff\xfe")), bytes.HasPrefix(stdin, []byte("\xfe\xff")):
		return "malformed JSON: it is UTF-16; save it as UTF-8 without a byte order mark"
	default:
		return ""
	}
}

// identity returns name and type, and refuses what is no configuration of this
// dialect.
func (d document) identity() (name, typ string, err error) {
	if _, list := d["plugins"]; list {
		return "", "", invalid("plugins", "this is a network configuration list; "+
			"a plugin gets one element of it, with the list's name and cniVersion")
	}
	if name, err = d.text("name"); err != nil {
		return "", "", err
	}
	if utils.ValidateNetworkName(name) != nil {
		return "", "", invalid("name", "%q is not a network name: letters, digits, dots, hyphens and underscores only, "+
			"a letter or a digit first", name)
	}
	if typ, err = d.text("type"); err != nil {
		return "", "", err
	}
	if ownKeys[typ] == nil {
		return "", "", &Error{
			Path:    "type",
			Problem: show(d["type"]) + ` is not supported by this version of bulkhead, which speaks "bulkhead" and "bulkhead-acl"`,
			Err:     ErrUnsupported,
		}
	}
	return name, typ, nil
}

// text returns a string that must be there.
func (d document) text(key string) (string, error) {
	var s string
	if err := d.section(key, &s); err != nil {
		return "", err
	}
	if s == "" {
		return "", invalid(key, "missing")
	}
	return s, nil
}

// section decodes the member called key, if there is one.
func (d document) section(key string, into any) error {
	raw := d[key]
	if isNull(raw) {
		return nil
	}
	return decode(key, raw, into)
}

// runtime decodes the member of runtimeConfig called key, if there is one.
// Members that are not ours, there and further in, are other plugins'.
func (d document) runtime(key string, into any) error {
	raw := d["runtimeConfig"]
	if isNull(raw) {
		return nil
	}
	var members document
	if json.Unmarshal(raw, &members) != nil {
		return wrongType("runtimeConfig", "an object", raw)
	}
	if raw = members.member(key, true); isNull(raw) {
		return nil
	}
	return decodeLax(join("runtimeConfig", key), raw, into)
}

// checkKeys refuses keys that the dialect does not have.
func (d document) checkKeys(typ string) error {
	if typ == TypeACL {
		if err := d.checkChained(); err != nil {
			return err
		}
	}
	ours := document{}
	for key, raw := range d {
		if !strings.HasPrefix(key, "cni.dev/") {
			ours[key] = raw
		}
	}
	return ours.unknown("", slices.Concat(ownKeys[typ], runtimeKeys))
}

// checkChained refuses what only the plugin that makes the interface can do.
func (d document) checkChained() error {
	for _, key := range append([]string{"ipam", "dns"}, ownKeys[Type]...) {
		if !isNull(d[key]) && !slices.Contains(ownKeys[TypeACL], key) {
			return invalid(key, "%s programs ACLs alone; this belongs to the plugin before it", TypeACL)
		}
	}
	return nil
}

// member returns the member called key, exactly or, when fold is set, in any
// letter case; nil when there is none.
func (d document) member(key string, fold bool) json.RawMessage {
	if raw, ok := d[key]; ok || !fold {
		return raw
	}
	for _, k := range slices.Sorted(maps.Keys(d)) {
		if strings.EqualFold(k, key) {
			return d[k]
		}
	}
	return nil
}

// unknown is the error of the first key, in the alphabet's order, that is not
// among known.
func (d document) unknown(path string, known []string) error {
	for _, key := range slices.Sorted(maps.Keys(d)) {
		if slices.Contains(known, key) {
			continue
		}
		if near := nearest(key, known); near != "" {
			return invalid(join(path, key), "unknown key; did you mean %q?", near)
		}
		return invalid(join(path, key), "unknown key")
	}
	return nil
}

// peers are keys of the plugins that people come from (win-bridge, win-overlay,
// sdnbridge), with ours.
var peers = map[string]string{
	"ipMasq":         "outboundNAT",
	"ipMasqNetwork":  "outboundNAT.exceptions",
	"AdditionalArgs": "policies",
	"ExceptionList":  "exceptions",
}

// nearest returns the known key that differs from key in letter case or in an
// ending of one or two letters, or what a peer's key is called here, or "".
func nearest(key string, known []string) string {
	const most = 2
	lower := strings.ToLower(key)
	for _, k := range known {
		l := strings.ToLower(k)
		short, long := min(len(lower), len(l)), max(len(lower), len(l))
		if short > most && long-short <= most && lower[:short] == l[:short] {
			return k
		}
	}
	if ours := peers[key]; slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(ours, k) }) {
		return ours
	}
	return ""
}
