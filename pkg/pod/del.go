// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Del removes a container's interface, frees its addresses, and removes the
// namespace if it is our own. It finds the endpoint by its name, so it needs
// neither the namespace nor the network nor the result of ADD. What is gone already
// is success, and so is a CNI_NETNS that names nothing. An address that cannot be freed
// keeps neither the endpoint nor the namespace.
func (v Verbs) Del(ctx context.Context, c config.Config) error {
	gone, err := v.takeDown(ctx, c)
	if !gone {
		return err
	}
	p, notPlaced := placeOf(c)
	switch {
	case notPlaced != nil: // it is in no namespace then
	case p.sandbox != "":
		err = errors.Join(err, v.leave(ctx, c, p.sandbox))
	case p.own:
		err = errors.Join(err, v.removeNamespace(ctx, p.namespace))
	}
	return err
}

// takeDown removes the attachment's endpoints, and only then frees the addresses: gone says
// that the endpoints are, also where that fails. Where there was no endpoint it looks once
// more: an ADD that this call overtook can have made one, and confirmed its address,
// before that was freed.
func (v Verbs) takeDown(ctx context.Context, c config.Config) (gone bool, err error) {
	removed, err := v.removeAll(ctx, c)
	if err != nil {
		return false, err
	}
	if err := v.free(ctx, c, removed); err != nil || len(removed) > 0 {
		return true, err
	}
	late, err := v.removeAll(ctx, c)
	if err != nil || len(late) == 0 {
		return err == nil, err
	}
	return true, v.free(ctx, c, late)
}

// removeAll deletes the attachment's endpoints, makes sure that they are gone, and
// returns them.
func (v Verbs) removeAll(ctx context.Context, c config.Config) ([]hns.Endpoint, error) {
	found, err := v.attached(ctx, c, hns.Network{})
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if err := v.remove(ctx, e); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// remove detaches and deletes an endpoint and proves that it is gone. A failed
// detach does not stop it: HNS takes a deleted endpoint out of its namespace.
func (v Verbs) remove(ctx context.Context, e hns.Endpoint) error {
	var detached error
	if e.NamespaceID != "" {
		detached = hns.IgnoreNotFound(v.HNS.Detach(ctx, e.NamespaceID, e.ID))
	}
	if err := hns.IgnoreNotFound(v.HNS.DeleteEndpoint(ctx, e.ID)); err != nil {
		return errors.Join(err, detached)
	}
	// By name that is one native call when there is none, but remote endpoints can
	// all have the same name, or none.
	var there bool
	var err error
	if e.Remote || e.Name == "" {
		_, err = v.HNS.Endpoint(ctx, e.ID)
		there, err = err == nil, hns.IgnoreNotFound(err)
	} else {
		var named []hns.Endpoint
		named, err = v.HNS.EndpointsNamed(ctx, e.Name)
		there = slices.ContainsFunc(named, func(other hns.Endpoint) bool { return other.ID == e.ID })
	}
	if err == nil && there {
		err = fmt.Errorf("endpoint %s (%s) is still there after HNS deleted it", e.Name, e.ID)
	}
	if err != nil {
		return errors.Join(err, detached)
	}
	return nil
}

// free gives the attachment's addresses back. Nothing may use them any more; removed
// are the endpoints that did.
func (v Verbs) free(ctx context.Context, c config.Config, removed []hns.Endpoint) error {
	err := c.IPAMError
	if err == nil {
		err = v.IPAM.Del(ctx, c, addrsOf(removed))
	}
	if err != nil {
		return problem.New(ErrIPAM, err, "there is no endpoint any more, but its address is not freed")
	}
	return nil
}
