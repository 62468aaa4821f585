// SPDX-License-Identifier: Apache-2.0

// Package plan decides what a pod's endpoint and network must be, from the
// configuration, the network as it is, and the addresses that IPAM gave. It is
// pure: no clock, no environment, no file and no HNS call, so the same facts give
// the same plan on every system. What it wants serves every verb.
package plan

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Kinds of refusals, for errors.Is.
var (
	// ErrConflict: the configuration does not fit the network or the addresses.
	ErrConflict = errors.New("configuration and network do not fit")
	// ErrFeature: this node's HNS cannot do what is asked.
	ErrFeature = errors.New("HNS is too old")
)

// Address is an address of the wanted endpoint. Gateway is zero to take the
// subnet's.
type Address struct {
	Addr    netip.Addr
	Gateway netip.Addr
}

// Facts are what an endpoint is planned from.
type Facts struct {
	Config config.Config
	// Network is the network as HNS has it.
	Network hns.Network
	// Addresses is empty to let HNS choose one.
	Addresses []Address
	// Routes are those that IPAM gave beside the default routes. A NextHop of zero
	// is the gateway of the family.
	Routes []hns.Route
	// Features is needed only when NeedsFeatures says so.
	Features hns.Features
	// Host holds the addresses that the node reaches its pods from. They are needed only
	// when NeedsHost says so.
	Host []netip.Addr
}

// NeedsFeatures reports whether the plan of an endpoint on a network of driver d
// depends on the HNS version, so that a caller without need is spared the
// question.
func NeedsFeatures(c config.Config, d hns.Driver, addresses []Address) bool {
	for _, a := range addresses {
		if a.Addr.Is6() {
			return true
		}
	}
	if gated(c) {
		return true
	}
	if c.LoopbackDSR != nil {
		return *c.LoopbackDSR
	}
	return d.HasVFP() && c.HasAddresses()
}

// Endpoint returns the endpoint that the facts call for. It refuses, as
// ErrConflict, ErrFeature or an error of config, what HNS would refuse or
// silently do differently.
func Endpoint(f Facts) (hns.Endpoint, error) {
	f, err := f.forDriver()
	if err != nil {
		return hns.Endpoint{}, err
	}
	want := hns.Endpoint{
		Name:      EndpointName(f.Config.ContainerID, f.Network.Name, f.Config.IfName),
		NetworkID: f.Network.ID,
		DNS:       f.Config.DNS,
		MAC:       f.Config.MAC,
	}
	if err := addAddresses(&want, f); err != nil {
		return hns.Endpoint{}, err
	}
	if err := addMAC(&want, f.Config); err != nil {
		return hns.Endpoint{}, err
	}
	policies, err := policies(f)
	if err != nil {
		return hns.Endpoint{}, err
	}
	want.Policies = policies
	return want, nil
}

// forDriver returns the facts with the configuration for the network's driver, or the
// error of what such a network cannot do.
func (f Facts) forDriver() (Facts, error) {
	c, err := f.Config.WithDriver(f.Network.Driver)
	f.Config = c
	return f, err
}

