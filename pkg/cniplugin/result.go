// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// result says in CNI's words what HNS made. The one interface bears the name
// that the runtime asked for: containerd looks for it by that.
func result(r pod.Result, ifName string) *current.Result {
	out := &current.Result{
		CNIVersion: current.ImplementedSpecVersion,
		Interfaces: []*current.Interface{{
			Name:    ifName,
			Mac:     string(r.Endpoint.MAC),
			Sandbox: r.Namespace,
		}},
		DNS: types.DNS{
			Domain:      r.Endpoint.DNS.Domain,
			Search:      r.Endpoint.DNS.Search,
			Nameservers: r.Endpoint.DNS.Servers,
			Options:     r.Endpoint.DNS.Options,
		},
	}
	for _, a := range r.Endpoint.Addresses {
		out.IPs = append(out.IPs, &current.IPConfig{
			Interface: current.Int(0),
			Address:   ipNet(a),
			Gateway:   ip(r.Endpoint.Gateway(a.Addr())),
		})
	}
	for _, route := range r.Endpoint.Routes {
		out.Routes = append(out.Routes, &types.Route{Dst: ipNet(route.Destination), GW: ip(route.NextHop)})
	}
	return out
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: ip(p.Addr()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// ip returns nil for the zero address, which JSON leaves out.
func ip(a netip.Addr) net.IP {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}
