// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// refRule is an ACL as documents have it: texts.
type refRule struct {
	ruleType, action, direction     string
	protocols                       string
	localAddresses, remoteAddresses string
	localPorts, remotePorts         string
	priority                        int
}

// json returns the rule as an endpoint policy.
func (r refRule) json() string {
	members := map[string]any{"RuleType": r.ruleType, "Action": r.action, "Direction": r.direction}
	for name, value := range map[string]string{
		"Protocols":       r.protocols,
		"LocalAddresses":  r.localAddresses,
		"RemoteAddresses": r.remoteAddresses,
		"LocalPorts":      r.localPorts,
		"RemotePorts":     r.remotePorts,
	} {
		if value != "" {
			members[name] = value
		}
	}
	if r.priority != 0 {
		members["Priority"] = r.priority
	}
	return schema.Marshal(map[string]any{"Type": "ACL", "Settings": members})
}

// refPacket is a packet with the endpoint's own address.
type refPacket struct {
	direction             string
	protocol              int
	local, remote         string
	localPort, remotePort int
}

// refEvaluate is the reference: the rules of evaluation in their plainest form,
// with none of the package's own code. It says whether the packet passes.
func refEvaluate(driver, isolation string, rules []refRule, p refPacket) bool {
	switch driver {
	case "NAT", "Transparent":
		if isolation == "hyperv" {
			return true
		}
		return refFirewall(rules, p)
	default:
		if isolation == "hyperv" {
			return refSwitch(rules, p)
		}
		return refFirewall(rules, p) && refSwitch(rules, p)
	}
}

// refFirewall: Block beats Allow, the unmatched is dropped where there are
// rules, and without rules inbound TCP, UDP, ICMP and IGMP pass.
func refFirewall(rules []refRule, p refPacket) bool {
	anyRule, allowed := false, false
	for _, r := range rules {
		if r.ruleType != "Host" {
			continue
		}
		anyRule = true
		if !refMatches(r, p) {
			continue
		}
		if r.action == "Block" {
			return false
		}
		allowed = true
	}
	if anyRule {
		return allowed
	}
	if p.direction == "Out" {
		return true
	}
	switch p.protocol {
	case 6, 17, 1, 58, 2:
		return true
	}
	return false
}

// refSwitch: the matching rule of the lowest priority number decides, Block if
// there are several; the unmatched is dropped where there are rules.
func refSwitch(rules []refRule, p refPacket) bool {
	anyRule := false
	best := 1 << 20
	allowed := false
	for _, r := range rules {
		if r.ruleType != "Switch" {
			continue
		}
		anyRule = true
		if !refMatches(r, p) {
			continue
		}
		if r.priority < best {
			best = r.priority
			allowed = r.action == "Allow"
		} else if r.priority == best && r.action == "Block" {
			allowed = false
		}
	}
	return allowed || !anyRule
}

func refMatches(r refRule, p refPacket) bool {
	if r.direction != p.direction {
		return false
	}
	if r.protocols != "" && r.protocols != "256" && !slices.Contains(strings.Split(r.protocols, ","), fmt.Sprint(p.protocol)) {
		return false
	}
	return refInAddresses(r.localAddresses, p.local) &&
		refInAddresses(r.remoteAddresses, p.remote) &&
		refInPorts(r.localPorts, p.protocol, p.localPort) &&
		refInPorts(r.remotePorts, p.protocol, p.remotePort)
}

// refInAddresses compares addresses bit by bit, as strings of zeros and ones.
func refInAddresses(list, address string) bool {
	if list == "" {
		return true
	}
	for _, item := range strings.Split(list, ",") {
		prefix, length, hasLength := strings.Cut(item, "/")
		want, got := refBits(prefix), refBits(address)
		if len(want) != len(got) {
			continue
		}
		n := len(want)
		if hasLength {
			n, _ = strconv.Atoi(length)
		}
		if want[:n] == got[:n] {
			return true
		}
	}
	return false
}

func refBits(address string) string {
	var bits strings.Builder
	for _, b := range netip.MustParseAddr(address).AsSlice() {
		fmt.Fprintf(&bits, "%08b", b)
	}
	return bits.String()
}

func refInPorts(list string, protocol, port int) bool {
	if list == "" {
		return true
	}
	if protocol != 6 && protocol != 17 && protocol != 132 {
		return false
	}
	for _, item := range strings.Split(list, ",") {
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(last)
		if from <= port && port <= to {
			return true
		}
	}
	return false
}

