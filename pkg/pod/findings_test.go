// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// TestFindingNN are findings of a security review (plugins/bulkhead/SECURITY.md).

// A repeated ADD returns no pod whose rules are gone or old, of a worker neither.
func TestFinding07RulesAreRepaired(t *testing.T) {
	rulesOf := func(policies []hns.Policy) []string {
		var out []string
		for _, p := range policies {
			if r, ok := p.(hns.ACL); ok && acl.OwnerOf(r) == acl.Pod {
				out = append(out, fmt.Sprint(r))
			}
		}
		return out
	}
	for _, verb := range []string{"the sandbox again", "a worker", "a worker by its sandbox"} {
		n := newNode(t, "2022")
		n.namespace(netns1)
		a := n.closedPod()
		a.NetNS = netns1
		first, err := n.attacher(a).Add(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		foreign := hns.ACL{ID: "other", Direction: hns.Out, Action: hns.Block, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 777}
		kept := slices.DeleteFunc(slices.Clone(first.Endpoint.Policies), func(p hns.Policy) bool {
			r, ok := p.(hns.ACL)
			return ok && acl.OwnerOf(r) == acl.Pod
		})
		if err := n.hns.SetPolicies(context.Background(), first.Endpoint.ID, append(kept, foreign)); err != nil {
			t.Fatal(err)
		}
		switch verb {
		case "a worker":
			a.ContainerID = "worker"
		case "a worker by its sandbox":
			a.ContainerID, a.NetNS = "worker", "container:web"
		}
		again, err := n.attacher(a).Add(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(rulesOf(first.Endpoint.Policies), rulesOf(again.Endpoint.Policies)); d != "" || len(rulesOf(again.Endpoint.Policies)) == 0 {
			t.Errorf("%s: rules (-first +again):\n%s", verb, d)
		}
		if !strings.Contains(strings.Join(again.Notices, "\n"), "repaired the rules of endpoint web_net1") {
			t.Errorf("%s: notices %q", verb, again.Notices)
		}
		if !slices.ContainsFunc(again.Endpoint.Policies, func(p hns.Policy) bool { r, ok := p.(hns.ACL); return ok && r.ID == "other" }) {
			t.Errorf("%s: another agent's rule is gone", verb)
		}
		if third, err := n.attacher(a).Add(context.Background(), a); err != nil || len(third.Notices) > 0 {
			t.Errorf("%s: once more: %q, %v", verb, third.Notices, err)
		}
	}
}

// What a pod's owner can open is as narrow as the mapping, and the admin can leave it to
// the rules.
func TestFinding02MappedPorts(t *testing.T) {
	const conf = `"network": {"subnets": [{"prefix": "10.1.0.0/16"}, {"prefix": "fd00::/64"}]}, "ipam": {"type": "host-local", "dataDir": %q},
		"acl": {"inbound": {"default": "deny"}, "allowHost": false, "mappedPorts": %q, "rules": [{"direction": "in", "action": "allow", "protocol": "tcp", "ports": "443", "remote": ["10.0.0.0/8"]}]},
		"runtimeConfig": {"portMappings": [{"hostPort": 8443, "containerPort": 443, "protocol": "tcp", "hostIP": %q}]}`
	for _, tt := range []struct {
		mappedPorts, hostIP, from string
		want                      bool
	}{
		{"allow", "", "8.8.8.8", true},
		{"allow", "", "2001:db8::1", true},
		{"allow", "0.0.0.0", "8.8.8.8", true},
		{"allow", "0.0.0.0", "2001:db8::1", false},
		{"allow", "192.168.1.5", "2001:db8::1", false},
		{"allow", "::", "8.8.8.8", false},
		{"rules", "", "8.8.8.8", false},
		{"rules", "", "10.9.9.9", true},
	} {
		n := newNode(t, "2022")
		n.namespace(netns1)
		a := parsed(t, "c1", fmt.Sprintf(conf, n.dir, tt.mappedPorts, tt.hostIP))
		r := n.mustAdd(a)
		for _, port := range []uint16{443, 80} {
			v, err := n.host.Evaluate(hnsemu.Packet{
				EndpointID: r.Endpoint.ID, Isolation: hns.Process, Direction: hns.In, Protocol: 6,
				Remote: netip.MustParseAddr(tt.from), LocalPort: port, RemotePort: 40000,
			})
			if want := tt.want && port == 443; err != nil || v.Allowed != want {
				t.Errorf("mappedPorts %s, hostIP %q, port %d from %s: %+v, %v; want %t", tt.mappedPorts, tt.hostIP, port, tt.from, v, err, want)
			}
		}
	}
}

// hostIP is an address of the node.
func TestFinding02HostIP(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	const conf = subnet + `, "ipam": {"type": "host-local", "dataDir": %q},
		"runtimeConfig": {"portMappings": [{"hostPort": 8443, "containerPort": 443, "protocol": "tcp", "hostIP": %q}]}`
	a := parsed(t, "c1", fmt.Sprintf(conf, n.dir, "203.0.113.9"))
	if _, err := n.attacher(a).Add(context.Background(), a); !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), "runtimeConfig.portMappings[0].hostIP: 203.0.113.9 is no address of this node") {
		t.Errorf("got %v", err)
	}
	n.nothingLeft("after the refusal")
	n.mustAdd(parsed(t, "c1", fmt.Sprintf(conf, n.dir, "192.168.1.5")))
}

