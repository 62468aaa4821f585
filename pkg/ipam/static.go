// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// static is the static plugin in this process. The addresses stand in the
// configuration. It keeps no state.
type static struct{ none }

// Validate puts the answer of Add together.
func (s static) Validate(ctx context.Context, c config.Config) error {
	_, err := s.Add(ctx, c, nil)
	return err
}

// Status is Validate, but for addresses that may be named only when an interface is
// added.
func (s static) Status(ctx context.Context, c config.Config) error {
	if len(c.IPAM.Addresses) == 0 {
		return nil
	}
	return s.Validate(ctx, c)
}

// Add answers the configured addresses.
func (static) Add(_ context.Context, c config.Config, _ []netip.Addr) (Result, error) {
	if len(c.IPAM.Addresses) == 0 {
		return Result{}, problem.New(ErrConfig, nil, "ipam.addresses: static needs at least one address, here or in runtimeConfig.ips, args.cni.ips or CNI_ARGS IP")
	}
	out := Result{Addresses: slices.Clone(c.IPAM.Addresses), DNS: c.IPAM.DNS}
	if err := out.lead("ipam.routes", c.IPAM.Routes); err != nil {
		return Result{}, problem.New(ErrConfig, err, "")
	}
	return out, nil
}
