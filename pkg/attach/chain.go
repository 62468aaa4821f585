// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// Chained is the interface that another CNI plugin made for a container.
type Chained struct {
	Config config.Config
	// Namespace is the GUID of the namespace that the interface is in.
	Namespace string
	// Addresses are the container's, as that plugin told.
	Addresses []netip.Addr
}

// ProgramACLs makes the rules of the container's endpoints those that the
// configuration calls for, and keeps every other policy, other agents' rules
// included. Rules that are there already cost no change. It fails when there is
// no such endpoint, and when HNS does not show the rules afterwards.
func (at Attacher) ProgramACLs(ctx context.Context, c Chained) error {
	found, err := at.chained(ctx, c)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return c.gone()
	}
	for _, e := range found {
		want, err := at.chainedPolicies(ctx, c, e)
		if err != nil {
			return err
		}
		if len(plan.DiffPolicies(acl.Chained, want, e.Policies)) == 0 {
			continue
		}
		if err := at.HNS.SetPolicies(ctx, e.ID, want); err != nil {
			return err
		}
		got, err := at.HNS.Endpoint(ctx, e.ID)
		if err != nil {
			return err
		}
		if ds := plan.DiffPolicies(acl.Chained, want, got.Policies); len(ds) > 0 {
			return fmt.Errorf("%w: endpoint %s after HNS took the rules: %s", ErrDiffers, e.Name, plan.Differences(ds))
		}
	}
	return nil
}

// CheckACLs fails when there is no endpoint of the container, or when its rules
// are not those that the configuration calls for; it lists every difference.
func (at Attacher) CheckACLs(ctx context.Context, c Chained) error {
	found, err := at.chained(ctx, c)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return c.gone()
	}
	var lines []string
	for _, e := range found {
		want, err := at.chainedPolicies(ctx, c, e)
		if err != nil {
			return err
		}
		if ds := plan.DiffPolicies(acl.Chained, want, e.Policies); len(ds) > 0 {
			lines = append(lines, fmt.Sprintf("endpoint %s: %s", e.Name, plan.Differences(ds)))
		}
	}
	if len(lines) > 0 {
		return fmt.Errorf("%w: %s", ErrDiffers, strings.Join(lines, "; "))
	}
	return nil
}

// RemoveACLs takes Bulkhead's own rules, and nothing else, off the container's
// endpoints. Endpoints that are gone are success.
func (at Attacher) RemoveACLs(ctx context.Context, c Chained) error {
	found, err := at.chained(ctx, c)
	if err != nil {
		return unlessGone(err)
	}
	for _, e := range found {
		others := plan.ReplaceRules(acl.Chained, e.Policies, nil)
		if len(others) == len(e.Policies) {
			continue
		}
		if err := unlessGone(at.HNS.SetPolicies(ctx, e.ID, others)); err != nil {
			return err
		}
	}
	return nil
}

// Answers fails when HNS does not answer: all that a chained plugin needs.
func (at Attacher) Answers(ctx context.Context) error {
	_, err := at.HNS.ListNetworks(ctx)
	return err
}

func (c Chained) gone() error {
	return fmt.Errorf("%w: no endpoint in namespace %s has an address of prevResult (%v)", ErrGone, c.Namespace, c.Addresses)
}

// chained returns the endpoints of the namespace that have one of the addresses.
func (at Attacher) chained(ctx context.Context, c Chained) ([]hns.Endpoint, error) {
	ns, err := at.HNS.Namespace(ctx, c.Namespace)
	if err != nil {
		if errors.Is(err, hns.ErrNotFound) {
			return nil, missing(c.Namespace, err)
		}
		return nil, err
	}
	var out []hns.Endpoint
	for _, id := range ns.Endpoints {
		e, err := at.HNS.Endpoint(ctx, id)
		if errors.Is(err, hns.ErrNotFound) {
			continue // deleted since the namespace was read
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(addressesOf(e), func(a netip.Addr) bool { return slices.Contains(c.Addresses, a) }) {
			out = append(out, e)
		}
	}
	return out, nil
}

// chainedPolicies returns what the policies of an endpoint must be: those of
// others as they are, and the wanted rules.
func (at Attacher) chainedPolicies(ctx context.Context, c Chained, e hns.Endpoint) ([]hns.Policy, error) {
	network, err := at.networkOf(ctx, e)
	if err != nil {
		return nil, err
	}
	facts := plan.Facts{Network: network}
	if facts.Config, err = c.Config.WithDriver(network.Driver); err != nil {
		return nil, err
	}
	for _, a := range addressesOf(e) {
		facts.Addresses = append(facts.Addresses, plan.Address{Addr: a})
	}
	if facts.Host, err = at.host(c.Config); err != nil {
		return nil, err
	}
	set, err := plan.ACLs(facts)
	if err != nil {
		return nil, err
	}
	return plan.ReplaceRules(acl.Chained, e.Policies, set.Rules), nil
}

// networkOf returns the network of an endpoint.
func (at Attacher) networkOf(ctx context.Context, e hns.Endpoint) (hns.Network, error) {
	all, err := at.HNS.ListNetworks(ctx)
	if err != nil {
		return hns.Network{}, err
	}
	for _, n := range all {
		if n.ID == e.NetworkID {
			return at.HNS.Network(ctx, n.Name)
		}
	}
	return hns.Network{}, fmt.Errorf("%w: endpoint %s is on network %s, which does not exist", ErrNetworkMissing, e.Name, e.NetworkID)
}

// host returns the node's addresses where the configuration's ACLs need them.
func (at Attacher) host(c config.Config) ([]netip.Addr, error) {
	if !plan.NeedsHost(c) {
		return nil, nil
	}
	host, err := at.Host()
	if err != nil {
		return nil, fmt.Errorf("list the node's addresses for acl.allowHost: %w", err)
	}
	return host, nil
}
