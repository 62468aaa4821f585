// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// maxRefusals bounds how many addresses are tried for one endpoint.
const maxRefusals = 8

// contest is what became of addresses that HNS refused as taken.
type contest struct {
	refused map[netip.Addr]error
	// reserved are the addresses that are not for pods.
	reserved []netip.Addr
	notices  []string
}

// makeEndpoint allocates addresses, creates the endpoint and returns it as it was asked
// for. When HNS refuses an address as taken, endpoints that nobody misses make room
// for it, or else IPAM is asked for another. The notices tell of both.
func (at Attacher) makeEndpoint(ctx context.Context, a Attachment, network hns.Network) (made hns.Endpoint, notices []string, err error) {
	reserved, err := at.reserved(ctx, a, network)
	if err != nil {
		return hns.Endpoint{}, nil, err
	}
	at, wait := at.ask(ctx, a.Config, network.Driver)
	defer wait()
	c := contest{refused: map[netip.Addr]error{}, reserved: reserved}
	for {
		want, err := at.wanted(ctx, a, network, c.reserved)
		if err != nil {
			return hns.Endpoint{}, nil, err
		}
		if err := c.repeated(want); err != nil {
			return hns.Endpoint{}, nil, err
		}
		want.ID, err = at.createOver(ctx, network, want, &c)
		if !contested(err) || len(want.Addresses) == 0 {
			return want, c.notices, err
		}
		c.refuse(want, err)
		if err := at.free(ctx, a, nil); err != nil {
			return hns.Endpoint{}, nil, err
		}
	}
}

// wanted allocates addresses and plans the endpoint that has them.
func (at Attacher) wanted(ctx context.Context, a Attachment, network hns.Network, reserved []netip.Addr) (hns.Endpoint, error) {
	given, err := at.allocate(ctx, a, network, reserved)
	if err != nil {
		return hns.Endpoint{}, err
	}
	return at.plan(ctx, a, network, given)
}

// refuse notes that HNS refused an endpoint for its addresses.
func (c *contest) refuse(want hns.Endpoint, err error) {
	for _, p := range want.Addresses {
		c.refused[p.Addr()] = err
	}
	c.notices = append(c.notices, fmt.Sprintf("took another address: %v", err))
}

// repeated fails when IPAM gave an address again that HNS refused, or when there
// were too many refusals to believe in a better one.
func (c *contest) repeated(want hns.Endpoint) error {
	for _, p := range want.Addresses {
		err := c.refused[p.Addr()]
		if err == nil && len(c.refused) >= maxRefusals {
			err = fmt.Errorf("HNS refused %d addresses before", len(c.refused))
		}
		if err != nil {
			return fmt.Errorf("%w: IPAM gives no other address than %s: %w", ErrAddressTaken, p.Addr(), err)
		}
	}
	return nil
}

// contested reports whether HNS refused an endpoint because of an address: held
// by another endpoint, or by HNS itself (hns.md of old and new releases:
// kubernetes/kubernetes#74766, kubernetes-sigs/sig-windows-tools#71).
func contested(err error) bool {
	var native *hns.Error
	return errors.As(err, &native) && (native.Code == hns.CodeObjectExists || native.Code == hns.CodeAddressReserved)
}

// createOver creates an endpoint, after removing those that hold its addresses
// and that nobody misses.
func (at Attacher) createOver(ctx context.Context, network hns.Network, want hns.Endpoint, c *contest) (string, error) {
	made, err := at.createEndpoint(ctx, want)
	if !contested(err) {
		return made, err
	}
	all, lookErr := at.HNS.EndpointsOf(ctx, network.ID)
	if lookErr != nil {
		return "", lookErr
	}
	c.reserved = append(c.reserved, addressesOf(foreign(all, network)...)...)
	holders := holders(all, want)
	for _, h := range holders {
		why, dead, lookErr := at.dead(ctx, network, h)
		if lookErr != nil {
			return "", lookErr
		}
		if dead {
			lookErr = at.remove(ctx, h)
		}
		if !dead || lookErr != nil {
			return "", errors.Join(fmt.Errorf("%s is held by %s: %w", list(h), why, err), lookErr)
		}
		c.notices = append(c.notices, fmt.Sprintf("removed %s, which held %s", why, list(h)))
	}
	if len(holders) == 0 {
		return "", fmt.Errorf("%s is held by no endpoint of the network, but HNS refuses it: %w", list(want), err)
	}
	return at.createEndpoint(ctx, want)
}

// createEndpoint creates an endpoint, and says who has a port that is taken.
func (at Attacher) createEndpoint(ctx context.Context, want hns.Endpoint) (string, error) {
	made, err := at.HNS.CreateEndpoint(ctx, want)
	if portTaken(err) {
		return "", at.portError(ctx, want, err)
	}
	return made, err
}

// holders returns the endpoints of the network that have an address of want.
func holders(all []hns.Endpoint, want hns.Endpoint) []hns.Endpoint {
	var out []hns.Endpoint
	for _, e := range all {
		if shares(e, want) {
			out = append(out, e)
		}
	}
	return out
}

func shares(a, b hns.Endpoint) bool {
	for _, x := range a.Addresses {
		for _, y := range b.Addresses {
			if x.Addr() == y.Addr() {
				return true
			}
		}
	}
	return false
}

// dead says whose an endpoint is that holds an address which IPAM just gave us,
// and whether nobody misses it: kube-proxy makes its remote endpoints again
// where they belong, and a container of ours that is in no namespace is gone, or
// IPAM would know it.
func (at Attacher) dead(ctx context.Context, network hns.Network, e hns.Endpoint) (whose string, dead bool, err error) {
	if e.Remote {
		return fmt.Sprintf("the remote endpoint %s (kube-proxy's)", orUnnamed(e)), true, nil
	}
	whose = fmt.Sprintf("the endpoint %s", orUnnamed(e))
	if _, _, ours := plan.ParseEndpointName(e.Name, network.Name); !ours {
		return whose, false, nil
	}
	if e.NamespaceID != "" {
		_, err := at.HNS.Namespace(ctx, e.NamespaceID)
		if !errors.Is(err, hns.ErrNotFound) {
			return whose + " in namespace " + e.NamespaceID, false, err
		}
	}
	return whose + " of a container that is gone", true, nil
}

func orUnnamed(e hns.Endpoint) string {
	if e.Name == "" {
		return e.ID
	}
	return e.Name
}

// list returns the addresses of an endpoint: "10.1.0.5, fd00::5".
func list(e hns.Endpoint) string {
	var out string
	for i, p := range e.Addresses {
		if i > 0 {
			out += ", "
		}
		out += p.Addr().String()
	}
	return out
}
