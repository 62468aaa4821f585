// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
)

// checkRepeated refuses a JSON text in which an object has a member twice. Readers of
// JSON differ in which one counts (RFC 8259, section 4): what an admin reads first can be
// what nobody obeys. The text must be JSON.
func checkRepeated(path string, text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err := walkRepeated(path, dec, maxDepth)
	if errors.Is(err, errDeep) {
		return invalid(path, "nested deeper than %d levels", maxDepth)
	}
	return err
}

var errDeep = errors.New("too deep")

// maxDepth is deeper than any configuration or result is.
const maxDepth = 32

// walkRepeated reads one value.
func walkRepeated(path string, dec *json.Decoder, depth int) error {
	if depth == 0 {
		return errDeep
	}
	token, err := dec.Token()
	if err != nil {
		return nil //nolint:nilerr // whoever reads the value says what is wrong
	}
	switch token {
	case json.Delim('{'):
		seen := map[string]bool{}
		for dec.More() {
			token, err := dec.Token()
			key, isKey := token.(string)
			if err != nil || !isKey {
				return nil //nolint:nilerr // as above
			}
			if seen[key] {
				return invalid(join(path, key), "given twice; remove one of the two")
			}
			seen[key] = true
			if err := walkRepeated(join(path, key), dec, depth-1); err != nil {
				return err
			}
		}
		_, _ = dec.Token() // the closing brace
	case json.Delim('['):
		for i := 0; dec.More(); i++ {
			if err := walkRepeated(index(path, i), dec, depth-1); err != nil {
				return err
			}
		}
		_, _ = dec.Token() // the closing bracket
	}
	return nil
}
