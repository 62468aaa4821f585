// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
)

// rangeNames says where in a configuration the range sets stand that host-local
// puts into one list: those of the runtime, the old single range, the others.
type rangeNames struct {
	ofRuntime, single int
}

func rangeNamesIn(conf []byte) rangeNames {
	var c struct {
		IPAM          struct{ Subnet json.RawMessage }
		RuntimeConfig struct{ IPRanges []json.RawMessage }
	}
	if err := json.Unmarshal(conf, &c); err != nil {
		return rangeNames{}
	}
	out := rangeNames{ofRuntime: len(c.RuntimeConfig.IPRanges)}
	if c.IPAM.Subnet != nil {
		out.single = 1
	}
	return out
}

// name returns the name of the i-th range set in the list.
func (n rangeNames) name(i int) string {
	switch {
	case i < n.ofRuntime:
		return fmt.Sprintf("runtimeConfig.ipRanges[%d]", i)
	case i < n.ofRuntime+n.single:
		return "ipam.subnet"
	default:
		return fmt.Sprintf("ipam.ranges[%d]", i-n.ofRuntime-n.single)
	}
}

// pool is what one address is taken from: a range set of the configuration.
type pool struct {
	// name is where the configuration has it.
	name  string
	whole allocator.RangeSet
	never withheld
	// set is whole without never. It may be empty.
	set allocator.RangeSet
}

func pools(sets []allocator.RangeSet, names rangeNames, never withheld) []pool {
	var out []pool
	for i, set := range sets {
		out = append(out, pool{name: names.name(i), whole: set, never: never, set: never.cut(set)})
	}
	return out
}

// exhausted returns an ErrExhausted when every address that the pool can give is
// taken. It counts what is taken, never what is free: an IPv6 range has more
// addresses than can be counted.
func (p pool) exhausted(taken map[netip.Addr]bool) error {
	var held []netip.Addr
	for addr := range taken {
		r, err := p.set.RangeFor(addr.AsSlice())
		if err == nil && !r.Gateway.Equal(addr.AsSlice()) {
			held = append(held, addr)
		}
	}
	size := count(p.set)
	if size.Cmp(big.NewInt(int64(len(held)))) > 0 {
		return nil
	}
	where := fmt.Sprintf("%s (%s)", p.name, p.whole.String())
	if never := new(big.Int).Sub(count(p.whole), size); never.Sign() > 0 {
		where += fmt.Sprintf(", where %s more are excluded or in use by the network,", never)
	}
	return Exhausted{where: where, held: held}
}

// count counts the addresses of a range set without the gateways.
func count(set allocator.RangeSet) *big.Int {
	size := new(big.Int)
	for _, r := range set {
		size.Add(size, allocatable(r))
	}
	return size
}

// allocatable counts the addresses of a range without the gateway, which the
// allocator passes over.
func allocatable(r allocator.Range) *big.Int {
	size := new(big.Int).SetBytes(r.RangeEnd)
	size.Sub(size, new(big.Int).SetBytes(r.RangeStart))
	if !r.Contains(r.Gateway) {
		size.Add(size, big.NewInt(1))
	}
	return size
}
