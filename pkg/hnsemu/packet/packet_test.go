// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// endpoint returns an endpoint of a driver with policies of the v2 schema,
// which HNS must accept.
func endpoint(t *testing.T, driver string, policies ...string) Endpoint {
	t.Helper()
	var doc schema.EndpointDoc
	if err := schema.Decode(`{"SchemaVersion":{"Major":2},"Policies":[`+strings.Join(policies, ",")+`]}`, &doc); err != nil {
		t.Fatal(err)
	}
	settings, err := doc.Endpoint(false)
	if err != nil {
		t.Fatal(err)
	}
	e := Endpoint{
		Driver:    hns.Driver(strings.ToLower(driver)),
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.100.2/24"), netip.MustParsePrefix("fd01::2/64")},
	}
	c := schema.PolicyContext{Version: hns.Version{Major: 15, Minor: 4}, NetworkType: driver}
	for _, p := range settings.Policies {
		if err := c.CheckEndpointPolicy(p); err != nil {
			t.Fatal(err)
		}
		switch p.Type {
		case schema.PolicyACL:
			a, err := schema.ParseACL(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			e.ACLs = append(e.ACLs, a)
		case schema.PolicyTierACL:
			tier, err := schema.ParseTierACL(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			e.Tiers = append(e.Tiers, tier)
		}
	}
	return e
}

// endpointWith returns an endpoint of a driver with ACLs, which are written
// "Switch 1000 Allow In id members".
func endpointWith(t *testing.T, driver string, acls ...string) Endpoint {
	t.Helper()
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
	return endpoint(t, driver, policies...)
}

// verdict evaluates a packet written "In 6 10.0.0.9 80<1024" (local port, remote
// port) and returns the answer as "allow Switch id".
func verdict(t *testing.T, e Endpoint, packet string, isolation hns.Isolation) string {
	t.Helper()
	var remote string
	p := Packet{Isolation: isolation}
	fields := strings.Fields(packet)
	p.Direction = hns.Direction(fields[0])
	if _, err := fmt.Sscan(fields[1], &p.Protocol); err != nil {
		t.Fatal(err)
	}
	remote = fields[2]
	if len(fields) > 3 {
		if _, err := fmt.Sscanf(fields[3], "%d<%d", &p.LocalPort, &p.RemotePort); err != nil {
			t.Fatal(err)
		}
	}
	p.Remote = netip.MustParseAddr(remote)
	v, err := Evaluate(e, p)
	if err != nil {
		t.Fatal(err)
	}
	if v.Why == "" {
		t.Errorf("%s: no explanation", packet)
	}
	return strings.Join(strings.Fields(fmt.Sprint(map[bool]string{true: "allow", false: "deny"}[v.Allowed], " ", v.At, " ", v.Rule)), " ")
}

var drivers = []string{"NAT", "Transparent", "L2Bridge", "L2Tunnel", "Overlay"}

// TestDefaults: without ACLs, a process-isolated container gets TCP, UDP, ICMP
// and IGMP inbound and no other protocol. Outbound, and with Hyper-V isolation,
// everything passes (Microsoft, "Network isolation and security").
func TestDefaults(t *testing.T) {
	for _, driver := range drivers {
		for _, isolation := range []hns.Isolation{hns.Process, hns.HyperV} {
			t.Run(driver+" "+string(isolation), func(t *testing.T) {
				e := endpointWith(t, driver)
				for _, protocol := range []int{0, 1, 2, 6, 17, 41, 47, 50, 58, 89, 132, 255} {
					in := "allow default allow"
					if isolation == hns.Process && strings.Contains(" 0 41 47 50 89 132 255 ", fmt.Sprintf(" %d ", protocol)) {
						in = "deny default deny"
					}
					if got := verdict(t, e, fmt.Sprintf("In %d 10.0.0.9 80<1024", protocol), isolation); got != in {
						t.Errorf("In %d: %s, want %s", protocol, got, in)
					}
					if got := verdict(t, e, fmt.Sprintf("Out %d 10.0.0.9 80<1024", protocol), isolation); got != "allow default allow" {
						t.Errorf("Out %d: %s", protocol, got)
					}
				}
			})
		}
	}
}

// TestEnforcementPoints finds the enforcement points by rules that block
// everything (Microsoft, "Network isolation and security").
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
				e := endpointWith(t, tc.driver, fmt.Sprintf(rule, direction))
				if got := verdict(t, e, direction+" 6 10.0.0.9 80<1024", tc.isolation); got != want {
					t.Errorf("%s %s, "+rule+": %s, want %s", tc.driver, tc.isolation, direction, got, want)
				}
			}
		}
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
	const plain = `{"Type":"ACL","Settings":{"Id":"plain","Action":"Allow","Direction":"Out","RuleType":"Switch","Priority":100}}`
	e := endpoint(t, "L2Bridge", tiers)
	f := endpoint(t, "L2Bridge", tiers, plain)
	for _, tc := range []struct {
		endpoint     Endpoint
		packet, want string
	}{
		{e, "In 6 10.0.0.9 22<1", "deny Switch deny"},
		{e, "In 6 10.0.0.9 80<1", "allow Switch yes"},
		{e, "In 17 10.0.0.9 80<1", "deny Switch no"},
		{e, "In 1 10.0.0.9", "deny Switch default deny"},
		{e, "Out 6 10.0.0.9 1<80", "deny Switch default deny"},
		{f, "Out 6 10.0.0.9 1<80", "allow Switch plain"},
	} {
		if got := verdict(t, tc.endpoint, tc.packet, hns.HyperV); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.packet, got, tc.want)
		}
	}
}

func TestErrors(t *testing.T) {
	e := endpointWith(t, "NAT")
	good := Packet{Direction: hns.In, Protocol: 6, Remote: netip.MustParseAddr("10.0.0.9")}
	for name, change := range map[string]func(*Packet){
		"direction": func(p *Packet) { p.Direction = "in" },
		"protocol":  func(p *Packet) { p.Protocol = 256 },
		"negative":  func(p *Packet) { p.Protocol = -1 },
		"remote":    func(p *Packet) { p.Remote = netip.Addr{} },
		"isolation": func(p *Packet) { p.Isolation = "vm" },
	} {
		p := good
		change(&p)
		if v, err := Evaluate(e, p); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if _, err := Evaluate(e, good); err != nil {
		t.Error(err)
	}
	e.Remote = true
	if v, err := Evaluate(e, good); schema.CodeOf(err) != schema.CodeNotLocal {
		t.Errorf("remote: %+v, %v", v, err)
	}
}
