// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"

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
	namespace, err := a.namespace()
	if err != nil {
		return err
	}
	network, err := at.HNS.Network(ctx, a.Config.Name)
	if errors.Is(err, hns.ErrNotFound) {
		return fmt.Errorf("%w: there is no HNS network %q: %w", ErrNetworkMissing, a.Config.Name, err)
	}
	if err != nil {
		return err
	}
	if a, err = at.owned(ctx, a, network, namespace); err != nil {
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
	ds := plan.Diff(want, got)
	if got.NamespaceID != namespace {
		ds = append(ds, plan.Difference{Field: "namespace", Want: namespace, Got: orNone(got.NamespaceID)})
	}
	if len(ds) > 0 {
		return fmt.Errorf("%w: endpoint %s: %s", ErrDiffers, got.Name, plan.Differences(ds))
	}
	if err := at.IPAM.Check(ctx, a.request()); err != nil {
		return fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return nil
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
