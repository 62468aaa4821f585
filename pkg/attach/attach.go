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
	"fmt"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// Kinds of failures, for errors.Is, beside those of hns, plan and ipam.
var (
	// ErrNamespace: CNI_NETNS is not a namespace that a pod can be put into.
	ErrNamespace = errors.New("unusable namespace")
	// ErrNetworkMissing: the network does not exist and is not ours to make.
	ErrNetworkMissing = errors.New("network missing")
	// ErrNetworkDiffers: the network exists, but not as configured.
	ErrNetworkDiffers = errors.New("network differs")
	// ErrIPAM: no address could be had or given back.
	ErrIPAM = errors.New("IPAM failed")
	// ErrForeign: the endpoint's name is in use by another namespace.
	ErrForeign = errors.New("endpoint in use")
)

// rollBackTime bounds undoing an ADD that failed. ADD's own time and this stay
// below kubelet's two minutes, after which the process is killed.
const rollBackTime = 20 * time.Second

// Attacher carries out verbs against one HNS and one IPAM plugin.
type Attacher struct {
	HNS  hns.Client
	IPAM ipam.Plugin
}

// Attachment is one interface of one container on one network.
type Attachment struct {
	Config      config.Config
	ContainerID string
	IfName      string
	// NetNS is CNI_NETNS as it came in.
	NetNS string
	// Args is CNI_ARGS as it came in.
	Args string
}

// Result is what ADD made, as HNS says.
type Result struct {
	Endpoint  hns.Endpoint
	Namespace string
}

// name returns the name of the attachment's endpoint.
func (a Attachment) name() string {
	return plan.EndpointName(a.ContainerID, a.Config.Name, a.IfName)
}

// request returns the attachment as an IPAM plugin is asked.
func (a Attachment) request() ipam.Request {
	return ipam.Request{ContainerID: a.ContainerID, IfName: a.IfName, Args: a.Args, Conf: a.Config.Raw}
}

// namespace returns the HCN namespace that CNI_NETNS names.
func (a Attachment) namespace() (string, error) {
	id, err := hns.ParseGUID(a.NetNS)
	if err != nil {
		return "", fmt.Errorf("%w: CNI_NETNS: %w; the runtime must pass the GUID of an HCN namespace", ErrNamespace, err)
	}
	if id == hns.ZeroGUID {
		return "", fmt.Errorf("%w: CNI_NETNS is the zero GUID", ErrNamespace)
	}
	return id, nil
}

// network returns the attachment's network, making it when it is missing and
// ours to make.
func (at Attacher) network(ctx context.Context, c config.Config) (hns.Network, error) {
	want, ours := plan.Network(c)
	got, err := at.HNS.Network(ctx, c.Name)
	if errors.Is(err, hns.ErrNotFound) {
		if !ours {
			return hns.Network{}, fmt.Errorf("%w: there is no HNS network %q, and without a network section bulkhead does not make one: %w",
				ErrNetworkMissing, c.Name, err)
		}
		got, err = at.createNetwork(ctx, want)
	}
	if err != nil {
		return hns.Network{}, err
	}
	if ds := plan.DiffNetwork(want, got); ours && len(ds) > 0 {
		return hns.Network{}, fmt.Errorf("%w: the HNS network %q exists but is not as configured: %s",
			ErrNetworkDiffers, c.Name, plan.Differences(ds))
	}
	return got, nil
}

// createNetwork makes a network. Of several ADDs that race, HNS lets one make
// it: names are unique. The others, and a create whose answer was lost, find it.
func (at Attacher) createNetwork(ctx context.Context, want hns.Network) (hns.Network, error) {
	got, err := at.HNS.CreateNetwork(ctx, want)
	if err == nil {
		return got, nil
	}
	found, lookErr := at.HNS.Network(ctx, want.Name)
	if lookErr != nil {
		return hns.Network{}, err
	}
	return found, nil
}
