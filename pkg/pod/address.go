// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// maxRefusals bounds how often an endpoint is tried with other addresses.
const maxRefusals = 8

// createEndpoint allocates addresses, creates the endpoint and returns it as it was
// asked for. When HNS refuses an address as taken, stale endpoints make room for it,
// or else IPAM is asked for another. The notices tell of both.
func (v Verbs) createEndpoint(ctx context.Context, c config.Config, n hns.Network) (want hns.Endpoint, notices []string, err error) {
	own, gateways, err := v.reserved(ctx, c, n)
	if err != nil {
		return hns.Endpoint{}, nil, err
	}
	reserved, refused := own, map[netip.Addr]error{}
	for tries := 0; ; tries++ {
		given, err := v.allocate(ctx, c, n, reserved)
		if err != nil {
			return hns.Endpoint{}, notices, err
		}
		if err := checkGiven(c, own, given); err != nil {
			return hns.Endpoint{}, notices, err
		}
		leadBy(c, given, gateways, n)
		if want, err = v.wanted(ctx, c, n, given); err != nil {
			return hns.Endpoint{}, notices, err
		}
		if err := repeated(c, want, refused, tries); err != nil {
			return hns.Endpoint{}, notices, err
		}
		taken := want.Addrs()
		want.ID, err = v.HNS.CreateEndpoint(ctx, want)
		if hns.IsAddressTaken(err) && len(taken) > 0 {
			var r room
			r, err = v.makeRoom(ctx, c, n, want, err)
			notices, reserved = append(notices, r.removed...), slices.Concat(reserved, r.foreign)
			if err == nil {
				want.ID, err = v.HNS.CreateEndpoint(ctx, want)
			} else if len(r.taken) > 0 {
				taken = r.taken
			}
		}
		if err == nil {
			return want, notices, nil
		}
		if hns.IsPortTaken(err) {
			return hns.Endpoint{}, notices, v.portError(ctx, want, err)
		}
		if !hns.IsAddressTaken(err) || len(want.Addresses) == 0 {
			return hns.Endpoint{}, notices, err
		}
		for _, addr := range taken {
			refused[addr] = err
		}
		notices = append(notices, fmt.Sprintf("took another address: %v", err))
		if err := v.free(ctx, c, nil); err != nil {
			return hns.Endpoint{}, notices, err
		}
	}
}

// repeated fails when IPAM gave an address again that HNS refused, or when there
// were too many refusals to believe in a better one.
func repeated(c config.Config, want hns.Endpoint, refused map[netip.Addr]error, tries int) error {
	for _, addr := range want.Addrs() {
		err := refused[addr]
		if err == nil && tries >= maxRefusals {
			err = fmt.Errorf("HNS refused %d addresses before", len(refused))
		}
		if err != nil {
			asked := ""
			if i := slices.IndexFunc(c.Requested, func(r config.RequestedAddr) bool { return r.Addr == addr }); i >= 0 {
				asked = ", which " + c.Requested[i].Path + " asks for"
			}
			return problem.New(ErrAddressTaken, err, "there is no other address for the pod than %s%s", addr, asked)
		}
	}
	return nil
}

// allocate asks IPAM. Where one is configured, no address is a failure: HNS would
// choose one that IPAM does not know. So are other addresses than the runtime asked
// for, which some plugins give.
func (v Verbs) allocate(ctx context.Context, c config.Config, n hns.Network, reserved []netip.Addr) (ipam.Result, error) {
	given, err := v.IPAM.Add(ctx, c, reserved)
	var full ipam.Exhausted
	if errors.As(err, &full) {
		// Listing the endpoints takes time, which an ADD that fails anyway has.
		if all, lookErr := v.HNS.EndpointsOf(ctx, n.ID); lookErr == nil {
			err = full.Beside(addrsOf(all))
		}
	}
	if err != nil {
		return ipam.Result{}, problem.New(ErrIPAM, err, "")
	}
	if len(given.Addresses) == 0 && c.IPAM.Type != "" {
		return ipam.Result{}, problem.New(ErrIPAM, nil, "IPAM plugin %s gave no address", c.IPAM.Type)
	}
	return given, nil
}

// checkGiven refuses another address than the runtime asked for, or one that something
// else has. host-local gives neither.
func checkGiven(c config.Config, reserved []netip.Addr, given ipam.Result) error {
	var got []netip.Prefix
	taken := map[netip.Addr]string{}
	for _, a := range reserved {
		taken[a] = "the network's or the node's own"
	}
	for _, named := range c.Named() {
		taken[named.Addr] = named.Path
	}
	for _, a := range given.Addresses {
		got = append(got, a.Prefix)
		taken[a.Gateway] = "the gateway"
	}
	for _, r := range given.Routes {
		taken[r.NextHop] = "the next hop of the route " + r.Destination.String()
	}
	for _, p := range got {
		what, ok := taken[p.Addr()]
		switch {
		case ok && c.IPAM.Type == "":
			return problem.New(config.ErrInvalid, nil, "the runtime asks for %s, but that is %s", p.Addr(), what)
		case ok:
			return problem.New(ErrIPAM, nil, "IPAM plugin %s gave the pod %s, but that is %s", c.IPAM.Type, p.Addr(), what)
		}
	}
	for _, want := range c.Requested {
		if c.IPAM.Type != config.Static && !slices.ContainsFunc(got, func(p netip.Prefix) bool { return p.Addr() == want.Addr }) {
			return problem.New(ErrIPAM, nil, "%s: IPAM plugin %s gave %v instead of %s; it may not take requests", want.Path, c.IPAM.Type, got, want.Addr)
		}
	}
	return nil
}

