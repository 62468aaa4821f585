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
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

const settleDelay = 600 * time.Millisecond

// settling is a node that is cut off for a while by making a network.
func settling(t *testing.T) (*hnsemu.Host, network.Keeper, config.Config) {
	t.Helper()
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	p.ManagementIPDelay = settleDelay
	host := hnsemu.New(p)
	k := network.Keeper{HNS: emuclient.New(host, "bulkhead"), Lock: oneAtATime()}
	c, err := config.Parse([]byte(`{"name": "net1", "type": "bulkhead", "driver": "l2bridge",
		"network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]}}`), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return host, k, c
}

// oneAtATime is a lock of whatever name.
func oneAtATime() nodelock.Lock {
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, _ string) (func(), error) {
		select {
		case turn <- struct{}{}:
			return func() { <-turn }, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Whoever makes the network waits until the node has its address back. Who finds it
// meanwhile goes on: a network is made once in a node's life.
func TestNetworkSettles(t *testing.T) {
	t.Parallel()
	_, k, c := settling(t)
	start := time.Now()
	made := make(chan error, 1)
	go func() {
		_, notices, err := k.Ensure(context.Background(), c)
		if len(notices) > 0 {
			t.Errorf("notices %q", notices)
		}
		made <- err
	}()
	for found := false; !found; time.Sleep(time.Millisecond) {
		_, err := k.HNS.Network(context.Background(), c.Name)
		found = err == nil
	}
	if _, _, err := k.Ensure(context.Background(), c); err != nil || len(made) > 0 {
		t.Errorf("the second: %v after %v, when the first was done: %t", err, time.Since(start), len(made) > 0)
	}
	if err := <-made; err != nil || time.Since(start) < settleDelay {
		t.Errorf("the first: %v after %v", err, time.Since(start))
	}
}

// What keeps the node from having its address ends the wait with its caller's
// time, or with a word about it.
func TestNetworkDoesNotSettle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		limit   time.Duration
		prepare func(*hnsemu.Host) error
		notice  string
	}{
		{name: "too late", limit: settleDelay / 3, prepare: func(*hnsemu.Host) error { return nil }},
		{
			name: "an address for want of DHCP", limit: settleDelay * 2,
			prepare: func(h *hnsemu.Host) error {
				return h.SetNode(hnsemu.Node{Adapters: []hnsemu.Adapter{{Name: "Ethernet", Address: netip.MustParsePrefix("169.254.7.7/16"), Index: 7}}})
			},
		},
		{
			name: "HNS does not tell", limit: 10 * time.Second, notice: "does not tell the node's address",
			prepare: func(h *hnsemu.Host) error {
				// The first two calls ask for the version and for other networks.
				return h.AddFault(hnsemu.Fault{Proc: "HNSCall", Kind: hnsemu.FaultFail, Nth: 3, Every: true, Code: hns.CodeGenFailure})
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, k, c := settling(t)
			if err := tt.prepare(host); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), tt.limit)
			defer cancel()
			_, notices, err := k.Ensure(ctx, c)
			if tt.notice == "" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, %q", err, notices)
			}
			if tt.notice != "" && (err != nil || len(notices) != 1 || !strings.Contains(notices[0], tt.notice)) {
				t.Errorf("got %v, notices %q", err, notices)
			}
		})
	}
}

// A fault in one answer does not end the wait.
func TestNetworkSettlesDespiteAFault(t *testing.T) {
	t.Parallel()
	host, k, c := settling(t)
	start := time.Now()
	if err := host.AddFault(hnsemu.Fault{Proc: "HNSCall", Kind: hnsemu.FaultFail, Nth: 3, Code: hns.CodeGenFailure}); err != nil {
		t.Fatal(err)
	}
	if _, notices, err := k.Ensure(context.Background(), c); err != nil || len(notices) > 0 || time.Since(start) < settleDelay {
		t.Errorf("got %v, %q after %v", err, notices, time.Since(start))
	}
}
