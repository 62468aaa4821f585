// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Types of IPAM plugins that run inside Bulkhead. The sections of all others are
// theirs to read.
const (
	HostLocal = "host-local"
	Static    = "static"
)

// IPAM is the ipam section, with what the runtime asks of the plugin.
type IPAM struct {
	// Type is the plugin, empty when HNS is to choose the address.
	Type string
	// DataDir is where host-local keeps its reservations, empty for its default.
	DataDir string
	// ResolvConf is the file that host-local reads the pod's DNS from.
	ResolvConf string
	// RangeSets are host-local's: a pod gets one address of each.
	RangeSets []RangeSet
	// Exclude is never handed out by host-local. The i-th is ipam.exclude[i].
	Exclude []netip.Prefix
	// Addresses are static's.
	Addresses []IPAMAddress
	// Routes are those of ipam.routes. A NextHop of zero is the gateway.
	Routes []hns.Route
	// DNS is static's.
	DNS hns.DNS
}

// RangeSet is a list of ranges that one address comes from.
type RangeSet struct {
	// Path is where the configuration has it.
	Path   string
	Ranges []Range
}

// Range is a range of addresses for host-local, First and Last included.
type Range struct {
	Subnet      netip.Prefix
	First, Last netip.Addr
	// Gateway is zero when the range names none.
	Gateway netip.Addr
}

// IPAMAddress is an address for static, with its prefix length. Gateway is zero when
// the configuration names none.
type IPAMAddress struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
}

// wireHostLocal has a single range at its top, too: the old way to write it.
type wireHostLocal struct {
	Type       string          `json:"type"`
	DataDir    string          `json:"dataDir"`
	Subnet     string          `json:"subnet"`
	RangeStart string          `json:"rangeStart"`
	RangeEnd   string          `json:"rangeEnd"`
	Gateway    string          `json:"gateway"`
	ResolvConf string          `json:"resolvConf"`
	Routes     json.RawMessage `json:"routes"`
	Ranges     json.RawMessage `json:"ranges"`
	Exclude    json.RawMessage `json:"exclude"`
}

type wireRange struct {
	Subnet     string `json:"subnet"`
	RangeStart string `json:"rangeStart"`
	RangeEnd   string `json:"rangeEnd"`
	Gateway    string `json:"gateway"`
}

type wireStatic struct {
	Type      string          `json:"type"`
	Addresses []wireAddress   `json:"addresses"`
	Routes    json.RawMessage `json:"routes"`
	DNS       wireDNS         `json:"dns"`
}

type wireAddress struct {
	Address string `json:"address"`
	Gateway string `json:"gateway"`
}

// readIPAMPlugin reads who has the addresses. Every verb needs it, DEL and GC
// included.
func readIPAMPlugin(doc document, c *Config) error {
	raw := doc["ipam"]
	if isNull(raw) {
		return nil
	}
	var w struct {
		Type *string `json:"type"`
	}
	var dir struct {
		DataDir string `json:"dataDir"`
	}
	if err := decodeLax("ipam", raw, &w); err != nil {
		return err
	}
	if w.Type == nil || *w.Type == "" {
		return checkEmptyIPAM(raw)
	}
	if strings.ContainsAny(*w.Type, `/\:`) {
		return invalid("ipam.type", "%q is a path, not the name of a plugin", *w.Type)
	}
	if _, _, dialect := dialectOf(canonicalType(*w.Type)); dialect || ownKeys[canonicalType(*w.Type)] != nil {
		return invalid("ipam.type", "%q is this plugin itself, which gives no addresses; write %q or %q", *w.Type, HostLocal, Static)
	}
	if *w.Type == HostLocal {
		if err := decodeLax("ipam", raw, &dir); err != nil {
			return err
		}
	}
	c.IPAM.Type, c.IPAM.DataDir = *w.Type, dir.DataDir
	return nil
}

// checkEmptyIPAM takes {} for no section; settings of no plugin are a mistake.
func checkEmptyIPAM(raw json.RawMessage) error {
	var members document
	if json.Unmarshal(raw, &members) == nil && len(members) == 0 {
		return nil
	}
	return invalid("ipam.type", "missing; write %q for the section's own addresses, or leave the section out to let HNS choose", HostLocal)
}

