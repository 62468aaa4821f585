// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// owned returns the attachment of the container that brought the interface to
// the namespace: the attachment itself, or, when it is a worker of a pod whose
// sandbox has that interface on the network already, the sandbox's. A namespace
// that does not exist is ErrNamespace.
func (at Attacher) owned(ctx context.Context, a Attachment, network hns.Network, namespace string) (Attachment, error) {
	ns, err := at.HNS.Namespace(ctx, namespace)
	if err != nil {
		return Attachment{}, namespaceError(err, namespace)
	}
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
