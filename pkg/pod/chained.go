// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/aclsync"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Chained is the interface that another CNI plugin made for a container.
type Chained struct {
	Config config.Config
	// Namespace is the GUID of the namespace that the interface is in.
	Namespace string
	// Addresses are the container's, as that plugin told.
	Addresses []netip.Addr
}

// AddRules makes the rules of the container's endpoints those that the configuration
// calls for, and keeps every other policy, other agents' rules included. It fails
// when there is no such endpoint, and when HNS does not show the rules afterwards.
func (v Verbs) AddRules(ctx context.Context, c Chained) error {
	found, err := v.chained(ctx, c)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return c.gone()
	}
	for _, e := range found {
		rules, err := v.chainedRules(ctx, c, e)
		if err != nil {
			return err
		}
		if err := v.rules().Sync(ctx, e.ID, acl.Chained, rules); err != nil {
			return err
		}
	}
	return nil
}

// CheckRules fails when there is no endpoint of the container, or when its rules are
// not those that the configuration calls for; it lists every difference.
func (v Verbs) CheckRules(ctx context.Context, c Chained) error {
	found, err := v.chained(ctx, c)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return c.gone()
	}
	var lines []string
	for _, e := range found {
		rules, err := v.chainedRules(ctx, c, e)
		if err != nil {
			return err
		}
		want := plan.ReplaceRules(acl.Chained, e.Policies, rules)
		if ds := plan.DiffPolicies(acl.Chained, want, e.Policies); len(ds) > 0 {
			lines = append(lines, fmt.Sprintf("endpoint %s: %s", e.Name, plan.Differences(ds)))
		}
	}
	if len(lines) > 0 {
		return problem.New(ErrDiffers, nil, "%s", strings.Join(lines, "; "))
	}
	return nil
}

// StatusRules fails when HNS does not answer: all that a chained plugin needs.
func (v Verbs) StatusRules(ctx context.Context) error {
	_, err := v.HNS.ListNetworks(ctx)
	return err
}

// rules returns what programs the rules of live endpoints.
func (v Verbs) rules() aclsync.Syncer { return aclsync.Syncer{HNS: v.HNS, Lock: v.Lock} }

func (c Chained) gone() error {
	return problem.New(ErrGone, nil, "no endpoint in namespace %s has an address of prevResult (%v)", c.Namespace, c.Addresses)
}

// chained returns the endpoints of the namespace that have one of the addresses. Those with
// rules of acl.Pod are refused: what one owner's rules let in, another's cannot keep out.
func (v Verbs) chained(ctx context.Context, c Chained) ([]hns.Endpoint, error) {
	ns, err := v.HNS.Namespace(ctx, c.Namespace)
	if errors.Is(err, hns.ErrNotFound) {
		return nil, noNamespace(c.Namespace, err)
	}
	if err != nil {
		return nil, err
	}
	var out []hns.Endpoint
	for _, id := range ns.Endpoints {
		e, err := v.HNS.Endpoint(ctx, id)
		if errors.Is(err, hns.ErrNotFound) {
			continue // deleted since the namespace was read
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(e.Addrs(), func(a netip.Addr) bool { return slices.Contains(c.Addresses, a) }) {
			continue
		}
		if len(plan.RulesOf(acl.Pod, e.Policies)) > 0 {
			return nil, problem.New(plan.ErrConflict, nil, "endpoint %s has rules of the plugin bulkhead, which the rules of bulkhead-acl would not win over; write them into that plugin's acl section", e.Name)
		}
		out = append(out, e)
	}
	return out, nil
}

// chainedRules returns the rules that an endpoint must have on its network.
func (v Verbs) chainedRules(ctx context.Context, c Chained, e hns.Endpoint) ([]hns.ACL, error) {
	all, err := v.HNS.ListNetworks(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(n hns.Network) bool { return n.ID == e.NetworkID })
	if i < 0 {
		return nil, problem.New(network.ErrMissing, nil, "endpoint %s is on network %s, which does not exist", e.Name, e.NetworkID)
	}
	n, err := v.HNS.Network(ctx, all[i].Name)
	if err != nil {
		return nil, err
	}
	return v.rulesFor(ctx, c.Config, n, e)
}

// rulesFor returns the rules that a configuration calls for on an endpoint of a network.
func (v Verbs) rulesFor(ctx context.Context, c config.Config, n hns.Network, e hns.Endpoint) (rules []hns.ACL, err error) {
	facts := plan.Facts{Config: c, Network: n}
	for _, a := range e.Addrs() {
		facts.Addresses = append(facts.Addresses, plan.Address{Addr: a})
	}
	if plan.NeedsHost(c) {
		if facts.Network.ProviderAddress, err = v.networks().ProviderAddress(ctx, c, n); err != nil {
			return nil, err
		}
	}
	if facts.Host, err = v.hostAddrs(ctx, c, n, facts.Addresses); err != nil {
		return nil, err
	}
	set, err := plan.ACLs(facts)
	return set.Rules, err
}
