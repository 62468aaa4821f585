// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// beyondHNS are members of a CNI route that HNS has nothing like, with the value that
// says nothing. A route without them would be another one.
var beyondHNS = map[string]string{"mtu": "0", "advmss": "0", "priority": "0", "table": "", "scope": ""}

// parseIPAMRoutes reads ipam.routes of host-local and static. null items are none.
func parseIPAMRoutes(raw json.RawMessage) ([]hns.Route, error) {
	if isNull(raw) {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, wrongType("ipam.routes", "a list", raw)
	}
	var out []hns.Route
	for i, item := range list {
		if isNull(item) {
			continue
		}
		path := index("ipam.routes", i)
		var members document
		if json.Unmarshal(item, &members) != nil {
			return nil, wrongType(path, "an object", item)
		}
		if err := members.unknown(path, append(slices.Sorted(maps.Keys(beyondHNS)), "dst", "gw")); err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(beyondHNS)) {
			if m := members.member(key, true); !isNull(m) && string(m) != beyondHNS[key] {
				return nil, invalid(path+"."+key, "HNS has nothing like it; remove it")
			}
		}
		var w struct {
			Dst string `json:"dst"`
			GW  string `json:"gw"`
		}
		if err := decodeLax(path, item, &w); err != nil {
			return nil, err
		}
		r, err := parseIPAMRoute(path, w.Dst, w.GW)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// checkLeads refuses default routes whose next hop cannot be the gateway of one of the
// network's subnets, where the configuration says those.
func (c *Config) checkLeads() error {
	if c.Network == nil {
		return nil
	}
	for i, r := range c.IPAM.Routes {
		if r.Destination.Bits() > 0 || !r.NextHop.IsValid() {
			continue
		}
		why := ""
		for _, s := range c.Network.Subnets {
			if s.Prefix.Addr().Is4() != r.NextHop.Is4() {
				continue
			}
			if why = s.NotNextHop(r.NextHop); why == "" || s.Prefix.Contains(r.NextHop) {
				break
			}
		}
		if why != "" {
			return invalid(index("ipam.routes", i)+".gw", "%s, so it cannot be the pod's gateway", why)
		}
	}
	return nil
}

func parseIPAMRoute(path, dst, gw string) (hns.Route, error) {
	p, err := parsePrefix(path+".dst", dst)
	if err != nil || gw == "" {
		return hns.Route{Destination: p}, err
	}
	hop, err := parseAddr(path+".gw", gw)
	if err != nil {
		return hns.Route{}, err
	}
	if hop.Is4() != p.Addr().Is4() {
		return hns.Route{}, invalid(path+".gw", "%s is not of the family of %s", hop, p)
	}
	return hns.Route{Destination: p, NextHop: hop}, nil
}
