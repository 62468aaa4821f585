// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"math/big"
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// pool is what one address is taken from: a range set of the configuration.
type pool struct {
	config.RangeSet
	whole allocator.RangeSet
	never withheld
	// set is whole without never. It may be empty.
	set allocator.RangeSet
}

// poolsOf returns the configuration's range sets as host-local's allocator wants
// them, without the addresses that are never handed out.
func poolsOf(c config.Config, reserved []netip.Addr) ([]pool, error) {
	never := withheldFrom(c, reserved)
	var out []pool
	for _, set := range c.IPAM.RangeSets {
		var whole allocator.RangeSet
		for _, r := range set.Ranges {
			whole = append(whole, allocator.Range{
				Subnet:     types.IPNet(net.IPNet{IP: r.Subnet.Addr().AsSlice(), Mask: net.CIDRMask(r.Subnet.Bits(), r.Subnet.Addr().BitLen())}),
				RangeStart: r.First.AsSlice(), RangeEnd: r.Last.AsSlice(), Gateway: gatewayOf(c, r).AsSlice(),
			})
		}
		if err := whole.Canonicalize(); err != nil {
			return nil, problem.New(ErrConfig, err, "%s", set.Path)
		}
		out = append(out, pool{RangeSet: set, whole: whole, never: never, set: never.cut(whole)})
	}
	return out, nil
}

// gatewayOf returns the gateway of a range: its own, or that of its network. Without
// either it is zero, and host-local takes the first address for it, which it then
// does not hand out.
func gatewayOf(c config.Config, r config.Range) netip.Addr {
	if r.Gateway.IsValid() || c.Network == nil {
		return r.Gateway
	}
	for _, s := range c.Network.Subnets {
		if r.Subnet.Contains(s.Gateway) {
			return s.Gateway
		}
	}
	return netip.Addr{}
}

// podGateway returns the gateway that a pod with an address of the range is told:
// the range's own, or that of its network unless pods go by the node's own endpoint
// or a default route of the configuration names another. Zero leaves it to the
// network. host-local's guess is nobody's word.
func podGateway(c config.Config, r config.Range) netip.Addr {
	if r.Gateway.IsValid() || c.Network == nil || c.Network.GatewayEndpoint {
		return r.Gateway
	}
	for _, route := range c.IPAM.Routes {
		if route.Destination.Bits() == 0 && route.NextHop.IsValid() && route.NextHop.Is4() == r.First.Is4() {
			return netip.Addr{}
		}
	}
	return gatewayOf(c, r)
}

// address returns an address of the pool as it is for a pod.
func (p pool) address(c config.Config, ip net.IPNet) (Address, error) {
	out, err := address(ip, nil)
	if err != nil {
		return Address{}, err
	}
	for _, r := range p.Ranges {
		if r.Subnet.Contains(out.Prefix.Addr()) {
			out.Gateway = podGateway(c, r)
			break
		}
	}
	return out, nil
}

// exhausted returns an ErrExhausted when every address that the pool can give is
// taken. It counts what is taken, never what is free: an IPv6 range has more
// addresses than can be counted.
func (p pool) exhausted(taken map[netip.Addr]bool) error {
	held, size := p.held(taken), count(p.set)
	if size.Cmp(big.NewInt(int64(len(held)))) > 0 {
		return nil
	}
	where := fmt.Sprintf("%s (%s)", p.Path, p.whole.String())
	if never := new(big.Int).Sub(count(p.whole), size); never.Sign() > 0 {
		where += fmt.Sprintf(", where %s more are excluded or in use by the network,", never)
	}
	return Exhausted{where: where, held: held}
}

// count counts the addresses of a range set without the gateways, which the
// allocator passes over.
func count(set allocator.RangeSet) *big.Int {
	size := new(big.Int)
	for _, r := range set {
		n := new(big.Int).SetBytes(r.RangeEnd)
		n.Sub(n, new(big.Int).SetBytes(r.RangeStart))
		if !r.Contains(r.Gateway) {
			n.Add(n, big.NewInt(1))
		}
		size.Add(size, n)
	}
	return size
}
