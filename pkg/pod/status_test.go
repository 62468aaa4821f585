// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

func TestStatus(t *testing.T) {
	n := newNode(t, "2022")
	ours := n.attachment(hns.L2Bridge, "c1", netns1)
	theirs := n.configured(`"driver":"l2bridge"`, "c1", netns1)
	status := func(a config.Config) error { return n.attacher(a).Status(context.Background(), a) }
	if err := status(ours); err != nil {
		t.Errorf("a network that ADD can make: %v", err)
	}
	if err := status(theirs); !errors.Is(err, network.ErrMissing) {
		t.Errorf("a network that is missing: %v", err)
	}
	n.network(hns.L2Bridge, "10.7.0.0/16")
	if err := status(ours); !errors.Is(err, network.ErrDiffers) {
		t.Errorf("a network that differs: %v", err)
	}
	if err := status(n.configured(`"ipam":{"type":"static"}`, "c1", netns1)); err != nil {
		t.Errorf("somebody else's network: %v", err)
	}
	if err := n.host.StopService(); err != nil {
		t.Fatal(err)
	}
	if err := status(ours); !errors.Is(err, hns.ErrUnavailable) {
		t.Errorf("HNS stopped: %v", err)
	}
}

// Runtimes ask every few seconds: two native calls, however many networks and
// endpoints there are.
func TestStatusIsCheap(t *testing.T) {
	for _, d := range hns.Drivers() {
		n := newNode(t, "2022")
		n.namespace(netns1)
		a := n.attachment(d, "c1", netns1)
		n.mustAdd(a)
		if err := n.host.ResetLog(); err != nil {
			t.Fatal(err)
		}
		if err := n.attacher(a).Status(context.Background(), a); err != nil {
			t.Errorf("%s: %v", d, err)
		}
		calls, err := n.host.Calls()
		if err != nil || len(calls) != 2 {
			t.Errorf("%s: %d native calls (%v): %v", d, len(calls), err, calls)
		}
	}
}

// A network that HNS tells in its v1 list is compared as ADD compares it.
func TestStatusAgreesWithAdd(t *testing.T) {
	for _, d := range hns.Drivers() {
		n := newNode(t, "2022")
		n.namespace(netns1)
		n.mustAdd(n.attachment(d, "c1", netns1))
		for _, other := range hns.Drivers() {
			a := n.attachment(other, "c2", netns1)
			_, addErr := n.add(a)
			err := n.attacher(a).Status(context.Background(), a)
			if (addErr == nil) != (err == nil) || other != d && !errors.Is(err, network.ErrDiffers) {
				t.Errorf("network %s, configured %s: ADD says %v, STATUS says %v", d, other, addErr, err)
			}
		}
	}
}

func TestStatusOfAnOldHNS(t *testing.T) {
	n := newNode(t, "2019")
	tests := []struct{ members, want string }{
		{`"driver":"l2bridge","network":{"subnets":[{"prefix":"fd00::/64","gateway":"fd00::1"}]}`, "IPv6 needs HNS 11.10"},
		{`"driver":"overlay","network":{"subnets":[{"prefix":"10.1.0.0/16","gateway":"10.1.0.1","vsid":4096}],"vxlanPort":4790}`, "network.vxlanPort needs HNS 10.3"},
	}
	for _, tt := range tests {
		a := n.configured(tt.members, "c1", netns1)
		if err := n.attacher(a).Status(context.Background(), a); !errors.Is(err, plan.ErrFeature) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: STATUS: %v", tt.want, err)
		}
		n.namespace("")
		if _, err := n.add(a); !errors.Is(err, plan.ErrFeature) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: ADD: %v", tt.want, err)
		}
		n.nothingLeft(tt.want)
		if networks := n.state().Networks; len(networks) > 0 {
			t.Errorf("%s: ADD made %+v", tt.want, networks)
		}
	}
}

// versioned is an HNS of another version.
type versioned struct {
	hns.Client
	version hns.Version
	err     error
}

func (v versioned) Features(context.Context) (hns.Features, error) {
	return hns.Features{Version: v.version}, v.err
}

func TestStatusOfAnHNSThatIsTooOld(t *testing.T) {
	for _, v := range []versioned{
		{version: hns.Version{Major: 7, Minor: 2}},
		{err: &hns.Error{Op: "ask for the HNS version", Code: 0x80004001}},
	} {
		n := newNode(t, "2022")
		v.Client = n.hns
		n.hns = v
		a := n.attachment(hns.L2Bridge, "c1", netns1)
		if err := n.attacher(a).Status(context.Background(), a); !errors.Is(err, plan.ErrFeature) {
			t.Errorf("%+v: %v", v.version, err)
		}
	}
}

func TestStatusOfAnExhaustedRange(t *testing.T) {
	n := newNode(t, "2022")
	members := `"driver":"l2bridge","network":{"subnets":[{"prefix":"10.1.0.0/16","gateway":"10.1.0.1"}]},` +
		fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.11"}]]}`, n.dir)
	status := func(c config.Config) error {
		return n.attacher(c).Status(context.Background(), c)
	}
	var last config.Config
	var first pod.Result
	for i := range 2 {
		last = n.configured(members, fmt.Sprint("c", i), "none")
		if err := status(last); err != nil {
			t.Errorf("with %d of 2 addresses held: %v", i, err)
		}
		if r := n.mustAdd(last); i == 0 {
			first = r
		}
	}
	// Kubernetes evicts the pods of a node that is not ready.
	if err := status(last); err != nil {
		t.Errorf("with all addresses held: %v", err)
	}
	late := n.configured(members, "c9", "none")
	adds := func(want string) {
		t.Helper()
		if _, err := n.add(late); !errors.Is(err, ipam.ErrExhausted) || !errors.Is(err, pod.ErrIPAM) || !strings.Contains(err.Error(), want) {
			t.Errorf("ADD: %v\nwant %s", err, want)
		}
	}
	adds("all 2 addresses of ipam.ranges[0] (10.1.0.10-10.1.0.11) are reserved, all by containers with an endpoint; GC would find nothing: widen the range")
	if err := n.hns.DeleteEndpoint(context.Background(), first.Endpoint.ID); err != nil {
		t.Fatal(err)
	}
	adds("are reserved, 1 of 2 by containers without an endpoint; run GC")
	n.mustDel(last)
	if err := status(last); err != nil {
		t.Errorf("with an address free again: %v", err)
	}
}
