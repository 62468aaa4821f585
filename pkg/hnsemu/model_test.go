// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// checkInvariants fails when the state contradicts itself.
func (c client) checkInvariants(after string) {
	c.Helper()
	state, err := c.State()
	if err != nil {
		c.Fatal(err)
	}
	for _, problem := range slices.Concat(
		addressProblems(state), namespaceProblems(state), referenceProblems(state), nameProblems(state),
	) {
		c.Errorf("after %s: %s", after, problem)
	}
}

// addressProblems: each endpoint is on a network that exists, in one of its
// subnets, with an address and a MAC address of its own.
func addressProblems(s State) []string {
	var problems []string
	networks := map[string]NetworkState{}
	for _, n := range s.Networks {
		networks[n.ID] = n
	}
	addresses := map[string]string{}
	for _, e := range s.Endpoints {
		n, ok := networks[e.NetworkID]
		if !ok {
			problems = append(problems, fmt.Sprintf("endpoint %s is on no network", e.ID))
			continue
		}
		for _, p := range e.Addresses {
			key := n.ID + p.Addr().String()
			if other, taken := addresses[key]; taken {
				problems = append(problems, fmt.Sprintf("endpoints %s and %s have %s", other, e.ID, p.Addr()))
			}
			addresses[key] = e.ID
			inSubnet := slices.ContainsFunc(n.Subnets, func(s SubnetState) bool { return s.Prefix.Contains(p.Addr()) })
			if !inSubnet && !e.Remote {
				problems = append(problems, fmt.Sprintf("endpoint %s has %s of no subnet", e.ID, p))
			}
			isGateway := slices.ContainsFunc(n.Subnets, func(s SubnetState) bool { return s.Gateway == p.Addr() })
			if isGateway {
				problems = append(problems, fmt.Sprintf("endpoint %s has the gateway's address", e.ID))
			}
		}
		if e.MAC == "" {
			problems = append(problems, fmt.Sprintf("endpoint %s has no MAC address", e.ID))
		}
	}
	return problems
}

// namespaceProblems: endpoints and namespaces agree about who is where, and a
// compartment is there when a container is.
func namespaceProblems(s State) []string {
	var problems []string
	where := map[string]string{}
	compartments := map[uint32]bool{}
	for _, n := range s.Namespaces {
		for _, id := range n.Endpoints {
			if other, twice := where[id]; twice {
				problems = append(problems, fmt.Sprintf("endpoint %s is in %s and %s", id, other, n.ID))
			}
			where[id] = n.ID
		}
		if len(n.Containers) > 0 && n.Compartment == 0 {
			problems = append(problems, fmt.Sprintf("namespace %s has a container and no compartment", n.ID))
		}
		if n.Compartment > 1 && compartments[n.Compartment] {
			problems = append(problems, fmt.Sprintf("compartment %d is used twice", n.Compartment))
		}
		compartments[n.Compartment] = true
	}
	for _, e := range s.Endpoints {
		if where[e.ID] != e.NamespaceID {
			problems = append(problems, fmt.Sprintf("endpoint %s says it is in %q, the namespaces say %q", e.ID, e.NamespaceID, where[e.ID]))
		}
		delete(where, e.ID)
	}
	for id, n := range where {
		problems = append(problems, fmt.Sprintf("namespace %s has endpoint %s, which does not exist", n, id))
	}
	return problems
}

// referenceProblems: load balancers and routes refer to endpoints that exist.
func referenceProblems(s State) []string {
	var problems []string
	exists := map[string]bool{}
	for _, e := range s.Endpoints {
		exists[e.ID] = true
	}
	check := func(owner string, ids []string) {
		for _, id := range ids {
			if !exists[id] {
				problems = append(problems, fmt.Sprintf("%s refers to endpoint %s, which does not exist", owner, id))
			}
		}
	}
	for _, b := range s.LoadBalancers {
		check("load balancer "+b.ID, b.Endpoints)
	}
	for _, r := range s.Routes {
		check("route "+r.ID, r.Endpoints)
	}
	return problems
}

// nameProblems: names of networks and ids of everything are unique.
func nameProblems(s State) []string {
	var problems []string
	names, ids := map[string]bool{}, map[string]bool{}
	once := func(seen map[string]bool, what string) {
		if seen[what] {
			problems = append(problems, fmt.Sprintf("%q is there twice", what))
		}
		seen[what] = true
	}
	for _, n := range s.Networks {
		once(names, n.Name)
		once(ids, "network "+n.ID)
	}
	for _, e := range s.Endpoints {
		once(ids, "endpoint "+e.ID)
	}
	for _, n := range s.Namespaces {
		once(ids, "namespace "+n.ID)
	}
	return problems
}

// walk does random things to a node, among them many that are refused.
type walk struct {
	client
	*rand.Rand
	containers int
}

// steps are the things that a walk does; each returns what it did.
func (w *walk) steps() []func() string {
	return []func() string{
		w.makeNetwork, w.makeEndpoint, w.makeEndpoint, w.makeEndpoint, w.makeNamespace, w.makeNamespace,
		w.attachEndpoint, w.attachEndpoint, w.attachEndpoint, w.detachEndpoint, w.startContainer, w.startContainer, w.stopContainer,
		w.makeBalancer, w.makeRoute, w.deleteSomething, w.deleteSomething, w.attachV1, w.changePolicies, w.disturb,
	}
}

