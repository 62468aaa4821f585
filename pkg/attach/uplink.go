// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// carried names the adapter that carries a new network, unless its configuration
// does or the network needs none, and returns what explains HNS's refusal of it.
func (at Attacher) carried(want hns.Network) (hns.Network, func(error) error) {
	chosen := want.Adapter != "" || want.ProviderAddress.IsValid()
	if want.Driver == hns.NAT || at.Adapters == nil {
		return want, func(err error) error { return err }
	}
	all, err := at.Adapters()
	name, rejected := uplink.Choose(all)
	if !chosen {
		want.Adapter = name
	}
	return want, func(failure error) error { return noAdapter(failure, name, rejected, err) }
}

// noAdapter says what adapters there are when HNS finds none that can carry a
// network.
func noAdapter(failure error, best string, rejected []uplink.Rejection, listing error) error {
	var native *hns.Error
	if !errors.As(failure, &native) || native.Code != hns.CodeNoAdapter {
		return failure
	}
	if listing != nil {
		return errors.Join(failure, listing)
	}
	if best == "" {
		best = "none"
	}
	return fmt.Errorf("%w; set network.adapter to one of this node: the default route is on %s; not taken: %s", failure, best, uplink.Table(rejected))
}
