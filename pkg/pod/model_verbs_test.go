// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// The verbs of a world are carried out as cniplugin does. Each notes what must be
// there afterwards, and blames Bulkhead when a verb fails that nothing hinders.

// blow says how faults struck a verb.
type blow int

const (
	unhurt blow = iota
	// once: one call failed or was cut off, so that undoing is possible.
	once
	// hung: one call was not waited for. HNS may carry it out yet.
	hung
	// often: undoing was struck, too.
	often
)

// blow returns how the latest verb was struck.
func (w *world) blow() blow {
	w.Helper()
	calls, err := w.host.Calls()
	if err != nil {
		w.Fatal(err)
	}
	b := unhurt
	for _, c := range calls {
		switch {
		case c.Fault == "":
		case b != unhurt:
			return often
		case strings.HasPrefix(c.Fault, string(hnsemu.FaultHang)):
			b = hung
		default:
			b = once
		}
	}
	return b
}

// within carries out a verb in its time and reports how faults struck it.
func (w *world) within(c *claim, limit time.Duration, verb func(context.Context, pod.Verbs) error) (blow, error) {
	w.Helper()
	if err := w.host.ResetLog(); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := verb(ctx, w.attacher(c.Config))
	return w.blow(), err
}

// hindered reports what may make a verb on the claim fail: the service is down,
// or there is more than one endpoint that could be the claim's.
func (w *world) hindered(c *claim) bool {
	s := w.state()
	if s.Stopped {
		return true
	}
	named := 0
	for _, e := range s.Endpoints {
		if w.byName(e) == c {
			named++
		}
	}
	return named > 1 || len(w.inside(c)) > 1
}