// some returns one of the ids of a class, or one that does not exist.
func (w *walk) some(plural string) string {
	ids := append(w.enumerateQuietly(plural), unknownID)
	return ids[w.IntN(len(ids))]
}

func (w *walk) enumerateQuietly(plural string) []string {
	reply := w.call("HcnEnumerate"+plural, "")
	var ids []string
	if reply.Code == 0 {
		w.decode(reply.Out, &ids)
	}
	return ids
}

func (w *walk) makeNetwork() string {
	kind := pick(w.Rand, []string{"NAT", "L2Bridge"})
	name := pick(w.Rand, []string{"a", "b", "c"})
	third := w.IntN(4)
	document := v2(fmt.Sprintf(`"Type":%q,"Name":%q,"Flags":%d,`, kind, name, 8*w.IntN(2)) +
		ipams(fmt.Sprintf("10.0.%d.0/28", third), fmt.Sprintf("10.0.%d.1", third), ""))
	w.call("HcnCreateNetwork", "", document)
	return "network " + document
}

func (w *walk) makeEndpoint() string {
	network := w.some("Networks")
	reply := w.call("HcnOpenNetwork", network)
	members := ""
	if w.IntN(2) == 0 {
		members = fmt.Sprintf(`,"IpConfigurations":[{"IpAddress":"10.0.%d.%d"}]`, w.IntN(4), w.IntN(16))
	}
	if w.IntN(8) == 0 {
		members = fmt.Sprintf(`,"Flags":1,"IpConfigurations":[{"IpAddress":"10.9.0.%d"}]`, w.IntN(4))
	}
	document := v2(fmt.Sprintf(`"Name":"pod%d"`, w.IntN(3)) + members)
	w.call("HcnCreateEndpoint", fmt.Sprint(reply.Handle), "", document)
	return "endpoint " + document
}

func (w *walk) makeNamespace() string {
	document := pick(w.Rand, []string{`{}`, v2(`"Type":"HostDefault"`), `{"CreateWithCompartment":true}`, `{"ID":"` + unknownID + `"}`})
	w.call("HcnCreateNamespace", "", document)
	return "namespace " + document
}

// resourceRequest sends a modify request without asking for success.
func (w *walk) resourceRequest(request string) string {
	namespace, endpoint := w.some("Namespaces"), w.some("Endpoints")
	reply := w.call("HcnOpenNamespace", namespace)
	w.call("HcnModifyNamespace", fmt.Sprint(reply.Handle), fmt.Sprintf(
		`{"ResourceType":"Endpoint","RequestType":%q,"Settings":{"EndpointId":%q}}`, request, endpoint))
	return request + " of endpoint " + endpoint + " in " + namespace
}

func (w *walk) attachEndpoint() string { return w.resourceRequest("Add") }

func (w *walk) detachEndpoint() string { return w.resourceRequest("Remove") }

func (w *walk) startContainer() string {
	w.containers++
	c := Container{
		ID:          fmt.Sprint("c", w.containers),
		NamespaceID: w.some("Namespaces"),
		Isolation:   pick(w.Rand, []hns.Isolation{hns.Process, hns.HyperV}),
		Leaks:       w.IntN(8) == 0,
	}
	_ = w.StartContainer(c)
	return fmt.Sprintf("start of %+v", c)
}

func (w *walk) stopContainer() string {
	id := fmt.Sprint("c", w.IntN(w.containers+1))
	_ = w.StopContainer(id)
	return "stop of " + id
}

func (w *walk) makeBalancer() string {
	document := v2(fmt.Sprintf(`"HostComputeEndpoints":[%q,%q],"FrontendVIPs":["1.1.1.%d"],"PortMappings":[{"Protocol":6,
		"ExternalPort":80}]`,
		w.some("Endpoints"), w.some("Endpoints"), w.IntN(3)))
	w.call("HcnCreateLoadBalancer", "", document)
	return "load balancer " + document
}

func (w *walk) makeRoute() string {
	document := v2(fmt.Sprintf(`"HostComputeEndpoints":[%q],"Setting":[{"DestinationPrefix":"10.0.0.0/8"}]`, w.some("Endpoints")))
	w.call("HcnCreateSdnRoute", "", document)
	return "route " + document
}

func (w *walk) deleteSomething() string {
	class := pick(w.Rand, []string{"Network", "Endpoint", "Endpoint", "Namespace", "Namespace", "LoadBalancer", "SdnRoute"})
	id := w.some(class + "s")
	w.call("HcnDelete"+class, id)
	return "deletion of " + class + " " + id
}

func (w *walk) attachV1() string {
	path := "/endpoints/" + w.some("Endpoints") + pick(w.Rand, []string{"/attach", "/detach"})
	body := pick(w.Rand, []string{`{"SystemType":"Host"}`, `{"SystemType":"Container","ContainerId":"v1"}`})
	w.call("HNSCall", "POST", path, body)
	return path + " " + body
}

