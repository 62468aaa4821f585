// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// CheckFeatures refuses, as ErrFeature, a configuration that this node's HNS
// cannot serve, whatever address a pod gets.
func CheckFeatures(c config.Config, f hns.Features) error {
	if !f.V2() {
		return tooOld("bulkhead", "9.2 (Windows Server 2019 with updates)", f)
	}
	if c.LoopbackDSR != nil && *c.LoopbackDSR && !f.DSR() {
		return tooOld("loopbackDSR", "9.3 or 10.2 (Windows Server 2019 with updates)", f)
	}
	for i, p := range c.Policies {
		if need, gated := gate(p); gated && !f.Version.AtLeast(need.Major, need.Minor) {
			return tooOld(fmt.Sprintf("policies[%d] (%s)", i, p.Type), need.String(), f)
		}
	}
	if c.Network == nil {
		return nil
	}
	if c.Network.VXLANPort != 0 && !f.VXLANPort() {
		return tooOld("network.vxlanPort", "10.3 (Windows Server 2022)", f)
	}
	four := 0
	for _, s := range c.Network.Subnets {
		if err := checkIPv6(s.Prefix.Addr(), f); err != nil {
			return err
		}
		if s.Prefix.Addr().Is4() {
			four++
		}
	}
	if four > 1 && !f.MultipleSubnets() {
		return tooOld("a second IPv4 subnet in network.subnets", "11.10 (Windows Server 2022)", f)
	}
	return nil
}

// gate returns the HNS version that a policy needs, and whether it needs one that
// not every node has (hcsshim hcn/hcnglobals.go).
func gate(p hns.Opaque) (hns.Version, bool) {
	switch {
	case strings.EqualFold(p.Type, "L4WFPPROXY"):
		return hns.Version{Major: 13, Minor: 2}, true
	case strings.EqualFold(p.Type, "TierAcl"):
		return hns.Version{Major: 14}, true
	default:
		return hns.Version{}, false
	}
}

// gated reports whether a policy of the configuration needs a newer HNS than
// Bulkhead itself.
func gated(c config.Config) bool {
	return slices.ContainsFunc(c.Policies, func(p hns.Opaque) bool {
		_, gated := gate(p)
		return gated
	})
}

// checkIPv6 refuses an IPv6 address where HNS has none.
func checkIPv6(a netip.Addr, f hns.Features) error {
	if a.Is6() && !f.IPv6() {
		return tooOld("IPv6", "11.10 (Windows Server 2022)", f)
	}
	return nil
}

func tooOld(what, needs string, f hns.Features) error {
	return problem.New(ErrFeature, nil, "%s needs HNS %s; this node has %s", what, needs, f.Version)
}
