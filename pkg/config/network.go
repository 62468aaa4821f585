// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

type wireNetwork struct {
	Subnets         []wireSubnet   `json:"subnets"`
	Adapter         string         `json:"adapter"`
	ProviderAddress string         `json:"providerAddress"`
	VXLANPort       *int64         `json:"vxlanPort"`
	MACPool         []wireMACRange `json:"macPool"`
	NonPersistent   bool           `json:"nonPersistent"`
	GatewayEndpoint bool           `json:"gatewayEndpoint"`
	TakeExisting    bool           `json:"takeExisting"`
	HostRoute       bool           `json:"hostRoute"`
	RemoteSubnets   []wireRemote   `json:"remoteSubnets"`
}

type wireSubnet struct {
	Prefix  string `json:"prefix"`
	Gateway string `json:"gateway"`
	VLAN    int64  `json:"vlan"`
	VSID    *int64 `json:"vsid"`
}

type wireMACRange struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// readNetwork needs the driver to be read before.
func readNetwork(doc document, c *Config) error {
	var w *wireNetwork
	if err := doc.section("network", &w); err != nil || w == nil {
		return err
	}
	if c.Driver == "" {
		return invalid("driver", "missing; a network section needs it")
	}
	n := Network{Adapter: w.Adapter, NonPersistent: w.NonPersistent, TakeExisting: w.TakeExisting}
	var err error
	if n.Subnets, err = w.subnets(c.Driver); err != nil {
		return err
	}
	if w.Adapter != "" && c.Driver == hns.NAT {
		return invalid("network.adapter", "a nat network has no adapter of its own: its switch is internal")
	}
	if err := w.providerAddress(c.Driver, &n); err != nil {
		return err
	}
	if err := w.vxlanPort(c.Driver, &n); err != nil {
		return err
	}
	if n.MACPool, err = w.macPool(); err != nil {
		return err
	}
	if w.HostRoute && !c.Driver.HasVFP() {
		return invalid("network.hostRoute", "only l2bridge, l2tunnel and overlay networks have it, not %s", c.Driver)
	}
	n.HostRoute = w.HostRoute
	if n.RemoteSubnets, err = w.remoteSubnets(c.Driver, n.Subnets); err != nil {
		return err
	}
	if err := w.gatewayEndpoint(c.Driver, &n); err != nil {
		return err
	}
	if n.TakeExisting && n.GatewayEndpoint {
		return invalid("network.takeExisting", "the node's endpoint, which network.gatewayEndpoint asks for, needs a network of these subnets; remove one of the two")
	}
	c.Network = &n
	return nil
}

// gatewayEndpoint keeps to what one endpoint can have: an address of each family,
// which is the second of its subnet.
func (w *wireNetwork) gatewayEndpoint(d hns.Driver, n *Network) error {
	const path = "network.gatewayEndpoint"
	switch {
	case !w.GatewayEndpoint:
		return nil
	case d != hns.L2Bridge:
		return invalid(path, "only l2bridge networks have one, not %s", d)
	}
	first := map[bool]int{}
	for i, s := range n.Subnets {
		own := s.NodeAddress()
		if !own.IsValid() {
			return invalid(index("network.subnets", i)+".prefix", "%s has no second address for the node's endpoint, which network.gatewayEndpoint asks for", s.Prefix)
		}
		if own == s.Gateway {
			return invalid(index("network.subnets", i)+".gateway", "%s is the address of the node's endpoint, which network.gatewayEndpoint asks for; take another one", own)
		}
		if other, twice := first[own.Is6()]; twice {
			return invalid(path, "the node's endpoint takes one address of a family; remove %s or %s", index("network.subnets", other), index("network.subnets", i))
		}
		first[own.Is6()] = i
	}
	n.GatewayEndpoint = true
	return nil
}

