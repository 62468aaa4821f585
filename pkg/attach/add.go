// SPDX-License-Identifier: Apache-2.0

package attach

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
)

// Add puts a container's interface into its namespace and returns what HNS made
// of it. An interface that is there already is returned as it is, also when
// another container of the pod brought it. After a
// failure nothing that this call made is left, or the error says what is and the
// next verb removes it.
func (at Attacher) Add(ctx context.Context, a Attachment) (Result, error) {
	p, err := a.place()
	if err != nil {
		return Result{}, err
	}
	if err := at.IPAM.Validate(a.request()); err != nil {
		return Result{}, err
	}
	if p.sandbox != "" {
		return at.join(ctx, a, p.sandbox)
	}
	network, notices, err := at.network(ctx, a.Config)
	if err != nil {
		return Result{}, err
	}
	// Before IPAM is asked: what the network's driver cannot do.
	if a.Config, err = a.Config.WithDriver(network.Driver); err != nil {
		return Result{}, err
	}
	ns, made, err := at.enter(ctx, p)
	var r Result
	if err == nil {
		r, err = at.converge(ctx, a, network, ns)
	}
	if err != nil && made {
		return Result{}, at.undo(ctx, a, err, func(ctx context.Context, _ Attachment) error {
			return at.removeNamespace(ctx, p.namespace)
		})
	}
	r.Notices = append(notices, r.Notices...)
	return r, err
}

// converge returns the interface that is in the namespace, or puts one there.
func (at Attacher) converge(ctx context.Context, a Attachment, network hns.Network, ns hns.Namespace) (Result, error) {
	a, err := at.owned(ctx, a, network, ns)
	if err != nil {
		return Result{}, err
	}
	existing, err := at.local(ctx, a)
	if err != nil {
		return Result{}, err
	}
	kept, err := at.adopt(ctx, a, network, ns.ID, existing)
	if err != nil {
		return Result{}, err
	}
	if kept != nil {
		return Result{Endpoint: *kept, Namespace: ns.ID}, nil
	}
	return at.create(ctx, a, network, ns.ID)
}

// adopt returns the endpoint that an earlier ADD of this attachment made, put
// into the namespace, or nil when there is none worth keeping. The others of
// that name (half made, or on another network) are removed, so that a new one
// can take their place.
func (at Attacher) adopt(ctx context.Context, a Attachment, network hns.Network, namespace string, local []hns.Endpoint) (*hns.Endpoint, error) {
	for _, e := range local {
		if e.NetworkID == network.ID && e.NamespaceID != "" && e.NamespaceID != namespace {
			return nil, fmt.Errorf("%w: endpoint %s of this container is in namespace %s, not in %s",
				ErrForeign, e.Name, e.NamespaceID, namespace)
		}
	}
	kept, err := at.keep(ctx, a, network, namespace, local)
	if err != nil {
		return nil, err
	}
	var removed []hns.Endpoint
	for _, e := range local {
		if kept != nil && e.ID == kept.ID {
			continue
		}
		if err := at.remove(ctx, e); err != nil {
			return nil, fmt.Errorf("replace what an earlier ADD left: %w", err)
		}
		removed = append(removed, e)
	}
	if len(removed) > 0 && kept == nil {
		if err := at.free(ctx, a, removed); err != nil {
			return nil, fmt.Errorf("replace what an earlier ADD left: %w", err)
		}
	}
	return kept, nil
}

// keep returns the endpoint that is in the namespace already, or else attaches
// one that is as wanted but in none.
func (at Attacher) keep(ctx context.Context, a Attachment, network hns.Network, namespace string, local []hns.Endpoint) (*hns.Endpoint, error) {
	for _, e := range local {
		if e.NetworkID == network.ID && e.NamespaceID == namespace {
			return &e, nil
		}
	}
	for _, e := range local {
		if e.NetworkID != network.ID || e.NamespaceID != "" {
			continue
		}
		want, err := at.plan(ctx, a, network, heldBy(e))
		if err != nil || len(plan.Diff(want, e)) > 0 {
			continue
		}
		got, err := at.attach(ctx, namespace, e.ID)
		if err != nil {
			return nil, err
		}
		return &got, nil
	}
	return nil, nil
}

