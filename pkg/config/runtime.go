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
	if m.HostIP == netip.IPv4Unspecified() {
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

// refuseBandwidth looks at the rates only: containerd sets the bursts to their
// maximum when it means no limit.
func refuseBandwidth(doc document, _ *Config) error {
	var w wireBandwidth
	if err := doc.runtime("bandwidth", &w); err != nil {
		return err
	}
	const path = "runtimeConfig.bandwidth."
	asked := firstSet([]key{{path + "ingressRate", w.IngressRate > 0}, {path + "egressRate", w.EgressRate > 0}})
	if asked != "" {
		return unsupported(asked)
	}
	return nil
}

func refuseMAC(doc document, _ *Config) error {
	mac := ""
	if err := doc.runtime("mac", &mac); err != nil {
		return err
	}
	if mac != "" {
		return unsupported("runtimeConfig.mac")
	}
	return nil
}
