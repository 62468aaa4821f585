// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// The dialects of nat, sdnbridge and sdnoverlay (microsoft/windows-container-networking,
// cni/cni.go and common/core), which are one program under three names. It makes a missing
// network, and takes one that is there as it is.
var (
	sdnKeys = []string{"master", "optionalFlags", "AdditionalArgs", "additionalRoutes", "ipMasq", "ipMasqNetwork"}

	sdnSteps = []func(*translation) error{sdnFlags, sdnIPAM, sdnDSR, sdnMaster, sdnPolicies, sdnNAT, sdnRoutes}
)

// wireFlags is optionalFlags.
type wireFlags struct {
	LocalRoutedPortMapping      bool `json:"localRoutedPortMapping"`
	AllowACLPortMapping         bool `json:"allowAclPortMapping"`
	ForceBridgeGateway          bool `json:"forceBridgeGateway"`
	EnableDualStack             bool `json:"enableDualStack"`
	LoopbackDSR                 bool `json:"loopbackDSR"`
	GatewayFromAdditionalRoutes bool `json:"gatewayFromAdditionalRoutes"`
}

// sdnFlags reads optionalFlags. Port mappings are locally routed wherever VFP makes them,
// and gatewayFromAdditionalRoutes says no more than the routes do.
func sdnFlags(t *translation) error {
	err := t.section("optionalFlags", &t.flags)
	path := t.path("optionalFlags")
	t.set("loopbackDSR", t.flags.LoopbackDSR, path+".loopbackDSR")
	if t.flags.ForceBridgeGateway {
		t.within("gateway", "ipv4", "node", path+".forceBridgeGateway")
	}
	if t.flags.AllowACLPortMapping && isNull(t.file["acl"]) {
		t.set("acl", map[string]any{"program": false, "mappedPorts": "allow"}, path+".allowAclPortMapping")
	}
	switch {
	case t.flags.EnableDualStack:
		t.set("driver", "l2bridge", path+".enableDualStack")
	case t.typ == "nat":
		t.set("driver", "nat", "type")
	case t.typ == "sdnoverlay":
		t.set("driver", "overlay", "type")
	}
	return err
}

// sdnIPAM reads the section of an IPAM plugin, which without a type is the network's
// alone: HNS chooses the address.
func sdnIPAM(t *translation) error {
	section, typ, err := t.pluginIPAM()
	switch {
	case err != nil || section == nil:
		return err
	case typ == "":
		return t.networkOf(section)
	case t.flags.EnableDualStack:
		err = t.hostLocalGateways(section, typ)
	default:
		if err = t.dataDir(section, typ); err == nil {
			err = t.hostLocalGateways(section, typ)
		}
		if subnet := section["subnet"]; err == nil && !isNull(subnet) {
			err = t.network(section)
		}
	}
	t.set("ipam", section, t.path("ipam"))
	return err
}

// dataDir refuses the key that these plugins do not hand on to host-local, and takes it
// out: the addresses of the pods that are there are in host-local's own folder.
func (t *translation) dataDir(section document, typ string) error {
	if typ != HostLocal || isNull(section["dataDir"]) {
		return nil
	}
	delete(section, "dataDir")
	return invalid(t.path("ipam")+".dataDir", "%s does not hand it on without optionalFlags.enableDualStack, so the addresses in use are in host-local's own folder; remove it", t.typ)
}

// hostLocalGateways names the gateways that host-local gives where a range names none,
// which are those of the pods.
func (t *translation) hostLocalGateways(section document, typ string) error {
	routes, err := parseIPAMRoutes(section["routes"])
	if typ != HostLocal || err != nil {
		return nil //nolint:nilerr // readIPAM says what is wrong
	}
	lead := func(r document) {
		var subnet string
		if json.Unmarshal(r["subnet"], &subnet) != nil || !isNull(r["gateway"]) {
			return
		}
		p, err := netip.ParsePrefix(subnet)
		routed := slices.ContainsFunc(routes, func(r hns.Route) bool {
			return r.Destination.Bits() == 0 && r.NextHop.IsValid() && r.NextHop.Is4() == p.Addr().Is4()
		})
		if err == nil && !routed {
			r["gateway"], _ = json.Marshal(p.Masked().Addr().Next())
		} // readIPAM says what is wrong
	}
	lead(section)
	var sets [][]document
	if isNull(section["ranges"]) || json.Unmarshal(section["ranges"], &sets) != nil {
		return nil // readIPAM says so
	}
	for _, set := range sets {
		for _, r := range set {
			if r != nil {
				lead(r)
			}
		}
	}
	section["ranges"], err = json.Marshal(sets)
	return err
}

// sdnDSR refuses loopbackDSR without an IPAM plugin: these plugins then send HNS an address
// that is none.
func sdnDSR(t *translation) error {
	_, typ, err := t.pluginIPAM()
	if err == nil && typ == "" && t.flags.LoopbackDSR && t.typ != "nat" {
		return invalid(t.origins.path("loopbackDSR"), "HNS chooses the pod's address, so no policy can name it; write ipam.type, or remove the key")
	}
	return nil //nolint:nilerr // sdnIPAM has told it
}

// azureKeys are for the IPAM plugin azure-vnet-ipam, which reads them itself. The
// templates of sdnbridge have the first without it.
var azureKeys = []string{"environment", "addressSpace", "queryInterval"}

