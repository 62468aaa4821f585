// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// pods judges the endpoints of pods, and their addresses.
func (e *exam) pods() {
	for _, p := range pods(e.Inventory) {
		again := "crictl stopp " + p.ContainerID + ", and kubelet makes the pod anew"
		if len(p.Addresses) == 0 {
			e.add(Error, "endpoint.noAddress", "a pod's endpoint has no address.", p.Name+" on "+p.network.Name, again)
		}
		e.twice(p, again)
		e.idle(p, again)
		e.unreserved(p, again)
	}
	e.cutOff()
	e.reservations()
}

// isCutOff reports whether a namespace has containers and lost its endpoints, as it does when
// HNS is restarted (microsoft/Windows-Containers#278): nobody attaches new ones. The
// interfaces in its compartment may go on working.
func isCutOff(ns hns.Namespace) bool {
	return len(ns.Endpoints) == 0 && len(ns.Containers) > 0 && ns.Compartment != hostCompartment
}

// cutOff judges containers in namespaces that are cut off.
func (e *exam) cutOff() {
	for _, ns := range e.Namespaces {
		if !isCutOff(ns) {
			continue
		}
		var held []string
		var sandbox string
		for _, r := range e.Reservations {
			if slices.Contains(ns.Containers, r.Attachment.ContainerID) {
				held, sandbox = append(held, r.Addr.String()), r.Attachment.ContainerID
			}
		}
		if len(held) == 0 {
			e.add(Note, "namespace.cutOff", "a container has no interface, as HNS takes when it is restarted; one that asked for none looks so, too.",
				fmt.Sprintf("namespace %s has no endpoint, and the containers %s", ns.ID, listed(ns.Containers)), "crictl stopp with the pod's sandbox, and kubelet makes the pod anew")
			continue
		}
		e.add(Error, "namespace.cutOff", "a pod has lost its interface, as when HNS is restarted, and gets no other.",
			fmt.Sprintf("namespace %s of %s has no endpoint, but host-local holds %s for it", ns.ID, sandbox, listed(held)), "crictl stopp "+sandbox+", and kubelet makes the pod anew")
	}
}

// twice judges addresses that two endpoints of a network have. Each pair is told once.
func (e *exam) twice(p pod, again string) {
	for _, other := range e.Endpoints {
		at := slices.IndexFunc(other.Addrs(), func(a netip.Addr) bool { return slices.Contains(p.Addrs(), a) })
		if other.NetworkID != p.NetworkID || other.ID == p.ID || at < 0 {
			continue
		}
		a := other.Addrs()[at]
		_, _, ours := plan.ParseEndpointName(other.Name, p.network.Name)
		switch {
		case other.Remote:
			e.add(Error, "address.remote", "a remote endpoint claims the address of a pod of this node, so services may send the pod's packets elsewhere.",
				fmt.Sprintf("%s is that of %s and of the remote endpoint %s (kube-proxy's)", a, p.Name, other.ID), removeEndpoint(other))
		case !ours:
			e.add(Error, "address.twice", "a pod has the address of an endpoint that is not Bulkhead's.", fmt.Sprintf("%s is that of %s and of %s", a, p.Name, other.Label()), again)
		case p.ID < other.ID:
			e.add(Error, "address.twice", "two pods have one address.", fmt.Sprintf("%s is that of %s and of %s", a, p.Name, other.Name), again)
		}
	}
}

// idle judges endpoints in a namespace that no container uses. HNS does not list the
// containers of Hyper-V isolated pods: those are in the namespace of their utility VM.
func (e *exam) idle(p pod, again string) {
	c, known := ForNetwork(e.Inventory, p.network.Name)
	hyperv := slices.ContainsFunc(e.Conflists, func(l node.Conflist) bool {
		return slices.ContainsFunc(l.Plugins, func(c config.Config) bool {
			return c.Isolation == hns.HyperV && strings.EqualFold(c.Name, p.network.Name)
		})
	})
	young := slices.ContainsFunc(e.Reservations, func(r ipam.Reservation) bool {
		return r.Network == p.network.Name && slices.Contains(p.Addrs(), r.Addr) && !isOld(e.Inventory, r)
	})
	if p.there && known && c.Isolation == hns.Process && !hyperv && !young && len(p.namespace.Containers) == 0 {
		e.add(Warning, "endpoint.idle", "a pod's endpoint is in a namespace without a container; a Hyper-V isolated pod looks so, too, whose conflist is in another directory (--conf-dir).",
			fmt.Sprintf("%s in namespace %s", p.Name, p.NamespaceID), again)
	}
}

// unreserved judges addresses that pods have and host-local may give to others.
func (e *exam) unreserved(p pod, again string) {
	c, known := ForNetwork(e.Inventory, p.network.Name)
	if !known || c.IPAM.Type != config.HostLocal || e.Err(node.Reservations) != nil || p.NamespaceID == "" {
		return
	}
	for _, a := range p.Addrs() {
		reserved := slices.ContainsFunc(e.Reservations, func(r ipam.Reservation) bool { return r.Network == c.Name && r.Addr == a })
		if !reserved && rangeOf(c, a) >= 0 {
			e.add(Error, "endpoint.unreserved", "a pod has an address that host-local holds for nobody, so the next pod may get the same.",
				fmt.Sprintf("%s has %s, and no file in %s reserves it", p.Name, a, directory(c)), again)
		}
	}
}

