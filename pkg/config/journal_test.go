// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

// What a verb writes is known before, and whatever else is wrong with the configuration.
func TestParseJournal(t *testing.T) {
	t.Parallel()
	both := `"log": {"level": "debug", "file": "C:/b.log"}, "metrics": {"file": "C:/b.prom"}`
	all := Journal{LogDebug, "C:/b.log", "C:/b.prom"}
	for _, tc := range []struct {
		name, conf, network string
		want                Journal
	}{
		{"right", native(both), "podnet", all},
		{"byte order mark", "\xef\xbb\xbf" + native(both), "podnet", all},
		{"chained", `{"name": "n", "type": "bulkhead-acl", ` + both + `}`, "n", all},
		{"refused", `{"name": "n", "type": "x", "driver": 5, "oops": 1, ` + both + `}`, "n", all},
		{"odd name", `{"name": "a b\n", ` + both + `}`, "", all},
		{"no name", `{` + both + `}`, "", all},
		{"wrong log", native(`"log": {"level": "all"}, "metrics": {"file": "C:/b.prom"}`), "podnet", Journal{MetricsFile: "C:/b.prom"}},
		{"wrong metrics", native(`"log": {}, "metrics": {"file": "b.prom"}`), "podnet", Journal{Log: LogInfo}},
		{"none", native(""), "podnet", Journal{}},
		{"no JSON", "{", "", Journal{}},
	} {
		if got, network := ParseJournal([]byte(tc.conf)); got != tc.want || network != tc.network {
			t.Errorf("%s: got %+v of %q, want %+v of %q", tc.name, got, network, tc.want, tc.network)
		}
	}
}