// Who holds the node's lock without need, or took its name, costs a warning where the
// network is made, and nothing afterwards.
func TestFinding06SquattedLock(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	n.namespace(netns2)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	at := n.attacher(a)
	at.Lock = func(context.Context, string) (func(), error) { return nil, errors.New("access is denied") }
	r, err := at.Add(context.Background(), a)
	if err != nil || !strings.Contains(strings.Join(r.Notices, "\n"), `making the network "net1" without waiting for others: `) {
		t.Errorf("the first pod: %q, %v", r.Notices, err)
	}
	second := n.attachment(hns.L2Bridge, "c2", netns2)
	if r, err := at.Add(context.Background(), second); err != nil || len(r.Notices) > 0 {
		t.Errorf("the second pod: %q, %v", r.Notices, err)
	}
}

// The node's address under an overlay belongs to the rules, also where HNS tells it only
// in its list of networks: a repeated ADD finds them right.
func TestFinding07RulesOfAnOverlay(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	subnet := hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1"), VSID: 4096}
	if _, err := n.hns.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: hns.Overlay, Subnets: []hns.Subnet{subnet}}); err != nil {
		t.Fatal(err)
	}
	a, err := config.Parse([]byte(fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead", "driver": "overlay",
		"ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/16"}]]}, "acl": {"inbound": {"default": "deny"}}}`, n.dir)),
		config.Env{ContainerID: "c1", IfName: "eth0", NetNS: netns1})
	if err != nil {
		t.Fatal(err)
	}
	at := n.attacher(a)
	at.SendsFrom = func(netip.Addr) (netip.Addr, error) { return netip.MustParseAddr("172.16.0.9"), nil }
	first, err := at.Add(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := at.Add(context.Background(), a); err != nil || len(again.Notices) > 0 {
		t.Errorf("the second ADD: %q, %v", again.Notices, err)
	}
	if err := at.Check(context.Background(), a, config.Promise{Addresses: promisedBy(first), MAC: first.Endpoint.MAC}); err != nil {
		t.Errorf("CHECK: %v", err)
	}
}

// An annotation and a file that are long, each, cost ADD neither seconds nor gigabytes.
func TestFinding08CostOfADD(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	var rules, prefixes []string
	for i := range 240 {
		rules = append(rules, fmt.Sprintf(`{"direction":"in","action":"allow","protocol":%d}`, i+1))
	}
	for i := range 2001 {
		prefixes = append(prefixes, fmt.Sprintf(`"10.%d.%d.1/32"`, i/250, i%250))
	}
	annotation := fmt.Sprintf("%q", `{"rules":[`+strings.Join(rules, ",")+`]}`)
	deny := `{"direction":"in","action":"deny","remote":[` + strings.Join(prefixes, ",") + `]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := config.Parse([]byte(`{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead", "driver": "l2bridge",
		"acl": {"podAnnotations": true, "rules": [`+deny+`,`+strings.ReplaceAll(deny, "10.", "11.")+`]},
		"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"bulkhead.dev/acl": `+annotation+`}}}`), config.Env{ContainerID: "c1"})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "together; merge some") || after.TotalAlloc-before.TotalAlloc > 50<<20 {
		t.Errorf("got %v, %d bytes", err, after.TotalAlloc-before.TotalAlloc)
	}
}

// The node is let in from where its packets to pods come from, not from every adapter.
func TestFinding10HostAddrs(t *testing.T) {
	n := newNode(t, "2022")
	n.twoAdapters()
	a := n.parsed(closed, "web")
	a.Network.Adapter = "Ethernet"
	a.OutboundNAT = &config.OutboundNAT{Exceptions: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}}
	at := n.attacher(a)
	at.SendsFrom = func(to netip.Addr) (netip.Addr, error) {
		if to.Is6() || a.Network.Subnets[0].Prefix.Contains(to) {
			return netip.Addr{}, errors.New("network is unreachable")
		}
		return netip.MustParseAddr("192.168.1.5"), nil
	}
	r, err := at.Add(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "outboundNAT.exceptions") {
		t.Errorf("notices: %q", r.Notices)
	}
	for from, want := range map[string]bool{"192.168.1.5": true, "172.16.1.5": false, "127.0.0.1": false} {
		v, err := n.host.Evaluate(hnsemu.Packet{
			EndpointID: r.Endpoint.ID, Isolation: hns.Process, Direction: hns.In, Protocol: 6,
			Remote: netip.MustParseAddr(from), LocalPort: 10250, RemotePort: 40000,
		})
		if err != nil || v.Allowed != want {
			t.Errorf("from %s: %+v, %v", from, v, err)
		}
	}
}