// rangeOf returns which of host-local's range sets has an address, less than 0 for none.
func rangeOf(c config.Config, a netip.Addr) int {
	return slices.IndexFunc(c.IPAM.RangeSets, func(s config.RangeSet) bool {
		return slices.ContainsFunc(s.Ranges, func(r config.Range) bool {
			return r.First.BitLen() == a.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
		})
	})
}

// directory is where host-local keeps the addresses of a network.
func directory(c config.Config) string {
	return cmp.Or(c.IPAM.DataDir, `\var\lib\cni\networks`) + `\` + c.Name
}

// reservations judges host-local's files by themselves.
func (e *exam) reservations() {
	if e.Err(node.Reservations) != nil {
		return
	}
	for _, c := range plugins(e.Inventory) {
		if c.IPAM.Type != config.HostLocal {
			continue
		}
		for _, r := range e.Reservations {
			used := slices.ContainsFunc(e.Endpoints, func(x hns.Endpoint) bool { return slices.Contains(x.Addrs(), r.Addr) })
			if r.Network == c.Name && r.Attachment.ContainerID == "" && !used && isOld(e.Inventory, r) {
				file := directory(c.Config) + `\` + strings.ReplaceAll(r.Addr.String(), ":", "_")
				e.add(Warning, "ipam.blank", "an address is reserved for nobody, as a crash leaves it.", fmt.Sprintf("%s names no container", file), "Remove-Item "+quoted(file))
			}
		}
		e.full(c)
	}
}

// full judges range sets that are nearly used up. IPv6 ones never are.
func (e *exam) full(c loaded) {
	const tenths, most = 10, 9
	for at, set := range c.IPAM.RangeSets {
		size, used := 0, 0
		for _, r := range set.Ranges {
			if r.First.Is6() {
				return
			}
			first, last := r.First.As4(), r.Last.As4()
			size += int(binary.BigEndian.Uint32(last[:])-binary.BigEndian.Uint32(first[:])) + 1
		}
		for _, r := range e.Reservations {
			if r.Network == c.Name && rangeOf(c.Config, r.Addr) == at {
				used++
			}
		}
		if used*tenths >= size*most && used > 0 {
			e.add(Warning, "ipam.full", fmt.Sprintf("the addresses for pods of %q are nearly used up.", c.Name),
				fmt.Sprintf("%d of %d addresses of %s are reserved, %d of them for no endpoint", used, size, set.Path, len(e.leftIn(c.Name))), "bulkhead gc, or a larger "+set.Path+" in "+c.path)
		}
	}
}

// leftIn returns the addresses that are reserved for no endpoint of a network.
func (e *exam) leftIn(network string) []Leftover {
	return slices.DeleteFunc(Leftovers(e.Inventory), func(l Leftover) bool { return l.Kind != LeftAddress || l.Network != network })
}

// leftovers judges what pods left behind: one finding for each kind and network.
func (e *exam) leftovers() {
	what := map[Kind]string{
		LeftEndpoint:  "endpoints of pods are in no namespace, so their pods are gone or cut off.",
		LeftAddress:   "addresses are reserved for pods that have no endpoint.",
		LeftNamespace: "namespaces have neither an endpoint nor a container.",
	}
	ids := map[Kind]string{LeftEndpoint: "endpoint.stale", LeftAddress: "ipam.leaked", LeftNamespace: "namespace.empty"}
	type group struct {
		kind    Kind
		network string
		sure    bool
	}
	names := map[group][]string{}
	var order []group
	for _, l := range Leftovers(e.Inventory) {
		g := group{l.Kind, l.Network, l.Sure}
		if names[g] == nil {
			order = append(order, g)
		}
		names[g] = append(names[g], l.label())
	}
	for _, g := range order {
		evidence := listed(names[g])
		if g.network != "" {
			evidence = "on " + g.network + ": " + evidence
		}
		switch {
		case g.sure:
			e.addFix(FixLeftovers, "", Warning, ids[g.kind], what[g.kind], evidence, "bulkhead gc --yes")
		case g.kind == LeftNamespace:
			e.add(Note, ids[g.kind], what[g.kind], evidence, "bulkhead netns delete "+names[g][0]+", if it is still so in some minutes")
		default:
			e.add(Note, ids[g.kind], what[g.kind], evidence, "bulkhead gc says why they are not surely stale; look again in some minutes")
		}
	}
}

// label names a leftover.
func (l Leftover) label() string {
	switch l.Kind {
	case LeftEndpoint:
		return fmt.Sprintf("%s (%s)", plan.EndpointName(l.ContainerID, l.Network, l.IfName), l.Why)
	case LeftAddress:
		return plan.List(l.Addresses)
	default:
		return l.ID
	}
}
