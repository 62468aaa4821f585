// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// verdict evaluates a packet written "In 6 10.0.0.9 80<1024" (local port, remote
// port) and returns the answer as "allow Switch id".
func (c client) verdict(endpoint, packet string, isolation hns.Isolation) string {
	c.Helper()
	var remote string
	p := Packet{EndpointID: endpoint, Isolation: isolation}
	fields := strings.Fields(packet)
	p.Direction = hns.Direction(fields[0])
	if _, err := fmt.Sscan(fields[1], &p.Protocol); err != nil {
		c.Fatal(err)
	}
	remote = fields[2]
	if len(fields) > 3 {
		if _, err := fmt.Sscanf(fields[3], "%d<%d", &p.LocalPort, &p.RemotePort); err != nil {
			c.Fatal(err)
		}
	}
	p.Remote = netip.MustParseAddr(remote)
	v, err := c.Evaluate(p)
	if err != nil {
		c.Fatal(err)
	}
	if v.Why == "" {
		c.Errorf("%s: no explanation", packet)
	}
	return strings.Join(strings.Fields(fmt.Sprint(map[bool]string{true: "allow", false: "deny"}[v.Allowed], " ", v.At, " ", v.Rule)), " ")
}

// endpointWith makes an endpoint with those ACLs on a network of a driver. ACLs
// are written "Switch 1000 Allow In id members".
func (c client) endpointWith(driver string, acls ...string) string {
	c.Helper()
	var policies []string
	for _, text := range acls {
		f := strings.Fields(text)
		members := fmt.Sprintf(`"RuleType":%q,"Action":%q,"Direction":%q,"Id":%q`, strings.Trim(f[0], "-"), f[2], f[3], f[4])
		if f[1] != "0" {
			members += `,"Priority":` + f[1]
		}
		for _, member := range f[5:] {
			key, value, _ := strings.Cut(member, "=")
			members += fmt.Sprintf(",%q:%q", key, value)
		}
		policies = append(policies, `{"Type":"ACL","Settings":{`+members+`}}`)
	}
	n := c.network(driver, "n")
	return c.createEndpoint(n, v2(`"Name":"e","Policies":[`+strings.Join(policies, ",")+`]`))
}

var drivers = []string{"NAT", "Transparent", "L2Bridge", "L2Tunnel", "Overlay"}

// TestDefaults is the table of hns.md section 5.4: without ACLs, a process
// container takes TCP, UDP, ICMP and IGMP; everything else passes.
func TestDefaults(t *testing.T) {
	for _, driver := range drivers {
		for _, isolation := range []hns.Isolation{hns.Process, hns.HyperV} {
			t.Run(driver+" "+string(isolation), func(t *testing.T) {
				c := newClient(t, "2025")
				e := c.endpointWith(driver)
				for _, protocol := range []int{0, 1, 2, 6, 17, 41, 47, 50, 58, 89, 132, 255} {
					in := "allow default allow"
					if isolation == hns.Process && strings.Contains(" 0 41 47 50 89 132 255 ", fmt.Sprintf(" %d ", protocol)) {
						in = "deny default deny"
					}
					if got := c.verdict(e, fmt.Sprintf("In %d 10.0.0.9 80<1024", protocol), isolation); got != in {
						t.Errorf("In %d: %s, want %s", protocol, got, in)
					}
					if got := c.verdict(e, fmt.Sprintf("Out %d 10.0.0.9 80<1024", protocol), isolation); got != "allow default allow" {
						t.Errorf("Out %d: %s", protocol, got)
					}
				}
			})
		}
	}
}

// TestEnforcementPoints is the table of hns.md section 5.3, looked at through
// rules that block everything.
func TestEnforcementPoints(t *testing.T) {
	const nothing, host, vfp = "allow default allow", "deny Host h", "deny Switch s"
	for _, tc := range []struct {
		driver    string
		isolation hns.Isolation
		// host, vfp and untyped are the verdicts with a rule of that type.
		host, vfp, untyped string
	}{
		{"NAT", hns.Process, host, nothing, "deny Host u"},
		{"Transparent", hns.Process, host, nothing, "deny Host u"},
		{"L2Bridge", hns.Process, host, vfp, "deny Switch u"},
		{"L2Tunnel", hns.Process, host, vfp, "deny Switch u"},
		{"Overlay", hns.Process, host, vfp, "deny Switch u"},
		{"NAT", hns.HyperV, nothing, nothing, nothing},
		{"Transparent", hns.HyperV, nothing, nothing, nothing},
		{"L2Bridge", hns.HyperV, nothing, vfp, "deny Switch u"},
		{"L2Tunnel", hns.HyperV, nothing, vfp, "deny Switch u"},
		{"Overlay", hns.HyperV, nothing, vfp, "deny Switch u"},
	} {
		for _, direction := range []string{"In", "Out"} {
			for rule, want := range map[string]string{"Host 0 Block %s h": tc.host, "Switch 1000 Block %s s": tc.vfp, "- 1000 Block %s u": tc.untyped} {
				c := newClient(t, "2025")
				e := c.endpointWith(tc.driver, fmt.Sprintf(rule, direction))
				if got := c.verdict(e, direction+" 6 10.0.0.9 80<1024", tc.isolation); got != want {
					t.Errorf("%s %s, "+rule+": %s, want %s", tc.driver, tc.isolation, direction, got, want)
				}
			}
		}
	}
}

