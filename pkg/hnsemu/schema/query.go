// SPDX-License-Identifier: Apache-2.0

package schema

import "encoding/json"

// Query is the document of the Enumerate and the Query functions.
type Query struct {
	SchemaVersion Version
	Flags         Word
	// Filter is JSON in a string: v1 properties and what they must be.
	Filter string

	// Properties is the parsed Filter.
	Properties map[string]Word `json:"-"`
}

// ParseQuery reads a query. "" asks for everything: TestNotFoundError sends it.
func ParseQuery(text string) (Query, error) {
	var q Query
	if text == "" {
		return q, nil
	}
	if err := Decode(text, &q); err != nil {
		return Query{}, err
	}
	if q.Filter == "" {
		return q, nil
	}
	if err := json.Unmarshal([]byte(q.Filter), &q.Properties); err != nil {
		return Query{}, Errorf(CodeInvalidJSON, "filter: %v", err)
	}
	return q, nil
}
