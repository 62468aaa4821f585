// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// lease is what the other nodes need to know of a node's overlay. The cluster tells them, as
// flanneld.exe does (flannel, pkg/backend/vxlan/vxlan_network_windows.go), in the form of
// the policy that leads there.
type lease struct {
	DestinationPrefix           string
	IsolationID                 uint32 `json:"IsolationId"`
	ProviderAddress             string
	DistributedRouterMacAddress string
}

const remoteSubnetRoute = "RemoteSubnetRoute"

// lease tells the other nodes about the overlay that the node's conflist makes, with its first
// subnet: those of conflists with more are the node's alone.
func (n *node) lease(s hnsemu.State) {
	of, there := n.overlay(s)
	var own lease
	if there && len(of.Subnets) > 0 {
		own = lease{DestinationPrefix: of.Subnets[0].Prefix.String(), IsolationID: of.Subnets[0].VSID, ProviderAddress: n.spec.Address().String()}
		for _, p := range of.Policies {
			var router struct{ Address string }
			if p.Type == "DrMacAddress" && json.Unmarshal(p.Settings, &router) == nil {
				own.DistributedRouterMacAddress = router.Address
			}
		}
	}
	n.Supervisor.mu.Lock()
	defer n.Supervisor.mu.Unlock()
	if n.leases[n.spec.Name] == own {
		return
	}
	n.leases[n.spec.Name] = own
	if err := n.overlays(); err != nil {
		log.Printf("the overlay of Linux: %v", err)
	}
	for _, other := range append(slices.Collect(maps.Values(n.nodes)), n) {
		select {
		case other.leased <- struct{}{}:
		default: // it looks in a moment
		}
	}
}

// control is the control plane's part of an overlay: its API server proxies to pods.
func control(vsid uint32) lease {
	return lease{
		DestinationPrefix: "10.244.255.0/24", IsolationID: vsid, ProviderAddress: spec.Outer.Addr().String(),
		DistributedRouterMacAddress: "02-42-0a-f4-ff-00",
	}
}

// linux are the parts of an overlay that are Linux', by their network namespaces: the control
// plane's, in the present one, and the Linux nodes'.
func (s *Supervisor) linux(vsid uint32) map[string]lease {
	out := map[string]lease{"": control(vsid)}
	for _, n := range s.cluster.LinuxNodes {
		out[s.cluster.NetNS(n)] = lease{
			DestinationPrefix: n.Subnets[0].String(), IsolationID: vsid, ProviderAddress: n.Address().String(),
			DistributedRouterMacAddress: fmt.Sprintf("02-42-0a-f4-ff-%02x", n.Number),
		}
	}
	return out
}

// overlays puts the control plane and the Linux nodes on the overlays of all Windows nodes. The
// caller has the lock.
func (s *Supervisor) overlays() error {
	others := map[uint32][]machine.Peer{}
	for vsid := range s.overlaid {
		others[vsid] = nil // what nobody has any more is taken away
	}
	for _, l := range s.leases {
		if l == (lease{}) {
			continue
		}
		p, err := l.peer()
		if err != nil {
			return err
		}
		others[l.IsolationID] = append(others[l.IsolationID], p)
	}
	var failures []error
	for vsid, peers := range others {
		linux := s.linux(vsid)
		for netns := range linux {
			failures = append(failures, join(netns, vsid, linux, peers))
		}
		s.overlaid[vsid] = true
	}
	return errors.Join(failures...)
}

// join puts a network namespace of Linux on an overlay with the others and with Windows nodes,
// or takes it off when there are none of those.
func join(netns string, vsid uint32, linux map[string]lease, windows []machine.Peer) error {
	var own machine.Peer
	others := slices.Clone(windows)
	for at, l := range linux {
		p, err := l.peer()
		switch {
		case err != nil:
			return err
		case at == netns:
			own = p
		case len(windows) > 0:
			others = append(others, p)
		}
	}
	join := func() error { return machine.Overlay(fmt.Sprintf("flannel.%d", vsid), vsid, own, others) }
	if netns == "" {
		return join()
	}
	return machine.In(netns, join)
}

