// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Status fails when an ADD could not work now: HNS does not answer or is too old,
// the network is missing and not ours to make, or is not as configured, or IPAM is
// not ready. Runtimes ask every few seconds: it makes two native calls.
func (v Verbs) Status(ctx context.Context, c config.Config) error {
	if err := network.CheckVersion(ctx, v.HNS, c); err != nil {
		return err
	}
	all, err := v.HNS.ListNetworks(ctx)
	if err != nil {
		return err
	}
	if err := v.networks().Check(c, all); err != nil {
		return err
	}
	if err := v.IPAM.Status(ctx, c); err != nil {
		return problem.New(ErrIPAM, err, "")
	}
	return nil
}
