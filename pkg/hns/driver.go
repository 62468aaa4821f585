// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"fmt"
	"slices"
	"strings"
)

// Driver is the kind of an HNS network, in lower case. HNS calls it the network
// type or mode (HNS_Schema.md, NetworkMode).
type Driver string

// The drivers that Bulkhead attaches pods to.
const (
	NAT         Driver = "nat"
	Transparent Driver = "transparent"
	L2Bridge    Driver = "l2bridge"
	L2Tunnel    Driver = "l2tunnel"
	Overlay     Driver = "overlay"
)

// Drivers lists the drivers that Bulkhead attaches pods to, in the order of the
// documentation.
func Drivers() []Driver {
	return []Driver{NAT, Transparent, L2Bridge, L2Tunnel, Overlay}
}

// ParseDriver returns the driver called s, in any letter case. It is an error
// when s is not one of Drivers.
func ParseDriver(s string) (Driver, error) {
	d := Driver(strings.ToLower(s))
	if !slices.Contains(Drivers(), d) {
		return "", fmt.Errorf("%q is not one of nat, transparent, l2bridge, l2tunnel, overlay", s)
	}
	return d, nil
}

// HasVFP reports whether the driver's switch ports are filtered by the Virtual
// Filtering Platform, so that Switch rules are enforced (Microsoft, "Network
// isolation and security").
func (d Driver) HasVFP() bool {
	return d == L2Bridge || d == L2Tunnel || d == Overlay
}

// HasIPv6 reports whether pods on the driver's networks may have IPv6 addresses
// (Microsoft, "Windows container network architecture": none on nat and overlay;
// l2bridge since Windows Server 2022; transparent without HNS's help; l2tunnel is
// not named).
func (d Driver) HasIPv6() bool { return d == L2Bridge || d == Transparent }

// Isolation is how a pod's containers are kept apart from the node.
type Isolation string

// Isolations of a Windows container.
const (
	// Process is a Windows Server container: it shares the node's kernel, and
	// so the node's firewall.
	Process Isolation = "process"
	// HyperV is a container in a utility VM of its own, with its own firewall.
	HyperV Isolation = "hyperv"
)
