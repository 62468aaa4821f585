// SPDX-License-Identifier: Apache-2.0

// Package uplink chooses the adapter of the node that carries a network which
// names none. HNS chooses one, too, but on a node with several it takes a wrong
// one or none (microsoft/SDN#269, rancher/rke2#3515).
package uplink

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Adapter is a network adapter of the node.
type Adapter struct {
	// Name is the friendly name, by which HNS takes it.
	Name string
	// Type is the interface type (IANA ifType-MIB).
	Type uint32
	Up   bool
	// DefaultRoute is true when the adapter has a default gateway.
	DefaultRoute bool
	// Addresses are the node's on the adapter.
	Addresses []netip.Addr
	// Metric is that of the adapter's IPv4 interface: the least is preferred.
	Metric uint32
	// IPv6 is whether IPv6 is bound to the adapter.
	IPv6 Setting
	// Forwarding is whether the node hands on IPv4 packets that come in by the adapter.
	Forwarding Setting
}

// Setting is whether something is on, as far as the node tells.
type Setting string

// Values of a Setting.
const (
	Unknown Setting = ""
	On      Setting = "on"
	Off     Setting = "off"
)

// Rejection says why an adapter does not carry a network.
type Rejection struct {
	Name, Why string
}

// Table returns the rejections in one line: "Wi-Fi: no Ethernet adapter; ...".
func Table(rejected []Rejection) string {
	var out []string
	for _, r := range rejected {
		out = append(out, r.Name+": "+r.Why)
	}
	return strings.Join(out, "; ")
}

// Choose returns the name of the adapter with the node's default route, and why
// the others were rejected. The name is empty when none has it.
//
// The node's own interface of a virtual switch has the default route of the
// adapter that the switch is on: "vEthernet (Ethernet)" stands for "Ethernet".
func Choose(adapters []Adapter) (string, []Rejection) {
	var best *Adapter
	var rejected []Rejection
	for _, a := range adapters {
		if why := unfit(a, adapters); why != "" {
			rejected = append(rejected, Rejection{a.Name, why})
			continue
		}
		if best == nil {
			best = &a
			continue
		}
		loser := a
		if a.Metric < best.Metric {
			loser, best = *best, &a
		}
		rejected = append(rejected, Rejection{loser.Name, fmt.Sprintf("its metric %d is not below %d, that of %s", loser.Metric, best.Metric, best.Name)})
	}
	if best == nil {
		return "", rejected
	}
	if below, virtual := physical(best.Name); virtual {
		return below, rejected
	}
	return best.Name, rejected
}

// Unusable says why no HNS network can be on an adapter that a configuration names, empty
// when one can.
func Unusable(a Adapter) string {
	if a.Type == ethernet && !a.Up {
		return "not connected"
	}
	return unbridged(a)
}

// Indirect reports whether an adapter is not named itself, but by an address of the node
// or by the node's interface of the virtual switch on it.
func Indirect(name string) bool {
	_, virtual := physical(name)
	_, err := netip.ParseAddr(name)
	return virtual || err == nil
}

// Resolve returns the name of the adapter that an Indirect name means. The error lists
// the adapters that would do.
func Resolve(name string, all []Adapter) (string, error) {
	own := name
	if a, err := netip.ParseAddr(name); err == nil {
		i := slices.IndexFunc(all, func(x Adapter) bool { return slices.Contains(x.Addresses, a) })
		if i < 0 {
			return "", fmt.Errorf("no adapter of this node has %s; adapters that would do: %s", a, usable(all))
		}
		own = all[i].Name
	}
	below, virtual := physical(own)
	switch {
	case !virtual:
		return own, nil
	case !named(all, below):
		return "", fmt.Errorf("%q is the node's interface of a virtual switch, and there is no adapter %q below it; adapters that would do: %s", own, below, usable(all))
	default:
		return below, nil
	}
}

// usable lists the physical Ethernet adapters that are connected.
func usable(all []Adapter) string {
	var out []string
	for _, a := range all {
		if _, virtual := physical(a.Name); a.Type == ethernet && a.Up && !virtual {
			out = append(out, a.Name)
		}
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}

// Interface types that admins know by other names (ifType-MIB).
const (
	ethernet = 6
	ppp      = 23
	loopback = 24
	wifi     = 71
	tunnel   = 131
)

// unfit says why an adapter cannot carry a network, empty when it can.
func unfit(a Adapter, all []Adapter) string {
	below, virtual := physical(a.Name)
	why := unbridged(a)
	switch {
	case why != "":
		return why
	case !a.Up:
		return "not connected"
	case !a.DefaultRoute:
		return "no default route"
	case virtual && !named(all, below):
		return fmt.Sprintf("of a virtual switch, and there is no adapter %q below it", below)
	default:
		return ""
	}
}

// unbridged says why an adapter cannot be part of a virtual switch, empty when it can.
func unbridged(a Adapter) string {
	switch a.Type {
	case ethernet:
		return ""
	case loopback:
		return "the loopback"
	case wifi:
		return "Wi-Fi, which carries no virtual switch for pods"
	case ppp, tunnel:
		return "a VPN or tunnel"
	default:
		return "no Ethernet adapter"
	}
}

// What Windows puts around the name of a switch to name the node's interface.
const prefix, suffix = "vEthernet (", ")"

// physical returns what a virtual switch's interface of the node is named for.
func physical(name string) (string, bool) {
	if !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, suffix) {
		return "", false
	}
	return name[len(prefix) : len(name)-len(suffix)], true
}

func named(all []Adapter, name string) bool {
	for _, a := range all {
		if strings.EqualFold(a.Name, name) {
			return true
		}
	}
	return false
}
