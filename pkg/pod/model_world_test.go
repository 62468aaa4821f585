// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// standing is what must be there of an attachment.
type standing string

const (
	// absent: neither endpoint nor address.
	absent standing = "absent"
	// present: what the result of ADD says, and nothing else.
	present standing = "present"
	// doubtful: any part of it, after a verb that failed or after somebody else's
	// hand, until a verb that succeeds decides. But an endpoint has its address
	// reserved even then.
	doubtful standing = "doubtful"
)

// claim is an attachment that a runtime may have asked for.
type claim struct {
	config.Config
	standing standing
	// result is that of the latest ADD that succeeded.
	result pod.Result
	// host is whose endpoint the latest ADD returned, when it was another's: that
	// of the container that brought the interface to the namespace. It stays set
	// when that is gone.
	host *claim
	// givenUp: since HNS last caught up, an ADD gave up on it and left the address
	// reserved. decided: another verb came after, which may have freed it.
	givenUp, decided bool
}

// touch notes that a verb is about to decide on the claim.
func (c *claim) touch() { c.decided = c.givenUp }

// name returns the name of the claim's endpoint.
func (c *claim) name() string { return plan.EndpointName(c.ContainerID, c.Name, c.IfName) }

func (c *claim) String() string {
	return fmt.Sprintf("%s of %s on %s", c.IfName, c.ContainerID, c.Name)
}

// sandbox returns the container whose namespace the claim's is to join, if
// CNI_NETNS says so. Such a claim is to a place in that namespace: it never has an
// endpoint or an address of its own.
func (c *claim) sandbox() (id string, joins bool) { return strings.CutPrefix(c.NetNS, "container:") }

// owns reports whether Bulkhead makes the claim's namespace.
func (c *claim) owns() bool { return c.NetNS == "" || c.NetNS == "none" }

// holder returns the claim as the runtime lists it for GC.
func (c *claim) holder() config.Attachment {
	return config.Attachment{ContainerID: c.ContainerID, IfName: c.IfName}
}

// world is a node, what was asked of Bulkhead there, and so what must and what
// may be on it. It judges by the emulator's state and host-local's files alone.
type world struct {
	*node
	claims []*claim
	// others are the endpoints that are not Bulkhead's, by id.
	others map[string]hnsemu.EndpointState
	// stray holds the ids of endpoints that HNS made after DEL had proven that
	// there were none: nobody could keep their addresses.
	stray map[string]bool
	// problems are what was found to be otherwise.
	problems []string
}

func newWorld(n *node) *world {
	return &world{node: n, others: map[string]hnsemu.EndpointState{}, stray: map[string]bool{}}
}

// claim adds an attachment of which there is nothing yet.
func (w *world) claim(a config.Config) *claim {
	c := &claim{Config: a, standing: absent}
	w.claims = append(w.claims, c)
	return c
}

