// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A suggested list has the other plugins as they were, and what flannel adds is left to
// flannel.
func TestSuggest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file, want string
		replaced         int
	}{
		{
			"a list", `{"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "win-bridge", "capabilities": {"dns": true}}, {"type": "bulkhead-acl"}]}`,
			`{"cniVersion": "1.0.0","name": "n","plugins": [{"type": "bulkhead","gateway": {"ipv4": "node","ipv6": "node"},"acl": {"program": false},"loopbackDSR": false,"capabilities": {"dns": true}},{"type": "bulkhead-acl"}]}`, 1,
		},
		{
			"a delegate", `{"name": "n", "type": "flannel", "delegate": {"type": "sdnbridge"}}`,
			`{"name": "n","type": "flannel","delegate": {"type": "bulkhead","gateway": {"ipv4": "network"},"acl": {"program": false},"loopbackDSR": false}}`, 1,
		},
		{
			"flannel's own choice, in a list", `{"name": "n", "plugins": [{"type": "flannel", "delegate": {"ipam": {"type": "azure-ipam"}}}]}`,
			`{"name": "n","plugins": [{"type": "flannel","delegate": {"type": "bulkhead","gateway": {"ipv4": "node","ipv6": "node"},"ipam": {"type": "azure-ipam"},"acl": {"program": false},"loopbackDSR": false}}]}`, 1,
		},
		{"native", `{"name": "n", "type": "bulkhead"}`, `{"name": "n","type": "bulkhead"}`, 0},
	} {
		got, replaced, err := Suggest([]byte(tc.file))
		if err != nil || replaced != tc.replaced {
			t.Errorf("%s: %d replaced, %v", tc.name, replaced, err)
		}
		var flat []string
		for line := range strings.Lines(string(got)) {
			flat = append(flat, strings.TrimSpace(line))
		}
		if diff := cmp.Diff(tc.want, strings.Join(flat, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	for _, file := range []string{`{`, `{"name": "n", "type": "win-bridge", "x": 1}`, `{"name": "n", "plugins": 5}`} {
		if got, _, err := Suggest([]byte(file)); err == nil || got != nil {
			t.Errorf("%s: %s", file, got)
		}
	}
}

// Behind another plugin bulkhead-acl alone is ours; where there is none, the plugin that
// bulkhead.exe can stand for is.
func TestOurs(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		`{"name": "n", "plugins": [{"type": "win-bridge"}, {"type": "bulkhead-acl"}]}`:                    "bulkhead-acl",
		`{"name": "n", "plugins": [{"type": "Win-Bridge.exe"}, {"type": "x"}]}`:                           "win-bridge",
		`{"name": "n", "plugins": [{"type": "flannel", "delegate": {"type": "sdnbridge"}}]}`:              "sdnbridge",
		`{"name": "n", "plugins": [{"type": "flannel", "delegate": {}}, {"type": "x"}]}`:                  "win-bridge",
		`{"name": "n", "plugins": [{"type": "flannel", "delegate": {"type": "bulkhead"}}, {"type": ""}]}`: "bulkhead",
	} {
		ours, err := OurPlugins([]byte(file))
		if err != nil || len(ours) != 1 || ours[0].Type() != want {
			t.Errorf("%s: %v, %v", file, ours, err)
		}
	}
}

// Faults tells each part's, and nothing that follows from another's.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ conf, want string }{
		{native(""), ""},
		{native(`"driver": "ring", "network": {"subnets": [{"prefix": "x"}]}, "ipam": {"type": "host-local"}`), "driver"},
		{native(`"driver": "l2bridge", "network": {"subnets": []}, "ipam": {"type": "host-local"}, "loopbackDSR": 1`), "network.subnets loopbackDSR"},
		{native(`"driver": "transparent", "isolation": "vm", "acl": {"rules": 5}, "timeouts": {"add": 1}`), "timeouts.add isolation"},
		{native(`"driver": "nat", "outboundNAT": {}`), "outboundNAT"},
		{peerFile("win-bridge", `"x": 1, "y": 2, "dns": 3, "policies": [{}, {}]`), "x y policies[0].value policies[1].value dns"},
	} {
		var paths []string
		for _, e := range Faults([]byte(tc.conf), Env{}) {
			paths = append(paths, e.Path)
		}
		if got := strings.Join(paths, " "); got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}
