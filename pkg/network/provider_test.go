// SPDX-License-Identifier: Apache-2.0

package network_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
)

// The node's address under an overlay is waited for, and one that does not come is told
// of: without it no other node reaches the pods.
func TestReport11ProviderAddressIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, policies string // policies are members of the configuration
		delay          time.Duration
		want           string
		refused        bool
	}{
		{name: "late", delay: settleDelay, want: "192.168.1.5"},
		{
			name: "the configuration's", delay: time.Hour, want: "192.168.1.77",
			policies: `, "network": {"subnets": [{"prefix": "10.1.0.0/16", "vsid": 4096}], "providerAddress": "192.168.1.77"}`,
		},
		{name: "given by a policy", delay: time.Hour, policies: `, "policies": [{"Type": "ProviderAddress", "Settings": {"ProviderAddress": "192.168.1.5"}}]`},
		{name: "never", delay: time.Hour, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := hnsemu.ProfileNamed("2022")
			if err != nil {
				t.Fatal(err)
			}
			p.ManagementIPDelay = tt.delay
			k := network.Keeper{HNS: emuclient.New(hnsemu.New(p), "bulkhead"), Lock: oneAtATime()}
			subnet := hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1"), VSID: 4096}
			if _, err := k.HNS.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: hns.Overlay, Subnets: []hns.Subnet{subnet}}); err != nil {
				t.Fatal(err)
			}
			c, err := config.Parse([]byte(`{"name": "net1", "type": "bulkhead", "driver": "overlay"`+tt.policies+`}`), config.Env{})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			n, _, err := k.Ensure(context.Background(), c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.ProviderAddress(context.Background(), c, n)
			switch {
			case tt.refused:
				if !errors.Is(err, network.ErrDiffers) || !strings.Contains(err.Error(), "or give it by {\"Type\": \"ProviderAddress\"") {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Errorf("got %v", err)
			case tt.want != "" && got != netip.MustParseAddr(tt.want) || tt.want == "192.168.1.5" && time.Since(start) < tt.delay/2:
				t.Errorf("got %v after %v", got, time.Since(start))
			}
		})
	}
}
