// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// What IPAM says beside addresses reaches the endpoint, CHECK agrees, and what an
// endpoint cannot have is refused.
func TestRoutesAndDNSOfIPAM(t *testing.T) {
	for _, d := range []hns.Driver{hns.L2Bridge, hns.Overlay, hns.Transparent} {
		t.Run(string(d), func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			n.foreignNetwork(d, hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")}, nil)
			file := filepath.Join(n.dir, "resolv.conf")
			if err := os.WriteFile(file, []byte("nameserver 10.96.0.10\nsearch svc.local\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			a := n.configured(fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"resolvConf":%q,"ranges":[[{"subnet":"10.1.0.0/16"}]],`+
				`"routes":[{"dst":"0.0.0.0/0"},{"dst":"10.2.0.0/16","gw":"10.1.0.9"}]}`, n.dir, file), "c1", netns1)
			r, err := n.add(a)
			if d == hns.Transparent {
				if !errors.Is(err, plan.ErrConflict) || !strings.Contains(err.Error(), "the route 10.2.0.0/16 via 10.1.0.9, but a pod on a transparent network") {
					t.Errorf("got %v", err)
				}
				n.nothingLeft("after the refusal")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := (hns.SDNRoute{Destination: netip.MustParsePrefix("10.2.0.0/16"), NextHop: netip.MustParseAddr("10.1.0.9")}); !slices.ContainsFunc(r.Endpoint.Policies, func(p hns.Policy) bool { return p == want }) {
				t.Errorf("policies %v lack %v", r.Endpoint.Policies, want)
			}
			if got := fmt.Sprint(r.Endpoint.DNS.Servers, r.Endpoint.DNS.Search); got != "[10.96.0.10] [svc.local]" {
				t.Errorf("DNS is %s", got)
			}
			promise := config.Promise{Addresses: []ipam.Address{{Prefix: r.Endpoint.Addresses[0]}}, MAC: r.Endpoint.MAC}
			if err := n.attacher(a).Check(context.Background(), a, promise); err != nil {
				t.Errorf("CHECK: %v", err)
			}
			again, err := n.add(a)
			if err != nil || !same(again, r) {
				t.Errorf("ADD again: %+v, %v", again.Endpoint, err)
			}
			n.mustDel(a)
		})
	}
}
