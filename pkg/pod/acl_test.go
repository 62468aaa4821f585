// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

const closed = `{"cniVersion": "1.1.0", "name": "net1", "type": "bulkhead", "driver": "l2bridge",
	"network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]},
	"acl": {"inbound": {"default": "deny"}, "podAnnotations": true,
		"rules": [{"direction": "in", "action": "allow", "protocol": "tcp", "ports": "80", "remote": ["10.0.0.0/8"]}]},
	"capabilities": {"io.kubernetes.cri.pod-annotations": true, "portMappings": true},
	"runtimeConfig": {
		"portMappings": [{"hostPort": 8443, "containerPort": 443, "protocol": "tcp"}],
		"io.kubernetes.cri.pod-annotations": {"bulkhead.dev/acl": "{\"rules\": [{\"direction\": \"in\", \"action\": \"deny\", \"remote\": [\"10.9.0.0/16\"]}]}"}}}`

// A pod's rules, its annotation, the node's own way in and the mapped ports are
// what the endpoint's rules let through, as HNS evaluates them.
func TestACLs(t *testing.T) {
	n := newNode(t, "2022")
	a := n.closedPod()
	r, err := n.attacher(a).Add(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, from string
		port       uint16
		want       bool
	}{
		{"the rule", "10.2.0.1", 80, true},
		{"another port", "10.2.0.1", 81, false},
		{"from elsewhere", "8.8.8.8", 80, false},
		{"denied by the annotation", "10.9.0.1", 80, false},
		{"the node", "192.168.1.5", 10250, true},
		{"a mapped port", "8.8.8.8", 443, true},
	}
	for _, tt := range tests {
		v, err := n.host.Evaluate(hnsemu.Packet{
			EndpointID: r.Endpoint.ID, Isolation: hns.Process, Direction: hns.In, Protocol: 6,
			Remote: netip.MustParseAddr(tt.from), LocalPort: tt.port, RemotePort: 40000,
		})
		if err != nil {
			t.Fatal(err)
		}
		if v.Allowed != tt.want {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
	if err := n.attacher(a).Check(context.Background(), a, config.Promise{Addresses: promisedBy(r), MAC: r.Endpoint.MAC}); err != nil {
		t.Errorf("CHECK: %v", err)
	}
}

// When the rules are not known, there is no endpoint: ADD fails closed.
func TestACLsFailClosed(t *testing.T) {
	n := newNode(t, "2022")
	a := n.closedPod()
	at := n.attacher(a)
	at.SendsFrom = func(netip.Addr) (netip.Addr, error) { return netip.Addr{}, errors.New("no route") }
	if _, _, err := n.networks().Ensure(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	at.HNS = unmanaged{n.hns}
	if _, err := at.Add(context.Background(), a); err == nil || !strings.Contains(err.Error(), "acl.allowHost") {
		t.Errorf("got %v", err)
	}
	left, err := n.hns.EndpointsNamed(context.Background(), "web_net1")
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// unmanaged is HNS that does not tell the node's address.
type unmanaged struct{ hns.Client }

func (u unmanaged) ListNetworks(ctx context.Context) ([]hns.Network, error) {
	all, err := u.Client.ListNetworks(ctx)
	for i := range all {
		all[i].ManagementAddress = netip.Addr{}
	}
	return all, err
}

// closedPod is a pod whose inbound default is deny, in a namespace of its own.
func (n *node) closedPod() config.Config {
	n.Helper()
	return n.parsed(closed, "web")
}

// parsed is a container in a namespace of its own with that configuration.
func (n *node) parsed(conf, containerID string) config.Config {
	n.Helper()
	c, err := config.Parse([]byte(conf), config.Env{ContainerID: containerID, IfName: "eth0", NetNS: "none"})
	if err != nil {
		n.Fatal(err)
	}
	return c
}

func promisedBy(r pod.Result) []ipam.Address {
	var out []ipam.Address
	for _, p := range r.Endpoint.Addresses {
		out = append(out, ipam.Address{Prefix: p})
	}
	return out
}
