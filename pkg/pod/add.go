// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Result is what ADD made, as HNS says.
type Result struct {
	Endpoint  hns.Endpoint
	Namespace string
	// Notices are sentences on what an admin should know of, although all went
	// well.
	Notices []string
}

// Add puts a container's interface into its namespace and returns what HNS made of
// it. An interface that is there already is returned as it is, also when another
// container of the pod brought it. After a failure nothing that this call made is
// left but the network, or the error says what is and the next verb removes it. The
// notices of the result come with an error, too.
func (v Verbs) Add(ctx context.Context, c config.Config) (Result, error) {
	p, err := placeOf(c)
	if err != nil {
		return Result{}, err
	}
	if p.sandbox != "" {
		return v.join(ctx, c, p.sandbox)
	}
	if err := v.IPAM.Validate(ctx, c); err != nil {
		return Result{}, err
	}
	n, notices, err := v.networks().Ensure(ctx, c)
	if err != nil {
		return Result{Notices: notices}, err
	}
	ns, made, err := v.enter(ctx, p)
	var r Result
	if err == nil {
		r, err = v.connect(ctx, c, n, ns)
	}
	r.Notices = append(notices, r.Notices...)
	if err != nil && made {
		err = v.undo(ctx, err, func(ctx context.Context) error { return v.removeNamespace(ctx, p.namespace) })
	}
	return r, err
}

// connect returns the interface that is in the namespace, or puts one there.
func (v Verbs) connect(ctx context.Context, c config.Config, n hns.Network, ns hns.Namespace) (Result, error) {
	c, err := v.interfaceOwner(ctx, c, n, ns)
	if err != nil {
		return Result{}, err
	}
	existing, err := v.endpoints(ctx, c, n)
	if err != nil {
		return Result{}, err
	}
	kept, err := v.reuse(ctx, c, n, ns.ID, existing)
	if err != nil {
		return Result{}, err
	}
	existing = slices.DeleteFunc(existing, func(e hns.Endpoint) bool { return e.ID == kept.ID })
	for _, e := range existing {
		if err := v.remove(ctx, e); err != nil {
			return Result{}, problem.New(nil, err, "replace what an earlier ADD left")
		}
	}
	if kept.ID != "" {
		rules, err := v.rulesFor(ctx, c, n, kept)
		if err != nil {
			return Result{}, err
		}
		kept, notices, err := v.withRules(ctx, kept, rules)
		return Result{Endpoint: kept, Namespace: ns.ID, Notices: notices}, err
	}
	if len(existing) > 0 {
		if err := v.free(ctx, c, existing); err != nil {
			return Result{}, problem.New(nil, err, "replace what an earlier ADD left")
		}
	}
	return v.create(ctx, c, n, ns.ID)
}

// withRules makes sure that an endpoint has the rules that the configuration calls for now.
// A notice tells when it had others: the configuration has changed since, somebody took
// them away, or HNS did not take them with a new endpoint.
func (v Verbs) withRules(ctx context.Context, e hns.Endpoint, rules []hns.ACL) (hns.Endpoint, []string, error) {
	if missing, unwanted := plan.RuleChanges(acl.Pod, rules, e.Policies); len(missing)+len(unwanted) == 0 {
		return e, nil, nil
	}
	if err := v.rules().Sync(ctx, e.ID, acl.Pod, rules); err != nil {
		return hns.Endpoint{}, nil, problem.New(nil, err, "repair the rules of endpoint %s", e.Name)
	}
	e, err := v.HNS.Endpoint(ctx, e.ID)
	return e, []string{"repaired the rules of endpoint " + e.Name + ", which were not those of the configuration"}, err
}

// reuse returns the endpoint that an earlier ADD of this attachment put into the
// namespace, or else attaches one that is as wanted, is in no namespace and still has its
// addresses. The zero Endpoint says that there is none. One in another namespace that is
// there is an error.
func (v Verbs) reuse(ctx context.Context, c config.Config, n hns.Network, namespace string, existing []hns.Endpoint) (hns.Endpoint, error) {
	onNetwork := slices.DeleteFunc(slices.Clone(existing), func(e hns.Endpoint) bool { return e.NetworkID != n.ID })
	for _, e := range existing {
		if e.NamespaceID == "" || e.NamespaceID == namespace {
			continue
		}
		gone, err := v.namespaceGone(ctx, e.NamespaceID)
		if err != nil {
			return hns.Endpoint{}, err
		}
		if !gone {
			return hns.Endpoint{}, problem.New(ErrInUse, nil, "endpoint %s of this container is in namespace %s, not in %s", e.Name, e.NamespaceID, namespace)
		}
	}
	for _, e := range onNetwork {
		if e.NamespaceID == namespace {
			return e, nil
		}
	}
	for _, e := range onNetwork {
		var held ipam.Result
		for _, p := range e.Addresses {
			held.Addresses = append(held.Addresses, ipam.Address{Prefix: p, Gateway: e.Gateway(p.Addr())})
		}
		want, err := v.wanted(ctx, c, n, held)
		want.Name = e.Name // it was found by one of its names
		if err != nil || e.NamespaceID != "" || len(plan.Diff(want, e)) > 0 {
			continue
		}
		// HNS can have made it after a DEL that saw none.
		switch err := v.IPAM.Confirm(ctx, c, e.Addrs()); {
		case err == nil:
			return v.attach(ctx, namespace, e)
		case !errors.Is(err, ipam.ErrReleased):
			return hns.Endpoint{}, problem.New(ErrIPAM, err, "")
		}
	}
	return hns.Endpoint{}, nil
}

