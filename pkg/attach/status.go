// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// Status fails when an ADD could not work now: HNS does not answer, the network
// is missing and not ours to make, or is not as configured, or IPAM is not
// ready.
func (at Attacher) Status(ctx context.Context, c config.Config) error {
	want, ours := plan.Network(c)
	got, err := at.HNS.Network(ctx, c.Name)
	switch {
	case errors.Is(err, hns.ErrNotFound) && !ours:
		return fmt.Errorf("%w: there is no HNS network %q, and without a network section bulkhead does not make one: %w",
			ErrNetworkMissing, c.Name, err)
	case errors.Is(err, hns.ErrNotFound):
	case err != nil:
		return err
	default:
		if ds := plan.DiffNetwork(want, got); ours && len(ds) > 0 {
			return fmt.Errorf("%w: the HNS network %q exists but is not as configured: %s",
				ErrNetworkDiffers, c.Name, plan.Differences(ds))
		}
	}
	if err := at.IPAM.Status(ctx, c.Raw); err != nil {
		return fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return nil
}
