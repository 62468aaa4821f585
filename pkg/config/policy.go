// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

type wireOutboundNAT struct {
	Exceptions    []string `json:"exceptions"`
	ExceptNetwork bool     `json:"exceptNetwork"`
}

func readOutboundNAT(doc document, c *Config) error {
	var w *wireOutboundNAT
	if err := doc.section("outboundNAT", &w); err != nil {
		return err
	}
	masq, err := readIPMasq(doc)
	if err != nil {
		return err
	}
	if w == nil {
		c.OutboundNAT = masq
		return nil
	}
	out := OutboundNAT{ExceptNetwork: w.ExceptNetwork}
	if out.Exceptions, err = parsePrefixes("outboundNAT.exceptions", w.Exceptions); err != nil {
		return err
	}
	if masq != nil {
		for _, p := range masq.Exceptions {
			if !slices.Contains(out.Exceptions, p) {
				out.Exceptions = append(out.Exceptions, p)
			}
		}
	}
	c.OutboundNAT = &out
	return nil
}

// readIPMasq reads the two keys that flannel adds to every delegate's configuration
// (flannel-io/cni-plugin, flannel_windows.go): whether pods leave by the node's address,
// and the cluster's network, to which they do not. nil asks for no NAT.
func readIPMasq(doc document) (*OutboundNAT, error) {
	asked, text := false, ""
	if err := doc.section("ipMasq", &asked); err != nil || !asked {
		return nil, err
	}
	if err := doc.section("ipMasqNetwork", &text); err != nil || text == "" {
		return &OutboundNAT{}, err
	}
	p, err := parsePrefix("ipMasqNetwork", text)
	return &OutboundNAT{Exceptions: []netip.Prefix{p}}, err
}

func readLoopbackDSR(doc document, c *Config) error {
	var wish *bool
	if err := doc.section("loopbackDSR", &wish); err != nil {
		return err
	}
	c.LoopbackDSR = wish
	return nil
}

type wireRoute struct {
	Dst       string `json:"dst"`
	NextHop   string `json:"nextHop"`
	NeedEncap bool   `json:"needEncap"`
}

func readRoutes(doc document, c *Config) error {
	var ws []wireRoute
	if err := doc.section("routes", &ws); err != nil {
		return err
	}
	var out []hns.SDNRoute
	for i, w := range ws {
		r, err := w.route(index("routes", i))
		if err != nil {
			return err
		}
		out = append(out, r)
	}
	c.Routes = out
	return nil
}

// route takes a missing nextHop: with encapsulation HNS finds the way itself
// (flannel's and OVN-Kubernetes' SDNRoute policies name none).
func (w wireRoute) route(path string) (hns.SDNRoute, error) {
	dst, err := parsePrefix(path+".dst", w.Dst)
	if err != nil {
		return hns.SDNRoute{}, err
	}
	r := hns.SDNRoute{Destination: dst, NeedEncap: w.NeedEncap}
	if w.NextHop == "" {
		return r, nil
	}
	if r.NextHop, err = parseAddr(path+".nextHop", w.NextHop); err != nil {
		return hns.SDNRoute{}, err
	}
	if r.NextHop.Is4() != dst.Addr().Is4() {
		return hns.SDNRoute{}, invalid(path+".nextHop", "%s is not of the family of %s", r.NextHop, dst)
	}
	return r, nil
}

type wirePolicy struct {
	Type     string          `json:"Type"`
	Settings json.RawMessage `json:"Settings"`
}

// taken says what to use for the policy types, in lower case, that are not
// passed through: Bulkhead has a key for them, or they are names of the v1 schema
// that HNS's v2 calls do not know (hcsshim internal/hns/hnspolicy.go).
var taken = map[string]string{
	"acl":         "use the acl section; only with acl.program false ACLs are passed through",
	"portmapping": "port mappings come from runtimeConfig.portMappings; declare the portMappings capability",
	"nat":         "this is the v1 name of PortMapping; port mappings come from runtimeConfig.portMappings",
	"route":       "this is the v1 name of SDNRoute; use the routes key",
	"pa":          "this is the v1 name; use ProviderAddress",
	"elb":         "this is the v1 name of a load balancer, which is no endpoint policy; kube-proxy makes load balancers",
}

