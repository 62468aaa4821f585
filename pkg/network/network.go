// SPDX-License-Identifier: Apache-2.0

// Package network makes sure that the HNS network of a configuration exists and is as
// configured, with the node's own endpoint on it. It makes a missing network where the
// configuration owns it, one process of the node at a time, and never changes or
// removes one that is different.
package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// Kinds of failures, for errors.Is, beside those of hns, plan and config.
var (
	// ErrMissing: the network does not exist and is not the configuration's to make.
	ErrMissing = errors.New("network missing")
	// ErrDiffers: the network, or the node's endpoint on it, is not as configured.
	ErrDiffers = errors.New("network differs")
	// ErrInUse: the network has endpoints, so it cannot be removed.
	ErrInUse = errors.New("network in use")
	// ErrAddressTaken: an endpoint of a pod has the address of the node's endpoint.
	ErrAddressTaken = errors.New("address of the node's endpoint taken")
)

// HNS is what this package needs of hns.Client.
type HNS interface {
	hns.Networks
	Features(ctx context.Context) (hns.Features, error)
	EndpointsNamed(ctx context.Context, name string) ([]hns.Endpoint, error)
	EndpointsOf(ctx context.Context, networkID string) ([]hns.Endpoint, error)
	CreateEndpoint(ctx context.Context, want hns.Endpoint) (id string, err error)
	AttachHost(ctx context.Context, id string) error
}

// Keeper keeps the networks of one node.
type Keeper struct {
	HNS  HNS
	Lock nodelock.Lock
	// Uplink is asked only when a network is made. nil leaves the choice of the
	// adapter to HNS, and the node's routes as they are.
	Uplink uplink.Node
}

// Ensure returns the network of a configuration, made when it is missing and the
// configuration's to make. The notices are sentences for the admin on what making it
// did to the node; they come with an error, too.
func (k Keeper) Ensure(ctx context.Context, c config.Config) (hns.Network, []string, error) {
	got, err := k.HNS.Network(ctx, c.Name)
	var notices []string
	if errors.Is(err, hns.ErrNotFound) {
		got, notices, err = k.create(ctx, c)
	}
	if err == nil {
		err = usable(k.comparable(c), got, plan.DiffNetwork)
	}
	if err == nil {
		err = k.ensureNodeEndpoint(ctx, c, got)
	}
	return got, notices, err
}

// Check fails when Ensure could not use the network of a configuration, found among
// all of the node as ListNetworks tells them. One that Ensure would make is no
// failure.
func (k Keeper) Check(c config.Config, all []hns.Network) error {
	for _, n := range all {
		if strings.EqualFold(n.Name, c.Name) {
			return usable(k.comparable(c), n, plan.DiffListed)
		}
	}
	if _, owned := plan.Network(c); !owned {
		return missing(c.Name)
	}
	_, err := k.resolved(c)
	return err
}

// CheckVersion fails when this node's HNS is too old for Bulkhead or for the
// configuration.
func CheckVersion(ctx context.Context, h HNS, c config.Config) error {
	features, err := h.Features(ctx)
	if errors.Is(err, hns.ErrUnsupported) {
		return problem.New(plan.ErrFeature, err, "this node's HNS does not tell its version; bulkhead needs Windows Server 2019 or newer")
	}
	if err != nil {
		return err
	}
	return plan.CheckFeatures(c, features)
}

