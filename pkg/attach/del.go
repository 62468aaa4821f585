// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Del removes a container's interface and frees its addresses. It finds the
// endpoint by its name, so it needs neither the namespace nor the network nor a
// result of ADD. What is gone already is success.
func (at Attacher) Del(ctx context.Context, a Attachment) error {
	return at.takeDown(ctx, a)
}

// takeDown removes the attachment's endpoints, and only then frees the addresses.
func (at Attacher) takeDown(ctx context.Context, a Attachment) error {
	if err := at.removeAll(ctx, a); err != nil {
		return err
	}
	return at.free(ctx, a)
}

// removeAll deletes the attachment's endpoints and makes sure that they are gone.
func (at Attacher) removeAll(ctx context.Context, a Attachment) error {
	found, err := at.local(ctx, a)
	if err != nil {
		return err
	}
	for _, e := range found {
		if err := at.remove(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// free gives the attachment's addresses back. Nothing may use them any more.
func (at Attacher) free(ctx context.Context, a Attachment) error {
	if err := at.IPAM.Del(ctx, a.request()); err != nil {
		return fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return nil
}

// local returns the attachment's endpoints, without remote ones of the name.
func (at Attacher) local(ctx context.Context, a Attachment) ([]hns.Endpoint, error) {
	found, err := at.HNS.EndpointsNamed(ctx, a.name())
	return slices.DeleteFunc(found, func(e hns.Endpoint) bool { return e.Remote }), err
}

// remove detaches and deletes an endpoint and proves that it is gone. A failed
// detach does not stop it: HNS takes a deleted endpoint out of its namespace.
func (at Attacher) remove(ctx context.Context, e hns.Endpoint) error {
	var detached error
	if e.NamespaceID != "" {
		detached = at.HNS.Detach(ctx, e.NamespaceID, e.ID)
		if errors.Is(detached, hns.ErrNotFound) {
			detached = nil
		}
	}
	if err := at.HNS.DeleteEndpoint(ctx, e.ID); err != nil && !errors.Is(err, hns.ErrNotFound) {
		return errors.Join(err, detached)
	}
	_, err := at.HNS.Endpoint(ctx, e.ID)
	switch {
	case errors.Is(err, hns.ErrNotFound):
		return nil
	case err != nil:
		return errors.Join(err, detached)
	default:
		return errors.Join(fmt.Errorf("endpoint %s (%s) is still there after HNS deleted it", e.Name, e.ID), detached)
	}
}
