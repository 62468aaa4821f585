// SPDX-License-Identifier: Apache-2.0

// Package attach carries out the CNI verbs: it reads the facts, lets plan
// decide, and calls HNS and IPAM in an order in which every failure leaves
// either the state as it was or something that the next verb repairs. The one
// invariant behind that order: while an endpoint exists, its address stays
// reserved.
package attach

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// Kinds of failures, for errors.Is, beside those of hns, plan and ipam.
var (
	// ErrNamespace: CNI_NETNS is not a namespace that a pod can be put into.
	ErrNamespace = errors.New("unusable namespace")
	// ErrNetworkMissing: the network does not exist and is not ours to make.
	ErrNetworkMissing = errors.New("network missing")
	// ErrNetworkDiffers: the network exists, but not as configured.
	ErrNetworkDiffers = errors.New("network differs")
	// ErrNetworkInUse: the network has endpoints, so it cannot be removed.
	ErrNetworkInUse = errors.New("network in use")
	// ErrIPAM: no address could be had or given back.
	ErrIPAM = errors.New("IPAM failed")
	// ErrForeign: the endpoint's name is in use by another namespace.
	ErrForeign = errors.New("endpoint in use")
	// ErrAddressTaken: IPAM has no address that HNS does not refuse as taken.
	ErrAddressTaken = errors.New("address taken")
	// ErrPortTaken: a port of the node that is to lead to the pod is another's.
	ErrPortTaken = errors.New("port of the node taken")
)

// rollBackTime bounds undoing an ADD that failed. ADD's own time and this stay
// below kubelet's two minutes, after which the process is killed.
const rollBackTime = 20 * time.Second

// Attacher carries out verbs against one HNS and one IPAM plugin.
type Attacher struct {
	HNS  hns.Client
	IPAM ipam.Plugin
	Lock Lock
	// Host returns the node's addresses. It is asked only for pods whose inbound
	// default is deny.
	Host func() ([]netip.Addr, error)
	// Uplink is asked only when a network is made. nil leaves the choice of the
	// adapter to HNS, and the node's routes as they are.
	Uplink uplink.Node
}

// Lock waits until nobody else on this node holds the lock of that name, or
// fails when ctx ends. A holder that dies gives it back.
type Lock func(ctx context.Context, name string) (release func(), err error)

// Attachment is one interface of one container on one network.
type Attachment struct {
	Config      config.Config
	ContainerID string
	IfName      string
	// NetNS is CNI_NETNS as it came in: the GUID of a namespace; "none" or empty
	// for one that Bulkhead makes; "container:<id>" for that of a sandbox.
	NetNS string
	// Args is CNI_ARGS as it came in.
	Args string
}

// Result is what ADD made, as HNS says.
type Result struct {
	Endpoint  hns.Endpoint
	Namespace string
	// Notices are sentences on what an admin should know of, although all went
	// well.
	Notices []string
}

// name returns the name of the attachment's endpoint.
func (a Attachment) name() string {
	return plan.EndpointName(a.ContainerID, a.Config.Name, a.IfName)
}

// request returns the attachment as an IPAM plugin is asked. Addresses are those
// that its endpoint had, where that is known.
func (a Attachment) request(addresses ...netip.Addr) ipam.Request {
	return ipam.Request{ContainerID: a.ContainerID, IfName: a.IfName, Args: a.Args, Conf: a.Config.Raw, Addresses: addresses}
}
