// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// peerPolicy is an endpoint policy of a dialect's file, by the names of HNS's v2 schema.
type peerPolicy struct {
	path, typ string
	settings  document
	// from is where each setting comes from.
	from map[string]string
}

// peerNAT is the outbound NAT that a dialect's file asks for, as far as the key outboundNAT
// can say it.
type peerNAT struct {
	asked, network bool
	exceptions     []string
	from           []string
}

func (n *peerNAT) except(cidr, from string) {
	n.asked = true
	if !slices.Contains(n.exceptions, cidr) {
		n.exceptions, n.from = append(n.exceptions, cidr), append(n.from, from)
	}
}

// readPolicies reads a list of {"Name": "EndpointPolicy", "Value": {...}}. A fault in one
// keeps none of the others.
func (t *translation) readPolicies(key string) error {
	var raws []json.RawMessage
	if err := t.section(key, &raws); err != nil {
		return err
	}
	for i, raw := range raws {
		if err := t.readPolicy(index(t.path(key), i), raw); err != nil {
			t.faults = append(t.faults, err)
		}
	}
	return nil
}

func (t *translation) readPolicy(path string, raw json.RawMessage) error {
	var w struct {
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"`
	}
	if err := decodeFolded(path, raw, &w); err != nil {
		return err
	}
	value := path + "." + spelledAs(raw, "value")
	switch {
	case isNull(w.Value):
		return invalid(value, "missing; it is the policy")
	case strings.EqualFold(w.Name, "EndpointPolicy"):
		p, err := readPeerPolicy(value, w.Value)
		if err == nil {
			t.policies = append(t.policies, p)
		}
		return err
	case strings.EqualFold(w.Name, "NetworkPolicy") && t.file["AdditionalArgs"] != nil:
		return t.networkPolicy(value, w.Value)
	default:
		return invalid(path+"."+spelledAs(raw, "name"), "%q: %s makes nothing of it; write EndpointPolicy, or remove it", w.Name, t.typ)
	}
}

// spelledAs returns a key of an object as the object has it.
func spelledAs(raw json.RawMessage, key string) string {
	var members document
	_ = json.Unmarshal(raw, &members) // it was decoded before
	for as := range members {
		if strings.EqualFold(as, key) {
			return as
		}
	}
	return key
}

// networkPolicy reads what the network is to be made with.
func (t *translation) networkPolicy(path string, raw json.RawMessage) error {
	p, err := readPeerPolicy(path, raw)
	if err != nil {
		return err
	}
	if _, made := t.out["network"].(map[string]any); !made {
		return invalid(path, "bulkhead makes no network for this file, which needs ipam.subnet; remove the policy, or make the network with it")
	}
	adapter := ""
	switch {
	case strings.EqualFold(p.typ, "HostRoute"):
		t.within("network", "hostRoute", true, path)
	case strings.EqualFold(p.typ, "NetAdapterName") && json.Unmarshal(p.settings.member("NetworkAdapterName", true), &adapter) == nil:
		t.within("network", "adapter", adapter, path)
	default:
		return invalid(path, "%q is not known for a network that bulkhead makes: HostRoute and NetAdapterName are; remove it, or make the network with it", p.typ)
	}
	return nil
}

// settingsOf are the settings of policies that are read here, with what the v1 schema
// calls them (hcsshim internal/hns/hnspolicy.go, hcn/hcnpolicy.go).
var settingsOf = map[string]map[string]string{
	"OutBoundNAT": {
		"virtualip": "VirtualIP", "vip": "VirtualIP", "exceptions": "Exceptions", "exceptionlist": "Exceptions", "destinations": "Destinations",
	},
	"SDNRoute":        {"destinationprefix": "DestinationPrefix", "nexthop": "NextHop", "needencap": "NeedEncap"},
	"ProviderAddress": {"provideraddress": "ProviderAddress", "pa": "ProviderAddress"},
	"QOS":             {"maximumoutgoingbandwidthinbytes": "MaximumOutgoingBandwidthInBytes"},
	"VLAN":            {"isolationid": "IsolationId", "vlan": "IsolationId"},
	"L4Proxy":         {"exceptionlist": "Exceptions"},
	typeACL: {
		"id": "Id", "protocols": "Protocols", "action": "Action", "direction": "Direction", "localaddresses": "LocalAddresses",
		"remoteaddresses": "RemoteAddresses", "localports": "LocalPorts", "remoteports": "RemotePorts", "ruletype": "RuleType", "priority": "Priority",
	},
}