// known are the types of HNS's endpoint policies (hcsshim hcn/hcnpolicy.go;
// HNS_Schema.md) that are passed through.
var known = []string{
	"QOS", "L2Driver", "OutBoundNAT", "SDNRoute", "L4Proxy", "L4WFPPROXY", "ProviderAddress", "PortName", "EncapOverhead",
	"InterfaceConstraint", "Encryption", "VLAN", "InterfaceParameters", "Iov", "TierAcl",
}

// knownType returns HNS's own spelling of a type, since HNS is not known to take any
// other letter case.
func knownType(path, typ string) (string, error) {
	if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, typ) }); i >= 0 {
		return known[i], nil
	}
	if near := nearest(typ, known); near != "" {
		return "", invalid(path, "HNS has no policy %q; did you mean %q?", typ, near)
	}
	return "", invalid(path, "HNS has no policy %q that is known here: %s", typ, strings.Join(known, ", "))
}

func readPolicies(doc document, c *Config) error {
	var raws []json.RawMessage
	if err := doc.section("policies", &raws); err != nil {
		return err
	}
	var out []hns.Opaque
	for i, raw := range raws {
		p, err := parsePolicy(index("policies", i), raw, !c.ACL.Program)
		if err != nil {
			return err
		}
		if err := c.twice(index("policies", i), p, out); err != nil {
			return err
		}
		out = append(out, p)
	}
	c.Policies = out
	return nil
}

// twice refuses a policy that another one, or a key, says already.
func (c *Config) twice(path string, p hns.Opaque, before []hns.Opaque) error {
	for i, other := range before {
		if p.Type == other.Type && bytes.Equal(p.Settings, other.Settings) {
			return invalid(path, "%s says the same; remove one of the two", index("policies", i))
		}
	}
	var w wireOutboundNATSettings
	if c.OutboundNAT == nil || p.Type != "OutBoundNAT" || json.Unmarshal(p.Settings, &w) != nil || len(w.Exceptions) == 0 {
		return nil
	}
	return invalid(path, "outboundNAT, or flannel's ipMasq, says outbound NAT, too; write these exceptions into outboundNAT.exceptions")
}

// NATExceptions returns what pods reach by their own address although they leave by the
// node's, and whether they leave by the node's at all: what outboundNAT, flannel's ipMasq
// and policies say. With own the network's own ranges are excepted where no exception is of
// their family, or wherever outboundNAT.exceptNetwork says so.
func (c Config) NATExceptions() (exceptions []netip.Prefix, own, asked bool) {
	if c.OutboundNAT != nil && c.OutboundNAT.ExceptNetwork {
		return nil, true, true
	}
	if c.OutboundNAT != nil {
		return c.OutboundNAT.Exceptions, true, true
	}
	for _, p := range c.Policies {
		var w wireOutboundNATSettings
		if p.Type != "OutBoundNAT" || json.Unmarshal(p.Settings, &w) != nil || len(w.Destinations) > 0 {
			continue
		}
		asked = true
		for _, text := range w.Exceptions {
			if e, err := netip.ParsePrefix(text); err == nil {
				exceptions = append(exceptions, e)
			}
		}
	}
	return exceptions, false, asked
}

// parsePolicy takes ACLs where acls is set.
func parsePolicy(path string, raw json.RawMessage, acls bool) (hns.Opaque, error) {
	var w wirePolicy
	if err := refuseTaken(path, raw, acls); err != nil {
		return hns.Opaque{}, err
	}
	if err := refusePeersPolicy(path, raw); err != nil {
		return hns.Opaque{}, err
	}
	if err := decode(path, raw, &w); err != nil {
		return hns.Opaque{}, err
	}
	if w.Type == "" {
		return hns.Opaque{}, invalid(path+".Type", "missing")
	}
	typ, err := typeACL, error(nil)
	if !strings.EqualFold(w.Type, typeACL) {
		typ, err = knownType(path+".Type", w.Type)
	}
	if err != nil {
		return hns.Opaque{}, err
	}
	if w.Settings == nil {
		return hns.Opaque{}, invalid(path+".Settings", "missing; write {} for none")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, w.Settings); err != nil || !bytes.HasPrefix(compact.Bytes(), []byte("{")) {
		return hns.Opaque{}, wrongType(path+".Settings", "an object", w.Settings)
	}
	return hns.Opaque{Type: typ, Settings: compact.Bytes()}, checkSettings(path+".Settings", typ, w.Settings)
}