// Small pools, so that random rules and packets meet often.
var (
	poolAddresses = []string{"", "", "10.0.0.9", "10.0.0.0/24", "10.0.0.9,192.168.100.2", "192.168.100.0/24", "0.0.0.0/0", "fd00::/8", "10.0.0.0/8,fd00::9"}
	poolPorts     = []string{"", "", "80", "80,443", "1-1024", "8000-8080,22"}
	poolProtocols = []string{"", "256", "6", "17", "6,17", "1", "47,6"}
	poolRemotes   = []string{"10.0.0.9", "10.0.0.8", "10.9.9.9", "8.8.8.8", "fd00::9", "192.168.100.2"}
	poolNumbers   = []int{0, 22, 80, 443, 1024, 1025, 8040, 65535}
)

func pick[T any](r *rand.Rand, pool []T) T { return pool[r.IntN(len(pool))] }

func randomRule(r *rand.Rand) refRule {
	rule := refRule{
		ruleType:        pick(r, []string{"Host", "Switch"}),
		action:          pick(r, []string{"Allow", "Block"}),
		direction:       pick(r, []string{"In", "Out"}),
		protocols:       pick(r, poolProtocols),
		localAddresses:  pick(r, poolAddresses),
		remoteAddresses: pick(r, poolAddresses),
	}
	if !strings.ContainsAny(rule.protocols, "14") {
		rule.localPorts, rule.remotePorts = pick(r, poolPorts), pick(r, poolPorts)
	}
	if rule.ruleType == "Switch" {
		rule.priority = pick(r, []int{100, 1000, 1001, 1002, 65000, 65500})
	}
	return rule
}

func randomPacket(r *rand.Rand) refPacket {
	p := refPacket{
		direction: pick(r, []string{"In", "Out"}),
		protocol:  pick(r, []int{1, 2, 6, 6, 17, 47, 58, 132}),
		local:     "192.168.100.2",
		remote:    pick(r, poolRemotes),
	}
	if strings.Contains(p.remote, ":") {
		p.local = "fd01::2"
	}
	if schema.HasPorts(p.protocol) {
		p.localPort, p.remotePort = pick(r, poolNumbers), pick(r, poolNumbers)
	}
	return p
}

// TestAgainstReference compares Evaluate with the reference on random rule sets
// and packets.
func TestAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	verdicts := map[bool]int{}
	for round := range 150 {
		driver := pick(r, drivers)
		var rules []refRule
		var policies []string
		for range r.IntN(7) {
			rule := randomRule(r)
			rules = append(rules, rule)
			policies = append(policies, rule.json())
		}
		e := endpoint(t, driver, policies...)
		for range 40 {
			p := randomPacket(r)
			isolation := pick(r, []string{"process", "hyperv"})
			got, err := Evaluate(e, p.packet(isolation))
			if err != nil {
				t.Fatal(err)
			}
			want := refEvaluate(driver, isolation, rules, p)
			if got.Allowed != want {
				t.Errorf("round %d: %s %s, %+v: %+v, want allowed %t, with\n%s", round, driver, isolation, p, got, want, strings.Join(policies, "\n"))
			}
			verdicts[want]++
		}
	}
	if verdicts[true] < 1000 || verdicts[false] < 1000 {
		t.Errorf("the verdicts are lopsided: %v", verdicts)
	}
}

func (p refPacket) packet(isolation string) Packet {
	return Packet{
		Direction:  hns.Direction(p.direction),
		Protocol:   p.protocol,
		Remote:     netip.MustParseAddr(p.remote),
		LocalPort:  uint16(p.localPort),
		RemotePort: uint16(p.remotePort),
		Isolation:  hns.Isolation(isolation),
	}
}

// TestReference pins the reference itself to a few cases that are plain.
func TestReference(t *testing.T) {
	web := refRule{ruleType: "Switch", action: "Allow", direction: "In", protocols: "6", localPorts: "80", priority: 1000}
	not := refRule{ruleType: "Switch", action: "Block", direction: "In", remoteAddresses: "10.0.0.0/8", priority: 900}
	packet := refPacket{direction: "In", protocol: 6, local: "192.168.100.2", remote: "8.8.8.8", localPort: 80}
	near := packet
	near.remote = "10.1.2.3"
	gre := packet
	gre.protocol = 47
	for _, tc := range []struct {
		name              string
		driver, isolation string
		rules             []refRule
		packet            refPacket
		want              bool
	}{
		{"no rules", "L2Bridge", "process", nil, packet, true},
		{"no rules, other protocol", "L2Bridge", "process", nil, gre, false},
		{"no rules, other protocol, hyperv", "L2Bridge", "hyperv", nil, gre, true},
		{"allowed", "L2Bridge", "process", []refRule{web}, packet, true},
		{"unmatched", "L2Bridge", "hyperv", []refRule{web}, gre, false},
		{"blocked before", "L2Bridge", "process", []refRule{web, not}, near, false},
		{"not enforced", "NAT", "process", []refRule{not}, near, true},
	} {
		if got := refEvaluate(tc.driver, tc.isolation, tc.rules, tc.packet); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}
