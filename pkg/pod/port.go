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
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// checkHostIPs refuses port mappings on an address that is not the node's: nobody is sent
// there by it, and the pod's owner could claim what is somebody else's.
func (v Verbs) checkHostIPs(ctx context.Context, c config.Config) error {
	var own []netip.Addr
	for i, m := range c.PortMappings {
		if !m.HostIP.IsValid() || m.HostIP.IsUnspecified() {
			continue
		}
		if own == nil {
			var err error
			if own, err = v.NodeAddrs(); err != nil {
				return problem.New(nil, err, "list the node's addresses for runtimeConfig.portMappings[%d].hostIP", i)
			}
			networks, err := v.HNS.ListNetworks(ctx)
			if err != nil {
				return err
			}
			for _, n := range networks {
				own = append(own, n.ManagementAddress)
			}
		}
		if !slices.Contains(own, m.HostIP) {
			return problem.New(config.ErrInvalid, nil, "runtimeConfig.portMappings[%d].hostIP: %s is no address of this node; leave hostIP out, or name one", i, m.HostIP)
		}
	}
	return nil
}

// portError says which port is taken and by whom, as far as HNS knows.
func (v Verbs) portError(ctx context.Context, want hns.Endpoint, err error) error {
	networks, lookErr := v.HNS.ListNetworks(ctx)
	if lookErr != nil {
		return problem.New(ErrPortTaken, errors.Join(err, lookErr), "")
	}
	for _, n := range networks {
		all, lookErr := v.HNS.EndpointsOf(ctx, n.ID)
		if lookErr != nil {
			return problem.New(ErrPortTaken, errors.Join(err, lookErr), "")
		}
		for _, e := range all {
			if m, ok := contestedPort(want, e); ok {
				return problem.New(ErrPortTaken, err, "%s is mapped to %s", m, holderOf(e, n))
			}
		}
	}
	return problem.New(ErrPortTaken, err, "no endpoint has %s, so a program of the node or a range that Windows reserves must", portsOf(want))
}

// holderOf names an endpoint and, where the name tells, its container.
func holderOf(e hns.Endpoint, n hns.Network) string {
	if id, _, ours := plan.ParseEndpointName(e.Name, n.Name); ours {
		return fmt.Sprintf("container %s on the network %q", id, n.Name)
	}
	return fmt.Sprintf("the endpoint %s on the network %q", e.Label(), n.Name)
}

// contestedPort returns the first port of the node that both endpoints want.
func contestedPort(want, other hns.Endpoint) (port string, found bool) {
	for _, w := range mappings(want) {
		for _, o := range mappings(other) {
			if w.Protocol == o.Protocol && w.ExternalPort == o.ExternalPort && w.Flags&hns.IPv6 == o.Flags&hns.IPv6 &&
				(!w.VIP.IsValid() || !o.VIP.IsValid() || w.VIP == o.VIP) {
				return portText(w), true
			}
		}
	}
	return "", false
}

func mappings(e hns.Endpoint) []hns.PortMapping {
	var out []hns.PortMapping
	for _, p := range e.Policies {
		if m, ok := p.(hns.PortMapping); ok {
			out = append(out, m)
		}
	}
	return out
}

func portsOf(e hns.Endpoint) string {
	out := ""
	for i, m := range mappings(e) {
		if i > 0 {
			out += ", "
		}
		out += portText(m)
	}
	return out
}

// portText returns "port 8080/tcp of 192.168.1.5".
func portText(m hns.PortMapping) string {
	of := "the node"
	if m.VIP.IsValid() {
		of = m.VIP.String()
	}
	return fmt.Sprintf("port %d/%s of %s", m.ExternalPort, config.ProtocolName(m.Protocol), of)
}
