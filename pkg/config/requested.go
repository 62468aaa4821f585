// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// RequestedAddr is an address that the runtime asks for, and where it does.
type RequestedAddr struct {
	Path string
	Addr netip.Addr
}

// HasAddresses reports whether the pod's addresses are known before HNS is asked.
func (c Config) HasAddresses() bool { return c.IPAM.Type != "" || len(c.Requested) > 0 }

// wish is what the runtime asks for in one place, as it is written there.
type wish struct{ path, text string }

// readRequested collects the addresses that CNI_ARGS, args.cni and runtimeConfig ask
// for (CNI's conventions), with or without a prefix length. Two that ask for the same
// are one.
func readRequested(doc document, c *Config) error {
	if c.Type == TypeACL {
		return nil // the plugin before it makes the interface
	}
	wishes, err := addressWishes(doc, c.args)
	if err != nil {
		return err
	}
	var out []RequestedAddr
	for _, w := range wishes {
		a, err := parseInterfaceAddr(w.path, w.text)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(out, func(r RequestedAddr) bool { return r.Addr == a }) {
			out = append(out, RequestedAddr{w.path, a})
		}
	}
	c.Requested = out
	return nil
}

func addressWishes(doc document, args cniArgs) ([]wish, error) {
	var out []wish
	add := func(path string, list []string) {
		for i, s := range list {
			out = append(out, wish{index(path, i), s})
		}
	}
	list := splitList(args.ip)
	if len(list) == 1 {
		out = append(out, wish{"CNI_ARGS IP", list[0]})
	} else {
		add("CNI_ARGS IP", list)
	}
	fromArgs, err := doc.args()
	if err != nil {
		return nil, err
	}
	add("args.cni.ips", fromArgs.IPs)
	var fromRuntime []string
	err = doc.runtime("ips", &fromRuntime)
	add("runtimeConfig.ips", fromRuntime)
	return out, err
}

// readMAC reads the MAC address that CNI_ARGS, args.cni (as the tuning plugin has it)
// or runtimeConfig asks for. An empty one asks for nothing.
func readMAC(doc document, c *Config) error {
	if c.Type == TypeACL {
		return nil
	}
	fromArgs, err := doc.args()
	if err != nil {
		return err
	}
	fromRuntime := ""
	if err := doc.runtime("mac", &fromRuntime); err != nil {
		return err
	}
	var mac hns.MAC
	before := ""
	for _, w := range []wish{{"CNI_ARGS MAC", c.args.mac}, {"args.cni.mac", fromArgs.MAC}, {"runtimeConfig.mac", fromRuntime}} {
		if w.text == "" {
			continue
		}
		m, err := parseMAC(w.path, w.text)
		switch {
		case err != nil:
			return err
		case m == "00:00:00:00:00:00":
			return invalid(w.path, "%q is no address of an interface", w.text)
		case before != "" && m != mac:
			return invalid(w.path, "%s is not %s, which %s asks for; remove one of the two", m, mac, before)
		}
		mac, before = m, w.path
	}
	c.MAC = mac
	return nil
}

// wireArgs is args.cni.
type wireArgs struct {
	IPs []string `json:"ips"`
	MAC string   `json:"mac"`
}

// args returns args.cni (CNI's conventions, "args in network config").
func (d document) args() (wireArgs, error) {
	var w struct {
		CNI wireArgs `json:"cni"`
	}
	if raw := d["args"]; !isNull(raw) {
		if err := decodeLax("args", raw, &w); err != nil {
			return wireArgs{}, err
		}
	}
	return w.CNI, nil
}

// checkRequested refuses the requested addresses that the pod cannot get.
func (c *Config) checkRequested() error {
	if c.Type == TypeACL {
		return nil
	}
	if c.args.gateway != "" && (c.IPAM.Type == "" || c.IPAM.Type == HostLocal) {
		return invalid("CNI_ARGS GATEWAY", "only the IPAM plugin %s takes it; remove it", Static)
	}
	if c.IPAM.Type == Static {
		return nil // readStatic has put its addresses together
	}
	for _, r := range c.Requested {
		if named := c.NamedAt(r.Addr); named != "" {
			return invalid(r.Path, "requested address %s is never handed out: it is %s", r.Addr, named)
		}
	}
	switch c.IPAM.Type {
	case HostLocal:
		return c.checkRequestedOfRanges()
	case "":
		return c.checkRequestedOfHNS()
	default:
		return nil // for the executed plugin to judge
	}
}

// checkRequestedOfRanges gives each range set the first address that is of it, as
// host-local does, and refuses the rest.
func (c *Config) checkRequestedOfRanges() error {
	served := make([]bool, len(c.IPAM.RangeSets))
	for _, r := range c.Requested {
		set := slices.IndexFunc(c.IPAM.RangeSets, func(s RangeSet) bool {
			return slices.ContainsFunc(s.Ranges, func(x Range) bool { return x.contains(r.Addr) })
		})
		switch {
		case set < 0:
			return invalid(r.Path, "requested address %s is in no range of the ipam section", r.Addr)
		case served[set]:
			return invalid(r.Path, "requested address %s is the second one of %s, which gives one", r.Addr, c.IPAM.RangeSets[set].Path)
		}
		served[set] = true
		for i, p := range c.IPAM.Exclude {
			if p.Contains(r.Addr) {
				return invalid(r.Path, "requested address %s is never handed out: ipam.exclude[%d] excludes it", r.Addr, i)
			}
		}
	}
	return nil
}

// checkRequestedOfHNS is for configurations without IPAM: the endpoint is made with the
// address, and HNS refuses one that is taken.
func (c *Config) checkRequestedOfHNS() error {
	var all []NamedAddr
	for _, r := range c.Requested {
		if err := c.checkInSubnets(r.Path, r.Addr); err != nil {
			return err
		}
		all = append(all, NamedAddr(r))
	}
	return oneOfAFamily(all)
}
