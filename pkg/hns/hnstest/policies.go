// SPDX-License-Identifier: Apache-2.0

package hnstest

import (
	"encoding/json"
	"net/netip"
	"reflect"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var policyCases = []testCase{
	{name: "policies: survive creation", run: policiesAtCreation},
	{name: "policies: survive a replacement", run: policiesReplaced},
	{name: "policies: ACLs are replaced", run: aclsReplaced},
	{name: "policies: added and removed", run: policiesAddedAndRemoved},
	{name: "policies: all ACLs taken away", run: aclsTakenAway},
	{name: "policies: invalid", run: invalidPolicies},
}

// policies returns policies that a network of that driver takes, of as many
// types as it can.
func policies(driver hns.Driver) []hns.Policy {
	list := []hns.Policy{
		hns.OutboundNAT{Exceptions: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.7.9/32")}},
		hns.QOS{Egress: 1_250_000},
		opaque("EncapOverhead", `{"Overhead":50}`),
	}
	if !driver.HasVFP() {
		if driver == hns.NAT {
			list = append(list, hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: 48080})
		}
		return append(list, firewallRules()...)
	}
	list = append(list,
		hns.OutboundNAT{Destinations: []string{"10.213.0.77"}},
		hns.SDNRoute{Destination: netip.MustParsePrefix("10.96.0.0/12"), NeedEncap: true},
		hns.PortMapping{Protocol: 6, InternalPort: 80, ExternalPort: 48080, Flags: hns.LocalRoutedVIP},
	)
	if driver == hns.Overlay {
		list = append(list, hns.ProviderAddress{Address: netip.MustParseAddr("192.168.1.5")})
	}
	return append(append(list, firewallRules()...), switchRules()...)
}

// firewallRules are ACLs without a priority, as Host rules have to be.
func firewallRules() []hns.Policy {
	return []hns.Policy{
		hns.ACL{ID: "bulkhead-host-out", Direction: hns.Out, Action: hns.Allow, RuleType: hns.Host, Protocol: hns.ProtocolAny},
		hns.ACL{ID: "bulkhead-host-in", Direction: hns.In, Action: hns.Allow, RuleType: hns.Host, Protocol: 6},
	}
}

// switchRules are ACLs that use each member there is.
func switchRules() []hns.Policy {
	return []hns.Policy{
		hns.ACL{
			ID: "bulkhead-1000", Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Protocol: 6,
			Remote:     []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.7/32")},
			LocalPorts: []hns.PortRange{{First: 80, Last: 80}, {First: 8000, Last: 8080}}, Priority: 1000,
		},
		hns.ACL{
			ID: "bulkhead-1001", Direction: hns.Out, Action: hns.Block, RuleType: hns.Switch, Protocol: 17,
			Remote: []netip.Prefix{netip.MustParsePrefix("10.96.0.10/32")}, RemotePorts: []hns.PortRange{{First: 53, Last: 53}}, Priority: 1001,
		},
		hns.ACL{Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 58, Priority: 65000},
		hns.ACL{ID: "bulkhead-tail", Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: hns.PriorityMax},
		hns.ACL{ID: "bulkhead-tail", Direction: hns.Out, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: hns.PriorityMax},
	}
}

// eachNetwork runs f on a network of each driver, or on the one that the suite
// was told to use.
func (e *env) eachNetwork(f func(hns.Network)) {
	if e.suite.onNetwork != "" {
		f(e.anyNetwork())
		return
	}
	for _, driver := range hns.Drivers() {
		n := e.createNetwork(e.network(driver))
		f(n)
		e.must(e.DeleteNetwork(e.Context(), n.ID))
	}
}

func policiesAtCreation(e *env) {
	e.eachNetwork(func(n hns.Network) {
		want := e.endpoint(n)
		want.Policies = policies(n.Driver)
		got := e.createEndpoint(want)
		e.sameEndpoint(want, got)
		e.must(e.DeleteEndpoint(e.Context(), got.ID))
	})
}

func policiesReplaced(e *env) {
	e.eachNetwork(func(n hns.Network) {
		pod := e.createEndpoint(e.endpoint(n))
		want := policies(n.Driver)
		if err := e.SetPolicies(e.Context(), pod.ID, want); err != nil {
			e.Errorf("%s: %v", n.Driver, err)
			return
		}
		got, err := e.Endpoint(e.Context(), pod.ID)
		e.must(err)
		e.samePolicies(want, got.Policies)
		e.must(e.DeleteEndpoint(e.Context(), pod.ID))
	})
}

// rules returns the ACLs that the driver of a network takes.
func rules(n hns.Network) []hns.Policy {
	if n.Driver.HasVFP() {
		return switchRules()
	}
	return firewallRules()
}

// acls returns the ACLs among policies.
func acls(list []hns.Policy) []hns.Policy {
	var only []hns.Policy
	for _, p := range list {
		if reflect.TypeOf(p) == reflect.TypeFor[hns.ACL]() {
			only = append(only, p)
		}
	}
	return only
}

func aclsReplaced(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	want.Policies = rules(n)
	pod := e.createEndpoint(want)
	kept := rules(n)[1:]
	e.must(e.SetPolicies(e.Context(), pod.ID, kept))
	got, err := e.Endpoint(e.Context(), pod.ID)
	e.must(err)
	e.samePolicies(kept, got.Policies)
	if n := len(acls(got.Policies)); n != len(kept) {
		e.Errorf("%d ACLs, want %d: the one that was left out must be gone\n%+v", n, len(kept), got.Policies)
	}
}

// policiesAddedAndRemoved: what was there stays as it is.
func policiesAddedAndRemoved(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	all := rules(n)
	want.Policies = all[:1]
	pod := e.createEndpoint(want)
	e.must(e.AddPolicies(e.Context(), pod.ID, all[1:]))
	got, err := e.Endpoint(e.Context(), pod.ID)
	e.must(err)
	e.samePolicies(all, got.Policies)
	e.must(e.RemovePolicies(e.Context(), pod.ID, all[1:]))
	got, err = e.Endpoint(e.Context(), pod.ID)
	e.must(err)
	e.samePolicies(all[:1], got.Policies)
	if left := acls(got.Policies); len(left) != 1 {
		e.Errorf("%d ACLs are left of %d, want the first alone", len(left), len(all))
	}
}

func aclsTakenAway(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	want.Policies = rules(n)
	pod := e.createEndpoint(want)
	e.must(e.SetPolicies(e.Context(), pod.ID, nil))
	got, err := e.Endpoint(e.Context(), pod.ID)
	e.must(err)
	if left := acls(got.Policies); len(left) > 0 {
		e.Errorf("these ACLs are left: %+v", left)
	}
}

func invalidPolicies(e *env) {
	n := e.anyNetwork()
	pod := e.createEndpoint(e.endpoint(n))
	for _, c := range []struct {
		what string
		p    hns.Opaque
	}{
		{"type nobody heard of", opaque("Bulkhead", `{"X":1}`)},
		{"type of schema 1", opaque("ROUTE", `{"DestinationPrefix":"10.96.0.0/12","NeedEncap":true}`)},
		{"address that is none", opaque("ACL", `{"Action":"Allow","Direction":"In","RemoteAddresses":"Any"}`)},
		{"settings not JSON", opaque("QOS", `{`)},
	} {
		e.fails("SetPolicies: "+c.what, e.SetPolicies(e.Context(), pod.ID, []hns.Policy{c.p}), hns.ErrInvalid)
		want := e.endpoint(n)
		want.Policies = []hns.Policy{c.p}
		e.refused(want, c.what, hns.ErrInvalid)
	}
}

func opaque(kind, settings string) hns.Opaque {
	return hns.Opaque{Type: kind, Settings: json.RawMessage(settings)}
}
