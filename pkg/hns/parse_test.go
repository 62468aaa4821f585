// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"strings"
	"testing"
)

func TestParseGUID(t *testing.T) {
	const want = "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444"
	for _, s := range []string{want, strings.ToUpper(want), "{" + want + "}", "{C08cB7B8-9B3C-408E-8E30-5E16A3AEB444}"} {
		if got, err := ParseGUID(s); err != nil || got != want {
			t.Errorf("ParseGUID(%q) = %q, %v", s, got, err)
		}
	}
	if got, err := ParseGUID(ZeroGUID); err != nil || got != ZeroGUID {
		t.Errorf("ParseGUID(%q) = %q, %v", ZeroGUID, got, err)
	}
	for _, s := range []string{
		"", "none", "/var/run/netns/x", "{}", want[1:], want + "0", "{" + want, want + "}", "(" + want + ")",
		strings.ReplaceAll(want, "-", ""), strings.ReplaceAll(want, "-", "_"), "g" + want[1:],
		"c08cb7b8-9b3c-408e-8e30-5e16a3aeb44\u212a", "container:" + want,
	} {
		if got, err := ParseGUID(s); err == nil || got != "" {
			t.Errorf("ParseGUID(%q) = %q, %v; want an error", s, got, err)
		}
	}
}

func TestParseMAC(t *testing.T) {
	tests := []struct {
		in   string
		want MAC
	}{
		{"", ""},
		{"00-15-5D-52-C0-0A", "00:15:5d:52:c0:0a"},
		{"00:15:5d:52:c0:0a", "00:15:5d:52:c0:0a"},
		{"0E-2A-0a-00-00-02", "0e:2a:0a:00:00:02"},
	}
	for _, tt := range tests {
		if got, err := ParseMAC(tt.in); err != nil || got != tt.want {
			t.Errorf("ParseMAC(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	for _, s := range []string{"x", "00-15-5D-52-C0", "00-15-5D-52-C0-0A-00-01", "00-15-5D-52-C0-0G"} {
		if got, err := ParseMAC(s); err == nil || got != "" {
			t.Errorf("ParseMAC(%q) = %q, %v; want an error", s, got, err)
		}
	}
	if got, want := MAC("00:15:5d:52:c0:0a").Hyphenated(), "00-15-5D-52-C0-0A"; got != want {
		t.Errorf("Hyphenated() = %q, want %q", got, want)
	}
}

func TestParseDriver(t *testing.T) {
	for _, want := range Drivers() {
		for _, s := range []string{string(want), strings.ToUpper(string(want)), strings.ToTitle(string(want[:1])) + string(want[1:])} {
			if got, err := ParseDriver(s); err != nil || got != want {
				t.Errorf("ParseDriver(%q) = %q, %v; want %q", s, got, err, want)
			}
		}
	}
	for _, s := range []string{"", "ics", "l2-bridge", "sdnbridge", " nat"} {
		if got, err := ParseDriver(s); err == nil || got != "" {
			t.Errorf("ParseDriver(%q) = %q, %v; want an error", s, got, err)
		}
	}
}

func TestHasVFP(t *testing.T) {
	want := map[Driver]bool{L2Bridge: true, L2Tunnel: true, Overlay: true}
	for _, d := range append(Drivers(), "ics", "") {
		if got := d.HasVFP(); got != want[d] {
			t.Errorf("%s: HasVFP() = %v", d, got)
		}
	}
}

func TestDNSIsZero(t *testing.T) {
	if !(DNS{}).IsZero() || !(DNS{Search: []string{}}).IsZero() {
		t.Error("nothing is configured, and it is not zero")
	}
	for _, d := range []DNS{{Domain: "x"}, {Search: []string{""}}, {Servers: []string{"x"}}, {Options: []string{"x"}}} {
		if d.IsZero() {
			t.Errorf("%v is zero", d)
		}
	}
}

// The ranges are those of hcsshim's hcn/hcnglobals.go.
func TestFeatures(t *testing.T) {
	tests := []struct {
		version                  Version
		v2, dsr, ipv6, vxlanPort bool
	}{
		{version: Version{}},
		{version: Version{7, 2}},
		{version: Version{9, 1}},
		{version: Version{9, 2}, v2: true},
		{version: Version{9, 3}, v2: true, dsr: true},
		{version: Version{9, 99}, v2: true, dsr: true},
		{version: Version{10, 0}, v2: true},
		{version: Version{10, 1}, v2: true},
		{version: Version{10, 2}, v2: true, dsr: true},
		{version: Version{10, 3}, v2: true, dsr: true, vxlanPort: true},
		{version: Version{11, 9}, v2: true, dsr: true, vxlanPort: true},
		{version: Version{11, 10}, v2: true, dsr: true, ipv6: true, vxlanPort: true},
		{version: Version{12, 0}, v2: true, dsr: true, ipv6: true, vxlanPort: true},
		{version: Version{15, 4}, v2: true, dsr: true, ipv6: true, vxlanPort: true},
	}
	for _, tt := range tests {
		t.Run(tt.version.String(), func(t *testing.T) {
			f := Features{Version: tt.version}
			if f.V2() != tt.v2 || f.DSR() != tt.dsr || f.IPv6() != tt.ipv6 || f.VXLANPort() != tt.vxlanPort {
				t.Errorf("V2 %v, DSR %v, IPv6 %v, VXLANPort %v", f.V2(), f.DSR(), f.IPv6(), f.VXLANPort())
			}
		})
	}
}

func TestNewGUID(t *testing.T) {
	got := NewGUID()
	if parsed, err := ParseGUID(got); err != nil || parsed != got || got[14] != '4' || !strings.Contains("89ab", got[19:20]) {
		t.Errorf("got %q, want a GUID of version 4", got)
	}
	if other := NewGUID(); other == got {
		t.Errorf("%s twice", got)
	}
}
