// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"encoding/json"
	"net/netip"
)

// Policy is an endpoint policy: one of ACL, PortMapping, OutboundNAT, SDNRoute,
// ProviderAddress, QOS and Opaque.
type Policy interface {
	policy()
}

// Direction tells inbound from outbound traffic, seen from the pod.
type Direction string

// Directions of an ACL.
const (
	In  Direction = "In"
	Out Direction = "Out"
)

// Action is what a matching ACL does with a packet.
type Action string

// Actions of an ACL.
const (
	Allow Action = "Allow"
	Block Action = "Block"
)

// RuleType says who enforces an ACL (HNS_Schema.md, RuleType).
type RuleType string

// Enforcement points of an ACL.
const (
	// Host is the Windows Firewall, in the pod's compartment.
	Host RuleType = "Host"
	// Switch is the Virtual Filtering Platform, at the pod's switch port.
	Switch RuleType = "Switch"
)

// PriorityMin and PriorityMax bound the priority of a Switch rule; the lower
// number wins. A Host rule has priority 0, which is not sent.
const (
	PriorityMin = 100
	PriorityMax = 65500
)

// ProtocolAny is the Protocol of an ACL that matches every IP protocol. It is
// sent as an absent field.
const ProtocolAny = -1

// ACL is one packet filter rule.
type ACL struct {
	// ID tells our rules from others'; HNS stores it and does not need it to be
	// unique.
	ID        string
	Direction Direction
	Action    Action
	RuleType  RuleType
	// Protocol is an IP protocol number or ProtocolAny.
	Protocol int
	// Local and Remote are the pod's and the peer's addresses; empty is any.
	Local, Remote []netip.Prefix
	// LocalPorts and RemotePorts hold ports and ranges; empty is any.
	LocalPorts, RemotePorts []PortRange
	Priority                uint16
}

// PortRange is a range of ports, both ends included.
type PortRange struct {
	First, Last uint16
}

// PortMapping forwards a port of the node to a port of the pod.
type PortMapping struct {
	// Protocol is an IP protocol number: 6 or 17.
	Protocol     int
	InternalPort uint16
	ExternalPort uint16
	// VIP limits the mapping to one address of the node; zero is all.
	VIP   netip.Addr
	Flags uint32
}

// Flags of a PortMapping (hcsshim hcn/hcnpolicy.go, NatFlags).
const (
	// LocalRoutedVIP makes the mapping work on l2bridge and overlay networks.
	LocalRoutedVIP uint32 = 1
	// IPv6 marks a mapping of the IPv6 family.
	IPv6 uint32 = 2
)

// OutboundNAT translates the source address of what leaves the pod.
type OutboundNAT struct {
	VirtualIP netip.Addr
	// Exceptions are destinations that keep the pod's address.
	Exceptions []netip.Prefix
	// Destinations limits translation to these; used for loopback DSR.
	Destinations []string
}

// SDNRoute routes a prefix out of the pod, encapsulated or not.
type SDNRoute struct {
	Destination netip.Prefix
	NextHop     netip.Addr
	NeedEncap   bool
}

// ProviderAddress is the address of the node that carries an overlay endpoint.
type ProviderAddress struct {
	Address netip.Addr
}

// QOS limits what an endpoint sends (hcsshim hcn/hcnpolicy.go, QosPolicySetting).
// HNS limits nothing that it receives, and knows no burst.
type QOS struct {
	// Egress is in bytes a second.
	Egress uint64
}

// Opaque is a policy that Bulkhead has no word for: passed through from the
// configuration, or read from HNS.
type Opaque struct {
	Type string
	// Settings is the policy's JSON object.
	Settings json.RawMessage
}

func (ACL) policy()             {}
func (PortMapping) policy()     {}
func (OutboundNAT) policy()     {}
func (SDNRoute) policy()        {}
func (ProviderAddress) policy() {}
func (QOS) policy()             {}
func (Opaque) policy()          {}
