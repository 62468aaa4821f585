// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func TestParsePorts(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []hns.PortRange
		err  bool
	}{
		{text: "", want: nil},
		{text: "80", want: []hns.PortRange{{First: 80, Last: 80}}},
		{text: "0", want: []hns.PortRange{{First: 0, Last: 0}}},
		{text: "65535", want: []hns.PortRange{{First: 65535, Last: 65535}}},
		{text: "80,443", want: []hns.PortRange{{First: 80, Last: 80}, {First: 443, Last: 443}}},
		{text: "1-1024", want: []hns.PortRange{{First: 1, Last: 1024}}},
		{text: "80-80", want: []hns.PortRange{{First: 80, Last: 80}}},
		{text: "80,8000-8080", want: []hns.PortRange{{First: 80, Last: 80}, {First: 8000, Last: 8080}}},
		{text: "65536", err: true},
		{text: "81-80", err: true},
		{text: "-80", err: true},
		{text: "80-", err: true},
		{text: "80,", err: true},
		{text: ",", err: true},
		{text: " 80", err: true},
		{text: "+80", err: true},
		{text: "http", err: true},
		{text: "*", err: true},
	} {
		got, err := parsePorts(tc.text)
		if !slices.Equal(got, tc.want) || (err != nil) != tc.err {
			t.Errorf("parsePorts(%q) = %v, %v; want %v, error %t", tc.text, got, err, tc.want, tc.err)
		}
	}
}

func TestParseProtocols(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []int
		err  bool
	}{
		{text: "", want: nil},
		{text: "6", want: []int{6}},
		{text: "6,17", want: []int{6, 17}},
		{text: "0", want: []int{0}},
		{text: "255", want: []int{255}},
		{text: "256", want: nil},
		{text: "6,256", want: nil},
		{text: "257", err: true},
		{text: "-1", err: true},
		{text: "TCP", err: true},
		{text: "6, 17", err: true},
		{text: "6,", err: true},
	} {
		got, err := parseProtocols(tc.text)
		if !slices.Equal(got, tc.want) || (err != nil) != tc.err {
			t.Errorf("parseProtocols(%q) = %v, %v; want %v, error %t", tc.text, got, err, tc.want, tc.err)
		}
	}
}

func TestParseAddrList(t *testing.T) {
	sets := []string{"web", "db"}
	for _, tc := range []struct {
		text string
		want string
		err  bool
	}{
		{text: "", want: "any"},
		{text: "10.0.0.1", want: "10.0.0.1/32"},
		{text: "10.0.0.0/8", want: "10.0.0.0/8"},
		{text: "0.0.0.0/0", want: "0.0.0.0/0"},
		{text: "fd00::1", want: "fd00::1/128"},
		{text: "10.0.0.1,fd00::/8", want: "10.0.0.1/32 fd00::/8"},
		{text: "web", want: "set web"},
		{text: "web,10.0.0.1,db", want: "10.0.0.1/32 set web set db"},
		{text: "Any", err: true},
		{text: "*", err: true},
		{text: "10.0.0.1/8", err: true},
		{text: "10.0.0.0/33", err: true},
		{text: "10.0.0.1-10.0.0.9", err: true},
		{text: "10.0.0.1,", err: true},
		{text: "WEB", err: true},
	} {
		got, err := ParseAddrList(tc.text, sets)
		if (err != nil) != tc.err || err == nil && got.describe() != tc.want {
			t.Errorf("parseAddrList(%q) = %s, %v; want %s, error %t", tc.text, got.describe(), err, tc.want, tc.err)
		}
	}
}

func (l AddrList) describe() string {
	if l.IsAny() {
		return "any"
	}
	var words []string
	for _, p := range l.Prefixes {
		words = append(words, p.String())
	}
	for _, s := range l.Sets {
		words = append(words, "set "+s)
	}
	return strings.Join(words, " ")
}