// refuseTaken comes before the other keys are looked at: a policy of the v1 schema
// has its settings beside its type, and its name is the better reason.
func refuseTaken(path string, raw json.RawMessage, acls bool) error {
	var w wirePolicy
	if err := decodeLax(path, raw, &w); err != nil {
		return err
	}
	if acls && strings.EqualFold(w.Type, typeACL) {
		return nil
	}
	if instead, ok := taken[strings.ToLower(w.Type)]; ok {
		return invalid(path+".Type", "%q is not passed through: %s", w.Type, instead)
	}
	return nil
}

// wireOutboundNATSettings and wireSDNRouteSettings are the addresses in what is
// passed through: HNS answers a wrong one with an error that names no field.
type wireOutboundNATSettings struct {
	VirtualIP     string          `json:"VirtualIP"`
	Exceptions    []string        `json:"Exceptions"`
	Destinations  []string        `json:"Destinations"`
	ExceptionList json.RawMessage `json:"ExceptionList"`
}

type wireSDNRouteSettings struct {
	DestinationPrefix string `json:"DestinationPrefix"`
	NextHop           string `json:"NextHop"`
}

func checkSettings(path, typ string, raw json.RawMessage) error {
	switch typ {
	case "OutBoundNAT":
		var w wireOutboundNATSettings
		if err := decodeLax(path, raw, &w); err != nil {
			return err
		}
		return w.check(path)
	case typeACL:
		return checkACLSettings(path, raw)
	case "SDNRoute":
		var w wireSDNRouteSettings
		if err := decodeLax(path, raw, &w); err != nil {
			return err
		}
		if _, err := parsePrefix(path+".DestinationPrefix", w.DestinationPrefix); err != nil {
			return err
		}
		return checkAddr(path+".NextHop", w.NextHop)
	default:
		return nil
	}
}

func (w wireOutboundNATSettings) check(path string) error {
	if w.ExceptionList != nil {
		return invalid(path+".ExceptionList", "this is the v1 name; use Exceptions")
	}
	if err := checkAddr(path+".VirtualIP", w.VirtualIP); err != nil {
		return err
	}
	if err := checkRanges(path+".Exceptions", w.Exceptions); err != nil {
		return err
	}
	return checkRanges(path+".Destinations", w.Destinations)
}

// checkAddr passes the empty string, which HNS takes for absent.
func checkAddr(path, s string) error {
	if s == "" {
		return nil
	}
	_, err := parseAddr(path, s)
	return err
}

// checkRanges takes addresses as well as CIDRs, as HNS does: a pod's loopback DSR
// has its bare address as destination (containernetworking/plugins, pkg/hns).
func checkRanges(path string, list []string) error {
	for i, s := range list {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			continue
		}
		if _, err := parsePrefix(index(path, i), s); err != nil {
			return err
		}
	}
	return nil
}

// readEncapOverhead needs the policies to be read before. An overhead is of a few
// headers; HNS takes any number of 16 bits.
func readEncapOverhead(doc document, c *Config) error {
	const path, most = "encapOverhead", 500
	var n *int64
	if err := doc.section(path, &n); err != nil || n == nil {
		return err
	}
	if err := inRange(path, *n, 1, most); err != nil {
		return err
	}
	for i, p := range c.Policies {
		if p.Type == "EncapOverhead" {
			return invalid(index("policies", i), "the key encapOverhead says the same; remove one of the two")
		}
	}
	c.EncapOverhead = uint16(*n)
	return nil
}
