// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// Kinds of what Check finds, for errors.Is.
var (
	// ErrGone: the container's endpoint does not exist.
	ErrGone = errors.New("endpoint gone")
	// ErrDiffers: the endpoint is not as ADD made it.
	ErrDiffers = errors.New("endpoint differs")
)

// Promise is what the result of ADD said of the interface.
type Promise struct {
	Addresses []ipam.Address
	MAC       hns.MAC
}

// Check fails when the container's interface is not what the configuration
// calls for and ADD promised, and lists every difference. What other agents
// added is none.
func (at Attacher) Check(ctx context.Context, a Attachment, promised Promise) error {
	network, err := at.HNS.Network(ctx, a.Config.Name)
	if errors.Is(err, hns.ErrNotFound) {
		return fmt.Errorf("%w: there is no HNS network %q: %w", ErrNetworkMissing, a.Config.Name, err)
	}
	if err != nil {
		return err
	}
	a, ns, ds, err := at.locate(ctx, a, network)
	if err != nil {
		return err
	}
	got, err := at.only(ctx, a)
	if err != nil {
		return err
	}
	want, err := at.plan(ctx, a, network, ipam.Result{Addresses: promised.Addresses})
	if err != nil {
		return err
	}
	want.MAC = promised.MAC
	ds = append(ds, plan.Diff(want, got)...)
	if got.NamespaceID != ns {
		ds = append(ds, plan.Difference{Field: "namespace", Want: ns, Got: orNone(got.NamespaceID)})
	}
	if len(ds) > 0 {
		return fmt.Errorf("%w: endpoint %s: %s", ErrDiffers, got.Name, plan.Differences(ds))
	}
	if err := at.IPAM.Check(ctx, a.request()); err != nil {
		return fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return nil
}

// locate returns the attachment of the container that owns the interface, the
// namespace that it must be in, and what is wrong with a worker's place there.
func (at Attacher) locate(ctx context.Context, a Attachment, network hns.Network) (owner Attachment, namespace string, ds []plan.Difference, err error) {
	p, err := a.place()
	if err != nil {
		return Attachment{}, "", nil, err
	}
	if p.sandbox != "" {
		_, ns, err := at.shared(ctx, a.of(p.sandbox))
		if err == nil && !slices.Contains(ns.Containers, a.ContainerID) {
			ds = append(ds, plan.Difference{Field: "containers of namespace " + ns.ID, Want: a.ContainerID, Got: orNone(strings.Join(ns.Containers, ", "))})
		}
		return a.of(p.sandbox), ns.ID, ds, err
	}
	ns, err := at.HNS.Namespace(ctx, p.namespace)
	switch {
	case errors.Is(err, hns.ErrNotFound) && p.own:
		err = fmt.Errorf("%w: the namespace %s that bulkhead made for the pod does not exist: %w", ErrGone, p.namespace, err)
	case errors.Is(err, hns.ErrNotFound):
		err = missing(p.namespace, err)
	}
	if err != nil {
		return Attachment{}, "", nil, err
	}
	owner, err = at.owned(ctx, a, network, ns)
	return owner, ns.ID, nil, err
}

// only returns the attachment's endpoint, of which there must be one.
func (at Attacher) only(ctx context.Context, a Attachment) (hns.Endpoint, error) {
	found, err := at.local(ctx, a)
	switch {
	case err != nil:
		return hns.Endpoint{}, err
	case len(found) == 0:
		return hns.Endpoint{}, fmt.Errorf("%w: there is no endpoint %s", ErrGone, a.name())
	case len(found) > 1:
		return hns.Endpoint{}, fmt.Errorf("%w: there are %d endpoints %s instead of one", ErrDiffers, len(found), a.name())
	}
	return found[0], nil
}

func orNone(id string) string {
	if id == "" {
		return "none"
	}
	return id
}
