// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"net/netip"
	"slices"
	"testing"
)

func TestRenumber(t *testing.T) {
	const conf = `{"network": {"subnets": [{"prefix": "10.10.0.0/24", "gateway": "10.10.0.1"}, {"prefix": "fd00:10:10::/64"}]},
		"ranges": [{"subnet": "10.10.0.0/24", "rangeStart": "10.10.0.10"}, {"rangeEnd": "fd00:10:10::ffff"}],
		"exceptions": ["10.10.0.0/16", "10.96.0.0/12"], "dns": "10.96.0.10", "name": "10"}`
	const want = `{"network": {"subnets": [{"prefix": "10.10.2.0/24", "gateway": "10.10.2.1"}, {"prefix": "fd00:10:10:2::/64"}]},
		"ranges": [{"subnet": "10.10.2.0/24", "rangeStart": "10.10.2.10"}, {"rangeEnd": "fd00:10:10:2::ffff"}],
		"exceptions": ["10.10.0.0/16", "10.96.0.0/12"], "dns": "10.96.0.10", "name": "10"}`
	for n, want := range map[int]string{1: conf, 3: want} {
		if got, err := Renumber(conf, n); err != nil || got != want {
			t.Errorf("node %d: %v\n%s", n, err, got)
		}
	}
	if got, err := Renumber(conf, 300); err == nil {
		t.Errorf("node 300: %s", got)
	}
	if _, err := Renumber("no", 1); err == nil {
		t.Error("what is not JSON is no conflist")
	}
}

// TestSubnets: a Linux node's pods get the ranges that a Windows node of its number would.
func TestSubnets(t *testing.T) {
	const conf = `{"network": {"subnets": [{"prefix": "fd00:10:10::/64"}, {"prefix": "10.10.0.0/24"}]},
		"ranges": [{"subnet": "10.10.0.0/24"}], "exceptions": ["10.10.0.0/16"]}`
	want := []netip.Prefix{netip.MustParsePrefix("10.10.2.0/24"), netip.MustParsePrefix("fd00:10:10:2::/64")}
	if got, err := Subnets(conf, 3); err != nil || !slices.Equal(got, want) {
		t.Errorf("Subnets() = %v, %v; want %v", got, err, want)
	}
	if got, err := Subnets(conf, 300); err == nil {
		t.Errorf("node 300: %v", got)
	}
}
