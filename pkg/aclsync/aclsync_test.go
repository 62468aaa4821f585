// SPDX-License-Identifier: Apache-2.0

package aclsync_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/aclsync"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// endpoint makes an endpoint that has a rule of another agent and an outbound NAT.
func endpoint(t *testing.T, h hns.Client) hns.Endpoint {
	t.Helper()
	ctx := t.Context()
	n, err := h.CreateNetwork(ctx, hns.Network{Name: "net1", Driver: hns.L2Bridge, Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")}}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := h.CreateEndpoint(ctx, hns.Endpoint{Name: "c1_net1", NetworkID: n.ID, Policies: []hns.Policy{
		hns.OutboundNAT{Exceptions: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, rule("felix"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.Endpoint(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func rule(id string) hns.ACL {
	return hns.ACL{ID: id, Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: 1000}
}

// rulesOn returns the ids of an endpoint's rules, sorted, and the number of its other
// policies.
func rulesOn(t *testing.T, h aclsync.HNS, id string) (rules []string, others int) {
	t.Helper()
	e, err := h.Endpoint(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range e.Policies {
		if r, ok := p.(hns.ACL); ok {
			rules = append(rules, r.ID)
		} else {
			others++
		}
	}
	slices.Sort(rules)
	return rules, others
}

func emulator(t *testing.T) *hnsemu.Host {
	t.Helper()
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	return hnsemu.New(p)
}

// counting counts the changes.
type counting struct {
	hns.Client
	changes *int
}

func (c counting) SetPolicies(ctx context.Context, id string, policies []hns.Policy) error {
	*c.changes++
	return c.Client.SetPolicies(ctx, id, policies)
}

func (c counting) AddPolicies(ctx context.Context, id string, policies []hns.Policy) error {
	*c.changes++
	return c.Client.AddPolicies(ctx, id, policies)
}

func (c counting) RemovePolicies(ctx context.Context, id string, policies []hns.Policy) error {
	*c.changes++
	return c.Client.RemovePolicies(ctx, id, policies)
}

func TestSyncKeepsWhatIsOthers(t *testing.T) {
	h := emuclient.New(emulator(t), "test")
	e, changes := endpoint(t, h), 0
	s := aclsync.Syncer{HNS: counting{h, &changes}, Lock: nodelock.Acquire}
	chained, policy := []hns.ACL{rule("bulkhead-acl-1"), rule("bulkhead-acl-2")}, []hns.ACL{rule("bulkhead-policy-1")}
	steps := []struct {
		owner       acl.Owner
		rules       []hns.ACL
		want        []string
		wantChanges int
	}{
		{acl.Chained, chained, []string{"bulkhead-acl-1", "bulkhead-acl-2", "felix"}, 1},
		{acl.Chained, chained, []string{"bulkhead-acl-1", "bulkhead-acl-2", "felix"}, 1},
		{acl.PolicyAgent, policy, []string{"bulkhead-acl-1", "bulkhead-acl-2", "bulkhead-policy-1", "felix"}, 2},
		{acl.Chained, chained[:1], []string{"bulkhead-acl-1", "bulkhead-policy-1", "felix"}, 3},
		{acl.Pod, nil, []string{"bulkhead-acl-1", "bulkhead-policy-1", "felix"}, 3},
		{acl.PolicyAgent, nil, []string{"bulkhead-acl-1", "felix"}, 4},
		{acl.Chained, nil, []string{"felix"}, 5},
	}
	for i, step := range steps {
		if err := s.Sync(t.Context(), e.ID, step.owner, step.rules); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		got, others := rulesOn(t, h, e.ID)
		if !slices.Equal(got, step.want) || others != 1 || changes != step.wantChanges {
			t.Errorf("step %d: rules %v, %d other policies, %d changes; want %v, 1, %d", i, got, others, changes, step.want, step.wantChanges)
		}
	}
}

// deaf takes rules and forgets them.
type deaf struct{ hns.Client }

func (deaf) SetPolicies(context.Context, string, []hns.Policy) error    { return nil }
func (deaf) AddPolicies(context.Context, string, []hns.Policy) error    { return nil }
func (deaf) RemovePolicies(context.Context, string, []hns.Policy) error { return nil }

// agent is another agent, which writes a rule before and after each of our calls.
type agent struct {
	hns.Client
	*testing.T
	wrote *[]string
	// stubborn refuses to remove anything.
	stubborn bool
}

func (a agent) write(id string) {
	a.Helper()
	name := fmt.Sprintf("felix-%02d", len(*a.wrote))
	*a.wrote = append(*a.wrote, name)
	if err := a.Client.AddPolicies(context.Background(), id, []hns.Policy{rule(name)}); err != nil {
		a.Fatal(err)
	}
}

func (a agent) Endpoint(ctx context.Context, id string) (hns.Endpoint, error) {
	a.write(id)
	defer a.write(id)
	return a.Client.Endpoint(ctx, id)
}

func (a agent) AddPolicies(ctx context.Context, id string, policies []hns.Policy) error {
	a.write(id)
	defer a.write(id)
	return a.Client.AddPolicies(ctx, id, policies)
}

func (a agent) RemovePolicies(ctx context.Context, id string, policies []hns.Policy) error {
	a.write(id)
	defer a.write(id)
	if a.stubborn {
		return &hns.Error{Op: "remove policies", Code: hns.CodeGenFailure}
	}
	return a.Client.RemovePolicies(ctx, id, policies)
}

// A rule that another agent writes at whatever moment of a change stays.
func TestFinding04OthersRulesStay(t *testing.T) {
	h, wrote := emuclient.New(emulator(t), "test"), []string{}
	e := endpoint(t, h)
	s := aclsync.Syncer{HNS: agent{h, t, &wrote, false}, Lock: nodelock.Acquire}
	for i, rules := range [][]hns.ACL{
		{rule("bulkhead-acl-1"), rule("bulkhead-acl-2")}, {rule("bulkhead-acl-2"), rule("bulkhead-acl-3")}, {rule("bulkhead-acl-3")}, nil,
	} {
		if err := s.Sync(t.Context(), e.ID, acl.Chained, rules); err != nil {
			t.Fatal(err)
		}
		got, _ := rulesOn(t, h, e.ID)
		want := append(slices.Clone(wrote), "felix")
		for _, r := range rules {
			want = append(want, r.ID)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("step %d: rules %v, want %v", i, got, want)
		}
	}
}

// Where HNS does not remove rules, everything is written anew.
func TestSyncWithoutRemove(t *testing.T) {
	h, wrote := emuclient.New(emulator(t), "test"), []string{}
	e := endpoint(t, h)
	s := aclsync.Syncer{HNS: agent{h, t, &wrote, true}, Lock: nodelock.Acquire}
	for _, rules := range [][]hns.ACL{{rule("bulkhead-acl-1")}, {rule("bulkhead-acl-2")}, nil} {
		if err := s.Sync(t.Context(), e.ID, acl.Chained, rules); err != nil {
			t.Fatal(err)
		}
		got, others := rulesOn(t, h, e.ID)
		own := slices.DeleteFunc(got, func(id string) bool { return !strings.HasPrefix(id, "bulkhead-") })
		if len(own) != len(rules) || len(own) > 0 && own[0] != rules[0].ID || others != 1 {
			t.Errorf("rules %v, %d other policies, want %v", own, others, rules)
		}
	}
}

func TestSyncFails(t *testing.T) {
	h := emuclient.New(emulator(t), "test")
	e := endpoint(t, h)
	held := func(context.Context, string) (func(), error) { return nil, context.DeadlineExceeded }
	for name, tt := range map[string]struct {
		s    aclsync.Syncer
		id   string
		want error
	}{
		"no endpoint":           {aclsync.Syncer{HNS: h, Lock: nodelock.Acquire}, hns.NewGUID(), hns.ErrNotFound},
		"the lock is squatted":  {aclsync.Syncer{HNS: h, Lock: held}, e.ID, nil},
		"HNS forgets the rules": {aclsync.Syncer{HNS: deaf{h}, Lock: nodelock.Acquire}, e.ID, aclsync.ErrDiffers},
	} {
		if err := tt.s.Sync(t.Context(), tt.id, acl.Chained, []hns.ACL{rule("bulkhead-acl-" + name)}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

// Many rounds of two writers in this process.
func TestWritersOfOneProcess(t *testing.T) {
	h := emuclient.New(emulator(t), "test")
	e := endpoint(t, h)
	var all sync.WaitGroup
	for _, owner := range []acl.Owner{acl.Chained, acl.PolicyAgent} {
		all.Go(func() { write(t, h, e.ID, owner) })
	}
	all.Wait()
	checkBoth(t, h, e.ID)
}

// Two processes program one endpoint of one HNS at once, each its own rules.
func TestWritersOfTwoProcesses(t *testing.T) {
	if id := os.Getenv("ACLSYNC_ENDPOINT"); id != "" {
		remote, err := wire.Dial(os.Getenv("ACLSYNC_ADDR"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, emuclient.New(remote, "writer"), id, acl.Owner(os.Getenv("ACLSYNC_OWNER")))
		return
	}
	host := emulator(t)
	h := emuclient.New(host, "test")
	e := endpoint(t, h)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = wire.Serve(t.Context(), listener, host) }() // it ends with the test
	var writers []*exec.Cmd
	for _, owner := range []acl.Owner{acl.Chained, acl.PolicyAgent} {
		w := exec.Command(os.Args[0], "-test.run=^TestWritersOfTwoProcesses$", "-test.v")
		w.Env = append(os.Environ(), "ACLSYNC_ENDPOINT="+e.ID, "ACLSYNC_ADDR="+listener.Addr().String(), "ACLSYNC_OWNER="+string(owner))
		w.Stderr = os.Stderr
		var out strings.Builder
		w.Stdout = &out
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
		defer func() {
			if t.Failed() {
				t.Log(out.String())
			}
		}()
	}
	for _, w := range writers {
		if err := w.Wait(); err != nil {
			t.Error(err)
		}
	}
	checkBoth(t, h, e.ID)
}

const rounds = 30

// write changes an owner's rules again and again, and looks at them each time.
func write(t *testing.T, h hns.Client, id string, owner acl.Owner) {
	t.Helper()
	s := aclsync.Syncer{HNS: h, Lock: nodelock.Acquire}
	for i := range rounds {
		want := fmt.Sprintf("%s%d", owner, i)
		if err := s.Sync(context.Background(), id, owner, []hns.ACL{rule(want)}); err != nil {
			t.Error(err)
			return
		}
		if got, _ := rulesOn(t, h, id); !slices.Contains(got, want) || !slices.Contains(got, "felix") {
			t.Errorf("after writing %s: %v", want, got)
			return
		}
	}
}

func checkBoth(t *testing.T, h hns.Client, id string) {
	t.Helper()
	want := []string{fmt.Sprintf("%s%d", acl.Chained, rounds-1), fmt.Sprintf("%s%d", acl.PolicyAgent, rounds-1), "felix"}
	if got, others := rulesOn(t, h, id); !slices.Equal(got, want) || others != 1 {
		t.Errorf("in the end: %v and %d other policies, want %v and 1", got, others, want)
	}
}
