// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// scene is the node of a sweep: a pod of two containers, another pod, and one of
// two containers whose namespace Bulkhead makes.
type scene struct {
	*world
	sandbox, worker, other, loner, joiner *claim
	// before and claimed are the node and the claims as they were arranged.
	before  string
	claimed []claim
	// when says what was done.
	when string
}

// remember takes note of how the scene was arranged.
func (sc *scene) remember() {
	sc.before = sc.whole()
	for _, c := range sc.claims {
		sc.claimed = append(sc.claimed, *c)
	}
}

// restore makes the claims what they were.
func (sc *scene) restore() {
	for i, c := range sc.claimed {
		*sc.claims[i] = c
	}
}

func newScene(n *node, d hns.Driver) *scene {
	n.Helper()
	n.namespace(netns1)
	n.namespace(netns2)
	w := newWorld(n)
	// Their ACLs would only take time.
	plain := fmt.Sprintf(`"driver":%q,"acl":{"program":false},%s`, d, n.section(d))
	return &scene{
		world:   w,
		sandbox: w.claim(n.attachment(d, "sandbox", netns1)),
		worker:  w.claim(n.attachment(d, "worker", netns1)),
		other:   w.claim(n.configured(plain, "other", netns2)),
		loner:   w.claim(n.configured(plain, "loner", "none")),
		joiner:  w.claim(n.configured(plain, "joiner", "container:loner")),
	}
}

// forgetAddresses removes what another node in the same directory had reserved.
func (sc *scene) forgetAddresses() {
	sc.Helper()
	for name := range sc.ipamFiles("net1") {
		if name == "lock" {
			continue
		}
		if err := os.Remove(filepath.Join(sc.dir, "net1", name)); err != nil {
			sc.Fatal(err)
		}
	}
}

// have makes claims, and fails when one cannot be.
func (sc *scene) have(claims ...*claim) {
	sc.Helper()
	for _, c := range claims {
		if err := sc.add(c); err != nil {
			sc.Fatal(err)
		}
	}
}

// company puts another pod and an endpoint of the host on the network.
func (sc *scene) company() {
	sc.Helper()
	sc.have(sc.other)
	sc.world.other(hns.Endpoint{
		Name: "net1_ep", NetworkID: sc.other.result.Endpoint.NetworkID,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.2/16")},
	})
}

// sweepVerb is a verb on a node.
type sweepVerb struct {
	name string
	// arrange makes the node on which the verb is called.
	arrange func(sc *scene)
	verb    func(sc *scene) error
	// subject is the claim that the next steps are about.
	subject func(sc *scene) *claim
	// least is how many native calls the verb makes, at least.
	least int
	// changesNothing: whatever happens, the node is as before.
	changesNothing bool
}

func theSandbox(sc *scene) *claim { return sc.sandbox }
func theWorker(sc *scene) *claim  { return sc.worker }
func theLoner(sc *scene) *claim   { return sc.loner }
func theJoiner(sc *scene) *claim  { return sc.joiner }

// sweepVerbs are the verbs, with all the ways that they can take.
func sweepVerbs() []sweepVerb {
	return slices.Concat(sweepAdds(), sweepDels(), sweepReads())
}

func sweepAdds() []sweepVerb {
	add := func(whose func(*scene) *claim) func(*scene) error {
		return func(sc *scene) error { return sc.add(whose(sc)) }
	}
	return []sweepVerb{
		{name: "ADD", arrange: nobody, verb: add(theSandbox), subject: theSandbox, least: 15},
		{name: "ADD without a namespace", arrange: nobody, verb: add(theLoner), subject: theLoner, least: 15},
		{name: "ADD to attach anew", arrange: detached, verb: add(theSandbox), subject: theSandbox, least: 10},
		{name: "ADD to replace what is half made", arrange: halved, verb: add(theSandbox), subject: theSandbox, least: 15},
		{name: "ADD again", arrange: alone, verb: add(theSandbox), subject: theSandbox, least: 10, changesNothing: true},
		{name: "ADD of a worker", arrange: alone, verb: add(theWorker), subject: theWorker, least: 10, changesNothing: true},
		{name: "ADD of a worker by its sandbox", arrange: loner, verb: add(theJoiner), subject: theJoiner, least: 8},
	}
}

func sweepDels() []sweepVerb {
	del := func(whose func(*scene) *claim) func(*scene) error {
		return func(sc *scene) error { return sc.del(whose(sc)) }
	}
	gc := func(sc *scene) error { return sc.gc(sc.sandbox, sc.other) }
	return []sweepVerb{
		{name: "DEL", arrange: alone, verb: del(theSandbox), subject: theSandbox, least: 8},
		{name: "DEL of a worker", arrange: pair, verb: del(theWorker), subject: theWorker, least: 1, changesNothing: true},
		{name: "DEL without a namespace", arrange: joined, verb: del(theLoner), subject: theLoner, least: 10},
		{name: "DEL of a worker by its sandbox", arrange: joined, verb: del(theJoiner), subject: theJoiner, least: 5},
		{name: "GC", arrange: alone, verb: gc, subject: theSandbox, least: 20},
		{name: "GC without a namespace", arrange: crowd, verb: gc, subject: theLoner, least: 20},
	}
}