// addAddresses sets addresses and default routes: at most one of each family,
// which is all that an endpoint takes.
func addAddresses(want *hns.Endpoint, f Facts) error {
	if len(f.Addresses) == 0 {
		for _, gw := range f.Config.Gateways.Fixed() {
			want.Routes = append(want.Routes, defaultRoute(gw))
		}
	}
	seen := map[bool]netip.Addr{}
	for _, a := range f.Addresses {
		if first, twice := seen[a.Addr.Is6()]; twice {
			return problem.New(ErrConflict, nil, "IPAM gave %s and %s, but an endpoint takes one address of a family", first, a.Addr)
		}
		seen[a.Addr.Is6()] = a.Addr
		if err := checkFamily(a.Addr, f.Features, f.Config.Driver); err != nil {
			return err
		}
		subnet, err := subnetOf(f.Network, a.Addr)
		if err != nil {
			return err
		}
		want.Addresses = append(want.Addresses, netip.PrefixFrom(a.Addr, subnet.Prefix.Bits()))
		if hasNodeEndpoint(f.Config) && a.Addr == subnet.NodeAddress() {
			return problem.New(ErrConflict, nil, "IPAM gave %s, which network.gatewayEndpoint makes the node's", a.Addr)
		}
		if f.Config.Gateways.Of(a.Addr.Is6()).Node && a.Addr == subnet.NodeAddress() {
			return problem.New(ErrConflict, nil, "IPAM gave %s, which is the gateway of the pods of %s", a.Addr, subnet.Prefix)
		}
		gw := gatewayOf(a, subnet, f.Config)
		if err := checkGateway(a.Addr, gw, subnet); err != nil {
			return err
		}
		if gw.IsValid() {
			want.Routes = append(want.Routes, defaultRoute(gw))
		}
	}
	return nil
}

// checkGateway refuses what cannot be the gateway of a pod with that address. The
// network's own, which HNS took, can.
func checkGateway(own, gw netip.Addr, s hns.Subnet) error {
	if !gw.IsValid() || gw == s.Gateway && gw != own {
		return nil
	}
	if why := s.NotNextHop(gw); why != "" {
		return problem.New(ErrConflict, nil, "IPAM gave %s the gateway %s, but %s", own, gw, why)
	}
	if gw == own {
		return problem.New(ErrConflict, nil, "IPAM gave %s with itself as the gateway", own)
	}
	return nil
}

// checkFamily refuses IPv6 where HNS has none.
func checkFamily(a netip.Addr, features hns.Features, driver hns.Driver) error {
	if !a.Is6() {
		return nil
	}
	if !driver.HasIPv6() {
		return problem.New(ErrConflict, nil, "the pod's address %s is IPv6, which %s networks do not have", a, driver)
	}
	return checkIPv6(a, features)
}

func subnetOf(n hns.Network, a netip.Addr) (hns.Subnet, error) {
	var known []string
	for _, s := range n.Subnets {
		if s.Prefix.Contains(a) {
			return s, nil
		}
		known = append(known, s.Prefix.String())
	}
	if len(known) == 0 {
		return hns.Subnet{}, problem.New(ErrConflict, nil, "the network %q has no subnet for the pod's address %s", n.Name, a)
	}
	return hns.Subnet{}, problem.New(ErrConflict, nil, "the pod's address %s is outside of the network %q (%s)", a, n.Name, strings.Join(known, ", "))
}

// addMAC derives the MAC address where the runtime asks for none and a prefix of it is
// configured.
func addMAC(want *hns.Endpoint, c config.Config) error {
	if want.MAC != "" || c.MACPrefix == "" {
		return nil
	}
	for _, a := range want.Addrs() {
		if a.Is4() {
			var err error
			want.MAC, err = c.DerivedMAC(a)
			return err
		}
	}
	return problem.New(ErrConflict, nil, "macPrefix needs an IPv4 address, and IPAM gave none")
}

// gatewayOf prefers IPAM's gateway, which knows of other agents' endpoints of the
// node, unless the configuration says who it is.
func gatewayOf(a Address, s hns.Subnet, c config.Config) netip.Addr {
	rule := c.Gateways.Of(a.Addr.Is6())
	switch {
	case rule.Node:
		return s.NodeAddress()
	case rule.Network:
		return s.Gateway
	case a.Gateway.IsValid():
		return a.Gateway
	case rule.Addr.IsValid():
		return rule.Addr
	case hasNodeEndpoint(c):
		return s.NodeAddress()
	default:
		return s.Gateway
	}
}

func defaultRoute(gw netip.Addr) hns.Route {
	return hns.Route{Destination: netip.PrefixFrom(unspecified(gw), 0), NextHop: gw}
}
