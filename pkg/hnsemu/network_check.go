// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// checkSubnets checks the subnets of a network.
func (n *network) checkSubnets(h *Host) error {
	if len(n.Subnets) == 0 {
		// A nat network picks its own (TestCreateDeleteNetworks), a transparent
		// one may leave addresses to DHCP.
		switch n.Type {
		case schema.TypeL2Bridge, schema.TypeL2Tunnel, schema.TypeOverlay:
			return schema.Errorf(schema.CodeInvalidNetwork, "a network of type %s needs a subnet", n.Type)
		}
	}
	for i, s := range n.Subnets {
		if err := n.checkSubnet(h, s); err != nil {
			return err
		}
		for _, other := range n.Subnets[:i] {
			if other.Prefix.Overlaps(s.Prefix) {
				return schema.Errorf(schema.CodeInvalidSubnet, "subnets %s and %s overlap", other.Prefix, s.Prefix)
			}
		}
	}
	return nil
}

// checkSubnet checks one subnet. Two nat networks must not overlap: HNS answers
// ERROR_DUP_NAME, as reported for WSL. Networks on an uplink may overlap, since
// VLANs keep them apart.
func (n *network) checkSubnet(h *Host, s *schema.Subnet) error {
	if err := s.Check(); err != nil {
		return err
	}
	if s.Prefix.Addr().Is6() && !n.TakesIPv6(h.profile.Version) {
		return schema.Errorf(schema.CodeInvalidNetwork, "a network of type %s has no IPv6 with HNS %s", n.Type, h.profile.Version)
	}
	if err := s.CheckIsolation(n.Type); err != nil {
		return err
	}
	if n.Type != schema.TypeNAT && n.Type != schema.TypeICS {
		return nil
	}
	for _, other := range all[*network](&h.store, networkClass) {
		if other == n || other.id == n.id || other.Type != schema.TypeNAT && other.Type != schema.TypeICS {
			continue
		}
		if other.Overlaps(s.Prefix) {
			return schema.Errorf(schema.CodeDuplicateName, "subnet %s overlaps network %q", s.Prefix, other.name)
		}
	}
	return nil
}

// fillSubnets gives a nat network without a subnet one, and subnets their
// gateway.
func (n *network) fillSubnets(h *Host) error {
	if len(n.Subnets) == 0 && n.Type != schema.TypeTransparent {
		prefix, err := h.freePrefix()
		if err != nil {
			return err
		}
		n.Subnets = append(n.Subnets, &schema.Subnet{ID: hns.NewGUID(), IPAMType: "Static", Prefix: prefix})
	}
	for _, s := range n.Subnets {
		switch {
		case s.Gateway.IsValid():
		case n.External():
			return schema.Errorf(schema.CodeInvalidSubnet, "subnet %s has no gateway", s.Prefix)
		default:
			s.Gateway = s.Prefix.Addr().Next()
		}
	}
	return nil
}

// freePrefix returns the first /20 of 172.16.0.0/12 that nothing on the node
// uses. The range and the length are those of networks that HNS was seen to
// make; how it chooses is not documented.
func (h *Host) freePrefix() (netip.Prefix, error) {
	for i := range 256 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>4), byte(i << 4), 0}), 20)
		used := slices.ContainsFunc(h.node.Adapters, func(a Adapter) bool { return a.Address.Masked().Overlaps(p) })
		for _, n := range all[*network](&h.store, networkClass) {
			used = used || n.Overlaps(p)
		}
		if !used {
			return p, nil
		}
	}
	return netip.Prefix{}, schema.Errorf(schema.CodeInvalidNetwork, "no private prefix is free")
}

// bindUplink finds the adapter that carries an external network.
func (n *network) bindUplink(h *Host) error {
	if !n.External() {
		return nil
	}
	a, err := n.uplink(h)
	if err != nil {
		return err
	}
	for _, other := range all[*network](&h.store, networkClass) {
		// One adapter carries one external switch, which networks of one type
		// share (antrea-io/antrea#2213).
		if other.External() && other.Type != n.Type && strings.EqualFold(other.adapter, a.Name) {
			return schema.Errorf(schema.CodeInvalidParameter, "adapter %q carries network %q of type %s", a.Name, other.name, other.Type)
		}
	}
	n.adapter, n.managementIP = a.Name, a.Address.Addr()
	return nil
}

// uplink returns the adapter that the client names, or else the only one.
func (n *network) uplink(h *Host) (Adapter, error) {
	usable := slices.DeleteFunc(slices.Clone(h.node.Adapters), func(a Adapter) bool { return a.Unusable })
	named, fits := n.wantedUplink()
	if strings.HasPrefix(strings.ToLower(named), "vethernet (") {
		return Adapter{}, schema.Errorf(schema.CodeInvalidParameter, "adapter %q is a virtual one", named)
	}
	i := slices.IndexFunc(usable, fits)
	switch {
	case i < 0:
		return Adapter{}, schema.Errorf(hns.CodeNoAdapter, "no usable adapter %q", named)
	case named == "" && len(usable) > 1:
		return Adapter{}, schema.Errorf(hns.CodeNoAdapter, "%d adapters and none of them named", len(usable))
	}
	return usable[i], nil
}

// wantedUplink returns a description of the adapter that the client asks for,
// "" for any, and the test for it.
func (n *network) wantedUplink() (string, func(Adapter) bool) {
	byName := func(name string) (string, func(Adapter) bool) {
		return name, func(a Adapter) bool {
			return strings.EqualFold(a.Name, name) ||
				slices.ContainsFunc(a.Aliases, func(alias string) bool { return strings.EqualFold(alias, name) })
		}
	}
	if n.AdapterName != "" {
		return byName(n.AdapterName)
	}
	for _, p := range n.Policies {
		var s struct {
			NetworkAdapterName, InterfaceAlias, ProviderAddress string
			InterfaceIndex                                      uint32
		}
		if p.Read(&s) != nil {
			continue
		}
		switch {
		case p.Type == schema.PolicyNetAdapterName:
			return byName(s.NetworkAdapterName)
		case p.Type == "InterfaceConstraint" && s.InterfaceAlias != "":
			return byName(s.InterfaceAlias)
		case p.Type == "InterfaceConstraint" && s.InterfaceIndex != 0:
			return "index " + itoa(s.InterfaceIndex), func(a Adapter) bool { return a.Index == s.InterfaceIndex }
		case p.Type == "ProviderAddress":
			return s.ProviderAddress, func(a Adapter) bool { return a.Address.Addr().String() == s.ProviderAddress }
		}
	}
	return "", func(Adapter) bool { return true }
}

// fillPolicies adds what HNS adds: an overlay network has a distributed router
// (DrMacAddress in HNS_Schema.md).
func (n *network) fillPolicies() {
	has := func(p schema.Policy) bool { return p.Type == "DrMacAddress" }
	if n.Type != schema.TypeOverlay || slices.ContainsFunc(n.Policies, has) {
		return
	}
	p := schema.NewPolicy("DrMacAddress", map[string]any{"Address": n.routerMAC()})
	p.Generated = true
	n.Policies = append(n.Policies, p)
}

// routerMAC returns the MAC address of the distributed router, made of the id.
func (n *network) routerMAC() string {
	id := strings.ToUpper(strings.ReplaceAll(n.id, "-", ""))
	return "00-15-5D-" + id[:2] + "-" + id[2:4] + "-" + id[4:6]
}