// inside returns the endpoints that are the claim's interface in its namespace,
// whoever brought them.
func (w *world) inside(c *claim) []string {
	var ids []string
	for _, e := range w.state().Endpoints {
		o := w.byName(e)
		if o != nil && o.Name == c.Name && o.IfName == c.IfName && e.NamespaceID == w.place(c) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// addable reports whether an ADD of the claim must succeed.
func (w *world) addable(c *claim) bool {
	s := w.state()
	host := w.hostOf(c)
	if w.hindered(c) || host != nil && (w.hindered(host) || host.standing != present) {
		return false
	}
	for _, e := range s.Endpoints {
		if e.Name == c.name() && e.NetworkName == c.Name && e.NamespaceID != "" && e.NamespaceID != w.place(c) {
			return false
		}
	}
	return c.owns() || slices.ContainsFunc(s.Namespaces, func(ns hnsemu.NamespaceState) bool { return ns.ID == w.place(c) })
}

// add asks for a claim.
func (w *world) add(c *claim) error {
	w.Helper()
	addable, inside := w.addable(c), w.inside(c)
	c.touch()
	var r pod.Result
	b, err := w.within(c, c.Timeouts.Add, func(ctx context.Context, at pod.Verbs) (err error) {
		r, err = at.Add(ctx, c.Config)
		return err
	})
	c.givenUp = c.givenUp || errors.Is(err, context.DeadlineExceeded)
	switch {
	case err == nil && len(inside) > 0 && !slices.Contains(inside, r.Endpoint.ID):
		w.blame("ADD %s: made %s, but the namespace had %v", c, r.Endpoint.ID, inside)
	case err == nil:
		w.added(c, r)
	case addable && b == unhurt:
		w.blame("ADD %s: %v", c, err)
	case c.standing == absent && b != unhurt:
		w.undone(c, addable, b)
	}
	return err
}

// undone: an ADD that failed has undone what it made. When it gave up on a call
// its address may stay, as HNS can make the endpoint yet.
func (w *world) undone(c *claim, addable bool, b blow) {
	if addable && b == once {
		return
	}
	c.standing = doubtful
	for _, e := range w.state().Endpoints {
		if addable && b == hung && w.byName(e) == c {
			w.blame("endpoint %s is left, although undoing was possible", e.Name)
		}
	}
}

// added takes note of the result of an ADD.
func (w *world) added(c *claim, r pod.Result) {
	i := slices.IndexFunc(w.claims, func(o *claim) bool {
		return o.name() == r.Endpoint.Name && o.Name == c.Name
	})
	if i < 0 || w.claims[i].IfName != c.IfName || r.Namespace != w.place(c) || len(r.Endpoint.Addresses) == 0 {
		w.blame("ADD %s into %s: the result is %+v", c, c.NetNS, r)
		return
	}
	host := w.claims[i]
	if host.standing == present && !same(host.result, r) {
		w.blame("ADD %s: the endpoint is %s (%v), that of the first ADD was %s (%v)",
			c, r.Endpoint.ID, r.Endpoint.Addresses, host.result.Endpoint.ID, host.result.Endpoint.Addresses)
	}
	c.result, c.host = r, nil
	if host != c {
		c.host = host
	}
	host.result, host.standing = r, present
	delete(w.stray, r.Endpoint.ID)
	if joined := w.hostOf(c); joined != nil {
		c.standing = present
		if joined != host {
			w.blame("ADD %s: the endpoint is %s, not the sandbox's", c, r.Endpoint.Name)
		}
	}
}

// del gives a claim back.
func (w *world) del(c *claim) error { return w.delFrom(c, c.NetNS) }

// delFrom is del with another CNI_NETNS.
func (w *world) delFrom(c *claim, netns string) error {
	w.Helper()
	hindered := w.state().Stopped
	c.touch()
	a := c.Config
	a.NetNS = netns
	b, err := w.within(c, c.Timeouts.Del, func(ctx context.Context, at pod.Verbs) error {
		return at.Del(ctx, a)
	})
	switch {
	case err == nil:
		w.gone(c, a.NetNS)
	case !hindered && b == unhurt:
		w.blame("DEL %s: %v", c, err)
	case c.standing == present:
		c.standing = doubtful
	}
	w.followSandboxes()
	return err
}

// gone takes note of a DEL that succeeded: there is nothing left of the claim.
// But the place of a worker in a runtime's namespace can only be found where
// CNI_NETNS names the sandbox and that is still there.
func (w *world) gone(c *claim, netns string) {
	host := w.hostOf(c)
	if host == nil || netns == c.NetNS && (host.owns() || host.standing == present) {
		c.standing = absent
	}
}

// check compares a claim with the result of its ADD.
func (w *world) check(c *claim) error {
	w.Helper()
	host := c
	if c.host != nil {
		host = c.host
	}
	joins := w.hostOf(c) != nil
	hindered := w.hindered(c) || host.standing != present || joins && c.standing != present ||
		!same(c.result, host.result) // it was made anew since
	b, err := w.within(c, c.Timeouts.Add, func(ctx context.Context, at pod.Verbs) error {
		return at.Check(ctx, c.Config, promised(c.result))
	})
	switch {
	case err != nil && !hindered && b == unhurt:
		w.blame("CHECK %s: %v", c, err)
	case err == nil:
		w.checked(c)
	}
	return err
}

// checked: after CHECK found the claim in order there is an endpoint as promised.
func (w *world) checked(c *claim) {
	for _, e := range w.state().Endpoints {
		if e.NetworkName != c.Name || e.NamespaceID != w.place(c) || e.MAC != c.result.Endpoint.MAC.Hyphenated() {
			continue
		}
		if slices.Equal(e.Addresses, c.result.Endpoint.Addresses) {
			if e.ID == c.result.Endpoint.ID && e.Name == c.name() {
				c.standing = present
			}
			return
		}
	}
	w.blame("CHECK %s: no complaint, but there is no endpoint in %s with %v", c, w.place(c), c.result.Endpoint.Addresses)
}

// gc collects all claims on the network of c but the valid ones.
func (w *world) gc(c *claim, valid ...*claim) error {
	w.Helper()
	hindered := w.state().Stopped
	holders := []config.Attachment{}
	for _, v := range valid {
		if v.Name == c.Name {
			holders = append(holders, v.holder())
		}
	}
	b, err := w.within(c, c.Timeouts.Add, func(ctx context.Context, at pod.Verbs) error {
		return at.GC(ctx, c.Config, holders)
	})
	if err != nil && !hindered && b == unhurt {
		w.blame("GC of %s: %v", c.Name, err)
	}
	for _, o := range w.claims {
		o.touch()
		switch {
		case o.Name != c.Name || slices.Contains(valid, o) || w.hostOf(o) != nil:
		case err == nil:
			o.standing = absent
		case o.standing == present:
			o.standing = doubtful
		}
	}
	for _, v := range valid {
		if v.Name == c.Name {
			w.noteNamespace(v) // kept as long as any interface of the container is valid
		}
	}
	w.followSandboxes()
	return err
}

// noteNamespace notes that there is a namespace for a claim, or a place in one,
// although it was believed to have nothing.
func (w *world) noteNamespace(c *claim) {
	for _, ns := range w.state().Namespaces {
		joined := w.hostOf(c) != nil && slices.Contains(ns.Containers, c.ContainerID)
		made := c.owns() && w.place(c) == ns.ID && !w.needed(ns)
		if c.standing == absent && (joined || made) {
			c.standing = doubtful
		}
	}
}

// status asks whether pods may come.
func (w *world) status(c *claim) error {
	w.Helper()
	stopped := w.state().Stopped
	b, err := w.within(c, c.Timeouts.Status, func(ctx context.Context, at pod.Verbs) error {
		return at.Status(ctx, c.Config)
	})
	if err != nil && !stopped && b == unhurt {
		w.blame("STATUS of %s: %v", c.Name, err)
	}
	if err == nil && stopped {
		w.blame("STATUS of %s: ready, but HNS is stopped", c.Name)
	}
	return err
}

// catchUp lets HNS carry out what nobody waits for any more.
func (w *world) catchUp() {
	w.Helper()
	if err := w.host.ClearFaults(); err != nil {
		w.Fatal(err)
	}
	w.lookAgain()
	for _, c := range w.claims {
		c.givenUp, c.decided = false, false
	}
}

// recover puts HNS in order, late calls included.
func (w *world) recover() {
	w.Helper()
	if err := w.host.StartService(); err != nil {
		w.Fatal(err)
	}
	w.catchUp()
}

// end gives everything back, with HNS in order: nothing may be left.
func (w *world) end() {
	w.Helper()
	w.recover()
	for _, c := range w.claims {
		_ = w.del(c)
	}
	w.verify()
}
