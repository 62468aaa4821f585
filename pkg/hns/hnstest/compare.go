// SPDX-License-Identifier: Apache-2.0

package hnstest

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// options compare the values of package hns. Settings of opaque policies are
// compared as JSON: HNS owes us the meaning, not the blanks.
var options = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
	cmp.Transformer("Settings", func(m json.RawMessage) any {
		var v any
		if err := json.Unmarshal(m, &v); err != nil {
			return string(m)
		}
		return v
	}),
}

func equal(a, b any) bool { return cmp.Equal(a, b, options) }

// sameEndpoint checks that what was asked for is what HNS says. What was left to
// HNS must be filled in.
func (e *env) sameEndpoint(want, got hns.Endpoint) {
	e.Helper()
	e.isID("endpoint", got.ID)
	if got.MAC == "" {
		e.Error("endpoint has no MAC address")
	}
	fill := want
	fill.ID, fill.MAC = got.ID, or(want.MAC, got.MAC)
	fill.Addresses = sameAddresses(want.Addresses, got.Addresses)
	if want.DNS.IsZero() {
		fill.DNS = got.DNS
	}
	if len(want.Routes) == 0 {
		fill.Routes = got.Routes
	}
	e.samePolicies(want.Policies, got.Policies)
	fill.Policies = got.Policies
	if d := cmp.Diff(fill, got, options); d != "" {
		e.Errorf("endpoint %s (-want +got):\n%s", got.Name, d)
	}
	for _, a := range got.Addresses {
		if !a.IsValid() {
			e.Errorf("address %s has no prefix length", a.Addr())
		}
	}
}

func or[T comparable](a, b T) T {
	if a != *new(T) {
		return a
	}
	return b
}

// sameAddresses returns want with what was left to HNS taken from got.
func sameAddresses(want, got []netip.Prefix) []netip.Prefix {
	if len(want) == 0 {
		return got
	}
	fill := slices.Clone(want)
	for i, w := range want {
		if !w.IsValid() && i < len(got) && got[i].Addr() == w.Addr() {
			fill[i] = got[i]
		}
	}
	return fill
}

// samePolicies checks that each wanted policy is there, as often as wanted. HNS
// may add its own.
func (e *env) samePolicies(want, got []hns.Policy) {
	e.Helper()
	rest := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(g hns.Policy) bool { return equal(w, g) })
		if i < 0 {
			e.Errorf("policy %#v is not in what HNS says:\n%+v", w, got)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
}

// sameNetwork checks that what was asked for is what HNS says. What was left to
// HNS may have any value.
func (e *env) sameNetwork(want, got hns.Network) {
	e.Helper()
	e.isID("network", got.ID)
	fill := want
	fill.ID = got.ID
	fill.Adapter = or(want.Adapter, got.Adapter)
	fill.ProviderAddress = or(want.ProviderAddress, got.ProviderAddress)
	fill.VXLANPort = or(want.VXLANPort, got.VXLANPort)
	if len(want.Subnets) == 0 {
		fill.Subnets = got.Subnets
	}
	if len(want.MACPool) == 0 {
		fill.MACPool = got.MACPool
	}
	if want.DNS.IsZero() {
		fill.DNS = got.DNS
	}
	if d := cmp.Diff(fill, got, options); d != "" {
		e.Errorf("network %s (-want +got):\n%s", got.Name, d)
	}
}

// inList returns the network of that id as the list has it, nil when it has none.
func (e *env) inList(id string) (*hns.Network, error) {
	list, err := e.ListNetworks(e.Context())
	if i := slices.IndexFunc(list, func(n hns.Network) bool { return n.ID == id }); i >= 0 {
		return &list[i], err
	}
	return nil, err
}

// listed checks that the list says of a network what it promises to say, and no
// more. It may leave the adapter out.
func (e *env) listed(n hns.Network) {
	e.Helper()
	got, err := e.inList(n.ID)
	e.must(err)
	if got == nil {
		e.Fatalf("network %s %s is not listed", n.Name, n.ID)
	}
	want := hns.Network{ID: n.ID, Name: n.Name, Driver: n.Driver, Subnets: n.Subnets, Adapter: got.Adapter, ManagementAddress: got.ManagementAddress}
	if n.Adapter != "" && got.Adapter != "" && !strings.EqualFold(n.Adapter, got.Adapter) {
		e.Errorf("network %s is listed with adapter %q, want %q", n.Name, got.Adapter, n.Adapter)
	}
	if d := cmp.Diff(want, *got, options); d != "" {
		e.Errorf("network %s in the list (-want +got):\n%s", n.Name, d)
	}
}

// isID checks that an id has the form that package hns promises.
func (e *env) isID(what, id string) {
	e.Helper()
	if g, err := hns.ParseGUID(id); err != nil || g != id || id == hns.ZeroGUID {
		e.Errorf("%s id %q is not a GUID in lower case", what, id)
	}
}

// ids returns the ids of endpoints, sorted.
func ids(list []hns.Endpoint) []string {
	var s []string
	for _, x := range list {
		s = append(s, x.ID)
	}
	slices.Sort(s)
	return s
}

// sorted returns what ids would, of these ids.
func sorted(list ...string) []string {
	slices.Sort(list)
	return list
}

func upper(id string) string { return strings.ToUpper(id) }