// TestIsolationOfContainer: the container in the namespace decides.
func TestIsolationOfContainer(t *testing.T) {
	c := newClient(t, "2025")
	e := c.endpointWith("NAT")
	s := c.create("Namespace", `{}`)
	c.attach(s, e)
	got := []string{c.verdict(e, "In 47 10.0.0.9", "")}
	c.start(Container{ID: "c", NamespaceID: s, Isolation: hns.HyperV})
	got = append(got, c.verdict(e, "In 47 10.0.0.9", ""), c.verdict(e, "In 47 10.0.0.9", hns.Process))
	if diff := cmp.Diff([]string{"deny default deny", "allow default allow", "deny default deny"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTiers: tiers go by order, their rules by priority, and Pass leads on.
func TestTiers(t *testing.T) {
	const tiers = `{"Type":"TierAcl","Settings":{"Name":"second","Direction":"In","Order":1002,"TierAclRules":[
			{"Id":"no","TierAclRuleAction":"Block","Protocols":"17","Priority":200},{"Id":"yes","TierAclRuleAction":"Allow",
				"Protocols":"6","Priority":300}]}},
		{"Type":"TierAcl","Settings":{"Name":"first","Direction":"In","Order":1001,"TierAclRules":[
			{"Id":"deny","TierAclRuleAction":"Block","LocalPorts":"22","Priority":2},{"Id":"pass","TierAclRuleAction":"Pass","Priority":9},
			{"Id":"never","TierAclRuleAction":"Block","Priority":10}]}},
		{"Type":"TierAcl","Settings":{"Name":"other","Direction":"Out","Order":1,"TierAclRules":[{"Id":"out",
			"TierAclRuleAction":"Pass","Priority":1}]}}`
	const plain = `,{"Type":"ACL","Settings":{"Id":"plain","Action":"Allow","Direction":"Out","RuleType":"Switch","Priority":100}}`
	c := newClient(t, "2025")
	n := c.network("L2Bridge", "n")
	e := c.createEndpoint(n, v2(`"Policies":[`+tiers+`]`))
	f := c.createEndpoint(n, v2(`"Policies":[`+tiers+plain+`]`))
	for _, tc := range []struct{ endpoint, packet, want string }{
		{e, "In 6 10.0.0.9 22<1", "deny Switch deny"},
		{e, "In 6 10.0.0.9 80<1", "allow Switch yes"},
		{e, "In 17 10.0.0.9 80<1", "deny Switch no"},
		{e, "In 1 10.0.0.9", "deny Switch default deny"},
		{e, "Out 6 10.0.0.9 1<80", "deny Switch default deny"},
		{f, "Out 6 10.0.0.9 1<80", "allow Switch plain"},
	} {
		if got := c.verdict(tc.endpoint, tc.packet, hns.HyperV); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.packet, got, tc.want)
		}
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
	e := c.endpointWith("NAT")
	good := Packet{EndpointID: e, Direction: hns.In, Protocol: 6, Remote: netip.MustParseAddr("10.0.0.9")}
	for name, change := range map[string]func(*Packet){
		"endpoint":  func(p *Packet) { p.EndpointID = unknownID },
		"direction": func(p *Packet) { p.Direction = "in" },
		"protocol":  func(p *Packet) { p.Protocol = 256 },
		"negative":  func(p *Packet) { p.Protocol = -1 },
		"remote":    func(p *Packet) { p.Remote = netip.Addr{} },
		"isolation": func(p *Packet) { p.Isolation = "vm" },
	} {
		p := good
		change(&p)
		if v, err := c.Evaluate(p); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if _, err := c.Evaluate(good); err != nil {
		t.Error(err)
	}
}