// readIPAM reads the section of a plugin that runs inside Bulkhead. It needs the
// network, the runtime's addresses and CNI_ARGS to be read before.
func readIPAM(doc document, c *Config) error {
	var members document
	if json.Unmarshal(doc["ipam"], &members) == nil {
		for _, key := range slices.Sorted(maps.Keys(members)) {
			if key != "type" && strings.EqualFold(key, "type") {
				return invalid(join("ipam", key), `unknown key; did you mean "type"?`)
			}
		}
	}
	var err error
	ipam := c.IPAM
	switch c.IPAM.Type {
	case HostLocal:
		err = readHostLocal(doc, c, &ipam)
	case Static:
		err = readStatic(doc, c, &ipam)
	}
	if err != nil {
		return err
	}
	c.IPAM = ipam
	if err := c.checkRequested(); err != nil {
		return err
	}
	if err := c.checkLeads(); err != nil {
		return err
	}
	return c.checkPodFamilies()
}

func readHostLocal(doc document, c *Config, ipam *IPAM) error {
	var w wireHostLocal
	if err := decode("ipam", doc["ipam"], &w); err != nil {
		return err
	}
	var fromRuntime [][]wireRange
	if err := doc.runtime("ipRanges", &fromRuntime); err != nil {
		return err
	}
	// host-local's own order (plugins/ipam/host-local/backend/allocator/config.go).
	for i, set := range fromRuntime {
		if err := ipam.addRangeSet(index("runtimeConfig.ipRanges", i), set); err != nil {
			return err
		}
	}
	for _, f := range []struct{ key, text string }{{"rangeStart", w.RangeStart}, {"rangeEnd", w.RangeEnd}, {"gateway", w.Gateway}} {
		if f.text != "" && w.Subnet == "" {
			return invalid("ipam."+f.key, "without ipam.subnet it is of no range; move it into one of ipam.ranges")
		}
	}
	if w.Subnet != "" {
		r, err := wireRange{w.Subnet, w.RangeStart, w.RangeEnd, w.Gateway}.parse("ipam")
		if err != nil {
			return err
		}
		ipam.RangeSets = append(ipam.RangeSets, RangeSet{"ipam.subnet", []Range{r}})
	}
	sets, err := parseRanges(w.Ranges)
	if err != nil {
		return err
	}
	for i, set := range sets {
		if err := ipam.addRangeSet(index("ipam.ranges", i), set); err != nil {
			return err
		}
	}
	if len(ipam.RangeSets) == 0 && isNull(w.Ranges) {
		ipam.RangeSets = rangesOf(c.Network)
	}
	if err := ipam.checkRangeSets(c); err != nil {
		return err
	}
	if ipam.Exclude, err = parseExclude(w.Exclude); err != nil {
		return err
	}
	if ipam.Routes, err = parseIPAMRoutes(w.Routes); err != nil {
		return err
	}
	ipam.ResolvConf = w.ResolvConf
	return nil
}

// parseRanges reads ipam.ranges: a list of sets, each a list of ranges.
func parseRanges(raw json.RawMessage) ([][]wireRange, error) {
	const path, nested = "ipam.ranges", `write [[{"subnet": ...}]], a list of sets of ranges`
	if isNull(raw) {
		return nil, nil
	}
	var sets []json.RawMessage
	if json.Unmarshal(raw, &sets) != nil {
		return nil, invalid(path, "%s; got %s", nested, show(raw))
	}
	var out [][]wireRange
	for i, set := range sets {
		var ranges []json.RawMessage
		if json.Unmarshal(set, &ranges) != nil {
			return nil, invalid(index(path, i), "%s; got %s", nested, show(set))
		}
		parsed := []wireRange{}
		for j, r := range ranges {
			at := index(index(path, i), j)
			if show(r) == "a list" {
				return nil, invalid(at, "%s; this is a list too deep", nested)
			}
			var w wireRange
			if err := decode(at, r, &w); err != nil {
				return nil, err
			}
			parsed = append(parsed, w)
		}
		out = append(out, parsed)
	}
	return out, nil
}