// create allocates addresses, makes the endpoint and attaches it, and undoes what it
// made when a step fails.
func (v Verbs) create(ctx context.Context, c config.Config, n hns.Network, namespace string) (Result, error) {
	if err := v.checkHostIPs(ctx, c); err != nil {
		return Result{}, err
	}
	want, notices, err := v.createEndpoint(ctx, c, n)
	for _, s := range plan.SeenAsNode(c, n) {
		notices = append(notices, fmt.Sprintf("pods of %s reach each other by the node's address, which acl.allowHost lets in: add %[1]s to outboundNAT.exceptions", s))
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		// HNS was not waited for and can make the endpoint yet: its address stays
		// reserved until DEL.
		return Result{Notices: notices}, v.undo(ctx, err, func(ctx context.Context) error {
			_, err := v.removeAll(ctx, c)
			return err
		})
	}
	var got hns.Endpoint
	if err == nil {
		got, err = v.attachNew(ctx, c, namespace, want)
	}
	if err == nil {
		err = v.confirm(ctx, c, n, want, got)
	}
	// HNS may show a new endpoint's rules in other words, but not fewer of them.
	if rules := plan.RulesOf(acl.Pod, want.Policies); err == nil && countACLs(got.Policies) < len(rules) {
		var repaired []string
		got, repaired, err = v.withRules(ctx, got, rules)
		notices = append(notices, repaired...)
	}
	if err != nil {
		// By name, since HNS can have made the endpoint although the call failed.
		return Result{Notices: notices}, v.undo(ctx, err, func(ctx context.Context) error {
			_, err := v.takeDown(ctx, c)
			return err
		})
	}
	return Result{Endpoint: got, Namespace: namespace, Notices: notices}, nil
}

// countACLs returns how many ACLs there are, whoever's, those that have settings which
// Bulkhead does not know included.
func countACLs(policies []hns.Policy) int {
	n := 0
	for _, p := range policies {
		opaque, _ := p.(hns.Opaque)
		if _, ok := p.(hns.ACL); ok || opaque.Type == "ACL" {
			n++
		}
	}
	return n
}

// attachNew attaches an endpoint that was just made. HNS may ignore the id that it
// was asked for; then the name finds the endpoint.
func (v Verbs) attachNew(ctx context.Context, c config.Config, namespace string, made hns.Endpoint) (hns.Endpoint, error) {
	got, err := v.attach(ctx, namespace, made)
	if !errors.Is(err, hns.ErrNotFound) {
		return got, err
	}
	found, lookErr := v.endpoints(ctx, c, hns.Network{ID: made.NetworkID})
	for _, e := range found {
		if e.ID != made.ID && e.NetworkID == made.NetworkID && e.NamespaceID == "" {
			return v.attach(ctx, namespace, e)
		}
	}
	return hns.Endpoint{}, errors.Join(err, lookErr)
}

// attach puts an endpoint into the namespace and reads back what became of it.
func (v Verbs) attach(ctx context.Context, namespace string, e hns.Endpoint) (hns.Endpoint, error) {
	err := v.HNS.Attach(ctx, namespace, e.ID)
	if errors.Is(err, hns.ErrNotFound) {
		// Of the two it may be the namespace that is gone.
		if _, nsErr := v.HNS.Namespace(ctx, namespace); errors.Is(nsErr, hns.ErrNotFound) {
			err = noNamespace(namespace, err)
		}
	}
	if err != nil && !errors.Is(err, hns.ErrAttached) {
		return hns.Endpoint{}, err
	}
	got, err := v.HNS.Endpoint(ctx, e.ID)
	if err != nil {
		return hns.Endpoint{}, err
	}
	if got.NamespaceID != namespace {
		return hns.Endpoint{}, problem.New(ErrInUse, nil, "endpoint %s is in namespace %q, not in %s", got.Name, got.NamespaceID, namespace)
	}
	return got, nil
}

// confirm fails when an endpoint has no address, or another than was asked for, or
// lost it: a DEL that overtook this ADD saw no endpoint and freed the address.
func (v Verbs) confirm(ctx context.Context, c config.Config, n hns.Network, want, got hns.Endpoint) error {
	if len(got.Addresses) == 0 {
		return problem.New(plan.ErrConflict, nil, "the network %q gave endpoint %s no address; give it a subnet or the configuration an ipam section", n.Name, got.Name)
	}
	for _, addr := range want.Addrs() {
		if !slices.Contains(got.Addrs(), addr) {
			return problem.New(plan.ErrConflict, nil, "HNS gave endpoint %s the addresses %s, not %s", got.Name, plan.List(got.Addrs()), addr)
		}
	}
	for _, addr := range got.Addrs() {
		if named := c.NamedAt(addr); named != "" {
			return problem.New(plan.ErrConflict, nil, "HNS gave endpoint %s the address %s, which is %s; add an ipam section", got.Name, addr, named)
		}
	}
	if err := v.IPAM.Confirm(ctx, c, want.Addrs()); err != nil {
		return problem.New(ErrIPAM, err, "")
	}
	return nil
}

// undoError is a failure whose undoing failed, too. It is what the failure is: only
// its text tells of the undoing.
type undoError struct {
	error
	undo error
}

func (e undoError) Error() string { return e.error.Error() + "\nroll back: " + e.undo.Error() }
func (e undoError) Unwrap() error { return e.error }

// undo carries out the undoing of a failure, also after ctx has ended, and returns
// the failure.
func (v Verbs) undo(ctx context.Context, failure error, undoing func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := undoing(ctx); err != nil {
		return undoError{failure, err}
	}
	return failure
}
