// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// ensureNodeEndpoint makes and attaches the node's own endpoint on a network, where the
// configuration asks for one. It comes before the first address is handed out. One
// that is there is the node's whoever made it (flannel, Calico); one with other
// addresses stays, too, and is an error.
func (k Keeper) ensureNodeEndpoint(ctx context.Context, c config.Config, network hns.Network) error {
	want, asked := plan.NodeEndpoint(c, network)
	if !asked {
		return nil
	}
	got, err := k.nodeEndpoint(ctx, want)
	if errors.Is(err, hns.ErrNotFound) {
		got, err = k.createNodeEndpoint(ctx, want, network.Name)
	}
	// A killed ADD may have left it unattached, which HNS's second schema does not
	// tell. One in the node's namespace is attached as newer agents do it.
	if err == nil && got.NamespaceID == "" {
		if err = k.HNS.AttachHost(ctx, got.ID); errors.Is(err, hns.ErrAttached) {
			err = nil
		}
	}
	if err != nil {
		return problem.New(nil, err, "the node's own endpoint %s (%s) on the network %q", want.Name, plan.List(want.Addrs()), network.Name)
	}
	return nil
}

// nodeEndpoint returns the endpoint on the network that has the wanted name and
// addresses, or hns.ErrNotFound when the name is free, or ErrDiffers. How HNS tells
// the route of such an endpoint, which leads nowhere, is not known.
func (k Keeper) nodeEndpoint(ctx context.Context, want hns.Endpoint) (hns.Endpoint, error) {
	all, err := k.HNS.EndpointsNamed(ctx, want.Name)
	if err != nil {
		return hns.Endpoint{}, err
	}
	other := slices.IndexFunc(all, func(e hns.Endpoint) bool { return e.NetworkID == want.NetworkID && !e.Remote })
	for _, e := range all {
		if e.NetworkID == want.NetworkID && !e.Remote && sameAddresses(e, want) {
			return e, nil
		}
	}
	if other >= 0 {
		return hns.Endpoint{}, problem.New(ErrDiffers, nil, "another agent's endpoint of that name has %s; take network.gatewayEndpoint out of the configuration, or remove the endpoint", plan.List(all[other].Addrs()))
	}
	return hns.Endpoint{}, hns.ErrNotFound
}

func sameAddresses(a, b hns.Endpoint) bool {
	x, y := a.Addrs(), b.Addrs()
	slices.SortFunc(x, netip.Addr.Compare)
	slices.SortFunc(y, netip.Addr.Compare)
	return slices.Equal(x, y)
}

// createNodeEndpoint makes the endpoint, one process at a time.
func (k Keeper) createNodeEndpoint(ctx context.Context, want hns.Endpoint, network string) (hns.Endpoint, error) {
	release, _, err := k.turn(ctx, network)
	if err != nil {
		return hns.Endpoint{}, err
	}
	defer release()
	if got, err := k.nodeEndpoint(ctx, want); !errors.Is(err, hns.ErrNotFound) {
		return got, err
	}
	_, err = k.HNS.CreateEndpoint(ctx, want)
	made, lookErr := k.nodeEndpoint(ctx, want)
	switch {
	case lookErr == nil:
		return made, nil // also when only the answer was lost
	case err == nil:
		return hns.Endpoint{}, lookErr
	case !hns.IsAddressTaken(err):
		return hns.Endpoint{}, err
	}
	all, lookErr := k.HNS.EndpointsOf(ctx, want.NetworkID)
	for _, e := range all {
		if slices.ContainsFunc(want.Addrs(), func(a netip.Addr) bool { return slices.Contains(e.Addrs(), a) }) {
			return hns.Endpoint{}, problem.New(ErrAddressTaken, err, "%s has it; remove its pod", e.Label())
		}
	}
	return hns.Endpoint{}, problem.New(ErrAddressTaken, errors.Join(err, lookErr), "")
}
