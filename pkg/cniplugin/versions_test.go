// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"regexp"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types020 "github.com/containernetworking/cni/pkg/types/020"
	types040 "github.com/containernetworking/cni/pkg/types/040"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const goldenResults = "testdata/results.txtar"

// only returns the pod without what is of the other family.
func only(r pod.Result, six bool) pod.Result {
	e := r.Endpoint
	r.Endpoint.Addresses, r.Endpoint.Routes = nil, nil
	for _, a := range e.Addresses {
		if a.Addr().Is6() == six {
			r.Endpoint.Addresses = append(r.Endpoint.Addresses, a)
		}
	}
	for _, route := range e.Routes {
		if route.NextHop.Is6() == six {
			r.Endpoint.Routes = append(r.Endpoint.Routes, route)
		}
	}
	return r
}

// bare is a pod of a network without gateway and DNS.
var bare = pod.Result{
	Namespace: dualStack.Namespace,
	Endpoint:  hns.Endpoint{MAC: "00:15:5d:52:c0:02", Addresses: []netip.Prefix{netip.MustParsePrefix("172.19.208.7/20")}},
}

var pods = []struct {
	name string
	pod.Result
}{{"IPv4", only(dualStack, false)}, {"IPv6", only(dualStack, true)}, {"dual", dualStack}, {"bare", bare}}

// What a runtime of any version reads is a result of exactly that version: it has
// nothing that the version does not know, and all that the version's SPEC.md asks
// for.
func TestResultInEveryVersion(t *testing.T) {
	var files []txtar.File
	for _, pod := range pods {
		for _, v := range version.All.SupportedVersions() {
			t.Run(pod.name+"/"+v, func(t *testing.T) {
				text := printed(t, pod.Result, v)
				files = append(files, txtar.File{Name: pod.name + "/" + v + ".json", Data: text})
				strict(t, v, text)
				if v < "0.3.0" {
					asOf020(t, pod.Result, v, text)
				} else {
					asOf030(t, pod.Result, v, text)
				}
			})
		}
	}
	if t.Failed() {
		return
	}
	got := txtar.Format(&txtar.Archive{Files: files})
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenResults, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenResults)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", goldenResults, diff)
	}
}

// printed is what ADD prints, with a line end for the golden file.
func printed(t *testing.T, r pod.Result, v string) []byte {
	t.Helper()
	converted, err := result(r, "eth0").GetAsVersion(v)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := converted.PrintTo(&b); err != nil {
		t.Fatal(err)
	}
	return append(bytes.TrimSpace(b.Bytes()), '\n')
}

// strict decodes with the types of the version's own package, in which every
// member must have a place.
func strict(t *testing.T, v string, text []byte) {
	t.Helper()
	var into any = &types100.Result{}
	switch {
	case v < "0.3.0":
		into = &types020.Result{}
	case v < "1.0.0":
		into = &types040.Result{}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	if got := into.(types.Result).Version(); got != v {
		t.Errorf("got version %s", got)
	}
	if v < "1.1.0" && bytes.Contains(text, []byte(`"mtu"`)) {
		t.Errorf("mtu came with 1.1.0: %s", text)
	}
}

// asOf020 looks for one address of each family under a key of its own.
func asOf020(t *testing.T, pod pod.Result, v string, text []byte) {
	t.Helper()
	want := map[string]any{"cniVersion": v, "dns": dnsOf(pod)}
	for _, a := range pod.Endpoint.Addresses {
		ip := map[string]any{"ip": a.String()}
		key, all := "ip4", "0.0.0.0/0"
		if a.Addr().Is6() {
			key, all = "ip6", "::/0"
		}
		if gateway := pod.Endpoint.Gateway(a.Addr()); gateway.IsValid() {
			ip["gateway"] = gateway.String()
			ip["routes"] = []any{map[string]any{"dst": all, "gw": gateway.String()}}
		}
		want[key] = ip
	}
	if diff := cmp.Diff(any(want), parsed(t, text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// asOf030 looks for the interface, the addresses on it and the routes.
func asOf030(t *testing.T, pod pod.Result, v string, text []byte) {
	t.Helper()
	var ips, routes []any
	for _, a := range pod.Endpoint.Addresses {
		ip := map[string]any{"interface": float64(0), "address": a.String()}
		if v < "1.0.0" {
			ip["version"] = map[bool]string{true: "6", false: "4"}[a.Addr().Is6()]
		}
		if gateway := pod.Endpoint.Gateway(a.Addr()); gateway.IsValid() {
			ip["gateway"] = gateway.String()
		}
		ips = append(ips, ip)
	}
	for _, r := range pod.Endpoint.Routes {
		routes = append(routes, map[string]any{"dst": r.Destination.String(), "gw": r.NextHop.String()})
	}
	want := map[string]any{
		"cniVersion": v, "dns": dnsOf(pod), "ips": ips,
		"interfaces": []any{map[string]any{"name": "eth0", "mac": string(pod.Endpoint.MAC), "sandbox": pod.Namespace}},
	}
	if routes != nil {
		want["routes"] = routes
	}
	if v >= "1.0.0" && pod.Endpoint.DNS.IsZero() {
		delete(want, "dns")
	}
	if diff := cmp.Diff(any(want), parsed(t, text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !regexp.MustCompile(`"mac": "([0-9a-f]{2}:){5}[0-9a-f]{2}"`).Match(text) {
		t.Errorf("no MAC address with colons: %s", text)
	}
}

func dnsOf(pod pod.Result) map[string]any {
	out := map[string]any{}
	d := pod.Endpoint.DNS
	if d.Domain != "" {
		out["domain"] = d.Domain
	}
	for key, list := range map[string][]string{"nameservers": d.Servers, "search": d.Search, "options": d.Options} {
		var items []any
		for _, item := range list {
			items = append(items, item)
		}
		if items != nil {
			out[key] = items
		}
	}
	return out
}
