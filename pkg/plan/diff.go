// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Difference is one thing that is not as wanted.
type Difference struct {
	Field     string
	Want, Got string
}

// String returns "field: want X, got Y".
func (d Difference) String() string {
	return fmt.Sprintf("%s: want %s, got %s", d.Field, d.Want, d.Got)
}

// Differences joins differences into one line.
func Differences(ds []Difference) string {
	var lines []string
	for _, d := range ds {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "; ")
}

// DiffNetwork lists how a network differs from the configuration that owns it,
// as far as the configuration says and HNS tells. What a configuration leaves out
// is HNS's choice, or another agent's: remote subnets that are not wanted are no
// difference.
func DiffNetwork(want, got hns.Network) []Difference {
	ds := DiffListed(want, got)
	if want.ProviderAddress.IsValid() && got.ProviderAddress.IsValid() && want.ProviderAddress != got.ProviderAddress {
		ds = append(ds, Difference{"provider address", want.ProviderAddress.String(), got.ProviderAddress.String()})
	}
	if want.VXLANPort != 0 && want.VXLANPort != got.VXLANPort {
		ds = append(ds, Difference{"VXLAN port", portText(want.VXLANPort), portText(got.VXLANPort)})
	}
	if len(want.MACPool) > 0 && !slices.Equal(want.MACPool, got.MACPool) {
		ds = append(ds, Difference{"MAC pool", fmt.Sprint(want.MACPool), fmt.Sprint(got.MACPool)})
	}
	if want.HostRoute && !got.HostRoute {
		ds = append(ds, Difference{"host route", "one", "none"})
	}
	if want.NonPersistent && !got.NonPersistent {
		ds = append(ds, Difference{"persistence", "until the node restarts", "for good"})
	}
	for _, r := range want.RemoteSubnets {
		if !slices.Contains(got.RemoteSubnets, r) {
			ds = append(ds, Difference{"remote subnets", fmt.Sprint(r), fmt.Sprint(got.RemoteSubnets)})
		}
	}
	return ds
}

// DiffListed is DiffNetwork for a network of hns.Client's ListNetworks, which
// tells less: type, subnets and adapter.
func DiffListed(want, got hns.Network) []Difference {
	var ds []Difference
	if want.Driver != got.Driver {
		ds = append(ds, Difference{"type", string(want.Driver), string(got.Driver)})
	}
	if len(want.Subnets) > 0 && !equalSubnets(want.Subnets, got.Subnets) {
		ds = append(ds, Difference{"subnets", subnetsText(want.Subnets), subnetsText(got.Subnets)})
	}
	if want.Adapter != "" && got.Adapter != "" && !strings.EqualFold(want.Adapter, got.Adapter) {
		ds = append(ds, Difference{"adapter", want.Adapter, got.Adapter})
	}
	return ds
}

// portText says HNS's own default, which it does not tell.
func portText(port uint16) string {
	if port == 0 {
		return "the default"
	}
	return fmt.Sprint(port)
}

func equalSubnets(want, got []hns.Subnet) bool {
	if len(want) != len(got) {
		return false
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g hns.Subnet) bool { return sameSubnet(w, g) }) {
			return false
		}
	}
	return true
}

// sameSubnet compares what want says; a gateway that is left out is HNS's choice.
func sameSubnet(want, got hns.Subnet) bool {
	return want.Prefix == got.Prefix && want.VLAN == got.VLAN && want.VSID == got.VSID &&
		(!want.Gateway.IsValid() || want.Gateway == got.Gateway)
}

func subnetsText(subnets []hns.Subnet) string {
	if len(subnets) == 0 {
		return "none"
	}
	var out []string
	for _, s := range subnets {
		t := s.Prefix.String()
		if s.Gateway.IsValid() {
			t += " via " + s.Gateway.String()
		}
		if s.VLAN != 0 {
			t += fmt.Sprintf(" VLAN %d", s.VLAN)
		}
		if s.VSID != 0 {
			t += fmt.Sprintf(" VSID %d", s.VSID)
		}
		out = append(out, t)
	}
	return strings.Join(out, ", ")
}

