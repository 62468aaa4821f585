// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Version is the SchemaVersion of a document. Documents of the v1 schema have
// none (hcsshim, hcn/hcnv1schema_test.go).
type Version struct {
	Major, Minor int
}

// V2 is the version that the emulator writes, the same that hcsshim sends.
var V2 = Version{2, 0}

// Word is a member that clients write as a string or as a number: an enumeration
// or flags. HNS_Schema.md wants strings; its samples and hns.v2.psm1
// (microsoft/SDN) send numbers.
type Word string

// UnmarshalJSON accepts a string or a number.
func (w *Word) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(w))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("%s is neither a string nor a number", b)
	}
	*w = Word(n)
	return nil
}

// OneOf returns which of the names w is: by name in any letter case, or by its
// number.
func (w Word) OneOf(names ...string) (string, bool) {
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

// Flags returns the bits that w stands for: a number, or names of bits.
func (w Word) Flags(bits map[string]uint32) (uint32, error) {
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
			return 0, Errorf(CodeInvalidJSON, "unknown flag %q", name)
		}
		sum |= bit
	}
	return sum, nil
}

// Decode reads a document. It ignores unknown members. A member of the wrong type
// makes the whole document invalid.
func Decode(text string, doc any) error {
	if err := json.Unmarshal([]byte(text), doc); err != nil {
		return Errorf(CodeInvalidJSON, "%v", err)
	}
	return nil
}

// CheckID refuses the ID of a document when it is no GUID
// (microsoft/hcsshim#1049).
func CheckID(id string) error {
	if id == "" {
		return nil
	}
	if _, err := hns.ParseGUID(id); err != nil {
		return Errorf(CodeInvalidJSON, "ID: %v", err)
	}
	return nil
}

// Reference returns the normalised id of another object that a document names. It
// returns "" for no id and for the zero GUID.
func Reference(id string) (string, error) {
	if err := CheckID(id); err != nil || id == "" {
		return "", err
	}
	normal, _ := hns.ParseGUID(id)
	if normal == hns.ZeroGUID {
		return "", nil
	}
	return normal, nil
}

// DNS is the Dns member of v2 documents. The DNS members of v1 documents become
// the same.
type DNS struct {
	Domain     string   `json:",omitempty"`
	Search     []string `json:",omitempty"`
	ServerList []string `json:",omitempty"`
	Options    []string `json:",omitempty"`
}

// IsZero reports whether the client left the configuration to HNS: hcsshim sends
// "Dns":{} then.
func (d DNS) IsZero() bool {
	return d.Domain == "" && len(d.Search) == 0 && len(d.ServerList) == 0 && len(d.Options) == 0
}

// Suffix returns the DNSSuffix of a v1 document.
func (d DNS) Suffix() string {
	if len(d.Search) == 0 {
		return d.Domain
	}
	return strings.Join(d.Search, ",")
}

// Route is a route of a subnet or an endpoint.
type Route struct {
	NextHop           string `json:",omitempty"`
	DestinationPrefix string `json:",omitempty"`
	Metric            uint16 `json:",omitempty"`
}

// Health is the Health member of v2 documents. hcsshim reads its Extra only.
type Health struct {
	Extra Extra
}

// Extra is the Extra member of Health (HNS_Schema.md, ExtraParams).
type Extra struct {
	SharedContainers []string `json:",omitempty"`
	SwitchGUID       string   `json:"SwitchGuid,omitempty"`
}

// requestTypes are in the order of their numbers (hns.v2.psm1, microsoft/SDN).
var requestTypes = []string{"Add", "Remove", "Update", "Refresh", "Reset"}

// ParseModify reads a request of HcnModifyNetwork, -Endpoint or -Namespace. The
// resources are the object's resource types in the order of their numbers.
func ParseModify(text string, resources ...string) (resource, request string, settings json.RawMessage, err error) {
	var doc struct {
		ResourceType, RequestType Word
		Settings                  json.RawMessage
	}
	if err := Decode(text, &doc); err != nil {
		return "", "", nil, err
	}
	resource, ok := doc.ResourceType.OneOf(resources...)
	if !ok {
		return "", "", nil, Errorf(CodeUnsupported, "resource type %q", doc.ResourceType)
	}
	request, ok = doc.RequestType.OneOf(requestTypes...)
	if !ok {
		return "", "", nil, Errorf(CodeUnsupported, "request type %q", doc.RequestType)
	}
	return resource, request, doc.Settings, nil
}

// splitList reads a list in one string: "a,b". "" is the empty list.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
