// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"strings"
)

type wirePortMapping struct {
	HostPort      *int64 `json:"hostPort"`
	ContainerPort *int64 `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP"`
}

func readPortMappings(doc document, c *Config) error {
	const path = "runtimeConfig.portMappings"
	var ws []wirePortMapping
	if err := doc.runtime("portMappings", &ws); err != nil {
		return err
	}
	var out []PortMapping
	for i, w := range ws {
		m, err := w.mapping(index(path, i))
		if err != nil {
			return err
		}
		for j, other := range out {
			if m.Protocol == other.Protocol && m.HostPort == other.HostPort && m.HostIP == other.HostIP {
				return invalid(index(path, i), "%s port %d of the node is taken by %s", strings.ToLower(w.Protocol), m.HostPort, index(path, j))
			}
		}
		out = append(out, m)
	}
	c.PortMappings = out
	return nil
}

func (w wirePortMapping) mapping(path string) (PortMapping, error) {
	var m PortMapping
	var err error
	if m.Protocol, err = parseProtocol(path+".protocol", w.Protocol); err != nil {
		return PortMapping{}, err
	}
	if m.HostPort, err = parsePort(path+".hostPort", w.HostPort); err != nil {
		return PortMapping{}, err
	}
	if m.ContainerPort, err = parsePort(path+".containerPort", w.ContainerPort); err != nil {
		return PortMapping{}, err
	}
	if w.HostIP == "" {
		return m, nil
	}
	if m.HostIP, err = parseAddr(path+".hostIP", w.HostIP); err != nil {
		return PortMapping{}, err
	}
	if m.HostIP.IsUnspecified() {
		m.HostIP = netip.Addr{}
	}
	return m, nil
}

// parseProtocol returns the IP protocol number (IANA).
func parseProtocol(path, s string) (int, error) {
	const tcp, udp = 6, 17
	switch strings.ToLower(s) {
	case "tcp":
		return tcp, nil
	case "udp":
		return udp, nil
	default:
		return 0, invalid(path, "%q is not one of tcp, udp", s)
	}
}

func parsePort(path string, n *int64) (uint16, error) {
	if n == nil {
		return 0, invalid(path, "missing")
	}
	return uint16(*n), checkPort(path, *n)
}

type wireBandwidth struct {
	IngressRate uint64 `json:"ingressRate"`
	EgressRate  uint64 `json:"egressRate"`
}

// readBandwidth takes rates in bits a second (CNI's conventions, "bandwidth"
// capability). It passes over the bursts, which HNS does not know; containerd
// sets them to their maximum.
func readBandwidth(doc document, c *Config) error {
	const path, bits = "runtimeConfig.bandwidth.", 8
	var w wireBandwidth
	if err := doc.runtime("bandwidth", &w); err != nil {
		return err
	}
	switch {
	case w.IngressRate > 0:
		return invalid(path+"ingressRate", "HNS limits only what a pod sends, not what it receives; ask for egress alone")
	case w.EgressRate > 0 && w.EgressRate < bits:
		return invalid(path+"egressRate", "%d bits a second is less than one byte", w.EgressRate)
	}
	for i, p := range c.Policies {
		if w.EgressRate > 0 && strings.EqualFold(p.Type, "QOS") {
			return invalid(index("policies", i), "runtimeConfig.bandwidth.egressRate is the same limit; remove one of the two")
		}
	}
	c.EgressRate = w.EgressRate / bits
	return nil
}

func readMAC(doc document, c *Config) error {
	const path = "runtimeConfig.mac"
	mac := ""
	if err := doc.runtime("mac", &mac); err != nil || mac == "" {
		return err
	}
	m, err := parseMAC(path, mac)
	if err == nil && m == "00:00:00:00:00:00" {
		err = invalid(path, "%q is no address of an interface", mac)
	}
	if err != nil {
		return err
	}
	c.MAC = m
	return nil
}

// readIPs takes addresses with or without a prefix length (CNI's conventions,
// "ips" capability).
func readIPs(doc document, c *Config) error {
	const path = "runtimeConfig.ips"
	var list []string
	if err := doc.runtime("ips", &list); err != nil || len(list) == 0 {
		return err
	}
	if c.IPAM.Type == "" {
		return invalid(path, "without an ipam section HNS chooses the address; add one")
	}
	var out []netip.Addr
	for i, s := range list {
		a, err := parseInterfaceAddr(index(path, i), s)
		if err != nil {
			return err
		}
		out = append(out, a)
	}
	c.IPs = out
	return nil
}

// parseInterfaceAddr reads an address that may have a prefix length, which is the
// subnet's to say.
func parseInterfaceAddr(path, s string) (netip.Addr, error) {
	bare, length, has := strings.Cut(s, "/")
	a, err := parseAddr(path, bare)
	if err != nil || !has {
		return a, err
	}
	if p, err := netip.ParsePrefix(s); err != nil || p.Bits() == 0 {
		return a, invalid(path, "%q has the prefix length %q; write 1 to %d, or none", s, length, a.BitLen())
	}
	return a, nil
}