// rangesOf returns the range sets of a section that names none: one for each family of
// the network, of all its subnets from the third address on. The first two are the
// gateway's and, on some networks, the node's own.
func rangesOf(n *Network) []RangeSet {
	if n == nil {
		return nil
	}
	byFamily := map[bool]RangeSet{}
	for i, s := range n.Subnets {
		if bits := s.Prefix.Addr().BitLen(); s.Prefix.Bits() > bits-2 {
			continue
		}
		set := byFamily[s.Prefix.Addr().Is6()]
		set.Path = cmp.Or(set.Path, index("network.subnets", i))
		r := wholeRange(s.Prefix)
		if third := r.First.Next().Next(); !r.Last.Less(third) {
			r.First = third
		}
		set.Ranges = append(set.Ranges, r)
		byFamily[s.Prefix.Addr().Is6()] = set
	}
	var out []RangeSet
	for _, six := range []bool{false, true} {
		if set, ok := byFamily[six]; ok {
			out = append(out, set)
		}
	}
	return out
}

func (m *IPAM) addRangeSet(path string, set []wireRange) error {
	if len(set) == 0 {
		return invalid(path, "empty; it needs a range")
	}
	out := RangeSet{Path: path}
	for i, w := range set {
		r, err := w.parse(index(path, i))
		if err != nil {
			return err
		}
		for j, other := range out.Ranges {
			if other.First.BitLen() != r.First.BitLen() {
				return invalid(index(path, i), "%s is of another family than %s of the same set", r.Subnet, other.Subnet)
			}
			if r.overlaps(other) {
				return invalid(index(path, i), "%s overlaps %s of %s", r, other, index(path, j))
			}
		}
		out.Ranges = append(out.Ranges, r)
	}
	m.RangeSets = append(m.RangeSets, out)
	return nil
}

// parse fills in what host-local does where the range leaves it out.
func (w wireRange) parse(path string) (Range, error) {
	var r Range
	var err error
	if r.Subnet, err = parsePrefix(path+".subnet", w.Subnet); err != nil {
		return Range{}, err
	}
	if bits := r.Subnet.Addr().BitLen(); r.Subnet.Bits() > bits-2 {
		return Range{}, invalid(path+".subnet", "%s is too small for a pod and its gateway", r.Subnet)
	}
	r = wholeRange(r.Subnet)
	for _, f := range []struct {
		key, text string
		into      *netip.Addr
	}{{"rangeStart", w.RangeStart, &r.First}, {"rangeEnd", w.RangeEnd, &r.Last}, {"gateway", w.Gateway, &r.Gateway}} {
		if f.text == "" {
			continue
		}
		if *f.into, err = parseAddr(path+"."+f.key, f.text); err != nil {
			return Range{}, err
		}
		if !r.Subnet.Contains(*f.into) {
			return Range{}, invalid(path+"."+f.key, "%s is outside of %s", *f.into, r.Subnet)
		}
	}
	if r.Last.Less(r.First) {
		return Range{}, invalid(path+".rangeStart", "%s is after the range's end, %s", r.First, r.Last)
	}
	if why := (hns.Subnet{Prefix: r.Subnet}).NotGateway(r.Gateway); r.Gateway.IsValid() && why != "" {
		return Range{}, invalid(path+".gateway", "%s", why)
	}
	return r, nil
}

// wholeRange returns what host-local hands out of a subnet: all addresses but the first
// and, in IPv4, the last (backend/allocator/range.go).
func wholeRange(subnet netip.Prefix) Range {
	r := Range{Subnet: subnet, First: subnet.Addr().Next(), Last: hns.Subnet{Prefix: subnet}.Last()}
	if r.Last.Is4() {
		r.Last = r.Last.Prev()
	}
	return r
}

// String returns "10.1.0.10-10.1.0.250".
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

func (r Range) overlaps(o Range) bool { return !r.Last.Less(o.First) && !o.Last.Less(r.First) }

func (r Range) contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && !a.Less(r.First) && !r.Last.Less(a)
}

