// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// GC removes the network's endpoints whose names have our form and whose interface
// is not in valid, the namespaces that Bulkhead made for containers that are not and
// that are empty, and then frees the addresses that nobody valid holds. Remote
// endpoints and those of other names stay. It goes on after a failure, keeps the
// address of what it could not remove, and reports them all.
func (v Verbs) GC(ctx context.Context, c config.Config, valid []config.Attachment) error {
	var endpoints []hns.Endpoint
	n, err := v.HNS.Network(ctx, c.Name)
	if err == nil {
		endpoints, err = v.HNS.EndpointsOf(ctx, n.ID)
	} else {
		err = hns.IgnoreNotFound(err)
	}
	if err != nil {
		return err // without a list of the endpoints no address is known to be free
	}
	var failures []error
	keep := slices.Clone(valid)
	for _, e := range endpoints {
		// Names are made of HNS's own spelling of the network's name.
		containerID, ifName, ours := plan.ParseEndpointName(e.Name, n.Name)
		if !ours || e.Remote || slices.ContainsFunc(valid, func(a config.Attachment) bool { return isNamedFor(e, a, n, c.Replaces) }) {
			continue
		}
		if err := v.remove(ctx, e); err != nil {
			failures = append(failures, err)
			keep = append(keep, config.Attachment{ContainerID: containerID, IfName: ifName})
		}
	}
	namespaces, err := v.HNS.ListNamespaces(ctx)
	failures = append(failures, err)
	for _, ns := range namespaces {
		alive := slices.ContainsFunc(valid, func(h config.Attachment) bool { return plan.OwnNamespace(h.ContainerID) == ns.ID })
		if plan.IsOwnNamespace(ns.ID) && !alive {
			failures = append(failures, v.removeNamespace(ctx, ns.ID))
		}
	}
	err = c.IPAMError
	if err == nil {
		err = v.IPAM.GC(ctx, c, keep)
	}
	if err != nil {
		failures = append(failures, problem.New(ErrIPAM, err, ""))
	}
	return errors.Join(failures...)
}

// isNamedFor reports whether an endpoint of a network has the attachment's name, or that
// of older versions, or, where another plugin was there before, that plugin's.
func isNamedFor(e hns.Endpoint, a config.Attachment, n hns.Network, replaces bool) bool {
	older, has := plan.OlderEndpointName(a.ContainerID, n.Name, a.IfName)
	return e.Name == plan.EndpointName(a.ContainerID, n.Name, a.IfName) || has && e.Name == older ||
		replaces && e.Name == plan.EndpointName(a.ContainerID, n.Name, plan.FirstInterface)
}
