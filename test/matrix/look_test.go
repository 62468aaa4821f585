// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
)

// settings returns the policies of a kind.
func settings(list []hnsemu.PolicyState, kind string) []members {
	var out []members
	for _, p := range list {
		if p.Type != kind {
			continue
		}
		m := members{}
		if len(p.Settings) > 0 && json.Unmarshal(p.Settings, &m) != nil {
			m = members{"not an object": string(p.Settings)}
		}
		out = append(out, m)
	}
	return out
}

// says reports whether a policy has all the members of want.
func says(got, want members) bool {
	for key, value := range want {
		text, err := json.Marshal(value)
		var plain any
		if err != nil || json.Unmarshal(text, &plain) != nil || !reflect.DeepEqual(got[key], plain) {
			return false
		}
	}
	return true
}

// hasAll returns an error unless each wanted policy is there.
func hasAll(list []hnsemu.PolicyState, kind string, wanted ...members) error {
	got := settings(list, kind)
	for _, want := range wanted {
		if !slices.ContainsFunc(got, func(m members) bool { return says(m, want) }) {
			return fmt.Errorf("no policy %s says %v: %v", kind, want, got)
		}
	}
	return nil
}

func policy(kind string, want members) func(*pod) error {
	return func(p *pod) error { return hasAll(p.endpoint.Policies, kind, want) }
}

func networkPolicy(kind string, want members) func(*pod) error {
	return func(p *pod) error { return hasAll(p.network.Policies, kind, want) }
}

// routed wants a default route of each family, through the subnet's gateway.
func routed(p *pod) error {
	for _, dst := range pick(p.family, "0.0.0.0/0", "::/0") {
		if !slices.ContainsFunc(p.endpoint.Routes, func(r hnsemu.Route) bool { return r.Destination == dst && r.NextHop != "" }) {
			return fmt.Errorf("the pod has no route to %s: %v", dst, p.endpoint.Routes)
		}
	}
	return nil
}

