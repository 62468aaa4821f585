// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
)

// query is the document of Enumerate and Query (hns.md section 2.2).
type query struct {
	SchemaVersion schemaVersion
	Flags         word
	Filter        string

	filter map[string]word
}

// parseQuery reads a query. The empty string asks for everything
// (TestNotFoundError).
func parseQuery(text string) (query, error) {
	var q query
	if text == "" {
		return q, nil
	}
	if err := decode(text, &q); err != nil {
		return query{}, err
	}
	if q.Filter == "" {
		return q, nil
	}
	if err := json.Unmarshal([]byte(q.Filter), &q.filter); err != nil {
		return query{}, refuse(codeInvalidJSON, "filter: %v", err)
	}
	return q, nil
}

// matches reports whether an object passes the filter: all its properties must
// be as given. An object without such a property does not pass; hcsshim notes
// that the v2 name HostComputeNetwork finds nothing.
func (q query) matches(h *Host, o object) bool {
	for key, want := range q.filter {
		got, ok := filterProperty(o, key)
		if !ok {
			return false
		}
		same := got == string(want)
		switch key {
		case "ID", "VirtualNetwork":
			same = equalFold(got, string(want))
		case "Name", "VirtualNetworkName":
			same = h.sameName(got, string(want))
		}
		if !same {
			return false
		}
	}
	return true
}

// filterProperty returns a property by its v1 name: those that all objects
// have, then the object's own.
func filterProperty(o object, key string) (string, bool) {
	b := o.common()
	switch key {
	case "ID":
		return b.id, true
	case "Name":
		return b.name, true
	case "State":
		return itoa(b.state), true
	}
	return o.property(key)
}