// readPeerPolicy reads a policy in the form of either schema: {"Type", "Settings"} or
// {"Type", ...}.
func readPeerPolicy(path string, raw json.RawMessage) (peerPolicy, error) {
	var value document
	if json.Unmarshal(raw, &value) != nil || value == nil {
		return peerPolicy{}, wrongType(path, "an object", raw)
	}
	p := peerPolicy{path: path, settings: document{}, from: map[string]string{}}
	settings, base := document{}, path
	for _, key := range slices.Sorted(maps.Keys(value)) {
		member := value[key]
		switch {
		case strings.EqualFold(key, "type") && p.typ == "":
			if json.Unmarshal(member, &p.typ) != nil {
				return peerPolicy{}, wrongType(join(path, key), "a string", member)
			}
		case strings.EqualFold(key, "settings") && base == path:
			if json.Unmarshal(member, &settings) != nil {
				return peerPolicy{}, wrongType(join(path, key), "an object", member)
			}
			base = join(path, key)
		default:
			p.settings[key], p.from[key] = member, join(path, key)
		}
	}
	if p.typ == "" {
		return peerPolicy{}, invalid(path+".Type", "missing; want the name of a policy")
	}
	p.typ = peerType(p.typ)
	if base != path && len(p.settings) > 0 {
		return peerPolicy{}, invalid(join(path, slices.Sorted(maps.Keys(p.settings))[0]), "beside Settings nothing is read; move it there")
	}
	for key, member := range settings {
		p.settings[key], p.from[key] = member, join(base, key)
	}
	return p, p.rename()
}

// peerType returns the v2 schema's name of a policy.
func peerType(typ string) string {
	if v2 := peersTypes[strings.ToLower(typ)]; v2 != "" {
		return v2
	}
	for _, k := range append([]string{typeACL}, known...) {
		if strings.EqualFold(k, typ) {
			return k
		}
	}
	return typ
}

// rename gives the settings their names in the v2 schema.
func (p *peerPolicy) rename() error {
	settings, from := document{}, map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(p.settings)) {
		as, member := settingsOf[p.typ][strings.ToLower(key)], p.settings[key]
		if p.typ == typeACL && as == "" {
			var err error
			if as, member, err = v1ACLSetting(p.from[key], key, member); err != nil {
				return err
			}
		}
		if as == "" {
			as = key
		}
		if settings[as] != nil {
			return invalid(p.from[key], "says the same as %s; remove one of the two", from[as])
		}
		if !isNull(member) {
			settings[as], from[as] = member, p.from[key]
		}
	}
	p.settings, p.from = settings, from
	return nil
}

// v1ACLSetting returns a setting of a v1 ACL that the v2 schema says in other words. The
// protocol 256 is any.
func v1ACLSetting(path, key string, raw json.RawMessage) (as string, value json.RawMessage, err error) {
	const anyProtocol = 256
	as = map[string]string{"protocol": "Protocols", "localport": "LocalPorts", "remoteport": "RemotePorts"}[strings.ToLower(key)]
	if as == "" {
		return "", nil, invalid(path, "HNS's v2 schema has no such setting of an ACL; remove it")
	}
	var n uint16
	if json.Unmarshal(raw, &n) != nil {
		return "", nil, wrongType(path, "an integer", raw)
	}
	if n == 0 || as == "Protocols" && n == anyProtocol {
		return as, nil, nil
	}
	value, err = json.Marshal(strconv.Itoa(int(n)))
	return as, value, err
}