func TestWord(t *testing.T) {
	names := []string{"Add", "Remove", "Update"}
	for _, tc := range []struct {
		text, want string
		ok         bool
	}{
		{`"Add"`, "Add", true},
		{`"remove"`, "Remove", true},
		{`0`, "Add", true},
		{`2`, "Update", true},
		{`"2"`, "Update", true},
		{`3`, "", false},
		{`-1`, "", false},
		{`1.5`, "", false},
		{`""`, "", false},
		{`"Delete"`, "", false},
	} {
		var w Word
		if err := json.Unmarshal([]byte(tc.text), &w); err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got, ok := w.OneOf(names...); got != tc.want || ok != tc.ok {
			t.Errorf("%s is %q, %t; want %q, %t", tc.text, got, ok, tc.want, tc.ok)
		}
	}
	for _, text := range []string{`true`, `{}`, `[]`} {
		var w Word
		if err := json.Unmarshal([]byte(text), &w); err == nil {
			t.Errorf("%s is the word %q", text, w)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct {
		word Word
		want uint32
		err  bool
	}{
		{word: "", want: 0},
		{word: "0", want: 0},
		{word: "8", want: 8},
		{word: "4294967295", want: 4294967295},
		{word: "EnableNonPersistent", want: 8},
		{word: "EnableNonPersistent,EnableIov", want: 8200},
		{word: "EnableDnsProxy, EnableMirroring", want: 5},
		{word: "None", want: 0},
		{word: "4294967296", err: true},
		{word: "-1", err: true},
		{word: "Enable", err: true},
		{word: "EnableIov,", err: true},
	} {
		got, err := tc.word.Flags(networkFlags)
		if got != tc.want || (err != nil) != tc.err {
			t.Errorf("flags %q = %d, %v; want %d, error %t", tc.word, got, err, tc.want, tc.err)
		}
	}
}

const someID = "5f0b1190-63be-4e0c-b974-bd0f55675a42"

func TestReferenceID(t *testing.T) {
	for _, tc := range []struct {
		text, want string
		err        bool
	}{
		{"", "", false},
		{hns.ZeroGUID, "", false},
		{someID, someID, false},
		{strings.ToUpper(someID), someID, false},
		{"{" + someID + "}", someID, false},
		{"none", "", true},
		{someID[1:], "", true},
	} {
		got, err := Reference(tc.text)
		if got != tc.want || (err != nil) != tc.err {
			t.Errorf("reference(%q) = %q, %v", tc.text, got, err)
		}
	}
}

func TestMACs(t *testing.T) {
	for _, tc := range []struct {
		text string
		want string
		err  bool
	}{
		{text: "00-15-5D-52-C0-00", want: "00-15-5D-52-C0-00"},
		{text: "00-15-5d-52-c0-00", want: "00-15-5D-52-C0-00"},
		{text: "00:15:5d:52:c0:00", want: "00-15-5D-52-C0-00"},
		{text: "FF-FF-FF-FF-FF-FF", want: "FF-FF-FF-FF-FF-FF"},
		{text: "", err: true},
		{text: "00-15-5D", err: true},
		{text: "00-15-5D-52-C0-00-00-00", err: true},
		{text: "00-15-5D-52-C0-GG", err: true},
	} {
		n, err := ParseMAC(tc.text)
		if (err != nil) != tc.err {
			t.Errorf("parseMAC(%q): %v", tc.text, err)
		}
		if err == nil && FormatMAC(n) != tc.want {
			t.Errorf("parseMAC(%q) is written %q, want %q", tc.text, FormatMAC(n), tc.want)
		}
	}
}

func TestVersionNumber(t *testing.T) {
	// These are from dumps of real objects: moby/moby#40345,
	// microsoft/Windows-Containers#485 and #563.
	for want, v := range map[uint64]hns.Version{
		4294967297:  {Major: 1, Minor: 1},
		42949672963: {Major: 10, Minor: 3},
		55834574851: {Major: 13, Minor: 3},
		64424509440: {Major: 15},
	} {
		if got := VersionNumber(v); got != want {
			t.Errorf("version %s is %d, want %d", v, got, want)
		}
	}
}

// TestTexts: every code that pkg/hns knows has its text, the full stop and the
// blank that consumers match on.
func TestTexts(t *testing.T) {
	for code, want := range map[hns.HRESULT]string{
		0x80070490: "Element not found. ",
		0x803b0002: "The endpoint was not found. ",
		0x803b0010: "A network with this name already exists. ",
		0x803b000d: "The provided policy configuration is invalid or missing parameters. ",
		0x80071392: "The object already exists. ",
		0x80070057: "The parameter is incorrect. ",
		0x80070426: "The service has not been started. ",
		0x80070034: "A duplicate name exists on the network. ",
	} {
		if got := Text(code); got != want {
			t.Errorf("text of %s is %q, want %q", code, got, want)
		}
		var doc struct {
			Success   bool
			Error     string
			ErrorCode uint32
		}
		if err := json.Unmarshal([]byte(ErrorRecord(code)), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Success || doc.Error != want || doc.ErrorCode != uint32(code) {
			t.Errorf("record of %s is %+v", code, doc)
		}
	}
	if got := Text(0xdeadbeef); got != "Unspecified error. " {
		t.Errorf("text of an unknown code is %q", got)
	}
	if got := CodeOf(errors.New("own mistake")); got != 0x8000ffff {
		t.Errorf("code of a foreign error is %s", got)
	}
}
