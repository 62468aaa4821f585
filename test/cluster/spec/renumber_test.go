// SPDX-License-Identifier: Apache-2.0

package spec

import "testing"

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
