// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// Status fails when an ADD could not work now: HNS does not answer or is too
// old, the network is missing and not ours to make, or is not as configured, or
// IPAM is not ready. Runtimes ask every few seconds: it makes two native calls.
func (at Attacher) Status(ctx context.Context, c config.Config) error {
	features, err := at.HNS.Features(ctx)
	if err != nil {
		return tooOld(err)
	}
	if err := plan.CheckFeatures(c, features); err != nil {
		return err
	}
	networks, err := at.HNS.ListNetworks(ctx)
	if err != nil {
		return err
	}
	if err := checkNetwork(c, networks); err != nil {
		return err
	}
	if err := at.IPAM.Status(ctx, c.Raw); err != nil {
		return fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return nil
}

// tooOld says what it means that HNS cannot tell its version.
func tooOld(err error) error {
	if errors.Is(err, hns.ErrUnsupported) {
		return fmt.Errorf("%w: this node's HNS does not tell its version; bulkhead needs Windows Server 2019 or newer: %w", plan.ErrFeature, err)
	}
	return err
}

// checkNetwork finds the configuration's network among all, and fails when an
// ADD could not use it.
func checkNetwork(c config.Config, networks []hns.Network) error {
	for _, n := range networks {
		if strings.EqualFold(n.Name, c.Name) {
			return usable(c, n, plan.DiffListed)
		}
	}
	if _, ours := plan.Network(c); !ours {
		return networkMissing(c.Name)
	}
	return nil
}