// heldBy returns the addresses of an endpoint as IPAM would give them.
func heldBy(e hns.Endpoint) ipam.Result {
	var out ipam.Result
	for _, p := range e.Addresses {
		out.Addresses = append(out.Addresses, ipam.Address{Prefix: p, Gateway: e.Gateway(p.Addr())})
	}
	return out
}

// create allocates addresses and makes the endpoint, undoing in reverse what it
// made when a step fails.
func (at Attacher) create(ctx context.Context, a Attachment, network hns.Network, namespace string) (Result, error) {
	made, notices, err := at.makeEndpoint(ctx, a, network)
	if err != nil && gaveUp(err) {
		// HNS can make the endpoint yet: its address stays reserved until DEL.
		return Result{}, at.undo(ctx, a, err, at.removeAll)
	}
	if err != nil {
		return Result{}, at.rollBack(ctx, a, err)
	}
	got, err := at.attachMade(ctx, a, namespace, made)
	if err == nil {
		err = at.confirm(ctx, a, network, made, got)
	}
	if err != nil {
		return Result{}, at.rollBack(ctx, a, err)
	}
	return Result{Endpoint: got, Namespace: namespace, Notices: notices}, nil
}

// confirm fails when an endpoint has no address, or another than was asked for, or
// lost it: a DEL that overtook this ADD saw no endpoint and freed the address.
func (at Attacher) confirm(ctx context.Context, a Attachment, network hns.Network, want, got hns.Endpoint) error {
	if len(got.Addresses) == 0 {
		return fmt.Errorf("%w: the network %q gave endpoint %s no address; give it a subnet or the configuration an ipam section",
			plan.ErrConflict, network.Name, got.Name)
	}
	has := addressesOf(got)
	for _, addr := range addressesOf(want) {
		if !slices.Contains(has, addr) {
			return fmt.Errorf("%w: HNS gave endpoint %s the addresses %s, not %s", plan.ErrConflict, got.Name, list(got), addr)
		}
	}
	if err := at.IPAM.Confirm(ctx, a.request(has...)); err != nil {
		return fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return nil
}

// allocate asks IPAM. Where one is configured, no address is a failure: HNS would
// choose one that IPAM does not know.
func (at Attacher) allocate(ctx context.Context, a Attachment, network hns.Network, reserved []netip.Addr) (ipam.Result, error) {
	r := a.request()
	r.Reserved = reserved
	given, err := at.IPAM.Add(ctx, r)
	err = at.explainExhaustion(ctx, network, err)
	if err == nil && len(given.Addresses) == 0 && a.Config.IPAM.Type != "" {
		err = fmt.Errorf("IPAM plugin %s gave no address", a.Config.IPAM.Type)
	}
	if err == nil {
		err = asWished(a.Config, given)
	}
	if err != nil {
		return ipam.Result{}, fmt.Errorf("%w: %w", ErrIPAM, err)
	}
	return given, nil
}

// asWished fails when IPAM gave other addresses than the runtime asked for: some
// plugins pass over the wish.
func asWished(c config.Config, given ipam.Result) error {
	for i, want := range c.IPs {
		if !slices.ContainsFunc(given.Addresses, func(a ipam.Address) bool { return a.Prefix.Addr() == want }) {
			return fmt.Errorf("runtimeConfig.ips[%d]: IPAM plugin %s gave %v instead of %s; it may lack the capability \"ips\"",
				i, c.IPAM.Type, prefixesOf(given), want)
		}
	}
	return nil
}

func prefixesOf(given ipam.Result) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range given.Addresses {
		out = append(out, a.Prefix)
	}
	return out
}

