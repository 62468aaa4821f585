// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// vsidMin is the least virtual subnet that HNS takes: Calico enforces it (hns.md
// section 2.3). vlanMax is 802.1Q's.
const (
	vsidMin = 4096
	vsidMax = 1<<24 - 1
	vlanMax = 4094
)

// checkSubnets refuses subnets that HNS would not make.
func (n *network) checkSubnets(h *Host) error {
	if len(n.subnets) == 0 {
		// A nat network picks its own (TestCreateDeleteNetworks), a transparent
		// one may leave addresses to DHCP.
		switch n.kind {
		case typeL2Bridge, typeL2Tunnel, typeOverlay:
			return refuse(codeInvalidNetwork, "a network of type %s needs a subnet", n.kind)
		}
	}
	for i, s := range n.subnets {
		if err := n.checkSubnet(h, s); err != nil {
			return err
		}
		for _, other := range n.subnets[:i] {
			if other.prefix.Overlaps(s.prefix) {
				return refuse(codeInvalidSubnet, "subnets %s and %s overlap", other.prefix, s.prefix)
			}
		}
	}
	return nil
}

// checkSubnet refuses one subnet. Two nat networks must not overlap (hns.md
// section 3.2); networks on an uplink may, VLANs keep them apart.
func (n *network) checkSubnet(h *Host, s *subnet) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.prefix.Addr().Is6() && !n.takesIPv6(h.profile.Version) {
		return refuse(codeInvalidNetwork, "a network of type %s has no IPv6 with HNS %s", n.kind, h.profile.Version)
	}
	if err := s.checkIsolation(n.kind); err != nil {
		return err
	}
	if n.kind != typeNAT && n.kind != typeICS {
		return nil
	}
	for _, other := range all[*network](&h.store, networkClass) {
		if other == n || other.id == n.id || other.kind != typeNAT && other.kind != typeICS {
			continue
		}
		if other.overlaps(s.prefix) {
			return refuse(codeDuplicateName, "subnet %s overlaps network %q", s.prefix, other.name)
		}
	}
	return nil
}

// takesIPv6 reports whether the network type has IPv6 at that version: dual
// stack since 11.10, on overlay networks since Windows 11 22H2 (hns.md sections
// 2.10 and 5.3; pains.md 22).
func (n *network) takesIPv6(v hns.Version) bool {
	if n.kind == typeOverlay {
		return v.AtLeast(15, 0)
	}
	return v.AtLeast(11, 10)
}

// overlaps reports whether a subnet of the network shares addresses with a
// prefix.
func (n *network) overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(n.subnets, func(s *subnet) bool { return s.prefix.Overlaps(p) })
}

// check refuses what is wrong with a subnet on any network.
func (s *subnet) check() error {
	if s.prefix.Addr().BitLen()-s.prefix.Bits() < 2 {
		return refuse(codeInvalidPrefix, "subnet %s has no room for a gateway and an endpoint", s.prefix)
	}
	if !s.gateway.IsValid() {
		return nil
	}
	if !s.prefix.Contains(s.gateway) || s.gateway == s.prefix.Addr() {
		return refuse(codeInvalidNetwork, "gateway %s is no host of subnet %s", s.gateway, s.prefix)
	}
	return nil
}

// checkIsolation: VLAN and VSID are what subnets have policies for. An overlay
// subnet needs a VSID.
func (s *subnet) checkIsolation(kind string) error {
	for _, p := range s.policies {
		if p.kind != "VLAN" && p.kind != "VSID" {
			return refuse(codeInvalidPolicyType, "subnet policy %q", p.kind)
		}
	}
	if vlan := s.isolation("VLAN"); vlan > vlanMax {
		return refuse(codeInvalidPolicy, "VLAN %d", vlan)
	}
	vsid := s.isolation("VSID")
	if vsid == 0 && kind == typeOverlay {
		return refuse(codeInvalidNetwork, "subnet %s of an overlay network has no VSID", s.prefix)
	}
	if vsid != 0 && (vsid < vsidMin || vsid > vsidMax) {
		return refuse(codeInvalidPolicy, "VSID %d is not in %d-%d", vsid, vsidMin, vsidMax)
	}
	return nil
}

// fillSubnets gives a nat network a subnet and subnets their gateway.
func (n *network) fillSubnets(h *Host) error {
	if len(n.subnets) == 0 && n.kind != typeTransparent {
		prefix, err := h.freePrefix()
		if err != nil {
			return err
		}
		n.subnets = append(n.subnets, &subnet{id: hns.NewGUID(), ipamType: "Static", prefix: prefix})
	}
	for _, s := range n.subnets {
		switch {
		case s.gateway.IsValid():
		case n.external():
			return refuse(codeInvalidSubnet, "subnet %s has no gateway", s.prefix)
		default:
			s.gateway = s.prefix.Addr().Next()
		}
	}
	return nil
}

