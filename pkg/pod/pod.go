// SPDX-License-Identifier: Apache-2.0

// Package pod carries out the CNI verbs, each in a file of its own. A verb reads the
// facts, lets plan decide, and calls HNS and IPAM in an order in which every failure
// leaves either the state as it was or something that the next verb repairs. The one
// invariant behind that order: while an endpoint exists, its address stays reserved.
package pod

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// Kinds of failures, for errors.Is, beside those of hns, network, plan and ipam.
var (
	// ErrNamespace: CNI_NETNS is not a namespace that a pod can be put into.
	ErrNamespace = errors.New("unusable namespace")
	// ErrIPAM: no address could be reserved or released.
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

// undoTime bounds undoing an endpoint, and then a namespace, of an ADD that failed.
// ADD's own time and twice this stay below kubelet's two minutes, after which the
// process is killed.
const undoTime = 12 * time.Second

// Verbs carries out the verbs against one HNS and one IPAM plugin.
type Verbs struct {
	HNS  hns.Client
	IPAM ipam.Plugin
	Lock nodelock.Lock
	// NodeAddrs returns the node's addresses. It is asked only for pods that map a port of
	// one of them.
	NodeAddrs func() ([]netip.Addr, error)
	// SendsFrom returns the address of the node that it sends from to another, as its
	// routes say. It is asked only for pods whose inbound default is deny.
	SendsFrom func(to netip.Addr) (netip.Addr, error)
	// Uplink is asked only when a network is made. nil leaves the choice of the
	// adapter to HNS, and the node's routes as they are.
	Uplink uplink.Node
}

// networks returns what keeps the node's networks.
func (v Verbs) networks() network.Keeper {
	return network.Keeper{HNS: v.HNS, Lock: v.Lock, Uplink: v.Uplink}
}

// endpointName returns the name of the attachment's endpoint.
func endpointName(c config.Config) string {
	return plan.EndpointName(c.ContainerID, c.Name, c.IfName)
}

// withContainer returns the configuration for another container of the same pod.
func withContainer(c config.Config, containerID string) config.Config {
	c.ContainerID = containerID
	return c
}

// endpoints returns the attachment's endpoints, those of older names included. HNS does
// not keep names unique: remote endpoints of the name and those of a network of another
// name are not the attachment's. n is the network where the caller knows it.
func (v Verbs) endpoints(ctx context.Context, c config.Config, n hns.Network) ([]hns.Endpoint, error) {
	found, err := v.HNS.EndpointsNamed(ctx, endpointName(c))
	if older, has := plan.OlderEndpointName(c.ContainerID, c.Name, c.IfName); err == nil && has {
		var more []hns.Endpoint
		more, err = v.HNS.EndpointsNamed(ctx, older)
		// The older name of one interface can be the present one of another.
		if id, ifName, _ := plan.ParseEndpointName(older, c.Name); id == c.ContainerID && ifName == c.IfName {
			found = append(found, more...)
		}
	}
	found = slices.DeleteFunc(found, func(e hns.Endpoint) bool { return e.Remote })
	elsewhere := slices.ContainsFunc(found, func(e hns.Endpoint) bool { return e.NetworkID != n.ID })
	if err != nil || !elsewhere || plan.NamesOne(c.ContainerID, c.Name, c.IfName) {
		return found, err
	}
	all, err := v.HNS.ListNetworks(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(e hns.Endpoint) bool {
		return slices.ContainsFunc(all, func(of hns.Network) bool {
			return of.ID == e.NetworkID && !strings.EqualFold(of.Name, c.Name)
		})
	}), nil
}

// attached is endpoints for what needs no new one: where the attachment has none of its own
// name, that of its container counts, which the plugin made whose file this is, if
// host-local holds its address for the attachment. It can be another interface's else, and
// is left to GC.
func (v Verbs) attached(ctx context.Context, c config.Config, n hns.Network) ([]hns.Endpoint, error) {
	found, err := v.endpoints(ctx, c, n)
	if err != nil || len(found) > 0 || !c.Replaces || c.IfName == plan.FirstInterface || c.IPAM.Type != config.HostLocal {
		return found, err
	}
	first := c
	first.IfName = plan.FirstInterface
	if found, err = v.endpoints(ctx, first, n); err != nil {
		return nil, err
	}
	var out []hns.Endpoint
	for _, e := range found {
		switch err := v.IPAM.Confirm(ctx, c, e.Addrs()); {
		case err == nil:
			out = append(out, e)
		case !errors.Is(err, ipam.ErrReleased):
			return nil, problem.New(ErrIPAM, err, "whose endpoint %s is cannot be told", e.Name)
		}
	}
	return out, nil
}

// wanted gathers the facts and returns the wanted endpoint.
func (v Verbs) wanted(ctx context.Context, c config.Config, n hns.Network, given ipam.Result) (hns.Endpoint, error) {
	var err error
	if n.ProviderAddress, err = v.networks().ProviderAddress(ctx, c, n); err != nil {
		return hns.Endpoint{}, err
	}
	facts := plan.Facts{Config: c, Network: n, Routes: given.Routes}
	for _, addr := range given.Addresses {
		facts.Addresses = append(facts.Addresses, plan.Address{Addr: addr.Prefix.Addr(), Gateway: addr.Gateway})
	}
	if plan.NeedsFeatures(c, n.Driver, facts.Addresses) {
		if facts.Features, err = v.HNS.Features(ctx); err != nil {
			return hns.Endpoint{}, err
		}
	}
	if facts.Host, err = v.hostAddrs(ctx, c, n, facts.Addresses); err != nil {
		return hns.Endpoint{}, err
	}
	if facts.Config.DNS.IsZero() {
		facts.Config.DNS = given.DNS
	}
	return plan.Endpoint(facts)
}

// hostAddrs returns the addresses that the node reaches its pods from, where the
// configuration's ACLs need them: what HNS calls the node's on the network's adapter, those
// of the node's own endpoint on the network, and what the node's own routes choose towards the pod, towards the network's other pods and
// towards what is not on a link of its own, such as a service.
func (v Verbs) hostAddrs(ctx context.Context, c config.Config, n hns.Network, pod []plan.Address) ([]netip.Addr, error) {
	if !plan.NeedsHost(c) {
		return nil, nil
	}
	networks, err := v.networks().Settled(ctx, n)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, x := range networks {
		if x.ID == n.ID && x.ManagementAddress.IsValid() {
			out = append(out, x.ManagementAddress)
		}
	}
	// Another program's endpoint of the node may have its address yet to come.
	nodes, err := v.HNS.EndpointsNamed(ctx, plan.NodeEndpointName(n.Name))
	if err != nil {
		return nil, err
	}
	for _, e := range nodes {
		if plan.IsNodeEndpoint(e, n) {
			out = append(out, e.Addrs()...)
		}
	}
	for _, to := range plan.Reached(n, pod) {
		if a, err := v.SendsFrom(to); err == nil {
			out = append(out, a)
		} // no way to that family
	}
	return out, nil
}

// addrsOf returns the addresses of endpoints.
func addrsOf(endpoints []hns.Endpoint) []netip.Addr {
	var out []netip.Addr
	for _, e := range endpoints {
		out = append(out, e.Addrs()...)
	}
	return out
}
