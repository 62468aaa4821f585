// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func TestIPAMRoutes(t *testing.T) {
	to := func(dst, via string) hns.Route {
		r := hns.Route{Destination: prefix(dst)}
		if via != "" {
			r.NextHop = addr(via)
		}
		return r
	}
	sdn := func(dst, via string) hns.Policy {
		return hns.SDNRoute{Destination: prefix(dst), NextHop: addr(via)}
	}
	tests := []struct {
		name    string
		drivers []hns.Driver
		routes  []hns.Route
		change  func(*Facts)
		want    []hns.Policy
		wantErr string
	}{
		{name: "none", drivers: hns.Drivers()},
		{name: "by the gateway, named or not", drivers: hns.Drivers(), routes: []hns.Route{to("10.2.0.0/16", "10.1.0.1"), to("10.3.0.0/16", "")}},
		{
			name: "by another", drivers: []hns.Driver{hns.L2Bridge, hns.L2Tunnel, hns.Overlay},
			routes: []hns.Route{to("10.2.0.0/16", "10.1.0.9"), to("10.3.0.0/16", "")}, want: []hns.Policy{sdn("10.2.0.0/16", "10.1.0.9")},
		},
		{
			name: "by another without VFP", drivers: []hns.Driver{hns.NAT, hns.Transparent}, routes: []hns.Route{to("10.2.0.0/16", "10.1.0.9")},
			wantErr: "IPAM gave the route 10.2.0.0/16 via 10.1.0.9, but a pod on a ",
		},
		{
			name: "by another than IPAM's gateway", drivers: []hns.Driver{hns.L2Bridge}, routes: []hns.Route{to("10.2.0.0/16", "10.1.0.1")},
			change: func(f *Facts) { f.Addresses[0].Gateway = addr("10.1.0.2") }, want: []hns.Policy{sdn("10.2.0.0/16", "10.1.0.1")},
		},
		{
			name: "no gateway", drivers: hns.Drivers(), routes: []hns.Route{to("10.2.0.0/16", "")},
			change:  func(f *Facts) { f.Network.Subnets[0].Gateway = netip.Addr{} },
			wantErr: `IPAM gave the route 10.2.0.0/16, but the network "net1" has no gateway; name the next hop (gw) in ipam.routes`,
		},
		{name: "a family that the pod lacks", drivers: hns.Drivers(), routes: []hns.Route{to("fd01::/64", "")}, wantErr: "IPAM gave the route fd01::/64, but no address of its family"},
		{name: "both families", drivers: []hns.Driver{hns.L2Bridge}, routes: []hns.Route{to("fd01::/64", "fd00:1::9"), to("fd02::/64", "fd00:1::1")}, change: dualStack, want: []hns.Policy{sdn("fd01::/64", "fd00:1::9")}},
		{
			name: "configured otherwise", drivers: []hns.Driver{hns.Overlay}, routes: []hns.Route{to("10.2.0.0/16", "10.1.0.9")},
			change: func(f *Facts) {
				f.Config.Routes = []hns.SDNRoute{{Destination: prefix("10.2.0.0/16"), NeedEncap: true}}
			},
			want: []hns.Policy{hns.SDNRoute{Destination: prefix("10.2.0.0/16"), NeedEncap: true}},
		},
	}
	for _, tt := range tests {
		for _, d := range tt.drivers {
			t.Run(string(d)+" "+tt.name, func(t *testing.T) {
				f := facts(d)
				f.Routes = tt.routes
				if tt.change != nil {
					tt.change(&f)
				}
				got, err := Endpoint(f)
				if tt.wantErr != "" {
					if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), tt.wantErr) {
						t.Errorf("got %v\nwant %s", err, tt.wantErr)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				var routes []hns.Policy
				for _, p := range got.Policies {
					if r, ok := p.(hns.SDNRoute); ok {
						routes = append(routes, r)
					}
				}
				if diff := cmp.Diff(tt.want, routes, values); diff != "" {
					t.Errorf("SDN routes (-want +got):\n%s", diff)
				}
			})
		}
	}
}
