// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// Kind is what a Leftover is.
type Kind string

// Kinds of Leftovers.
const (
	// LeftEndpoint is an endpoint of Bulkhead's own that is in no namespace.
	LeftEndpoint Kind = "endpoint"
	// LeftAddress is a reservation of host-local's without an endpoint.
	LeftAddress Kind = "address"
	// LeftNamespace is a namespace without endpoint and container.
	LeftNamespace Kind = "namespace"
)

// Leftover is something that a pod left behind.
type Leftover struct {
	Kind Kind `json:"kind"`
	// Network is the name of the HNS network, empty for a namespace.
	Network string `json:"network,omitempty"`
	// ContainerID and IfName say whose it was, empty for a namespace.
	ContainerID string `json:"containerID,omitempty"`
	IfName      string `json:"ifName,omitempty"`
	// ID is that of the endpoint or of the namespace.
	ID        string       `json:"id,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Sure is true for what can be removed without asking: nothing that lives needs it,
	// and no ADD can be making it. Why says what it is or else why that is not sure.
	Sure bool   `json:"sure"`
	Why  string `json:"why"`
}

// Attachment is the interface that the leftover was of.
func (l Leftover) Attachment() config.Attachment {
	return config.Attachment{ContainerID: l.ContainerID, IfName: l.IfName}
}

// undoTime is longer than an ADD that failed takes beyond its own limit.
const undoTime = time.Minute

// Leftovers returns what GC would remove if it were told of all pods that there are:
// endpoints of Bulkhead's own whose namespace is gone or that are in none, addresses
// reserved for no endpoint, and empty namespaces. Where HNS or host-local did not tell
// everything there are none.
func Leftovers(i node.Inventory) []Leftover {
	if i.Err(node.HNS) != nil || i.Err(node.Endpoints) != nil {
		return nil
	}
	all := pods(i)
	out := leftEndpoints(i, all)
	if i.Err(node.Reservations) == nil {
		out = append(out, leftAddresses(i, all)...)
	}
	for _, ns := range i.Namespaces {
		if len(ns.Endpoints) == 0 && len(ns.Containers) == 0 && ns.Compartment != hostCompartment {
			out = append(out, Leftover{Kind: LeftNamespace, ID: ns.ID, Why: "it has neither an endpoint nor a container; that of a pod that just begins looks so, too"})
		}
	}
	return out
}

// hostCompartment is the node's own.
const hostCompartment = 1

func leftEndpoints(i node.Inventory, all []pod) []Leftover {
	var out []Leftover
	for _, own := range all {
		left := Leftover{
			Kind: LeftEndpoint, Network: own.network.Name, ContainerID: own.ContainerID, IfName: own.IfName,
			ID: own.ID, Addresses: own.Addrs(),
		}
		switch {
		case own.NamespaceID != "" && own.there:
			continue
		case own.NamespaceID != "":
			left.Sure, left.Why = true, "its namespace "+own.NamespaceID+" is gone"
		default:
			var why string
			left.Sure, why = settled(i, own)
			left.Why = "it is in no namespace, " + why
		}
		out = append(out, doubted(i, all, left))
	}
	return out
}

// settled reports whether an endpoint in no namespace is older than any ADD that could
// still attach it. HNS does not tell the age of an endpoint; the reservation of its address
// is made just before it.
func settled(i node.Inventory, own pod) (bool, string) {
	for _, r := range i.Reservations {
		if r.Network == own.network.Name && slices.Contains(own.Addrs(), r.Addr) && r.Attachment.ContainerID == own.ContainerID {
			if isOld(i, r) {
				return true, fmt.Sprintf("and its address is reserved since %s", r.Since.UTC().Format(time.RFC3339))
			}
			return false, "and its address was reserved so lately that an ADD may be making it"
		}
	}
	return false, "and since when nobody tells: an ADD may be making it"
}

// isOld reports whether a reservation is older than any ADD that could still be at work.
func isOld(i node.Inventory, r ipam.Reservation) bool {
	limit := config.DefaultTimeouts().Add
	if c, known := ForNetwork(i, r.Network); known {
		limit = c.Timeouts.Add
	}
	return !r.Since.IsZero() && i.At.Sub(r.Since) > limit+undoTime
}

// doubted takes back that a leftover is sure where something speaks against it.
func doubted(i node.Inventory, all []pod, left Leftover) Leftover {
	c, known := ForNetwork(i, left.Network)
	lives := slices.ContainsFunc(i.Namespaces, func(ns hns.Namespace) bool { return slices.Contains(ns.Containers, left.ContainerID) })
	twice := slices.ContainsFunc(all, func(own pod) bool {
		return own.network.Name == left.Network && own.ContainerID == left.ContainerID && own.IfName == left.IfName && own.there
	})
	why := ""
	switch {
	case !left.Sure:
	case lives:
		why = "its container is in a namespace"
	case twice:
		why = "another endpoint of its name is in a namespace"
	case !known:
		why = "no conflist that was looked at is of its network, so nobody says who has its address"
	case c.IPAM.Type != "" && c.IPAM.Type != config.HostLocal && c.IPAM.Type != config.Static:
		why = "the IPAM plugin " + c.IPAM.Type + " has its address, and only the runtime can ask that"
	}
	if why != "" {
		left.Sure, left.Why = false, left.Why+"; but "+why
	}
	return left
}

// isSandbox reports whether an id is one that containerd and CRI-O give to sandboxes, 64
// digits of hex. Others reserve addresses by names, such as kube-proxy's source VIP
// (rancher/rke2, kubernetes-sigs/sig-windows-tools).
func isSandbox(id string) bool {
	const digits = 64
	return len(id) == digits && strings.Trim(id, "0123456789abcdef") == ""
}

func leftAddresses(i node.Inventory, all []pod) []Leftover {
	var out []Leftover
	for _, r := range i.Reservations {
		a := r.Attachment
		used := slices.ContainsFunc(i.Endpoints, func(x hns.Endpoint) bool { return !x.Remote && slices.Contains(x.Addrs(), r.Addr) })
		owned := slices.ContainsFunc(all, func(own pod) bool { return own.ContainerID == a.ContainerID })
		cutOff := slices.ContainsFunc(i.Namespaces, func(ns hns.Namespace) bool {
			return isCutOff(ns) && slices.Contains(ns.Containers, a.ContainerID)
		})
		if a.ContainerID == "" || used || owned || cutOff {
			continue
		}
		left := Leftover{Kind: LeftAddress, Network: r.Network, ContainerID: a.ContainerID, IfName: a.IfName, Addresses: []netip.Addr{r.Addr}}
		switch {
		case !isOld(i, r):
			left.Why = "it is reserved for no endpoint, but so lately that an ADD may be making it"
		case !isSandbox(a.ContainerID):
			left.Why = "it is reserved for " + a.ContainerID + ", which is no sandbox's id: another program may have it, such as for kube-proxy's source VIP"
		case a.IfName == "":
			left.Why = "it is reserved for no endpoint, but its file names no interface"
		default:
			left.Sure, left.Why = true, "it is reserved for no endpoint, since "+r.Since.UTC().Format(time.RFC3339)
		}
		out = append(out, doubted(i, all, left))
	}
	return out
}

// pod is an endpoint that Bulkhead made for a container.
type pod struct {
	hns.Endpoint
	config.Attachment
	network hns.Network
	// namespace is the one that it is in, and there whether HNS has it.
	namespace hns.Namespace
	there     bool
}

// pods returns the endpoints of this node that have the form of Bulkhead's names.
func pods(i node.Inventory) []pod {
	var out []pod
	for _, x := range i.Endpoints {
		at := slices.IndexFunc(i.Networks, func(n hns.Network) bool { return n.ID == x.NetworkID })
		if at < 0 || x.Remote {
			continue
		}
		id, ifName, ours := plan.ParseEndpointName(x.Name, i.Networks[at].Name)
		if !ours {
			continue
		}
		p := pod{Endpoint: x, Attachment: config.Attachment{ContainerID: id, IfName: ifName}, network: i.Networks[at]}
		in := slices.IndexFunc(i.Namespaces, func(ns hns.Namespace) bool { return strings.EqualFold(ns.ID, x.NamespaceID) })
		if p.there = in >= 0; p.there {
			p.namespace = i.Namespaces[in]
		}
		out = append(out, p)
	}
	return out
}
