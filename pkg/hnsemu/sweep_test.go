// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// script is a program that calls HNS as hcsshim does, and stops at the first
// error.
type script struct {
	client
	err error
}

// do makes a native call unless one has failed before.
func (s *script) do(proc string, args ...string) Reply {
	if s.err != nil {
		return Reply{}
	}
	reply, err := s.Call(context.Background(), Call{Client: s.name, Proc: proc, Args: args})
	switch {
	case err != nil:
		s.err = err
	case reply.Code.Failed():
		s.err = fmt.Errorf("%s: %s", proc, reply.Code)
	}
	return reply
}

func (s *script) handle(proc string, args ...string) string {
	return fmt.Sprint(s.do(proc, args...).Handle)
}

// setUp is what hcsshim does for CreateEndpoint and AddNamespaceEndpoint.
func (s *script) setUp(network, namespace, document string) {
	n := s.handle("HcnOpenNetwork", network)
	e := s.handle("HcnCreateEndpoint", n, "", document)
	properties := s.do("HcnQueryEndpointProperties", e, "").Out
	s.do("HcnCloseEndpoint", e)
	s.do("HcnCloseNetwork", n)
	var doc struct{ ID string }
	if s.err == nil {
		s.decode(properties, &doc)
	}
	ns := s.handle("HcnOpenNamespace", namespace)
	s.do("HcnModifyNamespace", ns, `{"ResourceType":"Endpoint","RequestType":"Add","Settings":{"EndpointId":"`+doc.ID+`"}}`)
	s.do("HcnQueryNamespaceProperties", ns, "")
	s.do("HcnCloseNamespace", ns)
}

const setUpCalls = 9

// TestSweep fails each call of a set-up in turn, in every way. The state is then
// one of the three that the set-up passes through, and never a broken one.
func TestSweep(t *testing.T) {
	stages := sweepStages(t)
	for _, kind := range []FaultKind{FaultFail, FaultCut} {
		for _, after := range []bool{false, true} {
			for nth := 1; nth <= setUpCalls; nth++ {
				fault := Fault{Nth: nth, Kind: kind, After: after}
				if kind == FaultFail {
					fault.Code = 0x80004005
				}
				t.Run(fmt.Sprintf("%s of call %d", fault, nth), func(t *testing.T) {
					c, network, namespace := sweepNode(t)
					c.addFault(fault)
					s := &script{client: c}
					s.setUp(network, namespace, v2(`"Name":"pod"`))
					if s.err == nil {
						t.Fatal("the fault did not occur")
					}
					if kind == FaultCut && !errors.Is(s.err, ErrCut) {
						t.Errorf("the script ended with %v", s.err)
					}
					c.checkInvariants(fault.String())
					if got, want := c.dump(), stages[stageOf(nth, after)]; got != want {
						t.Errorf("-want +got:\n%s", cmp.Diff(want, got))
					}
				})
			}
		}
	}
}

// sweepNode returns a node with a network and a namespace for a pod.
func sweepNode(t *testing.T) (c client, network, namespace string) {
	t.Helper()
	c = newClient(t, "2025")
	return c, c.network("L2Bridge", "n"), c.create("Namespace", `{"ID":"`+unknownID+`"}`)
}

// sweepStages returns the states before the endpoint was made, before it was
// attached, and in the end.
func sweepStages(t *testing.T) [3]string {
	t.Helper()
	c, network, namespace := sweepNode(t)
	stages := [3]string{c.dump()}
	e := c.createEndpoint(network, v2(`"Name":"pod"`))
	stages[1] = c.dump()
	c.attach(namespace, e)
	stages[2] = c.dump()
	return stages
}

// stageOf says how far a set-up comes whose nth call fails: the second call
// makes the endpoint, the seventh attaches it.
func stageOf(nth int, after bool) int {
	reached := 0
	for stage, call := range []int{2, 7} {
		if nth > call || nth == call && after {
			reached = stage + 1
		}
	}
	return reached
}

// TestSweepLeaksHandles: a client that stops at an error leaves handles, as
// hcsshim does, until it is gone.
func TestSweepLeaksHandles(t *testing.T) {
	for nth, want := range map[int]int{1: 0, 2: 1, 3: 2, 4: 2, 5: 1, 6: 0, 7: 1, 8: 1, 9: 1} {
		c, network, namespace := sweepNode(t)
		c.ForgetClient(c.name)
		c.addFault(Fault{Nth: nth, Kind: FaultCut})
		s := &script{client: c}
		s.setUp(network, namespace, v2(`"Name":"pod"`))
		if got := c.OpenHandles(c.name); got != want {
			t.Errorf("call %d is cut: %d handles are open, want %d", nth, got, want)
		}
		c.ForgetClient(c.name)
		if got := c.OpenHandles(c.name); got != 0 {
			t.Errorf("call %d is cut: %d handles outlive their client", nth, got)
		}
	}
}

// TestSweepCounts holds how many calls a set-up makes: the sweep must reach them
// all.
func TestSweepCounts(t *testing.T) {
	c, network, namespace := sweepNode(t)
	if err := c.ResetLog(); err != nil {
		t.Fatal(err)
	}
	s := &script{client: c}
	s.setUp(network, namespace, v2(`"Name":"pod"`))
	if s.err != nil {
		t.Fatal(s.err)
	}
	calls, _ := c.Calls()
	var got []string
	for _, call := range calls {
		got = append(got, strings.TrimPrefix(call.Proc, "Hcn"))
	}
	want := strings.Fields(`OpenNetwork CreateEndpoint QueryEndpointProperties CloseEndpoint CloseNetwork
		OpenNamespace ModifyNamespace QueryNamespaceProperties CloseNamespace`)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != setUpCalls {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