// checkRangeSets refuses sets that contradict each other or the network.
func (m *IPAM) checkRangeSets(c *Config) error {
	if len(m.RangeSets) == 0 {
		return invalid("ipam.ranges", "missing; %s needs at least one range", HostLocal)
	}
	for i, set := range m.RangeSets {
		for j, r := range set.Ranges {
			if err := c.checkInSubnets(index(set.Path, j), r.First, r.Last); err != nil {
				return err
			}
			for _, other := range m.RangeSets[:i] {
				if k := slices.IndexFunc(other.Ranges, r.overlaps); k >= 0 {
					return invalid(index(set.Path, j), "%s overlaps %s of %s", r, other.Ranges[k], other.Path)
				}
			}
		}
	}
	var firsts []NamedAddr
	for _, set := range m.RangeSets {
		firsts = append(firsts, NamedAddr{set.Path, set.Ranges[0].First})
	}
	return oneOfAFamily(firsts)
}

// oneOfAFamily keeps to what an endpoint takes.
func oneOfAFamily(each []NamedAddr) error {
	first := map[bool]string{}
	for _, a := range each {
		if other, twice := first[a.Addr.Is6()]; twice {
			return invalid(a.Path, "an endpoint takes one address of a family, which %s gives; remove one of the two", other)
		}
		first[a.Addr.Is6()] = a.Path
	}
	return nil
}

// checkInSubnets refuses addresses that the network of the same configuration does
// not have.
func (c *Config) checkInSubnets(path string, addrs ...netip.Addr) error {
	if c.Network == nil || len(c.Network.Subnets) == 0 {
		return nil
	}
	var subnets []string
	for _, s := range c.Network.Subnets {
		if !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !s.Prefix.Contains(a) }) {
			return nil
		}
		subnets = append(subnets, s.Prefix.String())
	}
	return invalid(path, "%s is outside of network.subnets (%s)", addrs[len(addrs)-1], strings.Join(subnets, ", "))
}

// parseExclude reads ipam.exclude. The executable of host-local does not know the
// key and passes over it. A CIDR with host bits can be meant as an address or as a
// network, so it is refused.
func parseExclude(raw json.RawMessage) ([]netip.Prefix, error) {
	if isNull(raw) {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, wrongType("ipam.exclude", "a list of CIDRs and addresses", raw)
	}
	var out []netip.Prefix
	for i, item := range list {
		path := index("ipam.exclude", i)
		var s *string
		if json.Unmarshal(item, &s) != nil || s == nil {
			return nil, wrongType(path, "a CIDR or an address in quotes", item)
		}
		p, err := netip.ParsePrefix(*s)
		if a, aErr := netip.ParseAddr(*s); aErr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, invalid(path, "%q is neither a CIDR such as 10.10.0.0/28 nor an address", *s)
		case p.Addr().Is4In6():
			return nil, invalid(path, "%q is IPv4 written as IPv6; write it as IPv4", *s)
		case p != p.Masked():
			return nil, invalid(path, "%q has host bits set; write %s, or %s for the one address", *s, p.Masked(), p.Addr())
		}
		out = append(out, p)
	}
	return out, nil
}

// checkPodFamilies refuses port mappings of a family that no address of the pod will
// have, where the configuration tells.
func (c *Config) checkPodFamilies() error {
	if c.Type == TypeACL {
		return nil // the plugin before it has the addresses
	}
	four, six := false, false
	note := func(a netip.Addr) { four, six = four || a.Is4(), six || a.Is6() }
	switch c.IPAM.Type {
	case "":
		four = len(c.Requested) == 0 // HNS chooses IPv4 addresses only
		for _, r := range c.Requested {
			note(r.Addr)
		}
	case HostLocal:
		for _, set := range c.IPAM.RangeSets {
			note(set.Ranges[0].First)
		}
	case Static:
		for _, a := range c.IPAM.Addresses {
			note(a.Prefix.Addr())
		}
	}
	if !four && !six {
		return nil
	}
	for i, m := range c.PortMappings {
		// Where the driver has no IPv6, WithDriver says so.
		lacks := m.HostIP.Is4() && !four || m.HostIP.Is6() && !six && (c.Driver == "" || c.Driver.HasIPv6())
		if lacks && !c.Covered(i) {
			return invalid(fmt.Sprintf("runtimeConfig.portMappings[%d].hostIP", i), "%q is of a family that the pod has no address of; leave hostIP out", m.HostIP)
		}
	}
	return nil
}
