// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// verdict evaluates a packet in the notation of parsePacket and returns the
// answer as "allow Switch id".
func (c client) verdict(endpoint, text string, isolation hns.Isolation) string {
	c.Helper()
	p := parsePacket(c.T, text)
	p.EndpointID, p.Isolation = endpoint, isolation
	v, err := c.Evaluate(p)
	if err != nil {
		c.Fatal(err)
	}
	return describe(v)
}

// parsePacket reads a packet: "In 6 10.0.0.9", with a local and a remote port
// "In 6 10.0.0.9 80<1024".
func parsePacket(t *testing.T, text string) Packet {
	t.Helper()
	var p Packet
	fields := strings.Fields(text)
	p.Direction = hns.Direction(fields[0])
	if _, err := fmt.Sscan(fields[1], &p.Protocol); err != nil {
		t.Fatal(err)
	}
	p.Remote = netip.MustParseAddr(fields[2])
	if len(fields) > 3 {
		if _, err := fmt.Sscanf(fields[3], "%d<%d", &p.LocalPort, &p.RemotePort); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func describe(v Verdict) string {
	words := []string{map[bool]string{true: "allow", false: "deny"}[v.Allowed], string(v.At), v.Rule}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// TestIsolationOfContainer: the container in the namespace decides.
func TestIsolationOfContainer(t *testing.T) {
	c := newClient(t, "2025")
	e := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
	s := c.create("Namespace", `{}`)
	c.attach(s, e)
	got := []string{c.verdict(e, "In 47 10.0.0.9", "")}
	c.start(Container{ID: "c", NamespaceID: s, Isolation: hns.HyperV})
	got = append(got, c.verdict(e, "In 47 10.0.0.9", ""), c.verdict(e, "In 47 10.0.0.9", hns.Process))
	if diff := cmp.Diff([]string{"deny default deny", "allow default allow", "deny default deny"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestNetworkACLsAndSets: rules for a whole network, and sets for addresses. In
// both directions a set in LocalAddresses is the source's.
func TestNetworkACLsAndSets(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("L2Bridge", "n")
	add := `{"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[%s]}}`
	sets := `{"Type":"SetPolicy","Settings":{"Id":"friends","Name":"f","PolicyType":"IPSET","Values":"10.0.0.9,10.1.0.0/16"}},
		{"Type":"SetPolicy","Settings":{"Id":"empty","Name":"e","PolicyType":"IPSET","Values":""}},
		{"Type":"SetPolicy","Settings":{"Id":"all","Name":"a","PolicyType":"NESTEDIPSET","Values":"friends,empty"}}`
	if got := c.modify("Network", n, fmt.Sprintf(add, sets)); got != 0 {
		t.Fatalf("%s (%s)", got, c.lastReason())
	}
	rule := `{"Type":"NetworkACL","Settings":{"Id":"net","Action":"Block","Direction":"In","RuleType":"Switch","Priority":100,
		"LocalAddresses":"all"}}`
	if got := c.modify("Network", n, fmt.Sprintf(add, rule)); got != 0 {
		t.Fatalf("%s (%s)", got, c.lastReason())
	}
	e := c.createEndpoint(n, v2(`"Policies":[
		{"Type":"ACL","Settings":{"Id":"in","Action":"Allow","Direction":"In","RuleType":"Switch","Priority":200}},
		{"Type":"ACL","Settings":{"Id":"out","Action":"Allow","Direction":"Out","RuleType":"Switch","Priority":200,
			"RemoteAddresses":"friends"}}]`))
	for packet, want := range map[string]string{
		"In 6 10.0.0.9 80<1":  "deny Switch net",
		"In 6 10.1.2.3 80<1":  "deny Switch net",
		"In 6 10.0.0.8 80<1":  "allow Switch in",
		"Out 6 10.0.0.9 1<80": "allow Switch out",
		"Out 6 10.0.0.8 1<80": "deny Switch default deny",
	} {
		if got := c.verdict(e, packet, hns.HyperV); got != want {
			t.Errorf("%s: %s, want %s", packet, got, want)
		}
	}
	remove := `{"ResourceType":"Policy","RequestType":"Remove","Settings":{"Policies":[{"Type":"SetPolicy","Settings":{"Id":"all"}}]}}`
	if got := c.modify("Network", n, remove); got != 0 {
		t.Fatalf("%s (%s)", got, c.lastReason())
	}
	// The rule's set is gone, and with it the rule's meaning: it is not enforced.
	if got := c.verdict(e, "In 6 10.0.0.9 80<1", hns.HyperV); got != "allow Switch in" {
		t.Errorf("without the set: %s", got)
	}
}

func TestEvaluateErrors(t *testing.T) {
	c := newClient(t, "2025")
	e := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
	p := Packet{EndpointID: e, Direction: hns.In, Protocol: 6, Remote: netip.MustParseAddr("10.0.0.9")}
	if _, err := c.Evaluate(p); err != nil {
		t.Error(err)
	}
	p.Direction = "in"
	if v, err := c.Evaluate(p); err == nil || !strings.Contains(err.Error(), `endpoint "e"`) {
		t.Errorf("an invalid packet: %+v, %v", v, err)
	}
	p.Direction, p.EndpointID = hns.In, unknownID
	if v, err := c.Evaluate(p); asError(err) == nil || asError(err).Code != hns.CodeEndpointNotFound {
		t.Errorf("an unknown endpoint: %+v, %v", v, err)
	}
}

// TestStateIsEnough evaluates packets on a State that came through JSON, as a
// reader in another process does.
func TestStateIsEnough(t *testing.T) {
	c := newClient(t, "2025")
	if err := c.SetUnknowns(Unknowns{NATBySwitch: true, DenyPerDirection: true}); err != nil {
		t.Fatal(err)
	}
	n := c.create("Network", networkDocument("NAT", "n", `"Policies":[
		{"Type":"SetPolicy","Settings":{"Id":"friends","PolicyType":"IPSET","Values":"10.0.0.0/8"}},
		{"Type":"NetworkACL","Settings":{"Id":"net","Action":"Block","Direction":"In","RuleType":"Switch","Priority":100,
			"LocalAddresses":"friends"}}],`))
	e := c.createEndpoint(n, v2(`"Policies":[
		{"Type":"ACL","Settings":{"Id":"in","Action":"Allow","Direction":"In","RuleType":"Switch","Priority":200}},
		{"Type":"TierAcl","Settings":{"Direction":"In","TierAclRules":[{"Id":"tier","TierAclRuleAction":"Block","Protocols":"17","Priority":1}]}}]`))
	s := c.create("Namespace", `{}`)
	c.attach(s, e)
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	var read State
	c.decode(schema.Marshal(state), &read)
	for text, want := range map[string]string{
		"In 6 10.0.0.9":   "deny Switch net",
		"In 6 11.0.0.9":   "allow Switch in",
		"In 17 11.0.0.9":  "deny Switch tier",
		"In 47 11.0.0.9":  "deny default deny",
		"Out 6 11.0.0.9":  "allow default allow",
		"Out 47 11.0.0.9": "allow default allow",
	} {
		p := parsePacket(t, text)
		v, err := packet.Evaluate(read.PacketEndpoint(read.Endpoints[0]), p)
		if got := describe(v); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
		if got := c.verdict(e, text, ""); got != want {
			t.Errorf("%s, evaluated by the emulator: %s, want %s", text, got, want)
		}
	}
	if got := read.Namespaces[0].Isolation; got != "" {
		t.Errorf("isolation %q without a container", got)
	}
	c.start(Container{ID: "c", NamespaceID: s, Isolation: hns.HyperV})
	if state, _ := c.State(); state.PacketEndpoint(state.Endpoints[0]).Isolation != hns.HyperV {
		t.Errorf("isolation %q with a Hyper-V container", state.Namespaces[0].Isolation)
	}
}