func (w *walk) changePolicies() string {
	reply := w.call("HcnOpenEndpoint", w.some("Endpoints"))
	settings := fmt.Sprintf(`{"ResourceType":"Policy","RequestType":%q,"Settings":{"Policies":[
		{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":%d,"Flags":1}}]}}`,
		pick(w.Rand, []string{"Add", "Update", "Remove"}), 8000+w.IntN(3))
	w.call("HcnModifyEndpoint", fmt.Sprint(reply.Handle), settings)
	return settings
}

// disturb now and then restarts the service or the node.
func (w *walk) disturb() string {
	switch w.IntN(20) {
	case 0:
		_ = w.RestartService()
		return "a restart of the service"
	case 1:
		_ = w.Reboot()
		return "a reboot"
	case 2:
		_ = w.StopService()
		w.deleteSomething()
		w.stopContainer()
		_ = w.StartService()
		return "a pause of the service"
	}
	w.ForgetClient(w.name)
	return "the end of the client"
}

// TestRandomWalk: whatever clients do, the state never contradicts itself.
func TestRandomWalk(t *testing.T) {
	for _, profile := range []string{"2019", "2022", "2025"} {
		for seed := range uint64(6) {
			t.Run(fmt.Sprint(profile, " ", seed), func(t *testing.T) {
				w := &walk{client: newClient(t, profile), Rand: rand.New(rand.NewPCG(seed, 7))}
				steps := w.steps()
				for range 400 {
					did := steps[w.IntN(len(steps))]()
					w.checkInvariants(did)
					if t.Failed() {
						t.Fatalf("the state is\n%s", w.dump())
					}
				}
			})
		}
	}
}

// TestInvariantsAreChecked: contradictions do not pass unseen.
func TestInvariantsAreChecked(t *testing.T) {
	network := NetworkState{ID: "n", Subnets: []SubnetState{{Prefix: prefixOf("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1")}}}
	endpoint := EndpointState{ID: "e", NetworkID: "n", MAC: "m", Addresses: []netip.Prefix{prefixOf("10.0.0.2/24")}}
	change := func(f func(*EndpointState)) EndpointState {
		e := endpoint
		f(&e)
		return e
	}
	one := func(f func(*EndpointState)) State {
		return State{Networks: []NetworkState{network}, Endpoints: []EndpointState{change(f)}}
	}
	at := func(prefix string) State {
		return one(func(e *EndpointState) { e.Addresses = []netip.Prefix{prefixOf(prefix)} })
	}
	in := func(id string) EndpointState { return change(func(e *EndpointState) { e.NamespaceID = id }) }
	namespace := func(id string, endpoints ...string) NamespaceState {
		return NamespaceState{ID: id, Endpoints: endpoints}
	}
	for name, tc := range map[string]struct {
		state State
		check func(State) []string
		want  int
	}{
		"sound":      {one(func(*EndpointState) {}), addressProblems, 0},
		"no network": {State{Endpoints: []EndpointState{endpoint}}, addressProblems, 1},
		"twice": {
			State{Networks: []NetworkState{network}, Endpoints: []EndpointState{endpoint, endpoint}},
			addressProblems, 1,
		},
		"stray":   {at("10.1.0.2/24"), addressProblems, 1},
		"gateway": {at("10.0.0.1/24"), addressProblems, 1},
		"no MAC":  {one(func(e *EndpointState) { e.MAC = "" }), addressProblems, 1},
		"other namespace": {
			State{Endpoints: []EndpointState{in("s")}},
			namespaceProblems, 1,
		},
		"gone endpoint": {
			State{Namespaces: []NamespaceState{namespace("s", "e")}},
			namespaceProblems, 1,
		},
		"two namespaces": {
			State{Endpoints: []EndpointState{in("t")}, Namespaces: []NamespaceState{namespace("s", "e"), namespace("t", "e")}},
			namespaceProblems, 1,
		},
		"no compartment": {
			State{Namespaces: []NamespaceState{{ID: "s", Containers: []string{"c"}}}},
			namespaceProblems, 1,
		},
		"one compartment": {
			State{Namespaces: []NamespaceState{{ID: "s", Compartment: 2}, {ID: "t", Compartment: 2}}},
			namespaceProblems, 1,
		},
		"dangling balancer": {
			State{LoadBalancers: []LoadBalancerState{{ID: "b", Endpoints: []string{"e"}}}},
			referenceProblems, 1,
		},
		"dangling route": {
			State{Routes: []SDNRouteState{{ID: "r", Endpoints: []string{"e"}}}},
			referenceProblems, 1,
		},
		"names": {
			State{Networks: []NetworkState{{ID: "1", Name: "n"}, {ID: "2", Name: "n"}}},
			nameProblems, 1,
		},
		"ids": {
			State{Endpoints: []EndpointState{endpoint, endpoint}, Namespaces: []NamespaceState{namespace("s"), namespace("s")}},
			nameProblems, 2,
		},
	} {
		if got := tc.check(tc.state); len(got) != tc.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func pick[T any](r *rand.Rand, pool []T) T { return pool[r.IntN(len(pool))] }
