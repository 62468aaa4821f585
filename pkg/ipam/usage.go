// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"math/big"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// Use is how much of a range set is given away.
type Use struct {
	// Range is as host-local writes it: 10.1.0.10-10.1.0.99.
	Range string
	Used  int
	// Free is a float because an IPv6 range has more addresses than can be counted. An
	// address that the network or the node has for itself counts as free.
	Free float64
}

// Usage returns how much of host-local's ranges is given away, and nothing for other
// plugins. It reads the names of the address files, and waits for no lock.
func Usage(c config.Config) ([]Use, error) {
	if c.IPAM.Type != config.HostLocal {
		return nil, nil
	}
	pools, err := poolsOf(c, nil)
	if err != nil {
		return nil, err
	}
	all, err := networkDirOf(c).reservations()
	if err != nil {
		return nil, err
	}
	taken := addressesOf(all)
	var out []Use
	for _, p := range pools {
		used := len(p.held(taken))
		free, _ := new(big.Float).SetInt(new(big.Int).Sub(count(p.set), big.NewInt(int64(used)))).Float64()
		out = append(out, Use{Range: p.whole.String(), Used: used, Free: free})
	}
	return out, nil
}

// held returns the addresses of the pool that are taken.
func (p pool) held(taken map[netip.Addr]bool) []netip.Addr {
	var out []netip.Addr
	for addr := range taken {
		r, err := p.set.RangeFor(addr.AsSlice())
		if err == nil && !r.Gateway.Equal(addr.AsSlice()) {
			out = append(out, addr)
		}
	}
	return out
}
