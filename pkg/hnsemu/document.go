// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// schemaVersion tells documents of the v2 schema from those of v1, which have
// none (hns.md section 4.7).
type schemaVersion struct {
	Major, Minor int
}

// schemaV2 is the version that the emulator writes: what hcsshim sends.
var schemaV2 = schemaVersion{2, 0}

// word is a member that clients write as a string or as a number: enumerations
// and flags (hns.md section 2.1).
type word string

// UnmarshalJSON accepts a string or a number.
func (w *word) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(w))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("%s is neither a string nor a number", b)
	}
	*w = word(n)
	return nil
}

// oneOf returns the name among names that w is, by name or by its number, in
// any letter case.
func (w word) oneOf(names ...string) (string, bool) {
	if n, err := strconv.Atoi(string(w)); err == nil {
		if n < 0 || n >= len(names) {
			return "", false
		}
		return names[n], true
	}
	for _, name := range names {
		if strings.EqualFold(name, string(w)) {
			return name, true
		}
	}
	return "", false
}

// flags returns the bits that w is: a number, or names of bits.
func (w word) flags(bits map[string]uint32) (uint32, error) {
	if w == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(string(w), 10, 32); err == nil {
		return uint32(n), nil
	}
	var sum uint32
	for name := range strings.SplitSeq(string(w), ",") {
		bit, ok := bits[strings.TrimSpace(name)]
		if !ok {
			return 0, refuse(codeInvalidJSON, "unknown flag %q", name)
		}
		sum |= bit
	}
	return sum, nil
}

// decode reads a document. Unknown members are ignored; a member of the wrong
// type makes the whole document invalid, as a malformed one is.
func decode(text string, doc any) error {
	if err := json.Unmarshal([]byte(text), doc); err != nil {
		return refuse(codeInvalidJSON, "%v", err)
	}
	return nil
}

// checkID refuses a document's ID that is no GUID (hcsshim#1049).
func checkID(id string) error {
	if id == "" {
		return nil
	}
	if _, err := hns.ParseGUID(id); err != nil {
		return refuse(codeInvalidJSON, "ID: %v", err)
	}
	return nil
}

// reference returns the normalised id of another object that a document names,
// empty for none: absent or the zero GUID.
func reference(id string) (string, error) {
	if err := checkID(id); err != nil || id == "" {
		return "", err
	}
	normal, _ := hns.ParseGUID(id)
	if normal == hns.ZeroGUID {
		return "", nil
	}
	return normal, nil
}

// dnsDoc is the Dns member of v2 documents, and what the v1 members become.
type dnsDoc struct {
	Domain     string   `json:",omitempty"`
	Search     []string `json:",omitempty"`
	ServerList []string `json:",omitempty"`
	Options    []string `json:",omitempty"`
}

// isZero reports whether the client left the configuration to HNS; hcsshim
// sends "Dns":{} then.
func (d dnsDoc) isZero() bool {
	return d.Domain == "" && len(d.Search) == 0 && len(d.ServerList) == 0 && len(d.Options) == 0
}

// suffix is what v1 calls DNSSuffix.
func (d dnsDoc) suffix() string {
	if len(d.Search) == 0 {
		return d.Domain
	}
	return strings.Join(d.Search, ",")
}

// routeDoc is a route of a subnet or an endpoint.
type routeDoc struct {
	NextHop           string `json:",omitempty"`
	DestinationPrefix string `json:",omitempty"`
	Metric            uint16 `json:",omitempty"`
}

// healthDoc is the Health member, of which hcsshim reads Extra only.
type healthDoc struct {
	Extra extraDoc
}

type extraDoc struct {
	SharedContainers []string `json:",omitempty"`
	SwitchGUID       string   `json:"SwitchGuid,omitempty"`
}

// modifyDoc is the request of HcnModifyX (hns.md section 2.9).
type modifyDoc struct {
	ResourceType word
	RequestType  word
	Settings     json.RawMessage
}

// requestTypes are in the order of their numbers (hns.md section 2.9).
var requestTypes = []string{"Add", "Remove", "Update", "Refresh", "Reset"}

// parseModify reads a modify request for an object with those resource types,
// which are in the order of their numbers.
func parseModify(text string, resources ...string) (resource, request string, settings json.RawMessage, err error) {
	var doc modifyDoc
	if err := decode(text, &doc); err != nil {
		return "", "", nil, err
	}
	resource, ok := doc.ResourceType.oneOf(resources...)
	if !ok {
		return "", "", nil, refuse(codeUnsupported, "resource type %q", doc.ResourceType)
	}
	request, ok = doc.RequestType.oneOf(requestTypes...)
	if !ok {
		return "", "", nil, refuse(codeUnsupported, "request type %q", doc.RequestType)
	}
	return resource, request, doc.Settings, nil
}

// splitList reads a v1 list: "a,b". The empty string is the empty list.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// itoa writes a number of a document.
func itoa[T ~int | ~uint16 | ~uint32](n T) string { return strconv.FormatInt(int64(n), 10) }