func madeNetwork(p *pod) error {
	want := pick(p.family, netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/64"))
	var got []netip.Prefix
	for _, s := range p.network.Subnets {
		got = append(got, s.Prefix)
	}
	if p.network.Name != "net1" || !slices.Equal(want, got) {
		return fmt.Errorf("the network is %+v", p.network)
	}
	return nil
}

// isolated looks for the defaults of the isolation: GRE passes into a Hyper-V
// isolated pod only.
func isolated(i hns.Isolation) func(*pod) error {
	return func(p *pod) error {
		for _, remote := range pick(p.family, "203.0.113.7", "2001:db8::7") {
			for protocol, want := range map[int]bool{6: true, 47: i == hns.HyperV} {
				v, err := p.node.Host.Evaluate(hnsemu.Packet{
					EndpointID: p.endpoint.ID, Direction: hns.In, Protocol: protocol, Isolation: i, Remote: netip.MustParseAddr(remote),
				})
				if err != nil || v.Allowed != want {
					return fmt.Errorf("protocol %d from %s: allowed %t (%s), %w", protocol, remote, v.Allowed, v.Why, err)
				}
			}
		}
		return nil
	}
}

// mapped wants one port mapping of each family, on that address of the node.
func mapped(v4, v6 string) func(*pod) error {
	return func(p *pod) error {
		const flagIPv6 = 2
		got := map[bool]string{}
		for _, m := range settings(p.endpoint.Policies, "PortMapping") {
			if !says(m, members{"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080}) {
				return fmt.Errorf("a port mapping says %v", m)
			}
			flags, _ := m["Flags"].(float64)
			vip, _ := m["VIP"].(string)
			got[int(flags)&flagIPv6 != 0] = vip
		}
		want := map[bool]string{}
		for _, six := range pick(p.family, false, true) {
			want[six] = map[bool]string{false: v4, true: v6}[six]
		}
		if !reflect.DeepEqual(want, got) {
			return fmt.Errorf("the port mappings by IPv6 are %v, not %v: %v", got, want, settings(p.endpoint.Policies, "PortMapping"))
		}
		return nil
	}
}

func hasDNS(p *pod) error {
	want := hnsemu.DNSState{
		Search: []string{"default.svc.cluster.local"}, Servers: pick(p.family, "10.96.0.53", "fd00:96::53"), Options: []string{"ndots:5"},
	}
	got := p.endpoint.DNS
	got.Domain = "" // the conflist's business
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("the pod's DNS is %v", p.endpoint.DNS)
	}
	return nil
}

// shaped wants the limit in bytes: the capability has bits.
func shaped(p *pod) error {
	return hasAll(p.endpoint.Policies, "QOS", members{"MaximumOutgoingBandwidthInBytes": 1_000_000})
}

// nowhere is for what HNS has no place for: it must be refused.
func nowhere(*pod) error { return errors.New("HNS has no such thing: it was ignored") }

func hasIPs(p *pod) error {
	want := pick(p.family, netip.MustParsePrefix("10.1.0.77/16"), netip.MustParsePrefix("fd00:1::77/64"))
	if !slices.Equal(want, p.endpoint.Addresses) {
		return fmt.Errorf("the pod has %v, not %v", p.endpoint.Addresses, want)
	}
	return nil
}

func hasMAC(p *pod) error {
	if got := strings.ReplaceAll(p.endpoint.MAC, "-", ":"); !strings.EqualFold(got, wantedMAC) {
		return fmt.Errorf("the pod has %s, not %s", got, wantedMAC)
	}
	return nil
}

// translated wants the exceptions of each family in one policy.
func translated(p *pod) error {
	return p.outboundNAT("Exceptions", pick(p.family, "10.0.0.0/8", "fd00::/16"))
}

// reflected wants traffic to the pod's own addresses to be translated.
func reflected(p *pod) error {
	var own []string
	for _, a := range p.endpoint.Addresses {
		own = append(own, a.Addr().String())
	}
	return p.outboundNAT("Destinations", own)
}

// outboundNAT wants each value in that list of a policy.
func (p *pod) outboundNAT(list string, wanted []string) error {
	got := settings(p.endpoint.Policies, "OutBoundNAT")
	for _, want := range wanted {
		if !slices.ContainsFunc(got, func(m members) bool {
			values, _ := m[list].([]any)
			return slices.Contains(values, any(want))
		}) {
			return fmt.Errorf("no OutBoundNAT has %s among its %s: %v", want, list, got)
		}
	}
	return nil
}

func encapsulated(p *pod) error {
	return hasAll(p.endpoint.Policies, "SDNRoute", pick(p.family,
		members{"DestinationPrefix": "10.96.0.0/12", "NeedEncap": true},
		members{"DestinationPrefix": "fd00:96::/108", "NeedEncap": true})...)
}

func tagged(p *pod) error {
	for _, s := range p.network.Subnets {
		if s.VLAN != 7 {
			return fmt.Errorf("the subnet %s has VLAN %d", s.Prefix, s.VLAN)
		}
	}
	return nil
}

func pooled(p *pod) error {
	want := []hnsemu.MACRangeState{{Start: poolStart, End: poolEnd}}
	if !slices.Equal(want, p.network.MACPool) || !strings.HasPrefix(p.endpoint.MAC, "00-15-5D-77-00-") {
		return fmt.Errorf("the pod has %s of %v", p.endpoint.MAC, p.network.MACPool)
	}
	return nil
}

func forgotten(p *pod) error {
	const enableNonPersistent = 8
	if p.network.Flags&enableNonPersistent == 0 {
		return fmt.Errorf("the network's flags are %d", p.network.Flags)
	}
	return nil
}

// hasGateway wants the node's own endpoint on the network, and the pod to use it.
func hasGateway(p *pod) error {
	for _, e := range p.state.Endpoints {
		if !verbs.OfTheNode(e) || e.NetworkID != p.network.ID {
			continue
		}
		for _, a := range e.Addresses {
			if !slices.ContainsFunc(p.endpoint.Routes, func(r hnsemu.Route) bool { return r.NextHop == a.Addr().String() }) {
				return fmt.Errorf("the node has %s, but the pod's routes are %v", a, p.endpoint.Routes)
			}
		}
		return nil
	}
	return errors.New("the node has no endpoint on the network")
}
