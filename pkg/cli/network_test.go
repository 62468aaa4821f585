// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

const owned = `{"cniVersion": "1.1.0", "name": "podnet", "plugins": [{"type": "bulkhead", "driver": "l2bridge",
	"network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]}}]}`

func TestNetwork(t *testing.T) {
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	client, ctx := emuclient.New(host, "test"), context.Background()
	conf := file(t, owned)
	step := func(verb string, wantStatus int, want string) {
		t.Helper()
		status, stdout, stderr := run(t, host, "network", verb, "--conf", conf)
		if status != wantStatus || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%s: status %d, want %d; stdout %q, stderr %q, want %q", verb, status, wantStatus, stdout, stderr, want)
		}
	}
	step("delete", 0, `There is no network "podnet".`)
	step("create", 0, `The l2bridge network "podnet" is there: `)
	first, err := client.Network(ctx, "podnet")
	if err != nil {
		t.Fatal(err)
	}
	step("create", 0, first.ID)

	pod, err := client.CreateEndpoint(ctx, hns.Endpoint{Name: "c1_podnet", NetworkID: first.ID})
	if err != nil {
		t.Fatal(err)
	}
	step("delete", 1, `the network "podnet" has 1 endpoints (c1_podnet): remove their pods first`)
	if err := client.DeleteEndpoint(ctx, pod); err != nil {
		t.Fatal(err)
	}
	step("delete", 0, "gone")
	if _, err := client.Network(ctx, "podnet"); err == nil {
		t.Error("the network is still there")
	}

	if _, err := client.CreateNetwork(ctx, hns.Network{
		Name: "podnet", Driver: hns.L2Bridge, Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Gateway: netip.MustParseAddr("10.9.0.1")}},
	}); err != nil {
		t.Fatal(err)
	}
	step("create", 1, "subnets: want 10.1.0.0/16 via 10.1.0.1, got 10.9.0.0/16 via 10.9.0.1 (bulkhead network delete --name podnet removes it): change the configuration")
	step("delete", 0, `The network "podnet" is gone. It was l2bridge, 10.9.0.0/16 (`)
	conf = file(t, `{"name": "podnet", "type": "bulkhead", "driver": "l2bridge"}`)
	for _, verb := range []string{"create", "delete"} {
		step(verb, 2, "it has no network section")
	}
	conf = file(t, strings.Replace(owned, "10.1.0.1", "10.2.0.1", 1))
	step("create", 2, "network.subnets[0].gateway: 10.2.0.1 is outside of 10.1.0.0/16")
}