// networkOf reads an ipam section that has no type.
func (t *translation) networkOf(section document) error {
	for _, key := range slices.Sorted(maps.Keys(section)) {
		switch {
		case isNull(section[key]) || key == "type" || key == "subnet" || key == "routes" || slices.Contains(azureKeys, key):
		case slices.Contains(ipamWords, key):
			return invalid(t.path("ipam")+".type", "missing; write %q, or remove %s: without a plugin HNS chooses the address", HostLocal, key)
		default:
			return invalid(join(t.path("ipam"), key), "without ipam.type HNS chooses the address; remove it")
		}
	}
	if isNull(section["subnet"]) {
		return nil
	}
	return t.network(section)
}

// network makes a network of ipam.subnet and ipam.routes[0], for when there is none. A
// dual-stack file needs one that is there, and no key says an overlay's VSID.
func (t *translation) network(section document) error {
	path, text := t.path("ipam"), ""
	if t.flags.EnableDualStack || t.typ == "sdnoverlay" {
		return nil
	}
	if json.Unmarshal(section["subnet"], &text) != nil {
		return wrongType(path+".subnet", "a string", section["subnet"])
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		_, err = parsePrefix(path+".subnet", text)
		return err
	}
	gateway, from := p.Addr().Next(), path+".subnet"
	if routed, at, err := t.routedGateway(section); err != nil {
		return err
	} else if routed.IsValid() {
		gateway, from = routed, at
	}
	driver := "nat"
	if t.typ == "sdnbridge" {
		driver = "l2bridge"
	}
	t.set("driver", driver, "type")
	t.within("network", "takeExisting", true, "type")
	t.within("network", "subnets", []any{map[string]string{"prefix": p.Masked().String(), "gateway": gateway.String()}}, path+".subnet")
	t.origins["network.subnets[0]"] = path + ".subnet"
	t.origins["network.subnets[0].prefix"] = path + ".subnet"
	t.origins["network.subnets[0].gateway"] = from
	return nil
}

// routedGateway is the gateway of ipam.routes[0]. "gateway" is what containerd's script
// and the plugins' own examples call it, although the plugins do not read that.
func (t *translation) routedGateway(section document) (gw netip.Addr, path string, err error) {
	var routes []json.RawMessage
	path = t.path("ipam") + ".routes"
	if isNull(section["routes"]) {
		return netip.Addr{}, "", nil
	}
	if json.Unmarshal(section["routes"], &routes) != nil {
		return netip.Addr{}, "", wrongType(path, "a list", section["routes"])
	}
	if len(routes) == 0 {
		return netip.Addr{}, "", nil
	}
	var w struct {
		Dst     string `json:"dst"`
		GW      string `json:"gw"`
		Gateway string `json:"gateway"`
	}
	if err := decodeLax(index(path, 0), routes[0], &w); err != nil {
		return netip.Addr{}, "", err
	}
	key, text := "gw", w.GW
	if text == "" {
		key, text = "gateway", w.Gateway
	}
	if text == "" {
		return netip.Addr{}, "", nil
	}
	path = index(path, 0) + "." + key
	gw, err = parseAddr(path, text)
	return gw, path, err
}

// sdnMaster reads master, which these plugins do not: the adapter of a network that is
// made. A nat network has none, and any other is there.
func sdnMaster(t *translation) error {
	name := ""
	if err := t.section("master", &name); err != nil {
		return err
	}
	if _, made := t.out["network"]; made && name != "" && t.typ == "sdnbridge" {
		t.within("network", "adapter", name, t.path("master"))
	}
	return nil
}

func sdnPolicies(t *translation) error { return t.readPolicies("AdditionalArgs") }

// sdnNAT reads what flannel adds to every delegate, which these plugins pass over.
func sdnNAT(t *translation) error {
	on, network, err := t.masquerade()
	if err != nil {
		return err
	}
	if on && network != "" {
		t.nat.except(network, t.path("ipMasqNetwork"))
	}
	t.nat.asked = t.nat.asked || on
	return nil
}

// sdnRoutes reads additionalRoutes: default routes are the gateways where IPAM names none,
// which is what gatewayFromAdditionalRoutes asks for, and the others are routes.
func sdnRoutes(t *translation) error {
	var ws []struct {
		Dst string `json:"dst"`
		GW  string `json:"gw"`
	}
	path := t.path("additionalRoutes")
	if err := t.section("additionalRoutes", &ws); err != nil {
		return err
	}
	for i, w := range ws {
		r, err := parseIPAMRoute(index(path, i), w.Dst, w.GW)
		switch {
		case err != nil:
			return err
		case r.Destination.Bits() > 0:
			t.policies = append(t.policies, routePolicy(index(path, i), w.Dst, w.GW))
		case !r.NextHop.IsValid():
			return invalid(index(path, i)+".gw", "missing; a default route needs it")
		case r.NextHop.Is6():
			t.lead("ipv6", w.GW, index(path, i)+".gw")
		default:
			t.lead("ipv4", w.GW, index(path, i)+".gw")
		}
	}
	return nil
}

// lead sets the gateway of a family unless a flag or a route before has.
func (t *translation) lead(family, gateway, from string) {
	if t.origins["gateway."+family] == "" {
		t.within("gateway", family, gateway, from)
	}
}
