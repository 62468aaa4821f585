// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// network returns the attachment's network, making it when it is missing and
// ours to make, and notices for the admin.
func (at Attacher) network(ctx context.Context, c config.Config) (hns.Network, []string, error) {
	want, ours := plan.Network(c)
	got, err := at.HNS.Network(ctx, c.Name)
	var notices []string
	switch {
	case errors.Is(err, hns.ErrNotFound) && !ours:
		return hns.Network{}, nil, networkMissing(c.Name)
	case errors.Is(err, hns.ErrNotFound):
		got, notices, err = at.makeNetwork(ctx, c, want)
	case err == nil && ours:
		err = at.settled(ctx, c.Name)
	}
	if err != nil {
		return hns.Network{}, nil, err
	}
	if err := usable(c, got, plan.DiffNetwork); err != nil {
		return hns.Network{}, nil, err
	}
	return got, notices, at.nodeEndpoint(ctx, c, got)
}

// MakeNetwork returns the network that a configuration owns, making it when it is
// missing: what its first ADD would do. The notices are for the admin.
func (at Attacher) MakeNetwork(ctx context.Context, c config.Config) (hns.Network, []string, error) {
	if err := owns(c); err != nil {
		return hns.Network{}, nil, err
	}
	return at.network(ctx, c)
}

// RemoveNetwork removes the network that a configuration owns. One that does not
// exist is success; one with endpoints of this node stays, and the error lists
// them.
func (at Attacher) RemoveNetwork(ctx context.Context, c config.Config) error {
	if err := owns(c); err != nil {
		return err
	}
	release, err := at.lockNetwork(ctx, c.Name)
	if err != nil {
		return err
	}
	defer release()
	got, err := at.HNS.Network(ctx, c.Name)
	if err != nil {
		return unlessGone(err)
	}
	if err := usable(c, got, plan.DiffNetwork); err != nil {
		return err
	}
	all, err := at.HNS.EndpointsOf(ctx, got.ID)
	if err != nil {
		return err
	}
	node, _ := plan.NodeEndpoint(c, got)
	var names []string
	for _, e := range all {
		if !e.Remote && (node.Name == "" || e.Name != node.Name) {
			names = append(names, orUnnamed(e))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return fmt.Errorf("%w: the network %q has %d endpoints (%s); remove their pods first", ErrNetworkInUse, c.Name, len(names), strings.Join(names, ", "))
	}
	if err := unlessGone(at.HNS.DeleteNetwork(ctx, got.ID)); err != nil {
		return err
	}
	if _, err := at.HNS.Network(ctx, c.Name); err == nil {
		return fmt.Errorf("the network %q is still there after HNS deleted it", c.Name)
	} else if !errors.Is(err, hns.ErrNotFound) {
		return err
	}
	return nil
}

// owns fails when the network is not the configuration's to make.
func owns(c config.Config) error {
	if _, ours := plan.Network(c); !ours {
		return fmt.Errorf("%w: the configuration has no network section, so the network %q is not bulkhead's to make or to remove", config.ErrInvalid, c.Name)
	}
	return nil
}

// networkMissing is the error for a network that is not ours to make.
func networkMissing(name string) error {
	return fmt.Errorf("%w: there is no HNS network %q, and without a network section bulkhead does not make one", ErrNetworkMissing, name)
}

// usable fails when a network is not as the configuration that owns it says, or
// cannot have what the configuration asks for.
func usable(c config.Config, got hns.Network, diff func(want, got hns.Network) []plan.Difference) error {
	want, ours := plan.Network(c)
	if ds := diff(want, got); ours && len(ds) > 0 {
		return fmt.Errorf("%w: the HNS network %q exists but is not as configured: %s",
			ErrNetworkDiffers, c.Name, plan.Differences(ds))
	}
	_, err := c.WithDriver(got.Driver)
	return err
}

// makeNetwork makes a network, one ADD at a time on this node: making a switch
// takes seconds and interrupts the node's own connection. Who waited finds it
// made. The lock is held for the time of bounded calls and of settle.
func (at Attacher) makeNetwork(ctx context.Context, c config.Config, want hns.Network) (hns.Network, []string, error) {
	release, err := at.lockNetwork(ctx, want.Name)
	if err != nil {
		return hns.Network{}, nil, err
	}
	defer release()
	got, err := at.HNS.Network(ctx, want.Name)
	if !errors.Is(err, hns.ErrNotFound) {
		return got, nil, err
	}
	features, err := at.HNS.Features(ctx)
	if err != nil {
		return hns.Network{}, nil, tooOld(err)
	}
	if err := plan.CheckFeatures(c, features); err != nil {
		return hns.Network{}, nil, err
	}
	want, explain := at.carried(want)
	before := at.routes(want)
	got, err = at.createNetwork(ctx, want)
	if err != nil {
		return hns.Network{}, nil, explain(err)
	}
	notices, err := at.settle(ctx, got)
	return got, append(notices, at.restore(before, got, want.Adapter)...), err
}

// createNetwork makes a network, or finds the one that somebody else made
// meanwhile, or that a create made whose answer was lost: names are unique.
func (at Attacher) createNetwork(ctx context.Context, want hns.Network) (hns.Network, error) {
	got, err := at.HNS.CreateNetwork(ctx, want)
	if err == nil {
		return got, nil
	}
	found, lookErr := at.HNS.Network(ctx, want.Name)
	if lookErr != nil {
		return hns.Network{}, err
	}
	return found, nil
}
