// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/acl/acltest"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

var isolations = []hns.Isolation{hns.Process, hns.HyperV}

// strangers are addresses outside the node, by family.
var strangers = map[bool]netip.Addr{true: netip.MustParseAddr("203.0.113.9"), false: netip.MustParseAddr("2001:db8::9")}

// TestDefaults: without a rule a process-isolated pod gets TCP, UDP, ICMP and IGMP and no
// other protocol, and everything else passes (Microsoft, "Network isolation and security").
func TestDefaults(t *testing.T) {
	for _, driver := range hns.Drivers() {
		t.Run(string(driver), func(t *testing.T) {
			l := newLab(t, driver)
			for _, isolation := range isolations {
				p := l.pod(isolation)
				for _, protocol := range protocols {
					for _, own := range p.endpoint.Addresses {
						remote := strangers[own.Addr().Is4()]
						want := ""
						if isolation == hns.Process && !slices.Contains([]int{1, 2, 6, 17, 58}, protocol) {
							want = "Host"
						}
						if got := p.send(hns.In, protocol, remote, own.Addr(), 40000, 80); got != want {
							t.Errorf("%s, In %d to %s: dropped by %q, want %q", isolation, protocol, own, got, want)
						}
						if got := p.send(hns.Out, protocol, remote, own.Addr(), 80, 40000); got != "" {
							t.Errorf("%s, Out %d from %s: dropped by %q", isolation, protocol, own, got)
						}
					}
				}
			}
		})
	}
}

// TestPoints finds out who drops, by rules that block everything. Who does on a nat network
// is not known.
func TestPoints(t *testing.T) {
	for _, driver := range hns.Drivers() {
		points(t, driver, hnsemu.Unknowns{})
	}
	points(t, hns.NAT, hnsemu.Unknowns{NATBySwitch: true})
}

func points(t *testing.T, driver hns.Driver, unknowns hnsemu.Unknowns) {
	l := newLab(t, driver)
	if err := l.host.SetUnknowns(unknowns); err != nil {
		t.Fatal(err)
	}
	dropped := map[string]int{}
	for _, isolation := range isolations {
		for _, kind := range []hns.RuleType{hns.Host, hns.Switch} {
			for _, d := range []hns.Direction{hns.In, hns.Out} {
				rule := hns.ACL{ID: "r", Direction: d, Action: hns.Block, RuleType: kind, Protocol: hns.ProtocolAny}
				if kind == hns.Switch {
					rule.Priority = 1000
				}
				p := l.pod(isolation, rule)
				own := p.address(true)
				want, v := p.judged(d, 6, strangers[true], own, 1, 2)
				if got := p.send(d, 6, strangers[true], own, 1, 2); got != want {
					t.Errorf("%s %s, %s rule %s: dropped by %q, want %q: %s", driver, isolation, kind, d, got, want, v.Why)
				}
				dropped[want]++
			}
		}
	}
	if by := string(hns.Switch); (dropped[by] > 0) != (driver.HasVFP() || unknowns.NATBySwitch) {
		t.Errorf("%s, %+v: dropped by %v", driver, unknowns, dropped)
	}
}

// TestSCTP: whether VFP knows the ports of SCTP is not known.
func TestSCTP(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	p := l.pod(hns.HyperV, hns.ACL{
		ID: "open", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 1000,
		LocalPorts: []hns.PortRange{{First: 80, Last: 80}},
	})
	for _, unknowns := range []hnsemu.Unknowns{{}, {SCTPWithoutPorts: true}} {
		if err := l.host.SetUnknowns(unknowns); err != nil {
			t.Fatal(err)
		}
		l.apply()
		for _, protocol := range []int{6, 17, 132} {
			for _, port := range []uint16{80, 81} {
				want := ""
				if port != 80 || protocol == 132 && unknowns.SCTPWithoutPorts {
					want = "Switch"
				}
				if judged, _ := p.judged(hns.In, protocol, strangers[true], p.address(true), 1, port); judged != want {
					t.Errorf("%+v, protocol %d port %d: said to be dropped by %q, want %q", unknowns, protocol, port, judged, want)
				}
				if got := p.send(hns.In, protocol, strangers[true], p.address(true), 1, port); got != want {
					t.Errorf("%+v, protocol %d port %d: dropped by %q, want %q", unknowns, protocol, port, got, want)
				}
			}
		}
	}
}

