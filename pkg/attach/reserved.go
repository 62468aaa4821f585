// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// reserved returns the addresses of a network that are not for pods: those that
// HNS keeps, and those of the node's own endpoint, which
// gives the node an address on an l2bridge network and is called "<network>_ep"
// by those who make one (flannel's cbr0_ep, Calico's Calico_ep: hcsshim
// hcn/hnsv1_test.go, HostAttach). Some releases of HNS let a second endpoint have
// an address (kube-proxy, winkernel/hns.go), so a refusal cannot be waited for.
// Other endpoints are not listed: that would make each ADD dearer, the more
// there are.
func (at Attacher) reserved(ctx context.Context, a Attachment, network hns.Network) ([]netip.Addr, error) {
	if !ipam.Chooses(a.Config.IPAM.Type) {
		return nil, nil
	}
	out := keptByHNS(network)
	if node, ours := plan.NodeEndpoint(a.Config, network); ours {
		return append(out, addressesOf(node)...), nil
	}
	if network.Driver != hns.L2Bridge && network.Driver != hns.L2Tunnel {
		return out, nil
	}
	node, err := at.HNS.EndpointsNamed(ctx, plan.NodeEndpointName(network.Name))
	if err != nil {
		return nil, fmt.Errorf("look for the node's own endpoint on the network %q: %w", network.Name, err)
	}
	return append(out, addressesOf(foreign(node, network)...)...), nil
}

// keptByHNS returns what HNS gives no endpoint: of each subnet the gateway (hcsshim
// hcn/hcnnetwork.go, DoNotReserveGatewayAddress), the first address and, in IPv4,
// the last; and the node's address under an overlay network.
func keptByHNS(network hns.Network) []netip.Addr {
	out := []netip.Addr{network.ProviderAddress}
	for _, s := range network.Subnets {
		if !s.Prefix.IsValid() {
			continue
		}
		out = append(out, s.Gateway, s.Prefix.Masked().Addr())
		if s.Prefix.Addr().Is4() {
			out = append(out, s.Last())
		}
	}
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return !a.IsValid() })
}

// foreign returns the endpoints of a network that are neither ours nor remote,
// whose addresses nobody can make free.
func foreign(all []hns.Endpoint, network hns.Network) []hns.Endpoint {
	var out []hns.Endpoint
	for _, e := range all {
		_, _, ours := plan.ParseEndpointName(e.Name, network.Name)
		if e.NetworkID == network.ID && !e.Remote && !ours {
			out = append(out, e)
		}
	}
	return out
}

// explainExhaustion says whether GC would help when IPAM has no address left. To
// list the endpoints is dear, but an ADD that fails may take its time.
func (at Attacher) explainExhaustion(ctx context.Context, network hns.Network, err error) error {
	var full ipam.Exhausted
	if !errors.As(err, &full) {
		return err
	}
	all, lookErr := at.HNS.EndpointsOf(ctx, network.ID)
	if lookErr != nil {
		return err
	}
	return full.Beside(addressesOf(all...))
}
