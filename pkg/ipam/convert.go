// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net"
	"net/netip"

	current "github.com/containernetworking/cni/pkg/types/100"
)

// fromCNI converts a plugin's result. An address that does not parse is an error:
// dropping it would give the pod less than was allocated.
func fromCNI(r *current.Result) (Result, error) {
	dns, err := dnsFrom("dns.", r.DNS)
	if err != nil {
		return Result{}, err
	}
	routes, err := routesFrom("routes", r.Routes)
	if err != nil {
		return Result{}, err
	}
	out := Result{DNS: dns}
	for i, ip := range r.IPs {
		if ip == nil {
			return Result{}, fmt.Errorf("ips[%d]: null is not an address", i)
		}
		a, err := address(ip.Address, ip.Gateway)
		if err != nil {
			return Result{}, fmt.Errorf("ips[%d]: %w", i, err)
		}
		out.Addresses = append(out.Addresses, a)
	}
	return out, out.lead("routes", routes)
}

func address(n net.IPNet, gateway net.IP) (Address, error) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	addr = addr.Unmap()
	if addr.Is4() && bits == 128 && ones >= 96 { // as in ::ffff:10.0.0.5/120
		ones, bits = ones-96, 32
	}
	if !ok || bits == 0 || addr.BitLen() != bits {
		return Address{}, fmt.Errorf("%q is not an address with a prefix length", n.String())
	}
	a := Address{Prefix: netip.PrefixFrom(addr, ones)}
	if len(gateway) > 0 {
		gw, ok := netip.AddrFromSlice(gateway)
		if !ok {
			return Address{}, fmt.Errorf("gateway %q is not an address", gateway.String())
		}
		a.Gateway = gw.Unmap()
	}
	return a, nil
}
