// SPDX-License-Identifier: Apache-2.0

package config

import "slices"

// readRequested collects the addresses that the runtime asks host-local for, and
// refuses those that it cannot give.
func (m *IPAM) readRequested(doc document, c *Config) error {
	add := func(path, text string) error {
		a, err := parseInterfaceAddr(path, text)
		m.Requested = append(m.Requested, RequestedAddr{path, a})
		return err
	}
	if c.args.ip != "" {
		if err := add("CNI_ARGS IP", c.args.ip); err != nil {
			return err
		}
	}
	fromArgs, err := doc.argsIPs()
	if err != nil {
		return err
	}
	for i, text := range fromArgs {
		if err := add(index("args.cni.ips", i), text); err != nil {
			return err
		}
	}
	for i, a := range c.IPs {
		m.Requested = append(m.Requested, RequestedAddr{index("runtimeConfig.ips", i), a})
	}
	return m.checkRequested()
}

// checkRequested gives each range set the first address that is of it, as host-local
// does, and refuses the rest.
func (m *IPAM) checkRequested() error {
	served := make([]bool, len(m.RangeSets))
	for _, r := range m.Requested {
		set := slices.IndexFunc(m.RangeSets, func(s RangeSet) bool {
			return slices.ContainsFunc(s.Ranges, func(x Range) bool { return x.contains(r.Addr) })
		})
		switch {
		case set < 0:
			return invalid(r.Path, "requested address %s is in no range of the ipam section", r.Addr)
		case served[set]:
			return invalid(r.Path, "requested address %s is the second one of %s, which gives one", r.Addr, m.RangeSets[set].Path)
		}
		served[set] = true
		for i, p := range m.Exclude {
			if p.Contains(r.Addr) {
				return invalid(r.Path, "requested address %s is never handed out: ipam.exclude[%d] excludes it", r.Addr, i)
			}
		}
	}
	return nil
}

// argsIPs returns args.cni.ips (CNI's conventions, "args in network config").
func (d document) argsIPs() ([]string, error) {
	var w struct {
		CNI struct {
			IPs []string `json:"ips"`
		} `json:"cni"`
	}
	if raw := d["args"]; !isNull(raw) {
		if err := decodeLax("args", raw, &w); err != nil {
			return nil, err
		}
	}
	return w.CNI.IPs, nil
}
