// SPDX-License-Identifier: Apache-2.0

package hnstest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// questionCases state what Bulkhead assumes of HNS and no source settles. Both
// answers are good; which one it was goes into the log. Questions and numbers are
// those of pkg/hnsemu/HNS.md, "Unknown". Questions 4 (does one
// ACL make the other direction deny by default), 5 (who enforces on nat) and 7
// (states of an endpoint) need packets or another interface than hns.Client.
var questionCases = []testCase{
	{name: "question 1: chosen endpoint id", run: chosenEndpoint},
	{name: "question 1: endpoint id taken", run: endpointIDTaken},
	{name: "question 2: attached twice", run: attachedTwice},
	{name: "question 3: codes for unknown ids", run: unknownIDs},
	{name: "question 5: Switch rule on a network without VFP", run: switchRuleWithoutVFP},
	{name: "question 6: policies that an update does not name", run: unnamedPolicies},
	{name: "question: namespace deleted around an endpoint", run: namespaceDeletedAround},
	{name: "question: namespace id taken", run: namespaceIDTaken},
	{name: "question: detached twice", run: detachedTwice},
	{name: "question: container that Windows does not run", run: unknownContainer},
	{name: "question: letter case of names", run: nameCase},
}

// saw logs the answer to a question.
func (e *env) saw(format string, args ...any) {
	e.Helper()
	name := e.Name()
	name = strings.ReplaceAll(name[strings.LastIndex(name, "/")+1:], "_", " ")
	e.Logf("%s: %s", name, fmt.Sprintf(format, args...))
}

// chosenEndpoint assumes that the id of an endpoint is the client's to choose, and free
// again when the endpoint is gone.
func chosenEndpoint(e *env) {
	want := e.endpoint(e.anyNetwork())
	for _, want.ID = range []string{hns.NewGUID(), upper(hns.NewGUID())} {
		for range 2 {
			got := e.createEndpoint(want)
			if got.ID != strings.ToLower(want.ID) {
				e.saw("HNS chose another one")
				return
			}
			ns := e.createNamespace("")
			e.must(e.Attach(e.Context(), ns.ID, want.ID))
			e.attached(ns, got, true)
			e.must(e.Detach(e.Context(), ns.ID, want.ID))
			e.must(e.DeleteEndpoint(e.Context(), want.ID))
		}
	}
	e.saw("honoured")
}

// endpointIDTaken assumes that the endpoint which has the id stays what it is.
func endpointIDTaken(e *env) {
	n := e.anyNetwork()
	first := e.createEndpoint(e.endpoint(n))
	second := e.endpoint(n)
	second.ID = first.ID
	_, created := e.CreateEndpoint(e.Context(), second)
	made, err := e.EndpointsNamed(e.Context(), second.Name)
	e.must(err)
	for _, other := range made {
		e.must(e.DeleteEndpoint(e.Context(), other.ID))
	}
	switch {
	case created != nil:
		e.saw("fails with %s", e.fails("CreateEndpoint", created, hns.ErrExists, hns.ErrInvalid))
	case len(made) == 0:
		e.saw("opens the one that has it")
	default:
		e.saw("makes another one, %v", ids(made))
	}
	got, err := e.Endpoint(e.Context(), first.ID)
	e.must(err)
	e.sameEndpoint(first, got)
}

// attachedTwice assumes that the second time succeeds, as win-bridge's repeated
// ADD needs it.
func attachedTwice(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	ns := e.createNamespace("")
	e.must(e.Attach(e.Context(), ns.ID, pod.ID))
	if err := e.Attach(e.Context(), ns.ID, pod.ID); err == nil {
		e.saw("succeeds")
	} else {
		e.saw("fails with %s", e.fails("Attach again", err, hns.ErrAttached))
	}
	got, err := e.Namespace(e.Context(), ns.ID)
	if err != nil || !equal([]string{pod.ID}, got.Endpoints) {
		e.Errorf("namespace lists %v, %v; want %s once", got.Endpoints, err, pod.ID)
	}
	e.attached(ns, pod, true)
}

// unknownIDs assumes nothing but that each code is one of hns.ErrNotFound.
func unknownIDs(e *env) {
	ctx := e.Context()
	ns := e.createNamespace("")
	_, openNetwork := e.CreateEndpoint(ctx, hns.Endpoint{Name: e.name(), NetworkID: hns.NewGUID()})
	for _, c := range []struct {
		what string
		err  error
	}{
		{"HcnOpenNetwork", openNetwork},
		{"HcnOpenEndpoint", e.SetPolicies(ctx, hns.NewGUID(), nil)},
		{"HcnOpenNamespace", e.Attach(ctx, hns.NewGUID(), hns.NewGUID())},
		{"HcnModifyNamespace with an unknown endpoint", e.Attach(ctx, ns.ID, hns.NewGUID())},
		{"HcnDeleteNetwork", e.DeleteNetwork(ctx, hns.NewGUID())},
		{"HcnDeleteEndpoint", e.DeleteEndpoint(ctx, hns.NewGUID())},
		{"HcnDeleteNamespace", e.DeleteNamespace(ctx, hns.NewGUID())},
	} {
		e.saw("%s: %s", c.what, e.fails(c.what, c.err, hns.ErrNotFound))
	}
}

