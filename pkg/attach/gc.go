// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// GC removes the network's endpoints whose names have our form and whose
// interface is not in valid, the namespaces that Bulkhead made for containers
// that are not and that are empty, and then frees the addresses that nobody valid
// holds. Remote endpoints and those of other names stay. It goes on after a
// failure, keeps the address of what it could not remove, and reports them all.
func (at Attacher) GC(ctx context.Context, c config.Config, valid []ipam.Holder) error {
	kept, err := at.collect(ctx, c, valid)
	if kept == nil && err != nil {
		// Without a list of the endpoints no address is known to be free.
		return err
	}
	err = errors.Join(err, at.collectNamespaces(ctx, valid))
	if ipamErr := at.IPAM.GC(ctx, c.Raw, kept); ipamErr != nil {
		err = errors.Join(err, fmt.Errorf("%w: %w", ErrIPAM, ipamErr))
	}
	return err
}

// collect removes endpoints and returns who keeps addresses: the valid, and
// whose endpoint could not be removed. It returns nil when it could not look.
func (at Attacher) collect(ctx context.Context, c config.Config, valid []ipam.Holder) ([]ipam.Holder, error) {
	kept := append([]ipam.Holder{}, valid...)
	network, err := at.HNS.Network(ctx, c.Name)
	if errors.Is(err, hns.ErrNotFound) {
		return kept, nil
	}
	if err != nil {
		return nil, err
	}
	endpoints, err := at.HNS.EndpointsOf(ctx, network.ID)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, e := range endpoints {
		containerID, ifName, ours := plan.ParseEndpointName(e.Name, c.Name)
		if !ours || e.Remote || named(valid, c.Name, e.Name) {
			continue
		}
		if err := at.remove(ctx, e); err != nil {
			failures = append(failures, err)
			kept = append(kept, ipam.Holder{ContainerID: containerID, IfName: ifName})
		}
	}
	return kept, errors.Join(failures...)
}

// collectNamespaces removes the namespaces of our own that a killed ADD or DEL
// left behind.
func (at Attacher) collectNamespaces(ctx context.Context, valid []ipam.Holder) error {
	all, err := at.HNS.ListNamespaces(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, ns := range all {
		alive := slices.ContainsFunc(valid, func(h ipam.Holder) bool { return plan.OwnNamespace(h.ContainerID) == ns.ID })
		if plan.IsOwnNamespace(ns.ID) && !alive {
			failures = append(failures, at.removeNamespace(ctx, ns.ID))
		}
	}
	return errors.Join(failures...)
}

// named reports whether a valid interface has the endpoint of that name.
func named(valid []ipam.Holder, network, name string) bool {
	return slices.ContainsFunc(valid, func(h ipam.Holder) bool {
		return plan.EndpointName(h.ContainerID, network, h.IfName) == name
	})
}