// room is what making room for an endpoint's addresses found.
type room struct {
	// removed are notices of the stale endpoints that are gone.
	removed []string
	// foreign are the addresses on the network that are no pod's, taken those of the endpoint
	// that a living holder has.
	foreign, taken []netip.Addr
}

// makeRoom removes the stale endpoints that hold an address of want, which HNS refused. A
// living holder, or none, is the refusal's error.
func (v Verbs) makeRoom(ctx context.Context, c config.Config, n hns.Network, want hns.Endpoint, refusal error) (room, error) {
	all, err := v.HNS.EndpointsOf(ctx, n.ID)
	if err != nil {
		return room{}, err
	}
	r := room{foreign: addrsOf(notOurs(all, n))}
	held := false
	for _, e := range all {
		taken := slices.DeleteFunc(want.Addrs(), func(a netip.Addr) bool { return !slices.Contains(e.Addrs(), a) })
		if len(taken) == 0 {
			continue
		}
		held = true
		who, stale, err := v.isStale(ctx, c, n, e)
		if err != nil {
			return r, err
		}
		if stale {
			err = v.remove(ctx, e)
		}
		if !stale || err != nil {
			r.taken = taken
			return r, errors.Join(problem.New(nil, refusal, "%s is held by %s", plan.List(taken), who), err)
		}
		r.removed = append(r.removed, fmt.Sprintf("removed %s, which held %s", who, plan.List(taken)))
	}
	if !held {
		return r, problem.New(nil, refusal, "%s is held by no endpoint of the network, but HNS refuses it", plan.List(want.Addrs()))
	}
	return r, nil
}

// isStale names an endpoint that holds an address which a pod of this node just got, and
// reports whether it may be removed. A remote endpoint may where IPAM gave the address:
// it claims one of another node, and kube-proxy makes its own again where they belong.
// So may one of Bulkhead's own whose namespace is gone, or, where IPAM keeps who has an
// address, that never got into one: were its container alive, IPAM would know it. Every
// other endpoint stays.
func (v Verbs) isStale(ctx context.Context, c config.Config, n hns.Network, e hns.Endpoint) (who string, stale bool, err error) {
	if e.Remote {
		return "the remote endpoint " + e.Label() + " (kube-proxy's)", c.IPAM.Type != "", nil
	}
	who = "the endpoint " + e.Label()
	if _, _, ours := plan.ParseEndpointName(e.Name, n.Name); !ours {
		return who, false, nil
	}
	if e.NamespaceID != "" {
		if gone, err := v.namespaceGone(ctx, e.NamespaceID); !gone {
			return who + " in namespace " + e.NamespaceID, false, err
		}
	} else if !ipam.Reserves(c.IPAM.Type) {
		return who, false, nil
	}
	return who + " of a container that is gone", true, nil
}

// reserved returns the addresses of a network that are not for pods: those that HNS
// keeps, and those of the node's own endpoint, which gives the node an address on an
// l2bridge network and is called "<network>_ep" by those who make one (flannel's
// cbr0_ep, Calico's Calico_ep: hcsshim hcn/hnsv1_test.go, HostAttach). Some releases
// of HNS let two endpoints have one address (kube-proxy, winkernel/hns.go), so ADD
// cannot rely on a refusal. It does not list the other endpoints: that takes longer
// with each of them.
//
// Where another agent owns the network, pods leave it by that agent's endpoint:
// gateways are its addresses.
func (v Verbs) reserved(ctx context.Context, c config.Config, n hns.Network) (reserved, gateways []netip.Addr, err error) {
	if !c.HasAddresses() {
		return nil, nil, nil // HNS chooses
	}
	reserved = append(plan.ReservedByHNS(n), plan.GatewaysOf(c, n)...)
	if node, asked := plan.NodeEndpoint(c, n); asked {
		return append(reserved, node.Addrs()...), nil, nil
	}
	if n.Driver != hns.L2Bridge && n.Driver != hns.L2Tunnel {
		return reserved, nil, nil
	}
	named, err := v.HNS.EndpointsNamed(ctx, plan.NodeEndpointName(n.Name))
	if err != nil {
		return nil, nil, problem.New(nil, err, "look for the node's own endpoint on the network %q", n.Name)
	}
	for _, e := range notOurs(named, n) {
		reserved = append(reserved, e.Addrs()...)
		if c.Network == nil && plan.IsNodeEndpoint(e, n) {
			gateways = append(gateways, e.Addrs()...)
		}
	}
	return reserved, gateways, nil
}

// leadBy makes gateways those of the addresses in their subnets that neither IPAM nor the
// configuration names one for.
func leadBy(c config.Config, given ipam.Result, gateways []netip.Addr, n hns.Network) {
	for i, a := range given.Addresses {
		if c.Gateways.Of(a.Prefix.Addr().Is6()) != (config.Gateway{}) {
			continue
		}
		for _, s := range n.Subnets {
			gw := slices.IndexFunc(gateways, s.Prefix.Contains)
			if !a.Gateway.IsValid() && s.Prefix.Contains(a.Prefix.Addr()) && gw >= 0 {
				given.Addresses[i].Gateway = gateways[gw]
			}
		}
	}
}

// notOurs returns the endpoints of a network that are neither Bulkhead's nor remote,
// whose addresses nobody can make free.
func notOurs(all []hns.Endpoint, n hns.Network) []hns.Endpoint {
	var out []hns.Endpoint
	for _, e := range all {
		_, _, ours := plan.ParseEndpointName(e.Name, n.Name)
		if e.NetworkID == n.ID && !e.Remote && !ours {
			out = append(out, e)
		}
	}
	return out
}