// blame notes a problem.
func (w *world) blame(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// byName returns the claim to an endpoint.
func (w *world) byName(e hnsemu.EndpointState) *claim {
	for _, c := range w.claims {
		if c.Name == e.NetworkName && c.name() == e.Name {
			return c
		}
	}
	return nil
}

// hostOf returns the claim of the sandbox that a claim is to join, nil for none.
func (w *world) hostOf(c *claim) *claim {
	id, joins := c.sandbox()
	for _, o := range w.claims {
		if joins && o.ContainerID == id && o.Name == c.Name && o.IfName == c.IfName {
			return o
		}
	}
	return nil
}

// place returns the namespace that the claim is to.
func (w *world) place(c *claim) string {
	if host := w.hostOf(c); host != nil {
		return w.place(host)
	}
	if c.owns() {
		return plan.OwnNamespace(c.ContainerID)
	}
	return c.NetNS
}

// networks returns the names of the networks that are claimed.
func (w *world) networks() []string {
	var names []string
	for _, c := range w.claims {
		names = append(names, c.Name)
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// verify compares the node with what must be there.
func (w *world) verify() {
	w.Helper()
	s := w.state()
	reserved := map[string]map[string]config.Attachment{}
	for _, network := range w.networks() {
		reserved[network] = w.reserved(network)
	}
	maps.DeleteFunc(w.stray, func(id string, _ bool) bool {
		return !slices.ContainsFunc(s.Endpoints, func(e hnsemu.EndpointState) bool { return e.ID == id })
	})
	w.verifyEndpoints(s, reserved)
	w.verifyAddresses(reserved)
	w.verifyOthers(s)
	w.verifyNamespaces(s)
	for _, c := range w.claims {
		if _, joins := c.sandbox(); joins {
			w.verifyMember(s, c)
		} else if c.standing == present {
			w.verifyPresent(s, c)
		}
	}
}

// verifyEndpoints: every endpoint was asked for and has its address reserved,
// and no other endpoint of the network has that address.
func (w *world) verifyEndpoints(s hnsemu.State, reserved map[string]map[string]config.Attachment) {
	holders := map[string]string{}
	for _, e := range s.Endpoints {
		for _, p := range e.Addresses {
			key := e.NetworkName + " " + p.Addr().String()
			if first, twice := holders[key]; twice {
				w.blame("endpoints %s and %s both have %s", first, e.Name, key)
			}
			holders[key] = e.Name
		}
		if _, known := w.others[e.ID]; !known {
			w.verifyOurs(e, reserved[e.NetworkName])
		}
	}
}

// verifyOurs: an endpoint of a claim.
func (w *world) verifyOurs(e hnsemu.EndpointState, reserved map[string]config.Attachment) {
	c := w.byName(e)
	switch {
	case c == nil:
		w.blame("endpoint %s on %s is nobody's", e.Name, e.NetworkName)
	case w.hostOf(c) != nil:
		w.blame("endpoint %s is a worker's", e.Name)
	case c.standing == absent:
		w.blame("endpoint %s is left", e.Name)
	case c.IPAM.Type != "" && !w.stray[e.ID]:
		for _, p := range e.Addresses {
			if got := reserved[p.Addr().String()]; got != c.holder() {
				w.blame("endpoint %s has the address %s, which is reserved for %q", e.Name, p.Addr(), got)
			}
		}
	}
}

// verifyAddresses: no address is reserved for what is absent.
func (w *world) verifyAddresses(reserved map[string]map[string]config.Attachment) {
	for network, holders := range reserved {
		for address, h := range holders {
			i := slices.IndexFunc(w.claims, func(c *claim) bool { return c.Name == network && c.holder() == h })
			if i < 0 {
				w.blame("address %s of %s is reserved for %q, who never asked", address, network, h)
			} else if c := w.claims[i]; c.standing == absent || w.hostOf(c) != nil {
				w.blame("address %s of %s is left with %s", address, network, w.claims[i])
			}
		}
	}
}

// verifyPresent: exactly the endpoint that ADD promised, where it promised.
func (w *world) verifyPresent(s hnsemu.State, c *claim) {
	want := c.result.Endpoint
	found := false
	for _, e := range s.Endpoints {
		switch {
		case e.ID == want.ID:
			found = true
			if e.Name != c.name() || e.NamespaceID != c.result.Namespace || e.NetworkID != want.NetworkID {
				w.blame("%s: endpoint %s is in namespace %q and network %s, ADD said %s and %s",
					c, e.Name, e.NamespaceID, e.NetworkID, c.result.Namespace, want.NetworkID)
			}
			if diff := cmp.Diff(want.Addresses, e.Addresses, byText); diff != "" {
				w.blame("%s: addresses (-ADD's result +got):\n%s", c, diff)
			}
		case e.Name == c.name() && e.NetworkName == c.Name && !w.stray[e.ID]:
			w.blame("%s: a second endpoint, %s", c, e.ID)
		}
	}
	if !found {
		w.blame("%s: endpoint %s is gone", c, want.ID)
	}
}

// verifyMember: a worker that joined is noted in the namespace of its sandbox,
// one that left is in none.
func (w *world) verifyMember(s hnsemu.State, c *claim) {
	for _, ns := range s.Namespaces {
		in := slices.Contains(ns.Containers, c.ContainerID)
		switch {
		case c.standing == present && ns.ID == c.result.Namespace && !in:
			w.blame("%s: namespace %s has the containers %v", c, ns.ID, ns.Containers)
		case c.standing == absent && in:
			w.blame("%s is left in namespace %s", c, ns.ID)
		}
	}
}

// verifyOthers: what is not Bulkhead's is untouched.
func (w *world) verifyOthers(s hnsemu.State) {
	got := map[string]hnsemu.EndpointState{}
	for _, e := range s.Endpoints {
		if _, known := w.others[e.ID]; known {
			got[e.ID] = fixed(e)
		}
	}
	if diff := cmp.Diff(w.others, got, byText); diff != "" {
		w.blame("endpoints of others (-before +after):\n%s", diff)
	}
}

// verifyNamespaces: a namespace holds the endpoints that are in it, and one that
// Bulkhead made goes with what it was made for.
func (w *world) verifyNamespaces(s hnsemu.State) {
	in := map[string][]string{}
	for _, e := range s.Endpoints {
		if e.NamespaceID != "" {
			in[e.NamespaceID] = append(in[e.NamespaceID], e.ID)
		}
	}
	for _, ns := range s.Namespaces {
		slices.Sort(ns.Endpoints)
		slices.Sort(in[ns.ID])
		if !slices.Equal(ns.Endpoints, in[ns.ID]) {
			w.blame("namespace %s holds %v, but %v are in it", ns.ID, ns.Endpoints, in[ns.ID])
		}
		if plan.IsOwnNamespace(ns.ID) && !w.needed(ns) {
			w.blame("namespace %s of Bulkhead's own is left", ns.ID)
		}
	}
}

// fixed returns an endpoint without what changes with the containers beside it.
func fixed(e hnsemu.EndpointState) hnsemu.EndpointState {
	e.State = 0
	return e
}

// byText compares addresses, whose innards cmp cannot see.
var byText = cmp.Comparer(func(a, b fmt.Stringer) bool { return a.String() == b.String() })

// other notes an endpoint that is not Bulkhead's.
func (w *world) other(want hns.Endpoint) hns.Endpoint {
	w.Helper()
	id, err := w.hns.CreateEndpoint(w.Context(), want)
	if err != nil {
		w.Fatal(err)
	}
	made, err := w.hns.Endpoint(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range w.state().Endpoints {
		if e.ID == made.ID {
			w.others[e.ID] = fixed(e)
		}
	}
	return made
}

// lookAgain takes note of what somebody else did to the node: what it hit is
// doubtful.
func (w *world) lookAgain() {
	w.Helper()
	s := w.state()
	there := map[string]hnsemu.EndpointState{}
	for _, e := range s.Endpoints {
		there[e.ID] = e
		w.noteLate(e)
	}
	for id := range w.others {
		if e, ok := there[id]; ok {
			w.others[id] = fixed(e)
		} else {
			delete(w.others, id)
		}
	}
	for _, c := range w.claims {
		in := there[c.result.Endpoint.ID].NamespaceID == c.result.Namespace
		if w.hostOf(c) != nil {
			in = slices.ContainsFunc(s.Namespaces, func(ns hnsemu.NamespaceState) bool {
				return ns.ID == c.result.Namespace && slices.Contains(ns.Containers, c.ContainerID)
			})
		}
		if c.standing == present && !in {
			c.standing = doubtful
		}
		w.noteNamespace(c) // made late, and for DEL to remove
	}
	w.followSandboxes()
}

// needed reports whether a namespace is there for a claim.
func (w *world) needed(ns hnsemu.NamespaceState) bool {
	return slices.ContainsFunc(w.claims, func(c *claim) bool {
		return c.owns() && c.standing != absent && w.place(c) == ns.ID
	})
}

// followSandboxes: a worker's place goes with its namespace, and nobody keeps it
// for a worker whose sandbox is gone.
func (w *world) followSandboxes() {
	w.Helper()
	s := w.state()
	for _, c := range w.claims {
		host := w.hostOf(c)
		if host == nil || c.standing == absent {
			continue
		}
		if !slices.ContainsFunc(s.Namespaces, func(ns hnsemu.NamespaceState) bool { return ns.ID == w.place(c) }) {
			c.standing = absent
		} else if host.standing != present {
			c.standing = doubtful
		}
	}
}

// noteLate notes an endpoint that came after a verb had decided. One that comes
// when nothing has been decided since ADD gave up finds its address reserved.
func (w *world) noteLate(e hnsemu.EndpointState) {
	c := w.byName(e)
	if _, others := w.others[e.ID]; others || c == nil || e.ID == c.result.Endpoint.ID && c.standing == present {
		return
	}
	switch c.standing {
	case absent:
		c.standing = doubtful
	case present:
		w.stray[e.ID] = true // beside the endpoint of a later ADD, until DEL
		return
	}
	if c.givenUp && !c.decided {
		return
	}
	reserved := w.reserved(e.NetworkName)
	for _, p := range e.Addresses {
		if reserved[p.Addr().String()] != c.holder() {
			w.stray[e.ID] = true
		}
	}
}

// whole returns everything that is kept on the node.
func (w *world) whole() string {
	w.Helper()
	dump, err := w.host.Dump()
	if err != nil {
		w.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(dump)
	for _, network := range w.networks() {
		files := w.ipamFiles(network)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			fmt.Fprintf(&b, "%s/%s %q\n", network, name, files[name])
		}
	}
	return b.String()
}

// standings returns what the claims are.
func (w *world) standings() string {
	var b strings.Builder
	for _, c := range w.claims {
		fmt.Fprintf(&b, "%s %s\n", c, c.standing)
	}
	return b.String()
}
