// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// interfaceOwner returns the attachment of the container that brought the interface to
// the namespace: the attachment itself, or, when it is a worker of a pod whose
// sandbox has that interface on the network already, the sandbox's.
func (v Verbs) interfaceOwner(ctx context.Context, c config.Config, network hns.Network, ns hns.Namespace) (config.Config, error) {
	for _, id := range ns.Endpoints {
		e, err := v.HNS.Endpoint(ctx, id)
		if errors.Is(err, hns.ErrNotFound) {
			continue // deleted since the namespace was read
		}
		if err != nil {
			return config.Config{}, err
		}
		containerID, ifName, ours := plan.ParseEndpointName(e.Name, network.Name)
		if ours && e.NetworkID == network.ID && ifName == c.IfName {
			return withContainer(c, containerID), nil
		}
	}
	return c, nil
}

// join puts a worker into the namespace that its sandbox's interface is in, and
// returns that interface.
func (v Verbs) join(ctx context.Context, c config.Config, sandbox string) (Result, error) {
	e, ns, err := v.shared(ctx, withContainer(c, sandbox))
	if err != nil {
		return Result{}, err
	}
	n, err := v.HNS.Network(ctx, c.Name)
	if err != nil {
		return Result{}, err
	}
	// The rules come first: nobody joins an open pod.
	rules, err := v.rulesFor(ctx, withContainer(c, sandbox), n, e)
	if err != nil {
		return Result{}, err
	}
	e, notices, err := v.withRules(ctx, e, rules)
	if err != nil {
		return Result{}, err
	}
	if !slices.Contains(ns.Containers, c.ContainerID) {
		if err := v.HNS.AttachContainer(ctx, ns.ID, c.ContainerID); err != nil {
			return Result{Notices: notices}, v.undo(ctx, err, func(ctx context.Context) error {
				return hns.IgnoreNotFound(v.HNS.DetachContainer(ctx, ns.ID, c.ContainerID))
			})
		}
	}
	return Result{Endpoint: e, Namespace: ns.ID, Notices: notices}, nil
}

// shared returns the interface of a sandbox and the namespace that it is in.
func (v Verbs) shared(ctx context.Context, sandbox config.Config) (hns.Endpoint, hns.Namespace, error) {
	found, err := v.endpoints(ctx, sandbox, hns.Network{})
	if err != nil {
		return hns.Endpoint{}, hns.Namespace{}, err
	}
	for _, e := range found {
		if e.NamespaceID == "" {
			continue
		}
		ns, err := v.HNS.Namespace(ctx, e.NamespaceID)
		if errors.Is(err, hns.ErrNotFound) {
			err = noNamespace(e.NamespaceID, err)
		}
		return e, ns, err
	}
	return hns.Endpoint{}, hns.Namespace{}, problem.New(ErrNamespace, nil, "the sandbox %s of CNI_NETNS has no interface %s on the network %q; the runtime must add the sandbox first", sandbox.ContainerID, sandbox.IfName, sandbox.Name)
}

// leave takes a worker out of the namespace of its sandbox and proves that it is out.
// Without the sandbox's interface only a namespace of our own can be named; another
// is the runtime's to remove.
func (v Verbs) leave(ctx context.Context, c config.Config, sandbox string) error {
	found, err := v.endpoints(ctx, withContainer(c, sandbox), hns.Network{})
	if err != nil {
		return err
	}
	namespaces := []string{plan.OwnNamespace(sandbox)}
	for _, e := range found {
		if e.NamespaceID != "" && e.NamespaceID != namespaces[0] {
			namespaces = append(namespaces, e.NamespaceID)
		}
	}
	for _, id := range namespaces {
		if err := hns.IgnoreNotFound(v.HNS.DetachContainer(ctx, id, c.ContainerID)); err != nil {
			return err
		}
		ns, err := v.HNS.Namespace(ctx, id)
		if err == nil && slices.Contains(ns.Containers, c.ContainerID) {
			err = fmt.Errorf("container %s is still in namespace %s after HNS took it out", c.ContainerID, id)
		}
		if err := hns.IgnoreNotFound(err); err != nil {
			return err
		}
	}
	return nil
}
