// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"strconv"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// passes reports whether an object has all the properties of a filter. An
// object without such a property does not pass: the v2 name HostComputeNetwork
// finds nothing (hcsshim, hcn/hcnendpoint.go).
func (h *Host) passes(o object, filter map[string]schema.Word) bool {
	for key, want := range filter {
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

// itoa writes a number of a document.
func itoa[T ~int | ~uint16 | ~uint32](n T) string { return strconv.FormatInt(int64(n), 10) }