// freePrefix returns the first /20 of 172.16.0.0/12 that nothing on the node
// uses (hns.md section 4.1).
func (h *Host) freePrefix() (netip.Prefix, error) {
	for i := range 256 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>4), byte(i << 4), 0}), 20)
		used := slices.ContainsFunc(h.node.Adapters, func(a Adapter) bool { return a.Address.Masked().Overlaps(p) })
		for _, n := range all[*network](&h.store, networkClass) {
			used = used || n.overlaps(p)
		}
		if !used {
			return p, nil
		}
	}
	return netip.Prefix{}, refuse(codeInvalidNetwork, "no private prefix is free")
}

// bindUplink finds the adapter that carries an external network.
func (n *network) bindUplink(h *Host) error {
	if !n.external() {
		return nil
	}
	a, err := n.uplink(h)
	if err != nil {
		return err
	}
	for _, other := range all[*network](&h.store, networkClass) {
		// One adapter carries one external switch, which networks of one type
		// share (hns.md section 4.1).
		if other.external() && other.kind != n.kind && strings.EqualFold(other.adapter, a.Name) {
			return refuse(codeInvalidParameter, "adapter %q carries network %q of type %s", a.Name, other.name, other.kind)
		}
	}
	n.adapter, n.managementIP = a.Name, a.Address.Addr()
	return nil
}

// uplink returns the adapter that the network's policies name, or the only one.
func (n *network) uplink(h *Host) (Adapter, error) {
	usable := slices.DeleteFunc(slices.Clone(h.node.Adapters), func(a Adapter) bool { return a.Unusable })
	named, fits := n.wantedUplink()
	if strings.HasPrefix(strings.ToLower(named), "vethernet (") {
		return Adapter{}, refuse(codeInvalidParameter, "adapter %q is a virtual one", named)
	}
	i := slices.IndexFunc(usable, fits)
	switch {
	case i < 0:
		return Adapter{}, refuse(hns.CodeNoAdapter, "no usable adapter %q", named)
	case named == "" && len(usable) > 1:
		return Adapter{}, refuse(hns.CodeNoAdapter, "%d adapters and none of them named", len(usable))
	}
	return usable[i], nil
}

// wantedUplink returns a description of the adapter that the network asks for,
// empty for any, and the test for it.
func (n *network) wantedUplink() (string, func(Adapter) bool) {
	byName := func(name string) (string, func(Adapter) bool) {
		return name, func(a Adapter) bool {
			return strings.EqualFold(a.Name, name) ||
				slices.ContainsFunc(a.Aliases, func(alias string) bool { return strings.EqualFold(alias, name) })
		}
	}
	if n.asked != "" {
		return byName(n.asked)
	}
	for _, p := range n.policies {
		var s struct {
			NetworkAdapterName, InterfaceAlias, ProviderAddress string
			InterfaceIndex                                      uint32
		}
		if p.read(&s) != nil {
			continue
		}
		switch {
		case p.kind == "NetAdapterName":
			return byName(s.NetworkAdapterName)
		case p.kind == "InterfaceConstraint" && s.InterfaceAlias != "":
			return byName(s.InterfaceAlias)
		case p.kind == "InterfaceConstraint" && s.InterfaceIndex != 0:
			return "index " + itoa(s.InterfaceIndex), func(a Adapter) bool { return a.Index == s.InterfaceIndex }
		case p.kind == "ProviderAddress":
			return s.ProviderAddress, func(a Adapter) bool { return a.Address.Addr().String() == s.ProviderAddress }
		}
	}
	return "", func(Adapter) bool { return true }
}

// fillPolicies adds what HNS adds: an overlay network has a distributed router
// (hns.md section 2.8).
func (n *network) fillPolicies() {
	has := func(p policy) bool { return p.kind == "DrMacAddress" }
	if n.kind != typeOverlay || slices.ContainsFunc(n.policies, has) {
		return
	}
	p := newPolicy("DrMacAddress", map[string]any{"Address": n.routerMAC()})
	p.generated = true
	n.policies = append(n.policies, p)
}

// routerMAC is the address of the distributed router that HNS makes up.
func (n *network) routerMAC() string {
	id := strings.ToUpper(strings.ReplaceAll(n.id, "-", ""))
	return "00-15-5D-" + id[:2] + "-" + id[2:4] + "-" + id[4:6]
}
