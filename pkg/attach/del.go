// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Del removes a container's interface, frees its addresses, and removes the
// namespace if it is our own. It finds the endpoint by its name, so it needs
// neither the namespace nor the network nor the result of ADD. What is gone already
// is success, and so is a CNI_NETNS that names nothing.
func (at Attacher) Del(ctx context.Context, a Attachment) error {
	if err := at.takeDown(ctx, a); err != nil {
		return err
	}
	p, err := a.place()
	switch {
	case err != nil:
		return nil //nolint:nilerr // it is in no namespace then
	case p.sandbox != "":
		return at.leave(ctx, a, p.sandbox)
	case p.own:
		return at.removeNamespace(ctx, p.namespace)
	}
	return nil
}

// takeDown removes the attachment's endpoints, and only then frees the addresses. Where
// there was no endpoint it looks once more: an ADD that this call overtook can have
// made one, and confirmed its address, before that was freed.
func (at Attacher) takeDown(ctx context.Context, a Attachment) error {
	removed, err := at.removed(ctx, a)
	if err != nil {
		return err
	}
	if err := at.free(ctx, a, removed); err != nil || len(removed) > 0 {
		return err
	}
	late, err := at.removed(ctx, a)
	if err != nil || len(late) == 0 {
		return err
	}
	return at.free(ctx, a, late)
}

// removeAll deletes the attachment's endpoints and makes sure that they are gone.
func (at Attacher) removeAll(ctx context.Context, a Attachment) error {
	_, err := at.removed(ctx, a)
	return err
}

// removed is removeAll that returns what it removed.
func (at Attacher) removed(ctx context.Context, a Attachment) ([]hns.Endpoint, error) {
	found, err := at.local(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if err := at.remove(ctx, e); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// free gives the attachment's addresses back. Nothing may use them any more; removed
// are the endpoints that did.
func (at Attacher) free(ctx context.Context, a Attachment, removed []hns.Endpoint) error {
	if err := at.IPAM.Del(ctx, a.request(addressesOf(removed...)...)); err != nil {
		return fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return nil
}

// addressesOf returns the addresses of endpoints.
func addressesOf(endpoints ...hns.Endpoint) []netip.Addr {
	var out []netip.Addr
	for _, e := range endpoints {
		for _, p := range e.Addresses {
			out = append(out, p.Addr())
		}
	}
	return out
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
		detached = unlessGone(at.HNS.Detach(ctx, e.NamespaceID, e.ID))
	}
	if err := unlessGone(at.HNS.DeleteEndpoint(ctx, e.ID)); err != nil {
		return errors.Join(err, detached)
	}
	there, err := at.there(ctx, e)
	if err == nil && there {
		err = fmt.Errorf("endpoint %s (%s) is still there after HNS deleted it", e.Name, e.ID)
	}
	if err != nil {
		return errors.Join(err, detached)
	}
	return nil
}

// there looks for an endpoint. By its name that is one native call, when there is
// none; but remote endpoints can all have the same, or none.
func (at Attacher) there(ctx context.Context, e hns.Endpoint) (bool, error) {
	if e.Remote || e.Name == "" {
		_, err := at.HNS.Endpoint(ctx, e.ID)
		return err == nil, unlessGone(err)
	}
	named, err := at.HNS.EndpointsNamed(ctx, e.Name)
	return slices.ContainsFunc(named, func(other hns.Endpoint) bool { return other.ID == e.ID }), err
}