// peer returns what a lease says.
func (l lease) peer() (machine.Peer, error) {
	subnet, subnetErr := netip.ParsePrefix(l.DestinationPrefix)
	provider, providerErr := netip.ParseAddr(l.ProviderAddress)
	router, routerErr := net.ParseMAC(strings.ReplaceAll(l.DistributedRouterMacAddress, "-", ":"))
	return machine.Peer{Subnet: subnet.Masked(), Provider: provider, Router: router}, errors.Join(subnetErr, providerErr, routerErr)
}

// overlay returns the network of the node's conflist when it is an overlay and there.
func (n *node) overlay(s hnsemu.State) (hnsemu.NetworkState, bool) {
	name, driver := n.spec.Network()
	i := slices.IndexFunc(s.Networks, func(of hnsemu.NetworkState) bool { return of.Name == name && of.Driver == hns.Overlay })
	if i < 0 || driver != hns.Overlay {
		return hnsemu.NetworkState{}, false
	}
	return s.Networks[i], true
}

// meet keeps the remote subnets of the node's overlay those that the others have. What HNS
// does not take, since it is stopped, is tried again.
func (n *node) meet() {
	for range n.leased {
		for told := ""; ; time.Sleep(time.Second) {
			err := n.remoteSubnets()
			if err == nil {
				break
			}
			if told != err.Error() {
				told = err.Error()
				log.Printf("%s: %v", n.spec.Name, err)
			}
		}
	}
}

// remoteSubnets makes the remote subnets of the node's overlay what the others have.
func (n *node) remoteSubnets() error {
	s, err := n.hns.State()
	if err != nil {
		return err
	}
	of, there := n.overlay(s)
	if !there || len(of.Subnets) == 0 {
		return nil
	}
	want := map[lease]bool{}
	for _, l := range n.linux(of.Subnets[0].VSID) {
		want[l] = true
	}
	n.Supervisor.mu.Lock()
	for name, l := range n.leases {
		want[l] = name != n.spec.Name && l.DistributedRouterMacAddress != ""
	}
	n.Supervisor.mu.Unlock()
	for _, p := range of.Policies {
		var has lease
		if p.Type != remoteSubnetRoute || json.Unmarshal(p.Settings, &has) != nil {
			continue
		}
		if !want[has] {
			if err := n.remoteSubnet(of.ID, "Remove", has); err != nil {
				return err
			}
		}
		delete(want, has)
	}
	for l, missing := range want {
		if missing {
			if err := n.remoteSubnet(of.ID, "Add", l); err != nil {
				return err
			}
		}
	}
	return nil
}

// remoteSubnet adds a remote subnet to a network or removes it.
func (n *node) remoteSubnet(network, kind string, l lease) error {
	policy := map[string]any{"ResourceType": "Policy", "RequestType": kind, "Settings": map[string]any{
		"Policies": []any{map[string]any{"Type": remoteSubnetRoute, "Settings": l}},
	}}
	text, err := json.Marshal(policy)
	if err != nil {
		return err
	}
	call := func(proc string, args ...string) (hnsemu.Reply, error) {
		reply, err := n.hns.Call(context.Background(), hnsemu.Call{Client: "cluster", Proc: proc, Args: args})
		if err == nil && reply.Code != 0 {
			err = fmt.Errorf("%s: %s %s", proc, reply.Code, reply.Record)
		}
		if err != nil {
			err = fmt.Errorf("remote subnet %s: %w", l.DestinationPrefix, err)
		}
		return reply, err
	}
	opened, err := call("HcnOpenNetwork", network)
	if err != nil {
		return err
	}
	handle := fmt.Sprint(opened.Handle)
	_, err = call("HcnModifyNetwork", handle, string(text))
	_, closed := call("HcnCloseNetwork", handle)
	return errors.Join(err, closed)
}
