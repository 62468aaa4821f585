// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// owned returns the attachment of the container that brought the interface to
// the namespace: the attachment itself, or, when it is a worker of a pod whose
// sandbox has that interface on the network already, the sandbox's.
func (at Attacher) owned(ctx context.Context, a Attachment, network hns.Network, ns hns.Namespace) (Attachment, error) {
	for _, id := range ns.Endpoints {
		e, err := at.HNS.Endpoint(ctx, id)
		if errors.Is(err, hns.ErrNotFound) {
			continue // deleted since the namespace was read
		}
		if err != nil {
			return Attachment{}, err
		}
		containerID, ifName, ours := plan.ParseEndpointName(e.Name, network.Name)
		if ours && e.NetworkID == network.ID && ifName == a.IfName {
			a.ContainerID = containerID
			return a, nil
		}
	}
	return a, nil
}

// of returns the attachment that a container of the same pod has.
func (a Attachment) of(containerID string) Attachment {
	a.ContainerID = containerID
	return a
}

// join puts a worker into the namespace that its sandbox's interface is in, and
// returns that interface.
func (at Attacher) join(ctx context.Context, a Attachment, sandbox string) (Result, error) {
	e, ns, err := at.shared(ctx, a.of(sandbox))
	if err != nil {
		return Result{}, err
	}
	if !slices.Contains(ns.Containers, a.ContainerID) {
		err := at.HNS.AttachContainer(ctx, ns.ID, a.ContainerID)
		if err != nil {
			return Result{}, at.undo(ctx, a, err, func(ctx context.Context, a Attachment) error {
				return unlessGone(at.HNS.DetachContainer(ctx, ns.ID, a.ContainerID))
			})
		}
	}
	return Result{Endpoint: e, Namespace: ns.ID}, nil
}

// shared returns the interface of a sandbox and the namespace that it is in.
func (at Attacher) shared(ctx context.Context, sandbox Attachment) (hns.Endpoint, hns.Namespace, error) {
	found, err := at.local(ctx, sandbox)
	if err != nil {
		return hns.Endpoint{}, hns.Namespace{}, err
	}
	for _, e := range found {
		if e.NamespaceID == "" {
			continue
		}
		ns, err := at.HNS.Namespace(ctx, e.NamespaceID)
		if errors.Is(err, hns.ErrNotFound) {
			err = missing(e.NamespaceID, err)
		}
		return e, ns, err
	}
	return hns.Endpoint{}, hns.Namespace{}, fmt.Errorf(
		"%w: the sandbox %s of CNI_NETNS has no interface %s on the network %q; the runtime must add the sandbox first",
		ErrNamespace, sandbox.ContainerID, sandbox.IfName, sandbox.Config.Name)
}

// leave takes a worker out of the namespace of its sandbox. Without the
// sandbox's interface only a namespace of our own can be named; another is the
// runtime's to remove.
func (at Attacher) leave(ctx context.Context, a Attachment, sandbox string) error {
	found, err := at.local(ctx, a.of(sandbox))
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
		if err := at.evict(ctx, id, a.ContainerID); err != nil {
			return err
		}
	}
	return nil
}

// evict takes a container out of a namespace and proves that it is out.
func (at Attacher) evict(ctx context.Context, namespace, container string) error {
	if err := unlessGone(at.HNS.DetachContainer(ctx, namespace, container)); err != nil {
		return err
	}
	ns, err := at.HNS.Namespace(ctx, namespace)
	if err == nil && slices.Contains(ns.Containers, container) {
		return fmt.Errorf("container %s is still in namespace %s after HNS took it out", container, namespace)
	}
	return unlessGone(err)
}