// Remove removes the network of that name, whatever it is like, and returns what it was;
// the zero Network where there is none. One with endpoints of this node but the node's
// own stays, and the error lists them. So does one that pods cannot use, such as Windows'
// own "Default Switch".
func (k Keeper) Remove(ctx context.Context, name string) (hns.Network, error) {
	release, err := k.lock(ctx, name)
	if err != nil {
		return hns.Network{}, err
	}
	defer release()
	got, err := k.HNS.Network(ctx, name)
	if err != nil {
		return hns.Network{}, hns.IgnoreNotFound(err)
	}
	if !slices.Contains(hns.Drivers(), got.Driver) {
		return hns.Network{}, problem.New(config.ErrInvalid, nil, "the network %q is of type %q, which is not for pods", name, got.Driver)
	}
	all, err := k.HNS.EndpointsOf(ctx, got.ID)
	if err != nil {
		return hns.Network{}, err
	}
	var names []string
	for _, e := range all {
		if !e.Remote && !plan.IsNodeEndpoint(e, got) {
			names = append(names, e.Label())
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return hns.Network{}, problem.New(ErrInUse, nil, "the network %q has %d endpoints (%s)", name, len(names), strings.Join(names, ", "))
	}
	if err := hns.IgnoreNotFound(k.HNS.DeleteNetwork(ctx, got.ID)); err != nil {
		return hns.Network{}, err
	}
	if _, err = k.HNS.Network(ctx, name); err == nil {
		return hns.Network{}, fmt.Errorf("the network %q is still there after HNS deleted it", name)
	}
	return got, hns.IgnoreNotFound(err)
}

// create makes the network of a configuration, one process of this node at a time:
// making a switch takes seconds and interrupts the node's own connection. A process
// that waited finds the network made.
func (k Keeper) create(ctx context.Context, c config.Config) (hns.Network, []string, error) {
	if _, owned := plan.Network(c); !owned {
		return hns.Network{}, nil, missing(c.Name)
	}
	release, warning, err := k.turn(ctx, c.Name)
	if err != nil {
		return hns.Network{}, nil, err
	}
	defer release()
	got, err := k.HNS.Network(ctx, c.Name)
	if !errors.Is(err, hns.ErrNotFound) {
		return got, warning, err
	}
	if c, err = k.resolved(c); err != nil {
		return hns.Network{}, warning, err
	}
	want, _ := plan.Network(c)
	if err := CheckVersion(ctx, k.HNS, c); err != nil {
		return hns.Network{}, nil, err
	}
	choice := k.chooseAdapter(&want)
	before := k.routes(want)
	notices := append(warning, k.neighbours(ctx, want)...)
	if got, err = k.HNS.CreateNetwork(ctx, want); err != nil {
		// Names are unique: it is the one whose answer was lost, or somebody else's.
		found, lookErr := k.HNS.Network(ctx, want.Name)
		if lookErr != nil {
			return hns.Network{}, nil, choice.explain(err)
		}
		got = found
	}
	told, err := k.settle(ctx, got)
	notices = append(notices, told...)
	return got, append(notices, k.restoreRoutes(before, got, cmp.Or(want.Adapter, got.Adapter))...), err
}

// neighbours returns notices of the networks that share addresses with a wanted one on
// the same wire: their pods can get the same address.
func (k Keeper) neighbours(ctx context.Context, want hns.Network) []string {
	if want.Driver == hns.NAT {
		return nil // its switch is internal
	}
	all, err := k.HNS.ListNetworks(ctx)
	if err != nil {
		return nil // it is a hint, which no ADD fails for
	}
	var out []string
	for _, n := range all {
		if n.Driver == hns.NAT {
			continue
		}
		if want.Adapter != "" && n.Adapter != "" && !strings.EqualFold(want.Adapter, n.Adapter) {
			continue
		}
		for _, s := range want.Subnets {
			i := slices.IndexFunc(n.Subnets, func(o hns.Subnet) bool {
				return o.Prefix.Overlaps(s.Prefix) && o.VLAN == s.VLAN && o.VSID == s.VSID
			})
			if i >= 0 {
				out = append(out, fmt.Sprintf("the network %q has %s, too, which overlaps %s of %q: their pods can get the same address; if nothing needs it, bulkhead network delete --name %s", n.Name, n.Subnets[i].Prefix, s.Prefix, want.Name, n.Name))
			}
		}
	}
	return out
}

// turnTime is longer than a process takes that makes a network.
const turnTime = 30 * time.Second

// turn waits until nobody else on this node makes the network. It goes on without after
// turnTime, or where the lock cannot be had at all, and warns: whoever holds the lock
// without need, or took its name, must not keep pods from starting. Names of networks are
// unique, so the second of two finds what the first made.
func (k Keeper) turn(ctx context.Context, name string) (release func(), warning []string, err error) {
	limited, cancel := context.WithTimeout(ctx, nodelock.Share(ctx, turnTime))
	defer cancel()
	release, err = k.lock(limited, name)
	if err == nil || ctx.Err() != nil {
		return release, nil, err
	}
	return func() {}, []string{fmt.Sprintf("making the network %q without waiting for others: %v", name, err)}, nil
}

// lock waits until nobody else on this node makes or removes the network.
func (k Keeper) lock(ctx context.Context, name string) (release func(), err error) {
	release, err = k.Lock(ctx, "network-"+name)
	if err != nil {
		return nil, problem.New(nil, err, "wait for another process that makes the network %q", name)
	}
	return release, nil
}

// missing is the error for a network that is not the configuration's to make.
func missing(name string) error {
	return problem.New(ErrMissing, nil, "there is no HNS network %q, and without a network section bulkhead does not make one", name)
}

// usable fails when a network is not as the configuration that owns it says, or
// cannot have what the configuration asks for.
func usable(c config.Config, got hns.Network, diff func(want, got hns.Network) []plan.Difference) error {
	want, owned := plan.Network(c)
	if ds := diff(want, got); owned && !c.TakesExisting() && len(ds) > 0 {
		return problem.New(ErrDiffers, nil, "the HNS network %q exists but is not as configured: %s (bulkhead network delete --name %s removes it)", c.Name, plan.Differences(ds), c.Name)
	}
	_, err := c.WithDriver(got.Driver)
	return err
}
