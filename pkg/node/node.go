// SPDX-License-Identifier: Apache-2.0

// Package node puts the parts of Bulkhead together for every edge: the verbs for CNI,
// the networks and the inventory for the commands. Main alone picks the
// implementations, on Windows or on the emulator.
package node

import (
	"net"
	"net/netip"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// Node is the node that this process runs on, by the implementations of its parts.
type Node struct {
	// OpenHNS connects to HNS, with a limit for each native call.
	OpenHNS func(perCall time.Duration) (hns.Client, error)
	Lock    nodelock.Lock
	Uplink  uplink.Node
	// NodeAddrs returns the addresses of the node's interfaces.
	NodeAddrs func() ([]netip.Addr, error)
	// SendsFrom returns the address of the node that it sends from to another.
	SendsFrom func(to netip.Addr) (netip.Addr, error)
	// KubeProxies returns the node's kube-proxy processes; nil where nobody can tell.
	KubeProxies func() ([]kubeproxy.Process, error)
	// DisabledComponents returns which parts of IPv6 the registry turns off; nil where
	// there is none.
	DisabledComponents func() (uint32, error)
}

// Verbs connects to HNS and returns the CNI verbs for a configuration.
func (n Node) Verbs(c config.Config) (pod.Verbs, error) {
	client, err := n.OpenHNS(c.Timeouts.Call)
	if err != nil {
		return pod.Verbs{}, err
	}
	return pod.Verbs{HNS: client, IPAM: ipam.Open(c.IPAM.Type), Lock: n.Lock, NodeAddrs: n.NodeAddrs, SendsFrom: n.SendsFrom, Uplink: n.Uplink}, nil
}

// Networks connects to HNS, with a limit for each native call, and returns what keeps the
// node's networks.
func (n Node) Networks(perCall time.Duration) (network.Keeper, error) {
	client, err := n.OpenHNS(perCall)
	if err != nil {
		return network.Keeper{}, err
	}
	return network.Keeper{HNS: client, Lock: n.Lock, Uplink: n.Uplink}, nil
}

// InterfaceAddrs returns the addresses of this machine's interfaces.
func InterfaceAddrs() ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range found {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out, nil
}

// SendsFrom returns the address that this machine sends from to another, as its routes
// say. Nothing is sent.
func SendsFrom(to netip.Addr) (netip.Addr, error) {
	const discard = 9
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, discard)))
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	from, err := netip.ParseAddrPort(c.LocalAddr().String())
	return from.Addr(), err
}
