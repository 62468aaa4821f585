// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// publish is a pod whose port 80 is to be port 8080 of the node.
func (n *node) publish(containerID, hostIP string) config.Config {
	n.Helper()
	conf := fmt.Sprintf(`{"cniVersion": "1.1.0", "name": "net1", "type": "bulkhead", "driver": "l2bridge",
		"network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]},
		"ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/16", "rangeStart": "10.1.0.10"}]]},
		"runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": %q}]}}`, n.dir, hostIP)
	return n.parsed(conf, containerID)
}

// A port that another pod has is refused with who that is, and nothing is left.
func TestPortTaken(t *testing.T) {
	n := newNode(t, "2022")
	first, second := n.publish("first", ""), n.publish("second", "192.168.1.5")
	if _, err := n.attacher(first).Add(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	_, err := n.attacher(second).Add(context.Background(), second)
	if !errors.Is(err, pod.ErrPortTaken) || !strings.Contains(err.Error(), `port 8080/tcp of 192.168.1.5 is mapped to container first on the network "net1"`) {
		t.Errorf("got %v", err)
	}
	if left, err := n.hns.EndpointsNamed(context.Background(), "second_net1"); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if got := n.addresses(); len(got) != 1 {
		t.Errorf("addresses held: %v", got)
	}
}

// The create that follows the removal of a dead holder may find the port taken.
func TestPortTakenAfterAnEviction(t *testing.T) {
	n := newNode(t, "2022")
	ctx := context.Background()
	a := n.publish("first", "")
	at := n.attacher(a)
	if _, err := at.Add(ctx, a); err != nil {
		t.Fatal(err)
	}
	if err := at.Del(ctx, a); err != nil {
		t.Fatal(err)
	}
	n.forget()
	n.holder(a, hns.Endpoint{Name: "gone_net1"})
	if err := n.host.AddFault(hnsemu.Fault{Proc: "HcnCreateEndpoint", Kind: hnsemu.FaultFail, Nth: 2, Code: hns.CodePortExists}); err != nil {
		t.Fatal(err)
	}
	if _, err := at.Add(ctx, a); !errors.Is(err, pod.ErrPortTaken) {
		t.Errorf("got %v", err)
	}
}

// Windows' own word for a port that a program has.
func TestPortTakenByAProgram(t *testing.T) {
	n := newNode(t, "2022")
	if err := n.host.AddFault(hnsemu.Fault{Proc: "HcnCreateEndpoint", Kind: hnsemu.FaultFail, Nth: 1, Code: hns.NewHRESULT(0x20)}); err != nil {
		t.Fatal(err)
	}
	a := n.publish("first", "")
	_, err := n.attacher(a).Add(context.Background(), a)
	if !errors.Is(err, pod.ErrPortTaken) || !strings.Contains(err.Error(), "no endpoint has port 8080/tcp of the node") {
		t.Errorf("got %v", err)
	}
}

// deaf is an IPAM plugin that does not hear what the runtime asks for.
type deaf struct{ ipam.Plugin }

func (d deaf) Add(ctx context.Context, c config.Config, reserved []netip.Addr) (ipam.Result, error) {
	c.Requested = nil
	return d.Plugin.Add(ctx, c, reserved)
}

// An IPAM plugin that passes over the addresses asked for is found out, and what
// it gave is given back.
func TestOtherAddressesThanAskedFor(t *testing.T) {
	n := newNode(t, "2022")
	a := n.publish("first", "")
	a.Requested = append(a.Requested, config.RequestedAddr{Path: "runtimeConfig.ips[0]", Addr: netip.MustParseAddr("10.1.0.77")})
	at := n.attacher(a)
	at.IPAM = deaf{at.IPAM}
	_, err := at.Add(context.Background(), a)
	if !errors.Is(err, pod.ErrIPAM) || !strings.Contains(err.Error(), "runtimeConfig.ips[0]: IPAM plugin host-local gave [10.1.0.10/16] instead of 10.1.0.77") {
		t.Errorf("got %v", err)
	}
	if got := n.addresses(); len(got) != 0 {
		t.Errorf("addresses held: %v", got)
	}
}