func (w *wireNetwork) subnets(d hns.Driver) ([]hns.Subnet, error) {
	const path = "network.subnets"
	switch {
	case d == hns.NAT && len(w.Subnets) > 1:
		return nil, invalid(path, "a nat network takes one subnet (WinNAT), not %d", len(w.Subnets))
	case d != hns.NAT && len(w.Subnets) == 0:
		return nil, invalid(path, "missing; only for nat does HNS choose a subnet")
	}
	var out []hns.Subnet
	for i := range w.Subnets {
		s, err := w.Subnets[i].subnet(index(path, i), d)
		if err != nil {
			return nil, err
		}
		for j, other := range out {
			if s.Prefix.Overlaps(other.Prefix) {
				return nil, invalid(index(path, i)+".prefix", "%s overlaps %s of %s.prefix", s.Prefix, other.Prefix, index(path, j))
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func (w *wireSubnet) subnet(path string, d hns.Driver) (hns.Subnet, error) {
	var s hns.Subnet
	var err error
	if s.Prefix, err = parsePrefix(path+".prefix", w.Prefix); err != nil {
		return s, err
	}
	if s.Prefix.Bits() == 0 || s.Prefix.Addr().IsMulticast() || s.Prefix.Addr().IsLoopback() {
		return s, invalid(path+".prefix", "%s is no range for pods", s.Prefix)
	}
	if err := checkFamily(path+".prefix", s.Prefix.Addr(), d); err != nil {
		return s, err
	}
	if err := w.gateway(path+".gateway", &s); err != nil {
		return s, err
	}
	if err := w.vlan(path+".vlan", d, &s); err != nil {
		return s, err
	}
	return s, w.vsid(path+".vsid", d, &s)
}

// gateway is the subnet's first address where it is left out: both of hcsshim's APIs
// refuse a subnet without one before HNS sees it (hcn/hcnnetwork.go,
// internal/hns/hnsnetwork.go), and containerd's conf_template knows the prefix alone.
func (w *wireSubnet) gateway(path string, s *hns.Subnet) error {
	gw := s.Prefix.Addr().Next()
	if w.Gateway != "" {
		var err error
		if gw, err = parseAddr(path, w.Gateway); err != nil {
			return err
		}
	}
	if why := s.NotGateway(gw); why != "" {
		return invalid(path, "%s", why)
	}
	s.Gateway = gw
	return nil
}

func (w *wireSubnet) vlan(path string, d hns.Driver, s *hns.Subnet) error {
	const most = 4094
	if err := inRange(path, w.VLAN, 0, most); err != nil {
		return err
	}
	if w.VLAN != 0 && d != hns.Transparent && d != hns.L2Bridge {
		return invalid(path, "only transparent and l2bridge networks have VLANs, not %s", d)
	}
	s.VLAN = uint16(w.VLAN)
	return nil
}

// vsid keeps to what HNS takes: ids below 4096 are not for overlays (Calico,
// cni-plugin/pkg/dataplane/windows), and VXLAN has 24 bits (RFC 7348).
func (w *wireSubnet) vsid(path string, d hns.Driver, s *hns.Subnet) error {
	switch {
	case d != hns.Overlay && w.VSID != nil:
		return invalid(path, "only overlay networks have a VSID, not %s", d)
	case d != hns.Overlay:
		return nil
	}
	var err error
	s.VSID, err = parseVSID(path, w.VSID)
	return err
}

func parseVSID(path string, n *int64) (uint32, error) {
	const least, most = 4096, 1<<24 - 1
	if n == nil {
		return 0, invalid(path, "missing; an overlay subnet needs one in %d to %d", least, most)
	}
	return uint32(*n), inRange(path, *n, least, most)
}

func (w *wireNetwork) providerAddress(d hns.Driver, n *Network) error {
	const path = "network.providerAddress"
	switch {
	case w.ProviderAddress == "":
		return nil
	case d != hns.Overlay:
		return invalid(path, "only overlay networks have it, not %s", d)
	}
	a, err := parseAddr(path, w.ProviderAddress)
	if err != nil {
		return err
	}
	n.ProviderAddress = a
	return checkFamily(path, a, d)
}

func (w *wireNetwork) vxlanPort(d hns.Driver, n *Network) error {
	const path = "network.vxlanPort"
	switch {
	case w.VXLANPort == nil:
		return nil
	case d != hns.Overlay:
		return invalid(path, "only overlay networks have it, not %s", d)
	}
	n.VXLANPort = uint16(*w.VXLANPort)
	return checkPort(path, *w.VXLANPort)
}

func (w *wireNetwork) macPool() ([]hns.MACRange, error) {
	var out []hns.MACRange
	for i, r := range w.MACPool {
		path := index("network.macPool", i)
		start, err := parseMAC(path+".start", r.Start)
		if err != nil {
			return nil, err
		}
		end, err := parseMAC(path+".end", r.End)
		if err != nil {
			return nil, err
		}
		if end < start {
			return nil, invalid(path, "ends at %s, before its start %s", end, start)
		}
		out = append(out, hns.MACRange{Start: start, End: end})
	}
	return out, nil
}

// parseMAC reads the address of one interface. The lowest bit of the first byte
// marks a group of them (IEEE 802).
func parseMAC(path, s string) (hns.MAC, error) {
	if s == "" {
		return "", invalid(path, "missing")
	}
	m, err := hns.ParseMAC(s)
	if err != nil {
		return "", invalid(path, "%q is not a MAC address of six bytes", s)
	}
	if slices.Contains([]byte("13579bdf"), m[1]) {
		return "", invalid(path, "%q is a group address", s)
	}
	return m, nil
}

func checkPort(path string, n int64) error {
	const most = 65535
	return inRange(path, n, 1, most)
}