// switchRuleWithoutVFP assumes that such a rule is taken and does nothing, as
// hcsshim's own tests have it on nat (hcn/hcnendpoint_test.go).
func switchRuleWithoutVFP(e *env) {
	n := e.anyNetwork()
	if n.Driver.HasVFP() {
		if e.suite.onNetwork != "" {
			e.Skipf("network %s is %s, which has VFP", n.Name, n.Driver)
		}
		n = e.createNetwork(e.network(hns.NAT))
	}
	pod := e.createEndpoint(e.endpoint(n))
	if err := e.SetPolicies(e.Context(), pod.ID, switchRules()); err != nil {
		e.saw("refused on %s: %s", n.Driver, e.fails("SetPolicies", err, hns.ErrInvalid, hns.ErrUnsupported))
		return
	}
	e.saw("accepted on %s", n.Driver)
}

// unnamedPolicies assumes that an update replaces the ACLs and keeps what the
// endpoint was made with, so Bulkhead names everything in every update.
func unnamedPolicies(e *env) {
	n := e.anyNetwork()
	want := e.endpoint(n)
	want.Policies = policies(n.Driver)
	pod := e.createEndpoint(want)
	e.must(e.SetPolicies(e.Context(), pod.ID, rules(n)))
	got, err := e.Endpoint(e.Context(), pod.ID)
	e.must(err)
	e.samePolicies(rules(n), got.Policies)
	if len(acls(got.Policies)) != len(rules(n)) {
		e.Errorf("ACLs are not replaced: %+v", got.Policies)
	}
	switch others := len(got.Policies) - len(acls(got.Policies)); others {
	case 0:
		e.saw("an update replaces all types")
	case len(want.Policies) - len(acls(want.Policies)):
		e.saw("an update replaces the ACLs alone")
	default:
		e.saw("an update left %d policies besides the ACLs: %+v", others, got.Policies)
	}
}

// namespaceDeletedAround assumes that the endpoint survives, detached:
// containerd deletes the namespace directly after a CNI DEL that failed.
func namespaceDeletedAround(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	ns := e.createNamespace("")
	e.must(e.Attach(e.Context(), ns.ID, pod.ID))
	if err := e.DeleteNamespace(e.Context(), ns.ID); err != nil {
		e.saw("refused: %s", e.fails("DeleteNamespace", err, hns.ErrUnsupported, hns.ErrBusy))
		e.must(e.Detach(e.Context(), ns.ID, pod.ID))
		return
	}
	got, err := e.Endpoint(e.Context(), pod.ID)
	switch {
	case errors.Is(err, hns.ErrNotFound):
		e.saw("the endpoint went, too")
	case err != nil:
		e.Error(err)
	case got.NamespaceID == "":
		e.saw("the endpoint survives, detached")
	default:
		e.saw("the endpoint survives and still names the namespace")
	}
}

// namespaceIDTaken assumes that it fails.
func namespaceIDTaken(e *env) {
	ns := e.createNamespace("")
	got, err := e.CreateNamespace(e.Context(), ns.ID)
	switch {
	case err != nil:
		e.saw("fails with %v", err)
	case got.ID == ns.ID:
		e.saw("returns the one that is there")
	default:
		e.saw("makes another one")
		e.must(e.DeleteNamespace(e.Context(), got.ID))
	}
	if _, err := e.Namespace(e.Context(), ns.ID); err != nil {
		e.Errorf("the first one: %v", err)
	}
}

// detachedTwice assumes nothing: Bulkhead looks at the result, not at the error.
func detachedTwice(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	ns := e.createNamespace("")
	e.must(e.Attach(e.Context(), ns.ID, pod.ID))
	e.must(e.Detach(e.Context(), ns.ID, pod.ID))
	if err := e.Detach(e.Context(), ns.ID, pod.ID); err != nil {
		e.saw("fails with %v", err)
	} else {
		e.saw("succeeds")
	}
	e.attached(ns, pod, false)
}

// unknownContainer assumes nothing. Where HNS takes the container in, the
// namespace lists and keeps it, and a second time does not count.
func unknownContainer(e *env) {
	ctx, container := e.Context(), hns.NewGUID()
	ns := e.createNamespace("")
	if err := e.AttachContainer(ctx, ns.ID, container); err != nil {
		e.saw("refused: %v", err)
		e.holds(ns, container, false)
		return
	}
	e.remove("container "+container, func(ctx context.Context) error { return e.DetachContainer(ctx, ns.ID, container) })
	e.holds(ns, container, true)
	e.saw("attached; deleting the namespace: %s", e.fails("DeleteNamespace", e.DeleteNamespace(ctx, ns.ID), hns.ErrUnsupported))
	e.saw("attached again: %v", e.AttachContainer(ctx, ns.ID, container))
	e.must(e.DetachContainer(ctx, ns.ID, container))
	e.holds(ns, container, false)
	e.saw("detached again: %v", e.DetachContainer(ctx, ns.ID, container))
}

// nameCase assumes that names are compared as they are written.
func nameCase(e *env) {
	want := e.endpoint(e.anyNetwork())
	pod := e.createEndpoint(want)
	got, err := e.EndpointsNamed(e.Context(), strings.ToUpper(want.Name))
	e.must(err)
	if len(got) == 0 {
		e.saw("names differ by letter case")
	} else if equal([]string{pod.ID}, ids(got)) {
		e.saw("letter case does not matter")
	} else {
		e.Errorf("got %+v", got)
	}
}
