// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// place is what CNI_NETNS says: into which namespace.
type place struct {
	// namespace is its GUID, empty for the worker of a sandbox.
	namespace string
	// own is true for a namespace that Bulkhead makes and removes.
	own bool
	// sandbox is the container whose namespace a worker joins.
	sandbox string
}

// placeOf reads CNI_NETNS. The GUID of the container's own namespace, which the
// result of ADD told, means the same as no GUID.
func placeOf(c config.Config) (place, error) {
	own := plan.OwnNamespace(c.ContainerID)
	if c.NetNS == "" || c.NetNS == "none" {
		return place{namespace: own, own: true}, nil
	}
	if sandbox, ok := strings.CutPrefix(c.NetNS, "container:"); ok {
		if sandbox == "" || sandbox == c.ContainerID {
			return place{}, problem.New(ErrNamespace, nil, "CNI_NETNS is %q; after container: stands the id of the pod's sandbox", c.NetNS)
		}
		return place{sandbox: sandbox}, nil
	}
	id, err := hns.ParseGUID(c.NetNS)
	if err != nil {
		return place{}, problem.New(ErrNamespace, nil, "CNI_NETNS: %s; the runtime must pass the GUID of an HCN namespace, none, or container:<id of the sandbox>", err)
	}
	if id == hns.ZeroGUID {
		return place{}, problem.New(ErrNamespace, nil, "CNI_NETNS is the zero GUID")
	}
	return place{namespace: id, own: id == own}, nil
}

// enter returns the namespace of a place. It makes one that is our own and
// missing, and reports whether it may have.
func (v Verbs) enter(ctx context.Context, p place) (ns hns.Namespace, made bool, err error) {
	ns, err = v.HNS.Namespace(ctx, p.namespace)
	if !errors.Is(err, hns.ErrNotFound) {
		return ns, false, err
	}
	if !p.own {
		return hns.Namespace{}, false, noNamespace(p.namespace, err)
	}
	ns, err = v.HNS.CreateNamespace(ctx, p.namespace)
	switch {
	case err != nil:
		return hns.Namespace{}, true, err
	case ns.ID != p.namespace:
		// DEL could not find it: nothing but its id ties it to the container.
		err = problem.New(plan.ErrFeature, nil, "this HNS does not let bulkhead choose the id of a namespace; the runtime must make the namespace itself")
		return hns.Namespace{}, false, errors.Join(err, v.HNS.DeleteNamespace(ctx, ns.ID))
	}
	return ns, true, nil
}

// removeNamespace removes a namespace of our own, when its last interface is gone,
// and proves that it is gone. Containers that are still listed in it would block the
// deletion, so they are taken out first.
func (v Verbs) removeNamespace(ctx context.Context, id string) error {
	ns, err := v.HNS.Namespace(ctx, id)
	if err != nil || len(ns.Endpoints) > 0 {
		return hns.IgnoreNotFound(err)
	}
	for _, c := range ns.Containers {
		if err := hns.IgnoreNotFound(v.HNS.DetachContainer(ctx, ns.ID, c)); err != nil {
			return err
		}
	}
	if err := hns.IgnoreNotFound(v.HNS.DeleteNamespace(ctx, ns.ID)); err != nil {
		return err
	}
	gone, err := v.namespaceGone(ctx, id)
	if err == nil && !gone {
		return fmt.Errorf("namespace %s is still there after HNS deleted it", id)
	}
	return err
}

// namespaceGone reports whether HNS has no namespace of that id.
func (v Verbs) namespaceGone(ctx context.Context, id string) (bool, error) {
	_, err := v.HNS.Namespace(ctx, id)
	return errors.Is(err, hns.ErrNotFound), hns.IgnoreNotFound(err)
}

// noNamespace is the error for a namespace that does not exist.
func noNamespace(id string, err error) error {
	return problem.New(ErrNamespace, err, "there is no namespace %s on this node", id)
}