// routePolicy is a policy as a route of the file says it.
func routePolicy(path, dst, gw string) peerPolicy {
	p := peerPolicy{path: path, typ: "SDNRoute", settings: document{}, from: map[string]string{"DestinationPrefix": path + ".dst", "NextHop": path + ".gw"}}
	p.settings["DestinationPrefix"], _ = json.Marshal(dst) // strings always can be
	if gw != "" {
		p.settings["NextHop"], _ = json.Marshal(gw)
	}
	return p
}

// writePolicies writes outboundNAT, routes and policies. What a key says as well as a
// policy does is written as the key.
func (t *translation) writePolicies() {
	nats := 0
	for _, p := range t.policies {
		if p.typ == "OutBoundNAT" {
			nats++
		}
	}
	routes, rest := []any{}, []any{}
	var texts [][]byte
	for _, p := range t.policies {
		if exceptions, from, ok := p.exceptions(); ok && nats == 1 && !t.flags.EnableDualStack {
			was := t.nat
			t.nat = peerNAT{asked: true, network: was.network, exceptions: exceptions, from: from}
			for i, e := range was.exceptions {
				t.nat.except(e, was.from[i])
			}
			continue
		}
		if r, ok := p.route(); ok {
			at := index("routes", len(routes))
			t.origins[at] = p.path
			for native, key := range map[string]string{"dst": "DestinationPrefix", "nextHop": "NextHop", "needEncap": "NeedEncap"} {
				if p.from[key] != "" {
					t.origins[at+"."+native] = p.from[key]
				}
			}
			routes = append(routes, r)
			continue
		}
		text, _ := json.Marshal(p.settings) // what was parsed can be written
		if text = append([]byte(p.typ), text...); slices.ContainsFunc(texts, func(other []byte) bool { return bytes.Equal(other, text) }) {
			continue // twice says no more than once
		}
		at := index("policies", len(rest))
		t.origins[at], t.origins[at+".Settings"], t.origins[at+".Type"] = p.path, p.path, p.path+".Type"
		for key, from := range p.from {
			t.origins[at+".Settings."+key] = from
		}
		texts, rest = append(texts, text), append(rest, map[string]any{"Type": p.typ, "Settings": p.settings})
	}
	if len(routes) > 0 {
		t.out["routes"] = routes
	}
	if len(rest) > 0 {
		t.out["policies"] = rest
	}
	t.writeNAT()
}

func (t *translation) writeNAT() {
	if !t.nat.asked {
		return
	}
	t.out["outboundNAT"] = map[string]any{}
	t.origins["outboundNAT"] = t.path("ipMasq")
	if t.nat.network {
		t.within("outboundNAT", "exceptNetwork", true, t.path("ipMasq"))
	}
	if len(t.nat.exceptions) > 0 {
		t.within("outboundNAT", "exceptions", t.nat.exceptions, t.nat.from[0])
		t.origins["outboundNAT"] = t.nat.from[0]
	}
	for i, from := range t.nat.from {
		t.origins[fmt.Sprintf("outboundNAT.exceptions[%d]", i)] = from
	}
}

// exceptions returns those of an outbound NAT that says nothing else.
func (p peerPolicy) exceptions() (list, from []string, ok bool) {
	if p.typ != "OutBoundNAT" || len(p.settings) != 1 || json.Unmarshal(p.settings["Exceptions"], &list) != nil || len(list) == 0 {
		return nil, nil, false
	}
	for i, s := range list {
		if c, err := netip.ParsePrefix(s); err != nil || c != c.Masked() {
			return nil, nil, false // an address, or what parsePolicy has an error for
		}
		from = append(from, index(p.from["Exceptions"], i))
	}
	return list, from, true
}

// route returns a policy as one of routes.
func (p peerPolicy) route() (map[string]any, bool) {
	out := map[string]any{}
	if p.typ != "SDNRoute" {
		return nil, false
	}
	for key, raw := range p.settings {
		native := map[string]string{"DestinationPrefix": "dst", "NextHop": "nextHop", "NeedEncap": "needEncap"}[key]
		if native == "" {
			return nil, false
		}
		if string(raw) != `""` && string(raw) != "false" {
			out[native] = raw
		}
	}
	return out, true
}
