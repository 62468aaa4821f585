// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// promised returns what a runtime keeps of the result of ADD.
func promised(r pod.Result) config.Promise {
	p := config.Promise{MAC: r.Endpoint.MAC}
	for _, a := range r.Endpoint.Addresses {
		p.Addresses = append(p.Addresses, ipam.Address{Prefix: a, Gateway: r.Endpoint.Gateway(a.Addr())})
	}
	return p
}

// same reports whether two results are of one endpoint. Its id follows from its name
// and HNS gives MAC addresses away again, but IPAM does not soon.
func same(a, b pod.Result) bool {
	return a.Endpoint.ID == b.Endpoint.ID && slices.Equal(a.Endpoint.Addresses, b.Endpoint.Addresses)
}

func (n *node) check(a config.Config, p config.Promise) error {
	return n.attacher(a).Check(context.Background(), a, p)
}

func TestCheckAfterAdd(t *testing.T) {
	for _, p := range hnsemu.Profiles() {
		for _, d := range hns.Drivers() {
			t.Run(p.Name+" "+string(d), func(t *testing.T) {
				n := newNode(t, p.Name)
				n.namespace(netns1)
				a := n.attachment(d, "c1", netns1)
				r := n.mustAdd(a)
				if err := n.check(a, promised(r)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestCheckFinds(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name  string
		spoil func(n *node, a *config.Config, r pod.Result, p *config.Promise) error
		kind  error
		texts []string
	}{
		{"endpoint gone", func(n *node, _ *config.Config, r pod.Result, _ *config.Promise) error {
			return n.hns.DeleteEndpoint(ctx, r.Endpoint.ID)
		}, pod.ErrGone, []string{"no endpoint c1_net1"}},
		{"network gone", func(n *node, _ *config.Config, r pod.Result, _ *config.Promise) error {
			return n.hns.DeleteNetwork(ctx, r.Endpoint.NetworkID)
		}, network.ErrMissing, []string{`no HNS network "net1"`}},
		{"detached", func(n *node, _ *config.Config, r pod.Result, _ *config.Promise) error {
			return n.hns.Detach(ctx, netns1, r.Endpoint.ID)
		}, pod.ErrDiffers, []string{"namespace: want " + netns1 + ", got none"}},
		{"no such namespace", func(_ *node, a *config.Config, _ pod.Result, _ *config.Promise) error {
			a.NetNS = netns2
			return nil
		}, pod.ErrNamespace, []string{"there is no namespace " + netns2}},
		{"the namespace of bulkhead's own is gone", func(_ *node, a *config.Config, _ pod.Result, _ *config.Promise) error {
			a.NetNS = "none"
			return nil
		}, pod.ErrGone, []string{"that bulkhead made for the pod does not exist"}},
		{"in another namespace", func(n *node, a *config.Config, _ pod.Result, _ *config.Promise) error {
			a.NetNS = netns2
			n.namespace(netns2)
			return nil
		}, pod.ErrDiffers, []string{"namespace: want " + netns2 + ", got " + netns1}},
		{"an ACL removed and another address and MAC promised", func(n *node, _ *config.Config, r pod.Result, p *config.Promise) error {
			p.MAC = "00:15:5d:ff:ff:ff"
			p.Addresses[0].Prefix = netip.MustParsePrefix("10.1.0.99/16")
			less := slices.DeleteFunc(slices.Clone(r.Endpoint.Policies), func(p hns.Policy) bool {
				rule, ok := p.(hns.ACL)
				return ok && rule.ID == "bulkhead-pod-in-tcp"
			})
			return n.hns.SetPolicies(ctx, r.Endpoint.ID, less)
		}, pod.ErrDiffers, []string{"mac: want 00:15:5d:ff:ff:ff", "addresses: want 10.1.0.99/16, got 10.1.0.10/16", "bulkhead-pod-in-tcp"}},
		{"another gateway promised", func(_ *node, _ *config.Config, _ pod.Result, p *config.Promise) error {
			p.Addresses[0].Gateway = netip.MustParseAddr("10.1.0.2")
			return nil
		}, pod.ErrDiffers, []string{"routes: want 0.0.0.0/0 via 10.1.0.2, got 0.0.0.0/0 via 10.1.0.1"}},
		{"address freed", func(n *node, a *config.Config, _ pod.Result, _ *config.Promise) error {
			return ipam.Open("host-local").Del(ctx, *a, nil)
		}, pod.ErrIPAM, []string{"reserves 10.1.0.10 for eth0 of container c1"}},
		{"HNS stopped", func(n *node, _ *config.Config, _ pod.Result, _ *config.Promise) error {
			return n.host.StopService()
		}, hns.ErrUnavailable, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			a := n.attachment(hns.L2Bridge, "c1", netns1)
			r := n.mustAdd(a)
			p := promised(r)
			if err := tt.spoil(n, &a, r, &p); err != nil {
				t.Fatal(err)
			}
			err := n.check(a, p)
			if !errors.Is(err, tt.kind) {
				t.Fatalf("got %v, want %v", err, tt.kind)
			}
			for _, text := range tt.texts {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%v lacks %q", err, text)
				}
			}
		})
	}
}

// What other agents add is no difference.
func TestCheckToleratesOthers(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	r := n.mustAdd(a)
	theirs := hns.ACL{ID: "calico", Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Protocol: 6, Priority: 500}
	if err := n.hns.SetPolicies(context.Background(), r.Endpoint.ID, append(slices.Clone(r.Endpoint.Policies), theirs)); err != nil {
		t.Fatal(err)
	}
	if err := n.check(a, promised(r)); err != nil {
		t.Error(err)
	}
}