func sweepReads() []sweepVerb {
	check := func(whose func(*scene) *claim) func(*scene) error {
		return func(sc *scene) error { return sc.check(whose(sc)) }
	}
	status := func(sc *scene) error { return sc.status(sc.sandbox) }
	return []sweepVerb{
		{name: "CHECK", arrange: alone, verb: check(theSandbox), subject: theSandbox, least: 10, changesNothing: true},
		{name: "CHECK of a worker", arrange: pair, verb: check(theWorker), subject: theWorker, least: 10, changesNothing: true},
		{name: "CHECK of a worker by its sandbox", arrange: joined, verb: check(theJoiner), subject: theJoiner, least: 10, changesNothing: true},
		{name: "STATUS", arrange: alone, verb: status, subject: theSandbox, least: 2, changesNothing: true},
	}
}

// The scenes before a verb.

func nobody(*scene) {}

func alone(sc *scene) {
	sc.company()
	sc.have(sc.sandbox)
}

func pair(sc *scene) {
	alone(sc)
	sc.have(sc.worker)
}

func loner(sc *scene) { sc.have(sc.loner) }

func joined(sc *scene) { sc.have(sc.loner, sc.joiner) }

func crowd(sc *scene) {
	sc.company()
	joined(sc)
}

func detached(sc *scene) {
	sc.have(sc.sandbox)
	sc.detach(sc.sandbox)
}

func halved(sc *scene) {
	sc.have(sc.sandbox)
	sc.halve(sc.sandbox)
}

// detach takes an endpoint out of its namespace, as the end of that does.
func (sc *scene) detach(c *claim) {
	sc.Helper()
	if err := sc.hns.Detach(context.Background(), c.NetNS, c.result.Endpoint.ID); err != nil {
		sc.Fatal(err)
	}
	sc.lookAgain()
}

// halve makes an endpoint what a killed ADD may leave.
func (sc *scene) halve(c *claim) {
	sc.Helper()
	sc.detach(c)
	if err := sc.hns.SetPolicies(context.Background(), c.result.Endpoint.ID, nil); err != nil {
		sc.Fatal(err)
	}
}

// sweepNext is what a runtime can do after a verb, whatever that answered.
type sweepNext struct {
	name string
	run  func(s *sweep, sc *scene)
}

func sweepNexts() []sweepNext {
	return []sweepNext{
		{"the same again", func(s *sweep, sc *scene) { _ = s.verb(sc) }},
		{"DEL", func(s *sweep, sc *scene) { _ = sc.del(s.subject(sc)) }},
		{"GC with nothing valid", func(_ *sweep, sc *scene) { _ = sc.gc(sc.sandbox) }},
		{"GC with this valid", func(_ *sweep, sc *scene) { _ = sc.gc(sc.sandbox, sc.sandbox, sc.worker, sc.loner, sc.joiner) }},
	}
}

// sweepFault is a fault at one native call, or from that call on.
type sweepFault struct {
	hnsemu.Fault
	// afterNext lets a late call come only after the next step.
	afterNext bool
	// patient waits for a call longer than the verb may take.
	patient bool
}

func (f sweepFault) String() string {
	out := f.Fault.String()
	if f.Kind == hnsemu.FaultFail {
		out = fmt.Sprintf("%s %x", out, uint32(f.Code))
	}
	if f.Every {
		out += " ever since"
	}
	if f.afterNext {
		out += " after the next step"
	}
	if f.patient {
		out += " till the end of the verb"
	}
	return out
}

// sweepCodes stand for the classes of answers: every kind of error, what has
// none, and what a list takes for an object that went away. The first five are
// also answered to every call from one on.
var sweepCodes = []hns.HRESULT{
	0x80004005, 0x80070490, 0x803b000d, 0x803b002b, 0x800706ba,
	0x803b0010, 0x80004001, 0x800705b4, hns.CodeTornDown,
}

// sweepFaults are what each native call is made to suffer.
func sweepFaults() []sweepFault {
	kinds := []hnsemu.Fault{
		{Kind: hnsemu.FaultFail, Code: 0x80004005, After: true},
		{Kind: hnsemu.FaultCut},
		{Kind: hnsemu.FaultCut, After: true},
		{Kind: hnsemu.FaultHang},
		{Kind: hnsemu.FaultHang, After: true},
	}
	for _, code := range sweepCodes {
		kinds = append(kinds, hnsemu.Fault{Kind: hnsemu.FaultFail, Code: code})
	}
	var faults []sweepFault
	for _, k := range kinds {
		faults = append(faults, sweepFault{Fault: k})
		k.Every = true // so undoing fails, too
		if i := slices.Index(sweepCodes, k.Code); i < 5 {
			faults = append(faults, sweepFault{Fault: k})
		}
	}
	late := hnsemu.Fault{Kind: hnsemu.FaultHang, Late: true}
	return append(faults, sweepFault{Fault: late}, sweepFault{Fault: late, afterNext: true},
		sweepFault{Fault: hnsemu.Fault{Kind: hnsemu.FaultHang, After: true}, patient: true})
}

// The sweep answers with every kind of error that there is.
func TestSweepCodesCoverEveryKind(t *testing.T) {
	for _, m := range hns.Meanings() {
		if !slices.ContainsFunc(sweepCodes, func(c hns.HRESULT) bool { return errors.Is(c.Kind(), m.Kind) }) {
			t.Errorf("%s has the kind %v, which no code of the sweep has", m.Code, m.Kind)
		}
	}
}
