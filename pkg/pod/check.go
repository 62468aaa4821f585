// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Check fails when the container's interface is not what the configuration calls for
// and ADD promised, and lists every difference. What other agents added is none.
func (v Verbs) Check(ctx context.Context, c config.Config, promised config.Promise) error {
	n, err := v.HNS.Network(ctx, c.Name)
	if errors.Is(err, hns.ErrNotFound) {
		return problem.New(network.ErrMissing, err, "there is no HNS network %q", c.Name)
	}
	if err != nil {
		return err
	}
	asked := c.ContainerID
	c, ns, ds, err := v.locate(ctx, c, n)
	if err != nil {
		return err
	}
	found, err := v.attached(ctx, c, n)
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return problem.New(ErrGone, nil, "there is no endpoint %s", endpointName(c))
	case len(found) > 1:
		return problem.New(ErrDiffers, nil, "there are %d endpoints %s instead of one", len(found), endpointName(c))
	}
	got := found[0]
	c.MACPrefix = "" // the result of ADD tells the MAC address
	want, err := v.wanted(ctx, c, n, ipam.Result{Addresses: promised.Addresses})
	if err != nil {
		return err
	}
	want.MAC, want.Name = promised.MAC, got.Name // it was found by one of its names
	ds = append(ds, plan.Diff(want, got)...)
	if got.NamespaceID != ns {
		in := got.NamespaceID
		if in == "" {
			in = "none"
		}
		ds = append(ds, plan.Difference{Field: "namespace", Want: ns, Got: in})
	}
	if len(ds) > 0 {
		return problem.New(ErrDiffers, nil, "endpoint %s: %s", got.Name, plan.Differences(ds))
	}
	if c.ContainerID != asked {
		return nil // the addresses are the sandbox's, whose own CHECK asks IPAM
	}
	if err := v.IPAM.Check(ctx, c, got.Addrs()); err != nil {
		return problem.New(ErrIPAM, err, "")
	}
	return nil
}

// locate returns the attachment of the container that owns the interface, the
// namespace that it must be in, and what is wrong with a worker's place there.
func (v Verbs) locate(ctx context.Context, c config.Config, n hns.Network) (owner config.Config, namespace string, ds []plan.Difference, err error) {
	p, err := placeOf(c)
	if err != nil {
		return config.Config{}, "", nil, err
	}
	if p.sandbox != "" {
		_, ns, err := v.shared(ctx, withContainer(c, p.sandbox))
		if err == nil && !slices.Contains(ns.Containers, c.ContainerID) {
			ds = append(ds, plan.Difference{Field: "containers of namespace " + ns.ID, Want: c.ContainerID, Got: fmt.Sprint(ns.Containers)})
		}
		return withContainer(c, p.sandbox), ns.ID, ds, err
	}
	ns, err := v.HNS.Namespace(ctx, p.namespace)
	switch {
	case errors.Is(err, hns.ErrNotFound) && p.own:
		err = problem.New(ErrGone, err, "the namespace %s that bulkhead made for the pod does not exist", p.namespace)
	case errors.Is(err, hns.ErrNotFound):
		err = noNamespace(p.namespace, err)
	}
	if err != nil {
		return config.Config{}, "", nil, err
	}
	owner, err = v.interfaceOwner(ctx, c, n, ns)
	return owner, ns.ID, nil, err
}
