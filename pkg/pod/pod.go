// SPDX-License-Identifier: Apache-2.0

// Package pod carries out the CNI verbs, each in a file of its own. A verb reads the
// facts, lets plan decide, and calls HNS and IPAM in an order in which every failure
// leaves either the state as it was or something that the next verb repairs. The one
// invariant behind that order: while an endpoint exists, its address stays reserved.
package pod

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// Kinds of failures, for errors.Is, beside those of hns, network, plan and ipam.
var (
	// ErrNamespace: CNI_NETNS is not a namespace that a pod can be put into.
	ErrNamespace = errors.New("unusable namespace")
	// ErrIPAM: no address could be had or given back.
	ErrIPAM = errors.New("IPAM failed")
	// ErrInUse: the endpoint of this attachment is in another namespace.
	ErrInUse = errors.New("endpoint in use")
	// ErrAddressTaken: IPAM has no address that HNS does not refuse as taken.
	ErrAddressTaken = errors.New("address taken")
	// ErrPortTaken: a port of the node that is to lead to the pod is another's.
	ErrPortTaken = errors.New("port of the node taken")
	// ErrGone: CHECK finds no endpoint of the container.
	ErrGone = errors.New("endpoint gone")
	// ErrDiffers: the endpoint is not as ADD made it.
	ErrDiffers = errors.New("endpoint differs")
)

// undoTime bounds undoing an ADD that failed. ADD's own time and this stay below
// kubelet's two minutes, after which the process is killed.
const undoTime = 20 * time.Second

// Verbs carries out the verbs against one HNS and one IPAM plugin.
type Verbs struct {
	HNS  hns.Client
	IPAM ipam.Plugin
	Lock nodelock.Lock
	// Host returns the node's addresses. It is asked only for pods whose inbound
	// default is deny.
	Host func() ([]netip.Addr, error)
	// Uplink is asked only when a network is made. nil leaves the choice of the
	// adapter to HNS, and the node's routes as they are.
	Uplink uplink.Node
}

// networks returns what keeps the node's networks.
func (v Verbs) networks() network.Keeper {
	return network.Keeper{HNS: v.HNS, Lock: v.Lock, Uplink: v.Uplink}
}

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

// name returns the name of the attachment's endpoint.
func (a Attachment) name() string {
	return plan.EndpointName(a.ContainerID, a.Config.Name, a.IfName)
}

// of returns the attachment that another container of the same pod has.
func (a Attachment) of(containerID string) Attachment {
	a.ContainerID = containerID
	return a
}

// request returns the attachment as an IPAM plugin is asked. Addresses are those
// that its endpoint has or had, where that is known.
func (a Attachment) request(addresses ...netip.Addr) ipam.Request {
	return ipam.Request{ContainerID: a.ContainerID, IfName: a.IfName, Args: a.Args, Conf: a.Config.Raw, Addresses: addresses}
}

// endpoints returns the attachment's endpoints. HNS does not keep names unique, and
// remote endpoints of the name are not the attachment's.
func (v Verbs) endpoints(ctx context.Context, a Attachment) ([]hns.Endpoint, error) {
	found, err := v.HNS.EndpointsNamed(ctx, a.name())
	return slices.DeleteFunc(found, func(e hns.Endpoint) bool { return e.Remote }), err
}

// plan gathers the facts and returns the wanted endpoint.
func (v Verbs) plan(ctx context.Context, a Attachment, n hns.Network, given ipam.Result) (hns.Endpoint, error) {
	facts := plan.Facts{Config: a.Config, Network: n, ContainerID: a.ContainerID, IfName: a.IfName, Routes: given.Routes}
	for _, addr := range given.Addresses {
		facts.Addresses = append(facts.Addresses, plan.Address{Addr: addr.Prefix.Addr(), Gateway: addr.Gateway})
	}
	var err error
	if plan.NeedsFeatures(a.Config, n.Driver, facts.Addresses) {
		if facts.Features, err = v.HNS.Features(ctx); err != nil {
			return hns.Endpoint{}, err
		}
	}
	if facts.Host, err = v.host(a.Config); err != nil {
		return hns.Endpoint{}, err
	}
	if facts.Config.DNS.IsZero() {
		facts.Config.DNS = given.DNS
	}
	return plan.Endpoint(facts)
}

// host returns the node's addresses where the configuration's ACLs need them.
func (v Verbs) host(c config.Config) ([]netip.Addr, error) {
	if !plan.NeedsHost(c) {
		return nil, nil
	}
	host, err := v.Host()
	if err != nil {
		return nil, fmt.Errorf("list the node's addresses for acl.allowHost: %w", err)
	}
	return host, nil
}

// addrsOf returns the addresses of endpoints.
func addrsOf(endpoints []hns.Endpoint) []netip.Addr {
	var out []netip.Addr
	for _, e := range endpoints {
		out = append(out, e.Addrs()...)
	}
	return out
}
