// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/version"

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
	// Requested are the addresses that the runtime wants host-local to give.
	Requested []RequestedAddr
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

// RequestedAddr is an address that the runtime asks for, and where it does.
type RequestedAddr struct {
	Path string
	Addr netip.Addr
}

// wireHostLocal has a single range at its top, too: the old way to write it.
type wireHostLocal struct {
	Subnet     string          `json:"subnet"`
	RangeStart string          `json:"rangeStart"`
	RangeEnd   string          `json:"rangeEnd"`
	Gateway    string          `json:"gateway"`
	ResolvConf string          `json:"resolvConf"`
	Routes     json.RawMessage `json:"routes"`
	Ranges     [][]wireRange   `json:"ranges"`
	Exclude    json.RawMessage `json:"exclude"`
}

type wireRange struct {
	Subnet     string `json:"subnet"`
	RangeStart string `json:"rangeStart"`
	RangeEnd   string `json:"rangeEnd"`
	Gateway    string `json:"gateway"`
}

type wireStatic struct {
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
	if err := decodeLax("ipam", raw, &w); err != nil {
		return err
	}
	if w.Type == nil {
		return checkEmptyIPAM(raw)
	}
	if strings.ContainsAny(*w.Type, `/\:`) {
		return invalid("ipam.type", "%q is a path, not the name of a plugin", *w.Type)
	}
	c.IPAM.Type = *w.Type
	if c.IPAM.Type != HostLocal {
		return nil
	}
	var dir struct {
		DataDir string `json:"dataDir"`
	}
	if err := decodeLax("ipam", raw, &dir); err != nil {
		return err
	}
	c.IPAM.DataDir = dir.DataDir
	return nil
}

// checkEmptyIPAM takes {} for no section; settings of no plugin are a mistake.
func checkEmptyIPAM(raw json.RawMessage) error {
	var members document
	if json.Unmarshal(raw, &members) == nil && len(members) == 0 {
		return nil
	}
	return invalid("ipam.type", "missing; leave the ipam section out to let HNS choose addresses")
}

// readIPAM reads the section of a plugin that runs inside Bulkhead. It needs the
// network, the runtime's addresses and CNI_ARGS to be read before.
func readIPAM(doc document, c *Config) error {
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
	return c.checkPodFamilies()
}

func readHostLocal(doc document, c *Config, ipam *IPAM) error {
	var w wireHostLocal
	if err := decodeLax("ipam", doc["ipam"], &w); err != nil {
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
	for i, set := range w.Ranges {
		if err := ipam.addRangeSet(index("ipam.ranges", i), set); err != nil {
			return err
		}
	}
	if err := ipam.checkRangeSets(c); err != nil {
		return err
	}
	var err error
	if ipam.Exclude, err = parseExclude(w.Exclude); err != nil {
		return err
	}
	if ipam.Routes, err = parseIPAMRoutes(w.Routes); err != nil {
		return err
	}
	ipam.ResolvConf = w.ResolvConf
	return ipam.readRequested(doc, c)
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

// parse fills in what host-local does where the range leaves it out: all addresses of
// the subnet but the first and, in IPv4, the last (backend/allocator/range.go).
func (w wireRange) parse(path string) (Range, error) {
	var r Range
	var err error
	if r.Subnet, err = parsePrefix(path+".subnet", w.Subnet); err != nil {
		return Range{}, err
	}
	if bits := r.Subnet.Addr().BitLen(); r.Subnet.Bits() > bits-2 {
		return Range{}, invalid(path+".subnet", "%s is too small for a pod and its gateway", r.Subnet)
	}
	r.First, r.Last = r.Subnet.Addr().Next(), hns.Subnet{Prefix: r.Subnet}.Last()
	if r.Last.Is4() {
		r.Last = r.Last.Prev()
	}
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
		return Range{}, invalid(path+".rangeEnd", "%s is before the start of the range, %s", r.Last, r.First)
	}
	return r, nil
}

// String returns "10.1.0.10-10.1.0.250".
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

func (r Range) overlaps(o Range) bool { return !r.Last.Less(o.First) && !o.Last.Less(r.First) }

func (r Range) contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && !a.Less(r.First) && !r.Last.Less(a)
}

// checkRangeSets refuses sets that contradict each other, the version of the result
// or the network.
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
	return m.checkOneOfAFamily(c.CNIVersion, func(count func(netip.Addr)) {
		for _, set := range m.RangeSets {
			count(set.Ranges[0].First)
		}
	})
}

// checkOneOfAFamily keeps to what results before version 0.3.0 can say.
func (m *IPAM) checkOneOfAFamily(cniVersion string, each func(func(netip.Addr))) error {
	families := map[bool]int{}
	each(func(a netip.Addr) { families[a.Is4()]++ })
	if families[true] < 2 && families[false] < 2 {
		return nil
	}
	if ok, _ := version.GreaterThanOrEqualTo(cniVersion, "0.3.0"); !ok {
		return invalid("cniVersion", "%q has no more than one address of each family", cniVersion)
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
		four = true // HNS chooses IPv4 addresses only
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
		if m.HostIP.Is4() && !four || m.HostIP.Is6() && !six && (c.Driver == "" || c.Driver.HasIPv6()) {
			return invalid(fmt.Sprintf("runtimeConfig.portMappings[%d].hostIP", i), "the pod has no address of the family of %s", m.HostIP)
		}
	}
	return nil
}