// attachMade attaches an endpoint that create made. Should HNS not have heeded its id,
// its name tells the other.
func (at Attacher) attachMade(ctx context.Context, a Attachment, namespace string, made hns.Endpoint) (hns.Endpoint, error) {
	got, err := at.attach(ctx, namespace, made.ID)
	if !errors.Is(err, hns.ErrNotFound) {
		return got, err
	}
	found, lookErr := at.local(ctx, a)
	for _, e := range found {
		if e.ID != made.ID && e.NetworkID == made.NetworkID && e.NamespaceID == "" {
			return at.attach(ctx, namespace, e.ID)
		}
	}
	return hns.Endpoint{}, errors.Join(err, lookErr)
}

// attach puts an endpoint into the namespace and reads back what became of it.
func (at Attacher) attach(ctx context.Context, namespace, endpoint string) (hns.Endpoint, error) {
	if err := at.HNS.Attach(ctx, namespace, endpoint); err != nil && !errors.Is(err, hns.ErrAttached) {
		return hns.Endpoint{}, at.attachError(ctx, err, namespace)
	}
	got, err := at.HNS.Endpoint(ctx, endpoint)
	if err != nil {
		return hns.Endpoint{}, err
	}
	if got.NamespaceID != namespace {
		return hns.Endpoint{}, fmt.Errorf("%w: endpoint %s is in namespace %q, not in %s", ErrForeign, got.Name, got.NamespaceID, namespace)
	}
	return got, nil
}

// attachError tells a namespace that is gone from an endpoint that is.
func (at Attacher) attachError(ctx context.Context, err error, namespace string) error {
	if !errors.Is(err, hns.ErrNotFound) {
		return err
	}
	if _, nsErr := at.HNS.Namespace(ctx, namespace); errors.Is(nsErr, hns.ErrNotFound) {
		return missing(namespace, err)
	}
	return err
}

// plan gathers the facts and returns the wanted endpoint.
func (at Attacher) plan(ctx context.Context, a Attachment, network hns.Network, given ipam.Result) (hns.Endpoint, error) {
	facts := plan.Facts{Config: a.Config, Network: network, ContainerID: a.ContainerID, IfName: a.IfName, Routes: given.Routes}
	for _, addr := range given.Addresses {
		facts.Addresses = append(facts.Addresses, plan.Address{Addr: addr.Prefix.Addr(), Gateway: addr.Gateway})
	}
	if plan.NeedsFeatures(a.Config, network.Driver, facts.Addresses) {
		features, err := at.HNS.Features(ctx)
		if err != nil {
			return hns.Endpoint{}, err
		}
		facts.Features = features
	}
	host, err := at.host(a.Config)
	if err != nil {
		return hns.Endpoint{}, err
	}
	facts.Host = host
	if facts.Config.DNS.IsZero() {
		facts.Config.DNS = given.DNS
	}
	return plan.Endpoint(facts)
}

// failedUndo is a failure whose undoing failed, too. It is what the failure is:
// only its text tells of the undoing.
type failedUndo struct {
	error
	undo error
}

func (e failedUndo) Error() string { return e.error.Error() + "\nroll back: " + e.undo.Error() }
func (e failedUndo) Unwrap() error { return e.error }

// rollBack removes what a failed create made, addresses included, and returns the
// failure. The endpoint is looked up by name, since HNS can have made it although
// the call failed.
func (at Attacher) rollBack(ctx context.Context, a Attachment, failure error) error {
	return at.undo(ctx, a, failure, func(ctx context.Context, a Attachment) error {
		return at.takeDown(ctx, a)
	})
}

// undo carries out the undoing of a failure, also after ctx has ended, and
// returns the failure.
func (at Attacher) undo(ctx context.Context, a Attachment, failure error, undoing func(context.Context, Attachment) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollBackTime)
	defer cancel()
	if err := undoing(ctx, a); err != nil {
		return failedUndo{failure, err}
	}
	return failure
}

// gaveUp reports whether HNS was not waited for, so that it may go on.
func gaveUp(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
