// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// FuzzParse states what holds for every input: an error comes with the zero
// Config and only then; what Parse accepts is valid by the reading below;
// ParseLenient accepts it too and finds the same pod's endpoint; parsing twice
// gives one answer.
func FuzzParse(f *testing.F) {
	for _, tc := range slices.Concat(accepted, aclCases, ipamCases) {
		f.Add([]byte(tc.conf), tc.args)
	}
	for _, k := range dialectKeys {
		for typ := range strings.FieldsSeq(k.of) {
			f.Add([]byte(peerFile(typ, k.conf)), "")
		}
	}
	for _, group := range refusals {
		for _, tc := range group.cases {
			f.Add([]byte(tc.conf), tc.args)
		}
	}
	f.Fuzz(func(t *testing.T, stdin []byte, args string) {
		got, err := Parse(stdin, Env{Args: args})
		again, errAgain := Parse(stdin, Env{Args: args})
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("Parse answers %v, then %v", err, errAgain)
		}
		lenient, errLenient := ParseLenient(stdin, Env{Args: args})
		if errLenient != nil {
			_ = asError(t, errLenient)
		}
		if zero := reflect.ValueOf(got).IsZero(); zero != (err != nil) {
			t.Fatalf("Config zero: %v, error: %v", zero, err)
		}
		if err != nil {
			_ = asError(t, err)
			return
		}
		if diff := cmp.Diff(got, again, equateAddrs); diff != "" {
			t.Errorf("two answers:\n%s", diff)
		}
		if errLenient != nil || lenient.Name != got.Name || !reflect.DeepEqual(lenient.IPAM, got.IPAM) || lenient.Timeouts != got.Timeouts {
			t.Errorf("ParseLenient = %+v, %v; Parse = %+v", lenient, errLenient, got)
		}
		if problem := problemOf(got); problem != "" {
			t.Errorf("accepted although %s: %s", problem, stdin)
		}
	})
}

// problemOf says why a Config is not valid, or "". It is written from the rules,
// not from the code.
func problemOf(c Config) string {
	v6 := c.Driver == "" || c.Driver == "l2bridge" || c.Driver == "transparent"
	switch {
	case c.Type != "bulkhead" && c.Type != "bulkhead-acl" || c.Name == "" || c.CNIVersion == "" || !json.Valid(c.Raw):
		return "it is not identified"
	case c.Driver != "" && !slices.Contains(hns.Drivers(), c.Driver):
		return "the driver is unknown"
	case c.Isolation != "process" && c.Isolation != "hyperv":
		return "the isolation is unknown"
	case c.Network != nil && c.Driver == "":
		return "the network has no driver"
	case c.ACL.Asked != "" && c.Isolation == "hyperv" && (c.Driver == "nat" || c.Driver == "transparent"):
		return "ACLs cannot be reconfigured"
	case c.Driver == "transparent" && len(c.PortMappings) > 0:
		return "ports are mapped on a transparent network"
	}
	for _, d := range []time.Duration{c.Timeouts.Add, c.Timeouts.Del, c.Timeouts.Status, c.Timeouts.Call} {
		if d <= 0 || d > 10*time.Minute {
			return "a timeout is out of range"
		}
	}
	for _, read := range []func(Config, bool) string{networkProblem, policyProblem, mappingProblem, dnsProblem} {
		if problem := read(c, v6); problem != "" {
			return problem
		}
	}
	return ""
}

func networkProblem(c Config, v6 bool) string {
	if c.Network == nil {
		return ""
	}
	n := *c.Network
	if len(n.Subnets) == 0 && c.Driver != "nat" {
		return "there is no subnet"
	}
	if c.Driver != "overlay" && (n.VXLANPort != 0 || n.ProviderAddress.IsValid()) {
		return "an overlay's key is on another network"
	}
	for i, s := range n.Subnets {
		vlan := c.Driver == "transparent" || c.Driver == "l2bridge"
		switch {
		case s.Prefix.Masked() != s.Prefix || !s.Prefix.IsValid() || s.Prefix.Addr().Is6() && !v6:
			return "a subnet's prefix is wrong"
		case !s.Prefix.Contains(s.Gateway) || s.Gateway == s.Prefix.Addr():
			return "a gateway is wrong"
		case s.Gateway.Is4() && !s.Prefix.Contains(s.Gateway.Next()):
			return "a gateway is the broadcast address"
		case s.VLAN > 4094 || s.VLAN != 0 && !vlan:
			return "a VLAN is wrong"
		case (c.Driver == "overlay") != (s.VSID != 0) || s.VSID != 0 && s.VSID < 4096 || s.VSID >= 1<<24:
			return "a VSID is wrong"
		}
		for _, other := range n.Subnets[:i] {
			if other.Prefix.Contains(s.Prefix.Addr()) || s.Prefix.Contains(other.Prefix.Addr()) {
				return "subnets overlap"
			}
		}
	}
	for _, r := range n.MACPool {
		if len(r.Start) != 17 || len(r.End) != 17 || r.Start > r.End {
			return "a MAC range is wrong"
		}
	}
	return ""
}

func policyProblem(c Config, v6 bool) string {
	var list []netip.Prefix
	if c.OutboundNAT != nil {
		list = append(list, c.OutboundNAT.Exceptions...)
	}
	for _, r := range c.Routes {
		list = append(list, r.Destination)
		if r.NextHop.IsValid() && r.NextHop.Is4() != r.Destination.Addr().Is4() {
			return "a route changes family"
		}
	}
	for _, p := range list {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is6() && !v6 {
			return "a prefix is wrong"
		}
	}
	for _, p := range c.Policies {
		var settings map[string]any
		if json.Unmarshal(p.Settings, &settings) != nil || settings == nil {
			return "settings are no object"
		}
		if p.Type == "ACL" && c.ACL.Program || slices.Contains([]string{"", "PortMapping", "ROUTE", "NAT", "PA", "ELB"}, p.Type) {
			return "a policy is ours"
		}
	}
	return ""
}

func mappingProblem(c Config, v6 bool) string {
	seen := map[PortMapping]bool{}
	for _, m := range c.PortMappings {
		if m.Protocol != 6 && m.Protocol != 17 || m.HostPort == 0 || m.ContainerPort == 0 || m.HostIP.Is6() && !v6 {
			return "a port mapping is wrong"
		}
		m.ContainerPort = 0
		if seen[m] {
			return "a port is mapped twice"
		}
		seen[m] = true
	}
	return ""
}

func dnsProblem(c Config, _ bool) string {
	for _, s := range c.DNS.Servers {
		if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" {
			return "a name server is no address"
		}
	}
	for _, s := range slices.Concat(c.DNS.Search, c.DNS.Options) {
		if s == "" || slices.Contains([]byte(s), ',') {
			return "a name is no word"
		}
	}
	return ""
}
