// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"testing"
)

// A static list serves the pods of every namespace; what the runtime sends is
// taken as it is.
func TestQualifyDNS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, conf, args, domain string
		search                   []string
	}{
		{
			name: "another's namespace", args: podArgs, domain: "web.svc.x",
			conf:   `"dns": {"domain": "default.svc.x", "search": ["Default.Svc.x", "svc.x", "x"]}`,
			search: []string{"web.Svc.x", "svc.x", "x"},
		},
		{name: "no namespace", args: podArgs, conf: `"dns": {"search": ["svc.x", "x"]}`, search: []string{"web.svc.x", "svc.x", "x"}},
		{name: "there already", args: podArgs, conf: `"dns": {"search": ["svc.x", "web.svc.x"]}`, search: []string{"web.svc.x", "svc.x"}},
		{name: "the pod's own", args: podArgs, conf: `"dns": {"search": ["web.svc.x", "svc.x"]}`, search: []string{"web.svc.x", "svc.x"}},
		{
			name: "not of a cluster", args: podArgs, domain: "svc.x",
			conf: `"dns": {"domain": "svc.x", "search": ["default.example.org", "default.svc.x"]}`, search: []string{"default.example.org", "default.svc.x"},
		},
		{name: "labels, not letters", args: podArgs, conf: `"dns": {"search": ["svcs.x"]}`, search: []string{"svcs.x"}},
		{name: "no pod", conf: `"dns": {"domain": "default.svc.x", "search": ["svc.x"]}`, domain: "default.svc.x", search: []string{"svc.x"}},
		{
			name: "pod of namespace default", args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default",
			conf: `"dns": {"search": ["default.svc.x", "svc.x"]}`, search: []string{"default.svc.x", "svc.x"},
		},
		{name: "no namespace's name", args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=a,b", conf: `"dns": {"search": ["svc.x"]}`, search: []string{"svc.x"}},
		{
			name: "the runtime's searches", args: podArgs, domain: "web.svc.x",
			conf:   `"dns": {"domain": "default.svc.x", "search": ["y"]}, "runtimeConfig": {"dns": {"searches": ["default.svc.x", "svc.x"]}}`,
			search: []string{"default.svc.x", "svc.x"},
		},
		{
			name: "the runtime's servers alone", args: podArgs,
			conf:   `"dns": {"search": ["default.svc.x"]}, "runtimeConfig": {"dns": {"servers": ["10.96.0.10"]}}`,
			search: []string{"web.svc.x"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(native(tc.conf)), testEnv(tc.args))
			if err != nil {
				t.Fatal(err)
			}
			if got.DNS.Domain != tc.domain || !slices.Equal(got.DNS.Search, tc.search) {
				t.Errorf("got domain %q, search %q; want %q, %q", got.DNS.Domain, got.DNS.Search, tc.domain, tc.search)
			}
			lenient, err := ParseLenient([]byte(native(tc.conf)), testEnv(tc.args))
			if err != nil || !slices.Equal(lenient.DNS.Search, tc.search) {
				t.Errorf("ParseLenient: search %q, %v; want %q", lenient.DNS.Search, err, tc.search)
			}
		})
	}
}
