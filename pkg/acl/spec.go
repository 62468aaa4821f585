// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"errors"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// ErrUnenforceable is the kind of every refusal of Compile: what enforces ACLs
// for the target cannot be told what the set means.
var ErrUnenforceable = errors.New("ACLs cannot be enforced")

// Spec is a set of ACLs as a user means it. In each direction the first rule
// that matches a packet decides; rules with a priority come before those
// without, the lower number first, and otherwise the order counts. What no rule
// matches is decided by the direction's default. The zero Spec is the default
// table.
type Spec struct {
	Rules []Rule
	// DenyInbound and DenyOutbound deny what no rule matches. Otherwise the
	// default table of the isolation decides (Microsoft, "Network isolation and
	// security").
	DenyInbound, DenyOutbound bool
	// DenyHost denies it to the node itself, too, which otherwise keeps reaching
	// its pods where inbound is denied: kubelet probes them.
	DenyHost bool
	// HostTo is what of the pod the node reaches then; empty is everything.
	HostTo []Service
	// MappedByRules lets through to a mapped port only what the rules do. Otherwise a
	// port of the node that leads to the pod opens its port of the pod.
	MappedByRules bool
}

// Rule is one rule of a Spec.
type Rule struct {
	// Name is what errors and verdicts call the rule: its JSON path.
	Name      string
	Direction hns.Direction
	Action    hns.Action
	// Protocols are IP protocol numbers; empty is any.
	Protocols []int
	// Ports are those of the packet's destination; empty is any. Only TCP and UDP
	// have them.
	Ports []hns.PortRange
	// Remote holds the addresses of the other side; empty is any.
	Remote []netip.Prefix
	// Priority is 0 for none.
	Priority uint16
}

// Service is what of a pod somebody reaches. An empty list is any.
type Service struct {
	// Protocols are IP protocol numbers.
	Protocols []int
	// Ports are the pod's. Only TCP and UDP have them.
	Ports []hns.PortRange
}

// Target is the pod that a set is for.
type Target struct {
	Driver    hns.Driver
	Isolation hns.Isolation
	// Owner is who programs the set; the zero value is Pod.
	Owner Owner
	// Host holds the addresses that the node reaches its pods from.
	Host []netip.Addr
	// Source holds the addresses that the pod may send from; empty is any. Only VFP is
	// told: whether the Windows Firewall would heed them is not known.
	Source []netip.Prefix
	// Mapped are the ports of the pod that ports of the node lead to.
	Mapped []Port
}

// Port is a port of the pod that a port of the node leads to.
type Port struct {
	// Protocol is 6 or 17.
	Protocol int
	Number   uint16
	// From holds who can reach it by the node's port; empty is anybody.
	From netip.Prefix
}

// Protocols that have ports (IANA protocol numbers).
const (
	tcp = 6
	udp = 17
)
