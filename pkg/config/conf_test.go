// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

// TestShippedConflists parses the examples that ship beside the plugin, each
// element as libcni sends it: with the list's name and version merged in.
func TestShippedConflists(t *testing.T) {
	t.Parallel()
	const dir = "../../plugins/bulkhead/conf"
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		t.Skip("no conf folder beside the plugin")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no *.conflist in %s", dir)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			if n := parseConflist(t, file); n == 0 {
				t.Errorf("no plugin of type %q", Type)
			}
		})
	}
}

// parseConflist parses the native elements of a list and counts them.
func parseConflist(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		CNIVersion string           `json:"cniVersion"`
		Name       string           `json:"name"`
		Plugins    []map[string]any `json:"plugins"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, plugin := range list.Plugins {
		if plugin["type"] != Type {
			continue
		}
		n++
		plugin["name"], plugin["cniVersion"] = list.Name, list.CNIVersion
		stdin, err := json.Marshal(plugin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(stdin, Env{}); err != nil {
			t.Errorf("plugins[%d]: %v", i, err)
		}
	}
	return n
}

// Whatever Windows wrote, the text is the same.
func TestDecoded(t *testing.T) {
	const want = `{"name": "n\u00e4"}`
	wide := func(big bool) []byte {
		var out []byte
		for _, u := range utf16.Encode([]rune(want)) {
			if big {
				out = append(out, byte(u>>8), byte(u))
			} else {
				out = append(out, byte(u), byte(u>>8))
			}
		}
		return out
	}
	for name, text := range map[string][]byte{
		"UTF-8": []byte(want), "marked": []byte("\xef\xbb\xbf" + want),
		"little": append([]byte{0xff, 0xfe}, wide(false)...), "big": append([]byte{0xfe, 0xff}, wide(true)...),
		"little without a mark": wide(false), "big without a mark": wide(true),
	} {
		if got := string(Decoded(text)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for text, want := range map[string]string{"": "", "{": "{", "\xff\xfe": "", "\xff\xfe{": "", "\x00": "\x00"} {
		if got := string(Decoded([]byte(text))); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
