// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// WithDriver returns the configuration for a network of driver d, or the error of
// what such a network cannot do. Parse has called it when the configuration
// names a driver; call it once HNS has told the network's when it does not.
func (c Config) WithDriver(d hns.Driver) (Config, error) {
	out, err := c.withDriver(d)
	return out, c.origins.inFile(err)
}

func (c Config) withDriver(d hns.Driver) (Config, error) {
	if c.Driver != "" && c.Driver != d && !c.TakesExisting() {
		return Config{}, invalid("driver", "%q is configured, but the network is of type %q", c.Driver, d)
	}
	if !slices.Contains(hns.Drivers(), d) {
		return Config{}, invalid("driver", "the network is of type %q, which pods cannot use", d)
	}
	if err := checkReconfigurable(d, c.Isolation, c.ACL.Asked); err != nil {
		return Config{}, err
	}
	if err := c.checkFamilies(d); err != nil {
		return Config{}, err
	}
	if err := c.checkEnforceable(d); err != nil {
		return Config{}, err
	}
	if d == hns.Transparent && len(c.PortMappings) > 0 {
		return Config{}, invalid("runtimeConfig.portMappings", "a transparent network maps no ports of the node: "+
			"the pod has an address of its own on the physical network")
	}
	if err := c.checkVFP(d); err != nil {
		return Config{}, err
	}
	if err := c.checkGateways(d); err != nil {
		return Config{}, err
	}
	c.Driver = d
	return c, nil
}

// checkVFP refuses what only the Virtual Filtering Platform does.
func (c Config) checkVFP(d hns.Driver) error {
	if d.HasVFP() {
		return nil
	}
	asked := firstSet([]key{{"outboundNAT", c.OutboundNAT != nil}, {"loopbackDSR", c.LoopbackDSR != nil && *c.LoopbackDSR}, {"routes", len(c.Routes) > 0}, {"encapOverhead", c.EncapOverhead > 0}})
	if asked == "" {
		return nil
	}
	why := "the pod has an address of its own on the physical network"
	if d == hns.NAT {
		why = "it translates whatever leaves the node"
	}
	return invalid(asked, "a %s network has no VFP, which alone does this: %s; remove the key", d, why)
}

func (c Config) checkFamilies(d hns.Driver) error {
	if c.OutboundNAT != nil {
		for i, p := range c.OutboundNAT.Exceptions {
			if err := checkFamily(index("outboundNAT.exceptions", i), p.Addr(), d); err != nil {
				return err
			}
		}
	}
	for i, r := range c.Routes {
		if err := checkFamily(index("routes", i)+".dst", r.Destination.Addr(), d); err != nil {
			return err
		}
	}
	for _, r := range c.Requested {
		if err := checkFamily(r.Path, r.Addr, d); err != nil {
			return err
		}
	}
	for i, m := range c.PortMappings {
		if c.Covered(i) {
			continue
		}
		if err := checkFamily(index("runtimeConfig.portMappings", i)+".hostIP", m.HostIP, d); err != nil {
			return err
		}
	}
	return nil
}

func readVersion(doc document, c *Config) error {
	version := ""
	if err := doc.section("cniVersion", &version); err != nil {
		return err
	}
	if version != "" {
		c.CNIVersion = version
	}
	return nil
}

func readDriver(doc document, c *Config) error {
	var s *string
	if err := doc.section("driver", &s); err != nil || s == nil {
		return err
	}
	d, err := hns.ParseDriver(*s)
	if err != nil {
		return invalid("driver", "%s", err)
	}
	c.Driver = d
	return nil
}

func readIsolation(doc document, c *Config) error {
	var s *string
	if err := doc.section("isolation", &s); err != nil || s == nil {
		return err
	}
	switch i := hns.Isolation(strings.ToLower(*s)); i {
	case hns.Process, hns.HyperV:
		c.Isolation = i
		return nil
	default:
		return invalid("isolation", "%q is not one of process, hyperv", *s)
	}
}