// Diff lists how an endpoint differs from the wanted one. What HNS chooses when
// it is not asked (id, MAC, DNS of the network, addresses, routes) counts only
// when want says it. Policies that other agents added are not a difference, but a
// rule of the CNI plugin's own that is not wanted is.
func Diff(want, got hns.Endpoint) []Difference {
	var ds []Difference
	add := func(field, w, g string) {
		if w != g {
			ds = append(ds, Difference{field, w, g})
		}
	}
	add("name", want.Name, got.Name)
	add("network", want.NetworkID, got.NetworkID)
	if want.MAC != "" {
		add("mac", string(want.MAC), string(got.MAC))
	}
	for _, a := range want.Addresses {
		if !slices.Contains(got.Addresses, a) {
			ds = append(ds, Difference{"addresses", a.String(), List(got.Addresses)})
		}
	}
	for _, r := range want.Routes {
		if !slices.Contains(got.Routes, r) {
			ds = append(ds, Difference{"routes", r.String(), List(got.Routes)})
		}
	}
	if !want.DNS.IsZero() {
		add("dns", dnsText(want.DNS), dnsText(got.DNS))
	}
	return append(ds, DiffPolicies(acl.Pod, want.Policies, got.Policies)...)
}

// DiffPolicies lists the wanted policies that an endpoint lacks, and the rules of
// owner that are not wanted: they say something that the configuration does not.
// What others added is no difference.
func DiffPolicies(owner acl.Owner, want, got []hns.Policy) []Difference {
	var ds []Difference
	for _, p := range MissingPolicies(want, got) {
		ds = append(ds, Difference{"policies", policyText(p), "none like it"})
	}
	for _, p := range MissingPolicies(got, want) {
		if isRuleOf(owner, p) {
			ds = append(ds, Difference{"policies", "none like it", policyText(p)})
		}
	}
	return ds
}

// ReplaceRules returns an endpoint's policies with the rules in the place of those
// that their owner had before. All other policies stay, in their order.
func ReplaceRules(owner acl.Owner, policies []hns.Policy, rules []hns.ACL) []hns.Policy {
	out := slices.DeleteFunc(slices.Clone(policies), func(p hns.Policy) bool { return isRuleOf(owner, p) })
	for _, r := range rules {
		out = append(out, r)
	}
	return out
}

// RuleChanges returns the rules that an owner's are to be and an endpoint lacks, and those
// of the owner that it has and are not to be.
func RuleChanges(owner acl.Owner, rules []hns.ACL, policies []hns.Policy) (missing, unwanted []hns.Policy) {
	want := ReplaceRules(owner, nil, rules)
	got := slices.DeleteFunc(slices.Clone(policies), func(p hns.Policy) bool { return !isRuleOf(owner, p) })
	return MissingPolicies(want, got), MissingPolicies(got, want)
}

// RulesOf returns the rules of an owner among an endpoint's policies.
func RulesOf(owner acl.Owner, policies []hns.Policy) []hns.ACL {
	var out []hns.ACL
	for _, p := range policies {
		if isRuleOf(owner, p) {
			out = append(out, p.(hns.ACL))
		}
	}
	return out
}

func isRuleOf(owner acl.Owner, p hns.Policy) bool {
	r, ok := p.(hns.ACL)
	return ok && acl.OwnerOf(r) == owner
}

func dnsText(d hns.DNS) string {
	return fmt.Sprintf("domain %q, search %v, servers %v, options %v", d.Domain, d.Search, d.Servers, d.Options)
}

// MissingPolicies returns the wanted policies that got lacks, counting repeats.
func MissingPolicies(want, got []hns.Policy) []hns.Policy {
	left := map[string]int{}
	for _, p := range got {
		left[policyText(p)]++
	}
	var missing []hns.Policy
	for _, p := range want {
		if left[policyText(p)] == 0 {
			missing = append(missing, p)
			continue
		}
		left[policyText(p)]--
	}
	return missing
}

// policyText is a policy's canonical form, as HNS has it: two policies are one when it is
// equal. A policy that was passed through is read as HNS's answer is, since it may be of
// a kind that hns has a word for.
func policyText(p hns.Policy) string {
	if o, ok := p.(hns.Opaque); ok {
		p = hcn.ParsePolicy(o.Type, o.Settings)
	}
	kind, settings, err := hcn.PolicyDocument(p)
	if err != nil {
		return err.Error() // HNS would not take it
	}
	return kind + " " + canonicalJSON(settings)
}

// Document returns a policy as HNS has it: its type and its settings.
func Document(p hns.Policy) (kind string, settings json.RawMessage, err error) {
	if o, ok := p.(hns.Opaque); ok {
		return o.Type, o.Settings, nil
	}
	return hcn.PolicyDocument(p)
}

// List joins values as a person would: "10.1.0.5, fd00::5", or "none".
func List[T fmt.Stringer](values []T) string {
	if len(values) == 0 {
		return "none"
	}
	var out []string
	for _, v := range values {
		out = append(out, v.String())
	}
	return strings.Join(out, ", ")
}
