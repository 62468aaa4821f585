// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

type wirePortMapping struct {
	HostPort      *int64 `json:"hostPort"`
	ContainerPort *int64 `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP"`
}

// readHostPorts reads the ports of the node that the admin lets pods ask for: without it
// a pod can take one that a service of the node is about to use.
func readHostPorts(doc document, c *Config) error {
	var list []string
	if err := doc.section("hostPorts", &list); err != nil || isNull(doc["hostPorts"]) {
		return err
	}
	out := []hns.PortRange{}
	for i, s := range list {
		r, err := parsePortRange(index("hostPorts", i), s)
		if err != nil {
			return err
		}
		out = append(out, r)
	}
	c.HostPorts = out
	return nil
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
		if c.HostPorts != nil && !slices.ContainsFunc(c.HostPorts, func(r hns.PortRange) bool { return r.First <= m.HostPort && m.HostPort <= r.Last }) {
			return invalid(index(path, i)+".hostPort", "%d is not among those that hostPorts lets pods have", m.HostPort)
		}
		for j, other := range out {
			if m.overlaps(other) {
				return invalid(index(path, i), "%s asks for %s port %d of the node, too; remove one of the two", index(path, j), strings.ToLower(w.Protocol), m.HostPort)
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
	if m.HostIP.IsLoopback() {
		return PortMapping{}, invalid(path+".hostIP", "Windows does not hand what is sent to %s to a pod; leave hostIP out, or name an address of the node", m.HostIP)
	}
	return m, nil
}

// overlaps reports whether two mappings want the same port on the same address of the
// node. A mapping without hostIP wants both families.
func (m PortMapping) overlaps(o PortMapping) bool {
	if m.Protocol != o.Protocol || m.HostPort != o.HostPort {
		return false
	}
	return !m.HostIP.IsValid() || !o.HostIP.IsValid() || m.HostIP == o.HostIP ||
		m.HostIP.Is4() == o.HostIP.Is4() && (m.HostIP.IsUnspecified() || o.HostIP.IsUnspecified())
}

// Covered reports whether the i-th port mapping is for all addresses of one family
// while another one has the same port for all of the other family: a pod without
// addresses of the first family does without it, as with CNI's portmap plugin.
func (c Config) Covered(i int) bool {
	m := c.PortMappings[i]
	return m.HostIP.IsUnspecified() && slices.ContainsFunc(c.PortMappings, func(o PortMapping) bool {
		return o.Protocol == m.Protocol && o.HostPort == m.HostPort && o.ContainerPort == m.ContainerPort &&
			o.HostIP.IsUnspecified() && o.HostIP.Is4() != m.HostIP.Is4()
	})
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
