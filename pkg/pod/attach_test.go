// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/aclsync"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

func TestAddDel(t *testing.T) {
	for _, p := range hnsemu.Profiles() {
		for _, d := range hns.Drivers() {
			t.Run(p.Name+" "+string(d), func(t *testing.T) {
				n := newNode(t, p.Name)
				n.namespace(netns1)
				a := n.attachment(d, "c1", netns1)
				r := n.mustAdd(a)
				n.attached(a, r)
				if got := r.Endpoint.Addresses[0]; got != netip.MustParsePrefix("10.1.0.10/16") {
					t.Errorf("address %s, want 10.1.0.10/16", got)
				}
				if r.Endpoint.MAC == "" || len(r.Endpoint.Routes) != 1 || r.Namespace != netns1 {
					t.Errorf("incomplete result: %+v", r)
				}
				n.mustDel(a)
				n.nothingLeft("after DEL")
			})
		}
	}
}

// The ACLs on the endpoint are those of the table, in both isolations.
func TestAddProgramsACLs(t *testing.T) {
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			t.Run(string(d)+" "+string(i), func(t *testing.T) {
				n := newNode(t, "2022")
				n.namespace(netns1)
				r := n.mustAdd(n.configured(fmt.Sprintf(`"driver":%q,"isolation":%q,%s`, d, i, n.section(d)), "c1", netns1))
				defaults, err := acl.Compile(acl.Target{Driver: d, Isolation: i}, acl.Spec{})
				if err != nil {
					t.Fatal(err)
				}
				var got []hns.ACL
				for _, p := range r.Endpoint.Policies {
					if rule, ok := p.(hns.ACL); ok {
						got = append(got, rule)
					}
				}
				if diff := cmp.Diff(defaults.Rules, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestAddWithoutACLs(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	r := n.mustAdd(n.configured(`"driver":"l2bridge","acl":{"program":false},`+n.section(hns.L2Bridge), "c1", netns1))
	for _, p := range r.Endpoint.Policies {
		if rule, ok := p.(hns.ACL); ok {
			t.Errorf("ACL %s was programmed", rule.ID)
		}
	}
}

func TestAddLetsHNSChooseTheAddress(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.configured(`"driver":"nat"`, "c1", netns1)
	r := n.mustAdd(a)
	n.attached(a, r)
	if len(r.Endpoint.Routes) != 1 || !r.Endpoint.Routes[0].NextHop.IsValid() {
		t.Errorf("no default route: %+v", r.Endpoint)
	}
	n.mustDel(a)
	n.nothingLeft("after DEL")
}

func TestAddAgain(t *testing.T) {
	tests := []struct {
		name string
		// between is what happens to the node after the first ADD.
		between func(n *node, first pod.Result)
		same    bool
	}{
		{"untouched", func(*node, pod.Result) {}, true},
		{"detached", func(n *node, first pod.Result) {
			if err := n.hns.Detach(context.Background(), netns1, first.Endpoint.ID); err != nil {
				n.Fatal(err)
			}
		}, true},
		{"half made", func(n *node, first pod.Result) {
			ctx := context.Background()
			if err := errors.Join(
				n.hns.Detach(ctx, netns1, first.Endpoint.ID),
				n.hns.SetPolicies(ctx, first.Endpoint.ID, nil),
			); err != nil {
				n.Fatal(err)
			}
		}, false},
		{"network made anew", func(n *node, first pod.Result) {
			if err := n.hns.DeleteNetwork(context.Background(), first.Endpoint.NetworkID); err != nil {
				n.Fatal(err)
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			a := n.attachment(hns.L2Bridge, "c1", netns1)
			first := n.mustAdd(a)
			tt.between(n, first)
			second := n.mustAdd(a)
			n.attached(a, second)
			if got := same(first, second); got != tt.same {
				t.Errorf("same endpoint: %t, want %t", got, tt.same)
			}
			// What the runtime did not DEL stays reserved until it does.
			want := 1
			if tt.name == "network made anew" {
				want = 2
			}
			if got := n.addresses(); len(got) != want {
				t.Errorf("two ADDs hold %v, want %d", got, want)
			}
			n.mustDel(a)
			n.nothingLeft("after DEL")
		})
	}
}

func TestAddRefusals(t *testing.T) {
	tests := []struct {
		name    string
		arrange func(n *node) config.Config
		kind    error
		text    string
	}{
		{"netns is no GUID", func(n *node) config.Config { return n.attachment(hns.L2Bridge, "c1", "/proc/1/ns/net") },
			pod.ErrNamespace, `CNI_NETNS: "/proc/1/ns/net" is not a GUID`},
		{"netns is the zero GUID", func(n *node) config.Config { return n.attachment(hns.L2Bridge, "c1", hns.ZeroGUID) },
			pod.ErrNamespace, "zero GUID"},
		{"no such namespace", func(n *node) config.Config { return n.attachment(hns.L2Bridge, "c1", netns1) },
			pod.ErrNamespace, "there is no namespace " + netns1},
		{"no such network", func(n *node) config.Config { return n.configured(`"driver":"l2bridge"`, "c1", netns1) },
			network.ErrMissing, `there is no HNS network "net1"`},
		{"network of another type", func(n *node) config.Config {
			n.network(hns.L2Bridge, "10.1.0.0/16")
			return n.configured(`"driver":"nat"`, "c1", netns1)
		}, network.ErrDiffers, "type: want nat, got l2bridge"},
		{"network of another type, not ours", func(n *node) config.Config {
			n.network(hns.L2Bridge, "10.1.0.0/16")
			return n.configured(`"driver":"l2tunnel"`, "c1", netns1)
		}, config.ErrInvalid, `driver: "l2tunnel" is configured, but the network is of type "l2bridge"`},
		{"network of another subnet", func(n *node) config.Config {
			n.network(hns.L2Bridge, "10.7.0.0/16")
			return n.attachment(hns.L2Bridge, "c1", netns1)
		}, network.ErrDiffers, "subnets: want 10.1.0.0/16 via 10.1.0.1, got 10.7.0.0/16 via 10.7.0.1"},
		{"IPAM outside of the network", func(n *node) config.Config {
			n.network(hns.L2Bridge, "10.7.0.0/16")
			return n.configured(fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/16"}]]}`, n.dir), "c1", netns1)
		}, plan.ErrConflict, `outside of the network "net1" (10.7.0.0/16)`},
		{"addresses used up", func(n *node) config.Config {
			n.network(hns.L2Bridge, "10.1.0.0/16")
			return n.configured(fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.1","rangeEnd":"10.1.0.1"}]]}`, n.dir), "c1", netns1)
		}, pod.ErrIPAM, "has none beside its gateway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			a := tt.arrange(n)
			if !strings.Contains(tt.text, "there is no namespace") {
				n.namespace(netns1)
			}
			_, err := n.add(a)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.kind, tt.text)
			}
			n.nothingLeft("after the failed ADD")
		})
	}
}

// network makes the network net1 as an admin would.
func (n *node) network(d hns.Driver, prefix string) {
	n.Helper()
	p := netip.MustParsePrefix(prefix)
	_, err := n.hns.CreateNetwork(context.Background(), hns.Network{
		Name: "net1", Driver: d,
		Subnets: []hns.Subnet{{Prefix: p, Gateway: p.Addr().Next()}},
	})
	if err != nil {
		n.Fatal(err)
	}
}

// A container's endpoint that is in another namespace stays where it is.
func TestAddIntoAnotherNamespace(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	n.namespace(netns2)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	r := n.mustAdd(a)
	b := a
	b.NetNS = netns2
	if _, err := n.add(b); !errors.Is(err, pod.ErrInUse) {
		t.Errorf("got %v, want ErrForeign", err)
	}
	n.attached(a, r)
	silent := n.attacher(b)
	silent.HNS = silentNamespace{n.hns, netns1}
	if _, err := silent.Add(t.Context(), b); !errors.Is(err, hns.ErrUnavailable) || errors.Is(err, pod.ErrInUse) {
		t.Errorf("got %v, want ErrUnavailable: whether the namespace is there is not known", err)
	}
	n.attached(a, r)
	// Nobody can remove a sandbox whose namespace is gone.
	if err := n.hns.DeleteNamespace(context.Background(), netns1); err != nil {
		t.Fatal(err)
	}
	real := n.hns
	n.hns = remembers{real, netns1}
	again := n.mustAdd(b)
	n.hns = real
	n.attached(b, again)
	if held := n.addresses(); len(held) != 1 {
		t.Errorf("IPAM holds %v", held)
	}
}

// silentNamespace is an HNS that does not tell of a namespace.
type silentNamespace struct {
	hns.Client
	id string
}

func (c silentNamespace) Namespace(ctx context.Context, id string) (hns.Namespace, error) {
	if id == c.id {
		return hns.Namespace{}, hns.ErrUnavailable
	}
	return c.Client.Namespace(ctx, id)
}

// remembers is an HNS whose endpoints say that they are in a namespace that is gone.
type remembers struct {
	hns.Client
	gone string
}

func (c remembers) EndpointsNamed(ctx context.Context, name string) ([]hns.Endpoint, error) {
	found, err := c.Client.EndpointsNamed(ctx, name)
	for i := range found {
		if found[i].NamespaceID == "" {
			found[i].NamespaceID = c.gone
		}
	}
	return found, err
}

// openCreate is an HNS that makes endpoints without the rules that it is told.
type openCreate struct{ hns.Client }

func (c openCreate) CreateEndpoint(ctx context.Context, want hns.Endpoint) (string, error) {
	want.Policies = plan.ReplaceRules(acl.Pod, want.Policies, nil)
	return c.Client.CreateEndpoint(ctx, want)
}

// keepsOpen is one that does not take the rules afterwards, either.
type keepsOpen struct{ openCreate }

func (keepsOpen) SetPolicies(context.Context, string, []hns.Policy) error { return nil }
func (keepsOpen) AddPolicies(context.Context, string, []hns.Policy) error { return nil }

// A pod that HNS left open gets its rules before ADD is done, or does not start.
func TestAddClosesWhatHNSLeftOpen(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a, real := n.attachment(hns.L2Bridge, "c1", netns1), n.hns
	n.hns = openCreate{real}
	r := n.mustAdd(a)
	n.attached(a, r)
	if len(plan.RulesOf(acl.Pod, r.Endpoint.Policies)) == 0 || !strings.Contains(strings.Join(r.Notices, "\n"), "repaired the rules of endpoint c1_net1") {
		t.Errorf("policies %v, notices %q", r.Endpoint.Policies, r.Notices)
	}
	n.mustDel(a)
	n.hns = keepsOpen{openCreate{real}}
	if _, err := n.add(a); !errors.Is(err, aclsync.ErrDiffers) {
		t.Errorf("got %v, want ErrDiffers", err)
	}
	n.nothingLeft("after ADD")
}

// hidden is an HNS that tells no address of the node while somebody makes a network.
type hidden struct {
	hns.Client
	while func() bool
}

func (c hidden) ListNetworks(ctx context.Context) ([]hns.Network, error) {
	all, err := c.Client.ListNetworks(ctx)
	for i := range all {
		if c.while() {
			all[i].ManagementAddress = netip.Addr{}
		}
	}
	return all, err
}

// A pod that starts while another one's ADD waits for the node's address lets that address
// in, and not only what the node would send from meanwhile.
func TestAddWaitsForTheNodesAddress(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.closedPod()
	a.NetNS = netns1
	want := n.mustAdd(a).Endpoint.Policies
	n.mustDel(a)
	release, err := n.lock(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	n.hns = hidden{n.hns, func() bool { return len(n.locked) > 0 }}
	time.AfterFunc(50*time.Millisecond, release)
	at := n.attacher(a)
	at.SendsFrom = func(netip.Addr) (netip.Addr, error) { return netip.MustParseAddr("172.16.1.5"), nil }
	r, err := at.Add(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	node := "192.168.1.5"
	if !strings.Contains(fmt.Sprint(want), node) || !strings.Contains(fmt.Sprint(r.Endpoint.Policies), node) {
		t.Errorf("the node's address is not let in: %v", r.Endpoint.Policies)
	}
}

// An ADD whose own time is over still undoes what it made.
func TestAddUndoesAfterItsDeadline(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	if err := n.host.AddFault(hnsemu.Fault{Proc: "HcnModifyNamespace", Nth: 1, Kind: hnsemu.FaultHang, After: true}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangTime)
	defer cancel()
	if _, err := n.attacher(a).Add(ctx, a); !errors.Is(err, hns.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	if ctx.Err() == nil {
		t.Error("the deadline was not reached")
	}
	n.nothingLeft("after ADD")
}

// lateCreate is an HNS that carries out CreateEndpoint when nobody waits any more.
type lateCreate struct {
	hns.Client
	late func(create func())
}

func (c lateCreate) CreateEndpoint(_ context.Context, want hns.Endpoint) (string, error) {
	c.late(func() { _, _ = c.Client.CreateEndpoint(context.Background(), want) })
	return "", &hns.Error{Op: "create endpoint", Object: want.Name, Err: context.DeadlineExceeded}
}

// HNS makes the endpoint after ADD has given up and undone: its address must not
// be another pod's by then, and DEL takes both.
func TestEndpointThatComesLate(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	n.namespace(netns2)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	var create func()
	real := n.hns
	n.hns = lateCreate{real, func(f func()) { create = f }}
	if _, err := n.add(a); !errors.Is(err, hns.ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	n.hns = real
	create()
	other := n.attachment(hns.L2Bridge, "c2", netns2)
	r := n.mustAdd(other)
	if held := n.addresses(); len(held) != 2 {
		t.Errorf("addresses %v, want those of both", held)
	}
	n.mustDel(a)
	n.attached(other, r)
	n.mustDel(other)
	n.nothingLeft("after both DELs")
}

// What IPAM was asked for and did not give is a failure, as HNS would choose an
// address that no IPAM reserved; so is a pod without any.
func TestAddWithoutAddress(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	at := pod.Verbs{HNS: n.hns, IPAM: ipam.Open(""), Lock: n.lock}
	if _, err := at.Add(context.Background(), a); !errors.Is(err, pod.ErrIPAM) {
		t.Errorf("IPAM that gives nothing: got %v, want ErrIPAM", err)
	}
	n.nothingLeft("after ADD")
}

// The code that a runtime sees is that of the failure, not of its undoing.
func TestFailureOutlivesItsUndoing(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	for _, f := range []hnsemu.Fault{
		{Proc: "HcnCreateEndpoint", Nth: 1, Kind: hnsemu.FaultFail, Code: 0x803b001e},
		{Proc: "HcnEnumerateEndpoints", Nth: 3, Kind: hnsemu.FaultFail, Code: 0x80070426},
	} {
		if err := n.host.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	_, err := n.add(n.attachment(hns.L2Bridge, "c1", netns1))
	if !errors.Is(err, hns.ErrInvalid) || errors.Is(err, hns.ErrUnavailable) || !strings.Contains(err.Error(), "roll back: ") {
		t.Errorf("got %v, want ErrInvalid alone, with the undoing in its text", err)
	}
}