// TestWitnesses: of random sets of user rules, what arrives is what Verdict and the emulator
// let through, and each packet that is dropped is dropped where the emulator says.
func TestWitnesses(t *testing.T) {
	const sets, packets = 220, 40
	r := rand.New(rand.NewPCG(18, 4))
	pods := map[string]*pod{}
	compiled, arrived := 0, 0
	for compiled < sets {
		target := acltest.Target(r)
		key := fmt.Sprint(target.Driver, target.Isolation)
		p := pods[key]
		if p == nil {
			p = newLab(t, target.Driver).pod(target.Isolation)
			pods[key] = p
		}
		if len(target.Source) > 0 {
			target.Source = nil
			for _, a := range p.endpoint.Addrs() {
				target.Source = append(target.Source, netip.PrefixFrom(a, a.BitLen()))
			}
		}
		set, err := acl.Compile(target, acltest.Spec(r))
		if errors.Is(err, acl.ErrUnenforceable) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		compiled++
		p.program(set.Rules)
		for range packets {
			q := acltest.Packet(r)
			local := p.address(q.Remote.Is4())
			if !local.IsValid() {
				continue // the driver has no IPv6
			}
			if q.Local == acltest.Stolen && q.Direction == hns.Out {
				local = local.Next()
			}
			q.Local = local
			remotePort, localPort := q.From, q.Port
			if q.Direction == hns.Out {
				remotePort, localPort = q.Port, q.From
			}
			want, v := p.judged(q.Direction, q.Protocol, q.Remote, local, remotePort, localPort)
			got := p.send(q.Direction, q.Protocol, q.Remote, local, remotePort, localPort)
			if got != want || set.Verdict(q).Allowed != (got == "") {
				t.Fatalf("%+v: dropped by %q, emulator %q: %s\nVerdict %+v\n%+v", q, got, want, v.Why, set.Verdict(q), set.Rules)
			}
			if got == "" {
				arrived++
			}
		}
	}
	t.Logf("%d sets of %d packets, of which %d arrived", compiled, packets, arrived)
	if sum := compiled * packets; arrived < sum/5 || arrived > sum*4/5 {
		t.Error("the packets are too much alike to prove anything")
	}
}

// program gives the pod's endpoint rules.
func (p *pod) program(rules []hns.ACL) {
	p.lab.Helper()
	var policies []hns.Policy
	for _, r := range rules {
		policies = append(policies, r)
	}
	if err := p.lab.hns.SetPolicies(context.Background(), p.endpoint.ID, policies); err != nil {
		p.lab.Fatal(err)
	}
	p.lab.apply()
}

// TestTiersAndSets: tiers decide before rules and Pass leads on to the next, and sets of the
// network are the packet's source in LocalAddresses and its destination in RemoteAddresses.
func TestTiersAndSets(t *testing.T) {
	l := newLab(t, hns.L2Bridge)
	l.native("HcnModifyNetwork", "HcnOpenNetwork", l.network.ID, `{"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[
		{"Type":"SetPolicy","Settings":{"Id":"friends","Name":"f","PolicyType":"IPSET","Values":"10.0.0.9,10.1.0.0/16,fd00:1::/64"}}]}}`)
	const tiers = `{"Name":"second","Direction":"In","Order":1002,"TierAclRules":[
			{"Id":"no","TierAclRuleAction":"Block","Protocols":"17","Priority":200},
			{"Id":"yes","TierAclRuleAction":"Allow","Protocols":"6","LocalAddresses":"friends","Priority":300}]}
		{"Name":"first","Direction":"In","Order":1001,"TierAclRules":[
			{"Id":"deny","TierAclRuleAction":"Block","LocalPorts":"22","Priority":2},
			{"Id":"pass","TierAclRuleAction":"Pass","Priority":9},
			{"Id":"never","TierAclRuleAction":"Block","Priority":10}]}`
	var policies []hns.Policy
	for d := json.NewDecoder(strings.NewReader(tiers)); d.More(); {
		var settings json.RawMessage
		if err := d.Decode(&settings); err != nil {
			t.Fatal(err)
		}
		policies = append(policies, hns.Opaque{Type: "TierAcl", Settings: settings})
	}
	policies = append(policies,
		hns.Opaque{Type: "ACL", Settings: json.RawMessage(`{"Id":"icmp","Action":"Allow","Direction":"In","Protocols":"1,58","RuleType":"Switch","Priority":500}`)},
		hns.Opaque{Type: "ACL", Settings: json.RawMessage(`{"Id":"out","Action":"Allow","Direction":"Out","RemoteAddresses":"friends,192.168.0.0/16","RuleType":"Switch","Priority":500}`)},
	)
	for _, unknowns := range []hnsemu.Unknowns{{}, {DenyPerDirection: true}} {
		if err := l.host.SetUnknowns(unknowns); err != nil {
			t.Fatal(err)
		}
		p := l.pod(hns.HyperV, policies...)
		arrived := 0
		for _, remote := range append(acltest.Remotes, netip.MustParseAddr("10.0.0.9")) {
			own := p.address(remote.Is4())
			for _, protocol := range protocols {
				for _, d := range []hns.Direction{hns.In, hns.Out} {
					for _, port := range []uint16{22, 80} {
						want, v := p.judged(d, protocol, remote, own, 40000, port)
						got := p.send(d, protocol, remote, own, 40000, port)
						if got != want {
							t.Errorf("%s %d %s port %d: dropped by %q, want %q: %s", d, protocol, remote, port, got, want, v.Why)
						}
						if got == "" {
							arrived++
						}
					}
				}
			}
		}
		if arrived < 20 {
			t.Errorf("%d packets arrived", arrived)
		}
	}
}
