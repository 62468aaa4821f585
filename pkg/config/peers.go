// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// peersKeys says what to write for keys of win-bridge and win-overlay
// (containernetworking/plugins, pkg/hns/netconf_windows.go) and of nat, sdnbridge and
// sdnoverlay (microsoft/windows-container-networking, cni/cni.go), in lower case.
var peersKeys = map[string]string{
	"apiversion":        "bulkhead speaks HNS's v2 schema alone; remove it",
	"endpointmacprefix": "HNS chooses the MAC address; remove it, or write network.macPool",
	"master":            "write network.adapter",
	"additionalargs":    `write policies, as [{"Type": ..., "Settings": {...}}]`,
	"additionalroutes":  `write a default route into ipam.routes, as {"dst", "gw"}, and others into routes, as {"dst", "nextHop"}`,
	"optionalflags":     "",
}

// peersFlags are the members of optionalFlags.
var peersFlags = map[string]string{
	"localroutedportmapping":      "port mappings are so wherever VFP makes them; remove it",
	"allowaclportmapping":         "the rules let in what is mapped; remove it",
	"forcebridgegateway":          "write network.gatewayEndpoint, or the gateway in ipam.ranges",
	"enabledualstack":             "write a subnet of each family; remove it",
	"loopbackdsr":                 "write the key loopbackDSR beside driver",
	"gatewayfromadditionalroutes": "write the default route into ipam.routes",
}

// orUnchanged is the other cure.
const orUnchanged = "; or keep the type of that plugin's file, which bulkhead.exe reads as it is when it stands under that plugin's name"

// checkPeers refuses the keys of the plugins that people come from with what is
// written for them here.
func (d document) checkPeers() error {
	for _, key := range slices.Sorted(maps.Keys(d)) {
		instead, ok := peersKeys[strings.ToLower(key)]
		switch {
		case ok && instead != "":
			return invalid(key, "this is another plugin's key: %s%s", instead, orUnchanged)
		case ok:
			return d.checkPeersFlags(key)
		}
	}
	var capabilities document
	if json.Unmarshal(d["capabilities"], &capabilities) == nil && capabilities["dnsCapabilities"] != nil {
		return invalid("capabilities.dnsCapabilities", `no runtime knows it; write "dns"`)
	}
	return nil
}

func (d document) checkPeersFlags(path string) error {
	var flags document
	if json.Unmarshal(d[path], &flags) != nil {
		return wrongType(path, "an object", d[path])
	}
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		if instead := peersFlags[strings.ToLower(key)]; instead != "" {
			return invalid(join(path, key), "this is another plugin's key: %s%s", instead, orUnchanged)
		}
	}
	return invalid(path, "this is another plugin's key; remove it")
}

// peersTypes are policy types of HNS's v1 schema, in lower case, with those of its v2
// schema.
var peersTypes = map[string]string{"route": "SDNRoute", "pa": "ProviderAddress"}

// peersSettings are settings of the v1 schema with those of the v2 schema (hcsshim
// internal/hns/hnspolicy.go, hcn/hcnpolicy.go).
var peersSettings = map[string]string{"exceptionlist": "Exceptions", "pa": "ProviderAddress", "vip": "VirtualIP"}

// refusePeersPolicy refuses a policy as other plugins' files have it, with how it is
// written here: {"Name": "EndpointPolicy", "Value": {...}}, or settings beside the type.
func refusePeersPolicy(path string, raw json.RawMessage) error {
	var members document
	if json.Unmarshal(raw, &members) != nil {
		return nil // parsePolicy says so
	}
	value, wrapped := members, false
	if name, ok := members.unquoted("name"); ok {
		switch {
		case strings.EqualFold(name, "NetworkPolicy"):
			return invalid(path, "a policy of the network; the network section says what a network is like")
		case strings.EqualFold(name, "OutBoundNatPolicy"):
			return invalid(path, "write the key outboundNAT")
		}
		value, wrapped = nil, true
		if inner := members.member("value", true); json.Unmarshal(inner, &value) != nil || value == nil {
			return invalid(path, `write {"Type": ..., "Settings": {...}}`)
		}
	}
	typ, _ := value.unquoted("type")
	if !wrapped && (value["Settings"] != nil || len(value) == 1 || typ == "") {
		return nil
	}
	if v2 := peersTypes[strings.ToLower(typ)]; v2 != "" {
		typ = v2
	} else if instead, ok := taken[strings.ToLower(typ)]; ok {
		return invalid(path, "%q is not passed through: %s", typ, instead)
	}
	typ, err := knownType(path, typ)
	if err != nil {
		return err
	}
	return invalid(path, "write %s", rewritten(typ, value))
}

// rewritten returns a policy in the form of HNS's v2 schema.
func rewritten(typ string, value document) string {
	settings := value.member("settings", true)
	if settings == nil {
		flat := document{}
		for key, raw := range value {
			if strings.EqualFold(key, "type") {
				continue
			}
			if v2 := peersSettings[strings.ToLower(key)]; v2 != "" {
				key = v2
			}
			flat[key] = raw
		}
		settings, _ = json.Marshal(flat) // what was parsed can be written
	}
	return fmt.Sprintf(`{"Type": %q, "Settings": %s}`, typ, settings)
}

// unquoted returns a member that is a string, in whatever letter case its key is.
func (d document) unquoted(key string) (string, bool) {
	var s string
	raw := d.member(key, true)
	ok := raw != nil && json.Unmarshal(raw, &s) == nil
	return s, ok
}
