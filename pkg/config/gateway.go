// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Gateway says what a pod's gateway of one family is, where it is not left to IPAM, the
// node's own endpoint and the network, in that order.
type Gateway struct {
	// Node is the node's own endpoint, the second address of the pod's subnet, and
	// Network the gateway of the network's subnet, whatever IPAM says.
	Node, Network bool
	// Addr is the gateway where IPAM names none, also of a pod whose address HNS
	// chooses.
	Addr netip.Addr
}

// Gateways is the gateway section.
type Gateways struct{ IPv4, IPv6 Gateway }

// Of returns the family's.
func (g Gateways) Of(six bool) Gateway {
	if six {
		return g.IPv6
	}
	return g.IPv4
}

// Fixed returns the addresses that the section names.
func (g Gateways) Fixed() []netip.Addr {
	var out []netip.Addr
	for _, a := range []netip.Addr{g.IPv4.Addr, g.IPv6.Addr} {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

type wireGateways struct {
	IPv4 string `json:"ipv4"`
	IPv6 string `json:"ipv6"`
}

// readGateways needs the network to be read before.
func readGateways(doc document, c *Config) error {
	var w wireGateways
	if err := doc.section("gateway", &w); err != nil {
		return err
	}
	four, err := parseGateway("gateway.ipv4", w.IPv4, false)
	if err != nil {
		return err
	}
	six, err := parseGateway("gateway.ipv6", w.IPv6, true)
	if err != nil {
		return err
	}
	g := Gateways{four, six}
	if c.Network != nil && c.Network.GatewayEndpoint && g != (Gateways{}) {
		return invalid("gateway", "network.gatewayEndpoint makes the node's endpoint the gateway; remove one of the two")
	}
	c.Gateways = g
	return nil
}

func parseGateway(path, s string, six bool) (Gateway, error) {
	switch s {
	case "":
		return Gateway{}, nil
	case "node":
		return Gateway{Node: true}, nil
	case "network":
		return Gateway{Network: true}, nil
	}
	if _, err := netip.ParseAddr(s); err != nil {
		return Gateway{}, invalid(path, "%q is not one of node, network, nor an IP address", s)
	}
	a, err := parseAddr(path, s)
	if err == nil && a.Is6() != six {
		err = invalid(path, "%s is of the other family", a)
	}
	return Gateway{Addr: a}, err
}

// checkGateways refuses the node's endpoint where no driver lets it route for pods.
func (c Config) checkGateways(d hns.Driver) error {
	if d == hns.L2Bridge || d == hns.L2Tunnel {
		return nil
	}
	for _, f := range []struct {
		path string
		of   Gateway
	}{{"gateway.ipv4", c.Gateways.IPv4}, {"gateway.ipv6", c.Gateways.IPv6}} {
		if f.of.Node {
			return invalid(f.path, "only on l2bridge and l2tunnel networks pods leave by an endpoint of the node, not on %s", d)
		}
	}
	return nil
}

// readMACPrefix reads what the MAC addresses of pods begin with. flannel and
// OVN-Kubernetes tell other nodes a pod's MAC address by it (containernetworking/plugins,
// win-overlay). It needs to be known before who has the addresses.
func readMACPrefix(doc document, c *Config) error {
	const path, length = "macPrefix", len("0E-2A")
	text := ""
	if err := doc.section(path, &text); err != nil || text == "" {
		return err
	}
	if _, err := parseMAC(path, text+"-00-00-00-00"); err != nil || len(text) != length {
		return invalid(path, "%q is not the beginning of a MAC address such as 0E-2A", text)
	}
	if !c.HasAddresses() {
		return invalid(path, "the rest is the pod's IPv4 address, which HNS chooses; add an ipam section")
	}
	c.MACPrefix = strings.ToLower(strings.ReplaceAll(text, "-", ":"))
	return nil
}

// DerivedMAC returns the MAC address of a pod with that IPv4 address by the prefix.
func (c Config) DerivedMAC(a netip.Addr) (hns.MAC, error) {
	const digits = "0123456789abcdef"
	text := c.MACPrefix
	for _, b := range a.As4() {
		text += ":" + string(digits[b>>4]) + string(digits[b&0xf])
	}
	return hns.ParseMAC(text)
}
