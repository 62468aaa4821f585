// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/containernetworking/cni/pkg/utils"
)

// document is a JSON object whose members are not decoded yet.
type document map[string]json.RawMessage

// Plain returns the configuration that stdin must be as UTF-8 without a byte order mark.
// It fails, with an *Error, for what is not one JSON object, and for a name or version
// that is no string.
func Plain(stdin []byte) ([]byte, error) {
	text, err := plainText(stdin)
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"cniVersion", "name"} {
		s := ""
		if err := doc.section(key, &s); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// parseDocument reads the one JSON object that a text must be.
func parseDocument(text []byte) (document, error) {
	text, err := plainText(text)
	if err != nil {
		return nil, err
	}
	var doc document
	err = json.Unmarshal(text, &doc)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, column := position(text, syntax.Offset)
		problem := fmt.Sprintf("malformed JSON at line %d, column %d: %s", line, column, syntax.Error())
		return nil, &Error{Problem: problem, Err: ErrSyntax}
	case err != nil || doc == nil:
		return nil, wrongType("", "one JSON object", bytes.TrimSpace(text))
	}
	return doc, nil
}

// position returns where the offset-th byte stands, counted from 1.
func position(stdin []byte, offset int64) (line, column int) {
	before := stdin[:max(0, min(offset, int64(len(stdin)))-1)]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, len(before) - bytes.LastIndexByte(before, '\n')
}

// plainText returns a text as UTF-8 without a byte order mark. Windows PowerShell's
// redirection and Out-File write UTF-16, and its "-Encoding utf8" a mark: json's own
// error about them shows only an odd character. UTF-16 is an ErrSyntax.
func plainText(text []byte) ([]byte, error) {
	if EncodingOf(text) == UTF16 {
		return nil, &Error{Problem: "malformed JSON: it is UTF-16; save it as UTF-8 without a byte order mark, in PowerShell by [IO.File]::WriteAllText", Err: ErrSyntax}
	}
	return bytes.TrimPrefix(text, byteOrderMark), nil
}

// Encoding is how the text of a file is written.
type Encoding string

// Encodings. A runtime reads UTF8 alone.
const (
	UTF8 Encoding = "UTF-8"
	// UTF8BOM is UTF-8 behind a byte order mark, as "-Encoding utf8" of Windows
	// PowerShell writes it.
	UTF8BOM Encoding = "UTF-8 with a byte order mark"
	// UTF16 is what a redirection of Windows PowerShell writes.
	UTF16 Encoding = "UTF-16"
)

// unit is how many bytes UTF-16 has for most characters. One of ASCII's has a zero in it.
const unit = 2

// EncodingOf returns how the text of a JSON document is written.
func EncodingOf(text []byte) Encoding {
	switch {
	case bytes.HasPrefix(text, byteOrderMark):
		return UTF8BOM
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), len(text) >= unit && bytes.IndexByte(text[:unit], 0) >= 0:
		return UTF16
	default:
		return UTF8
	}
}

// Decoded returns a text as UTF-8 without a byte order mark, whichever way Windows wrote
// it. A runtime does not do that for a file: it is for telling what the file means.
func Decoded(text []byte) []byte {
	if EncodingOf(text) != UTF16 {
		return bytes.TrimPrefix(text, byteOrderMark)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if text[0] == 0xfe || text[0] == 0 {
		order = binary.BigEndian
	}
	var units []uint16
	for ; len(text) >= unit; text = text[unit:] {
		units = append(units, order.Uint16(text))
	}
	return bytes.TrimPrefix([]byte(string(utf16.Decode(units))), byteOrderMark)
}

// byteOrderMark is that of UTF-8.
var byteOrderMark = []byte("\xef\xbb\xbf")

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
	if _, _, ok := dialectOf(canonicalType(typ)); ok {
		return name, canonicalType(typ), nil
	}
	if own := canonicalType(typ); own != typ && ownKeys[own] != nil {
		return "", "", invalid("type", "%q is not the plugin's name; write %q", typ, own)
	}
	if ownKeys[typ] == nil {
		return "", "", &Error{
			Path:    "type",
			Problem: show(d["type"]) + ` is not supported by this version of bulkhead, which speaks "bulkhead", "bulkhead-acl", ` + dialectNames(),
			Err:     ErrUnsupported,
		}
	}
	return name, typ, nil
}

// canonicalType returns the plugin that a type means on Windows, where the letter case
// of a file and its ending say nothing.
func canonicalType(typ string) string {
	return strings.TrimSuffix(strings.ToLower(typ), ".exe")
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

// runtimeHas reports whether runtimeConfig has a member, which may be null.
func (d document) runtimeHas(key string) bool {
	var members document
	_ = json.Unmarshal(d["runtimeConfig"], &members) // no object has no member
	_, ok := members[key]
	return ok
}

// capable reports whether the configuration declares a capability, without which a
// runtime sends nothing of it (CNI's conventions, "dynamic plugin specific fields").
func (d document) capable(capability string) bool {
	var declared map[string]bool
	return json.Unmarshal(d["capabilities"], &declared) == nil && declared[capability]
}

// checkKeys refuses keys that the dialect does not have.
func (d document) checkKeys(typ string) error {
	if typ == TypeACL {
		if err := d.checkChained(); err != nil {
			return err
		}
	}
	if err := d.checkPeers(); err != nil {
		return err
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
		near := nearest(key, known)
		if ours := peersSettings[strings.ToLower(key)]; near == "" && ours != "" {
			near = nearest(ours, known)
		}
		if near != "" {
			return invalid(join(path, key), "unknown key; did you mean %q?", near)
		}
		return invalid(join(path, key), "unknown key")
	}
	return nil
}

// nearest returns the known word that is least edits away from a word, letter case
// aside; empty where none is within two.
func nearest(word string, known []string) string {
	const most = 2
	best, least := "", most+1
	for _, k := range known {
		if n := edits(strings.ToLower(word), strings.ToLower(k)); n < least && n < len(k)-1 {
			best, least = k, n
		}
	}
	return best
}

// edits returns how many bytes to put in, take out or change make one word the other
// (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
