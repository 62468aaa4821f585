// SPDX-License-Identifier: Apache-2.0

package hnstest

import (
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var namespaceCases = []testCase{
	{name: "namespaces: absent", run: absentNamespace},
	{name: "namespaces: create", run: createNamespace},
	{name: "namespaces: with a chosen id", run: chosenNamespace},
	{name: "namespaces: attach and detach", run: attachDetach},
	{name: "namespaces: two endpoints", run: twoEndpoints},
	{name: "namespaces: two namespaces", run: twoNamespaces},
	{name: "namespaces: deleted endpoint leaves", run: deletedEndpointLeaves},
	{name: "namespaces: list", run: listNamespaces},
	{name: "namespaces: containers", run: namespaceContainers},
	{name: "namespaces: delete", run: deleteNamespace},
}

func absentNamespace(e *env) {
	ctx := e.Context()
	_, err := e.Namespace(ctx, hns.NewGUID())
	e.fails("Namespace", err, hns.ErrNotFound)
	_, err = e.Namespace(ctx, hns.ZeroGUID)
	e.fails("Namespace of the zero id", err, hns.ErrNotFound)
	_, err = e.Namespace(ctx, "/var/run/netns/x")
	e.fails("Namespace of no id", err, hns.ErrInvalid)
	e.fails("DeleteNamespace", e.DeleteNamespace(ctx, hns.NewGUID()), hns.ErrNotFound)

	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	e.fails("Attach to a missing namespace", e.Attach(ctx, hns.NewGUID(), pod.ID), hns.ErrNotFound)
	e.fails("Detach from a missing namespace", e.Detach(ctx, hns.NewGUID(), pod.ID), hns.ErrNotFound)
	ns := e.createNamespace("")
	e.fails("Attach of a missing endpoint", e.Attach(ctx, ns.ID, hns.NewGUID()), hns.ErrNotFound)
	e.fails("Detach of a missing endpoint", e.Detach(ctx, ns.ID, hns.NewGUID()), hns.ErrNotFound)
}

func createNamespace(e *env) {
	a, b := e.createNamespace(""), e.createNamespace("")
	e.isID("namespace", a.ID)
	if a.ID == b.ID {
		e.Errorf("two namespaces have the id %s", a.ID)
	}
	if len(a.Endpoints)+len(a.Containers) > 0 {
		e.Errorf("a new namespace holds %v and %v", a.Endpoints, a.Containers)
	}
	got, err := e.Namespace(e.Context(), upper(a.ID))
	if err != nil || !equal(a, got) {
		e.Errorf("made as %+v, found as %+v, %v", a, got, err)
	}
}

// hcsshim#1049: HNS takes the id of a namespace from the document.
func chosenNamespace(e *env) {
	want := hns.NewGUID()
	if got := e.createNamespace(upper(want)); got.ID != want {
		e.Errorf("got %s, want %s", got.ID, want)
	}
	if _, err := e.Namespace(e.Context(), want); err != nil {
		e.Error(err)
	}
}

// attached checks that both sides say so.
func (e *env) attached(ns hns.Namespace, pod hns.Endpoint, want bool) {
	e.Helper()
	n, err := e.Namespace(e.Context(), ns.ID)
	e.must(err)
	if got := slices.Contains(n.Endpoints, pod.ID); got != want {
		e.Errorf("namespace %s lists %v, so endpoint %s in it: %v; want %v", ns.ID, n.Endpoints, pod.ID, got, want)
	}
	p, err := e.Endpoint(e.Context(), pod.ID)
	e.must(err)
	if got := p.NamespaceID == ns.ID; got != want {
		e.Errorf("endpoint %s is in namespace %q, so in %s: %v; want %v", pod.ID, p.NamespaceID, ns.ID, got, want)
	}
}

func attachDetach(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	if pod.NamespaceID != "" {
		e.Errorf("a new endpoint is in namespace %s", pod.NamespaceID)
	}
	ns := e.createNamespace("")
	e.must(e.Attach(e.Context(), upper(ns.ID), upper(pod.ID)))
	e.attached(ns, pod, true)
	got, err := e.Endpoint(e.Context(), pod.ID)
	e.must(err)
	if got.MAC != pod.MAC || !equal(pod.Addresses, got.Addresses) {
		e.Errorf("attached with %s %v, made with %s %v", got.MAC, got.Addresses, pod.MAC, pod.Addresses)
	}
	e.must(e.Detach(e.Context(), ns.ID, pod.ID))
	e.attached(ns, pod, false)
	e.must(e.Attach(e.Context(), ns.ID, pod.ID))
	e.attached(ns, pod, true)
}

func twoEndpoints(e *env) {
	n := e.anyNetwork()
	a, b := e.createEndpoint(e.endpoint(n)), e.createEndpoint(e.endpoint(n))
	ns := e.createNamespace("")
	e.must(e.Attach(e.Context(), ns.ID, a.ID))
	e.must(e.Attach(e.Context(), ns.ID, b.ID))
	e.attached(ns, a, true)
	e.attached(ns, b, true)
	e.must(e.Detach(e.Context(), ns.ID, a.ID))
	e.attached(ns, a, false)
	e.attached(ns, b, true)
}

func twoNamespaces(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	first, second := e.createNamespace(""), e.createNamespace("")
	e.must(e.Attach(e.Context(), first.ID, pod.ID))
	e.fails("Attach to a second namespace", e.Attach(e.Context(), second.ID, pod.ID), hns.ErrAttached)
	e.attached(first, pod, true)
	e.attached(second, pod, false)
	e.must(e.Detach(e.Context(), first.ID, pod.ID))
	e.must(e.Attach(e.Context(), second.ID, pod.ID))
	e.attached(second, pod, true)
}

func deletedEndpointLeaves(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	ns := e.createNamespace("")
	e.must(e.Attach(e.Context(), ns.ID, pod.ID))
	e.must(e.DeleteEndpoint(e.Context(), pod.ID))
	got, err := e.Namespace(e.Context(), ns.ID)
	if err != nil || len(got.Endpoints) > 0 {
		e.Errorf("namespace is %+v, %v; want it empty", got, err)
	}
}

func listNamespaces(e *env) {
	pod := e.createEndpoint(e.endpoint(e.anyNetwork()))
	full, empty := e.createNamespace(""), e.createNamespace("")
	e.must(e.Attach(e.Context(), full.ID, pod.ID))
	for _, id := range []string{full.ID, empty.ID} {
		want, err := e.Namespace(e.Context(), id)
		e.must(err)
		if got := e.namespaceInList(id); got == nil || !equal(want, *got) {
			e.Errorf("listed as %+v, found as %+v", got, want)
		}
	}
	e.must(e.DeleteNamespace(e.Context(), empty.ID))
	if got := e.namespaceInList(empty.ID); got != nil {
		e.Errorf("a namespace that is gone is listed: %+v", got)
	}
}

// namespaceInList returns the namespace of that id as the list has it, nil when
// it has none.
func (e *env) namespaceInList(id string) *hns.Namespace {
	e.Helper()
	list, err := e.ListNamespaces(e.Context())
	e.must(err)
	if i := slices.IndexFunc(list, func(n hns.Namespace) bool { return n.ID == id }); i >= 0 {
		return &list[i]
	}
	return nil
}

func namespaceContainers(e *env) {
	ctx := e.Context()
	const container = Prefix + "container"
	e.fails("AttachContainer to a missing namespace", e.AttachContainer(ctx, hns.NewGUID(), container), hns.ErrNotFound)
	e.fails("DetachContainer from a missing namespace", e.DetachContainer(ctx, hns.NewGUID(), container), hns.ErrNotFound)
	e.fails("AttachContainer to no id", e.AttachContainer(ctx, "none", container), hns.ErrInvalid)
	e.fails("DetachContainer from no id", e.DetachContainer(ctx, "none", container), hns.ErrInvalid)
	ns := e.createNamespace("")
	e.fails("AttachContainer of none", e.AttachContainer(ctx, ns.ID, ""), hns.ErrInvalid)
	e.fails("DetachContainer of none", e.DetachContainer(ctx, ns.ID, ""), hns.ErrInvalid)
	e.holds(ns, container, false)
}

// holds checks whether a namespace lists a container, in whatever letter case.
func (e *env) holds(ns hns.Namespace, container string, want bool) {
	e.Helper()
	got, err := e.Namespace(e.Context(), ns.ID)
	e.must(err)
	same := func(id string) bool { return strings.EqualFold(id, container) }
	if slices.ContainsFunc(got.Containers, same) != want {
		e.Errorf("namespace %s lists the containers %v, so %s: %v; want %v", ns.ID, got.Containers, container, !want, want)
	}
}

func deleteNamespace(e *env) {
	ns := e.createNamespace("")
	e.must(e.DeleteNamespace(e.Context(), upper(ns.ID)))
	_, err := e.Namespace(e.Context(), ns.ID)
	e.fails("Namespace", err, hns.ErrNotFound)
	e.fails("DeleteNamespace again", e.DeleteNamespace(e.Context(), ns.ID), hns.ErrNotFound)
	if got := e.createNamespace(ns.ID); got.ID != ns.ID {
		e.Errorf("the id of a deleted namespace gave %s", got.ID)
	}
}
