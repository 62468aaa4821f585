// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// FirstInterface is the interface that endpoint names leave out. Other plugins leave out
// every one.
const FirstInterface = "eth0"

// ifSign stands before the interface in an endpoint's name. Neither a container's id nor
// a network's name can have it (CNI specification, "Parameters"; cni pkg/utils).
const ifSign = "#"

// EndpointName returns the name of the endpoint of a container's interface, from
// which every verb finds it. eth0 is left out: the name is then the one that
// win-bridge, sdnbridge and Calico use. On one network no two interfaces have one name.
// On two they can, since ids and names of networks may have underscores: an endpoint is
// an attachment's only if its network is, too.
func EndpointName(containerID, network, ifName string) string {
	name := containerID + "_" + network
	if ifName != FirstInterface {
		name += ifSign + ifName
	}
	return name
}

// NamesOne reports whether no other attachment, of whatever network, and no node's own
// endpoint can have the present or an older name of the attachment's.
func NamesOne(containerID, network, ifName string) bool {
	return ifName == FirstInterface && !strings.Contains(containerID+network, "_") && !strings.EqualFold(network, "ep")
}

// OlderEndpointName returns the name that versions before ifSign gave to the endpoint of
// an interface, and whether it is another one.
func OlderEndpointName(containerID, network, ifName string) (string, bool) {
	return containerID + "_" + network + "_" + ifName, ifName != FirstInterface
}

// NodeEndpointName returns the name of the node's own endpoint on a network, which
// flannel and Calico use, too (cbr0_ep, Calico_ep).
func NodeEndpointName(network string) string { return network + "_ep" }

// IsNodeEndpoint reports whether an endpoint is the node's own on a network: by its name
// and its addresses, which are those that Bulkhead, flannel and Calico give it.
func IsNodeEndpoint(e hns.Endpoint, n hns.Network) bool {
	return e.NetworkID == n.ID && !e.Remote && strings.EqualFold(e.Name, NodeEndpointName(n.Name)) &&
		!slices.ContainsFunc(e.Addresses, func(a netip.Prefix) bool {
			return !slices.ContainsFunc(n.Subnets, func(s hns.Subnet) bool { return s.NodeAddress() == a.Addr() })
		})
}

// ParseEndpointName returns the container and the interface that an endpoint on a
// network is named for, and whether the name has the form of EndpointName, or of
// OlderEndpointName. The node's own endpoint is no container's, whatever the network is
// called.
func ParseEndpointName(name, network string) (containerID, ifName string, ok bool) {
	if strings.EqualFold(name, NodeEndpointName(network)) {
		return "", "", false
	}
	if id, found := strings.CutSuffix(name, "_"+network); found {
		return id, FirstInterface, id != ""
	}
	for _, sign := range []string{ifSign, "_"} {
		between := "_" + network + sign
		if i := strings.LastIndex(name, between); i > 0 && i+len(between) < len(name) {
			return name[:i], name[i+len(between):], true
		}
	}
	return "", "", false
}
