// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// nodeEndpoint sees to the node's own endpoint on a network, where the
// configuration asks for one. It comes before the first address is handed out.
func (at Attacher) nodeEndpoint(ctx context.Context, c config.Config, network hns.Network) error {
	want, asked := plan.NodeEndpoint(c, network)
	if !asked {
		return nil
	}
	got, err := at.findNodeEndpoint(ctx, want)
	if errors.Is(err, hns.ErrNotFound) {
		got, err = at.makeNodeEndpoint(ctx, c, want)
	}
	if err == nil {
		err = at.giveToNode(ctx, got)
	}
	if err != nil {
		return fmt.Errorf("the node's own endpoint %s (%s) on the network %q: %w", want.Name, list(want), network.Name, err)
	}
	return nil
}

// findNodeEndpoint returns the endpoint that has the wanted addresses, or
// hns.ErrNotFound. How HNS tells its route that leads nowhere is not known.
func (at Attacher) findNodeEndpoint(ctx context.Context, want hns.Endpoint) (hns.Endpoint, error) {
	all, err := at.HNS.EndpointsNamed(ctx, want.Name)
	if err != nil {
		return hns.Endpoint{}, err
	}
	for _, e := range all {
		if e.NetworkID == want.NetworkID && !e.Remote && sameAddresses(e, want) {
			return e, nil
		}
	}
	return hns.Endpoint{}, hns.ErrNotFound
}

func sameAddresses(a, b hns.Endpoint) bool {
	x, y := addressesOf(a), addressesOf(b)
	slices.SortFunc(x, netip.Addr.Compare)
	slices.SortFunc(y, netip.Addr.Compare)
	return slices.Equal(x, y)
}

// makeNodeEndpoint makes the endpoint, in the place of any of its name with other
// addresses, one ADD at a time.
func (at Attacher) makeNodeEndpoint(ctx context.Context, c config.Config, want hns.Endpoint) (hns.Endpoint, error) {
	release, err := at.lockNetwork(ctx, c.Name)
	if err != nil {
		return hns.Endpoint{}, err
	}
	defer release()
	if got, err := at.findNodeEndpoint(ctx, want); !errors.Is(err, hns.ErrNotFound) {
		return got, err
	}
	old, err := at.HNS.EndpointsNamed(ctx, want.Name)
	if err != nil {
		return hns.Endpoint{}, err
	}
	for _, e := range old {
		if e.NetworkID != want.NetworkID {
			continue
		}
		if err := unlessGone(at.HNS.DeleteEndpoint(ctx, e.ID)); err != nil {
			return hns.Endpoint{}, err
		}
	}
	_, err = at.HNS.CreateEndpoint(ctx, want)
	made, lookErr := at.findNodeEndpoint(ctx, want)
	switch {
	case lookErr == nil:
		return made, nil // be it that only the answer was lost
	case err == nil:
		return hns.Endpoint{}, lookErr
	}
	return hns.Endpoint{}, at.nodeAddressTaken(ctx, want, err)
}

// nodeAddressTaken says who has the address of the node's endpoint.
func (at Attacher) nodeAddressTaken(ctx context.Context, want hns.Endpoint, err error) error {
	if !contested(err) {
		return err
	}
	all, lookErr := at.HNS.EndpointsOf(ctx, want.NetworkID)
	for _, h := range holders(all, want) {
		return fmt.Errorf("%w: %s has it; remove its pod: %w", ErrAddressTaken, orUnnamed(h), err)
	}
	return fmt.Errorf("%w: %w", ErrAddressTaken, errors.Join(err, lookErr))
}

// giveToNode attaches the endpoint to the node. An ADD that was killed may have
// left it unattached, which HNS's second schema does not tell; one that is
// attached stays as it is.
func (at Attacher) giveToNode(ctx context.Context, e hns.Endpoint) error {
	if e.NamespaceID != "" {
		return nil // in the node's namespace, as newer agents have it
	}
	if err := at.HNS.AttachHost(ctx, e.ID); err != nil && !errors.Is(err, hns.ErrAttached) {
		return err
	}
	return nil
}
