// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

var modelSeed = flag.Uint64("model.seed", 0, "the one `seed` to run TestModel with, 0 for the usual ones")

// How much TestModel does: seeds that are always the same and one that is new in
// every run, each with so many steps.
const (
	modelSeeds = 80
	modelSteps = 150
)

// TestModel: whatever runtimes ask for, in whatever order, and whatever befalls
// the node meanwhile, after every step there is on the node what the model says.
// It prints what it did up to the first step after which there was not, with all
// steps left out that do not matter.
func TestModel(t *testing.T) {
	seeds := []uint64{*modelSeed}
	if *modelSeed == 0 {
		seeds[0] = rand.Uint64()
		for seed := range uint64(modelSeeds) {
			seeds = append(seeds, seed+1)
		}
	}
	var mu sync.Mutex
	var steps, asked, granted int
	t.Run("seeds", func(t *testing.T) {
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w := modelRun(t, seed)
				mu.Lock()
				defer mu.Unlock()
				steps, asked, granted = steps+len(w.trace), asked+w.asked, granted+w.granted
			})
		}
	})
	t.Logf("model: %d seeds, the first is %d: %d steps with %d verbs, of which %d succeeded", len(seeds), seeds[0], steps, asked, granted)
	if len(seeds) > 1 && (asked < 1000 || granted < asked/3) {
		t.Error("too little happened to prove anything")
	}
}

// modelRun takes the walk of a seed and tells where it went wrong.
func modelRun(t *testing.T, seed uint64) *walk {
	t.Helper()
	steps := modelWalk(seed)
	walked := modelPlay(t, seed, steps)
	if *modelSeed != 0 {
		t.Logf("%s:\n%s", walked.where, strings.Join(walked.trace, "\n"))
	}
	if len(walked.problems) > 0 {
		short := modelShorten(t, seed, steps[:len(walked.trace)])
		t.Errorf("%s, after %d steps:\n%s\n%s\nTo see this again: go test ./pkg/attach -run TestModel -model.seed=%d",
			short.where, len(short.trace), strings.Join(short.trace, "\n"), strings.Join(short.problems, "\n"), seed)
	}
	return walked
}

// modelStep is a step before it is known what there will be to do it with: a kind
// of step and the numbers that its choices are made with.
type modelStep struct {
	kind    int
	choices [8]uint32
}

// modelWalk returns the steps of a seed, the last of which ends everything.
func modelWalk(seed uint64) []modelStep {
	random := rand.New(rand.NewPCG(seed, 1))
	var kinds []int
	for kind, k := range stepKinds {
		kinds = append(kinds, slices.Repeat([]int{kind}, k.weight)...)
	}
	steps := make([]modelStep, modelSteps)
	for i := range steps {
		steps[i].kind = kinds[random.IntN(len(kinds))]
		for j := range steps[i].choices {
			steps[i].choices[j] = random.Uint32()
		}
	}
	return append(steps, modelStep{kind: endOfAll})
}

// modelPlay takes the steps on a new node, up to the first after which something
// is wrong.
func modelPlay(t *testing.T, seed uint64, steps []modelStep) *walk {
	t.Helper()
	var w *walk
	// Inside, waiting for a call that hangs takes no time.
	synctest.Test(t, func(t *testing.T) {
		w = newWalk(t, seed)
		for _, s := range steps {
			w.take(s)
			if len(w.problems) > 0 {
				return
			}
		}
	})
	return w
}

// modelShorten leaves out one step after the other, the latest first, as long as
// something goes wrong without it.
func modelShorten(t *testing.T, seed uint64, steps []modelStep) *walk {
	t.Helper()
	for i := len(steps) - 1; i >= 0; i-- {
		less := slices.Delete(slices.Clone(steps), i, i+1)
		if w := modelPlay(t, seed, less); len(w.problems) > 0 {
			steps = less[:len(w.trace)]
			i = min(i, len(steps))
		}
	}
	return modelPlay(t, seed, steps)
}

// walk is a world, and what it was taken through.
type walk struct {
	*world
	drivers [2]hns.Driver
	// admin calls HNS without suffering faults.
	admin hns.Client
	// where says which node it is, trace what was done there.
	where string
	trace []string
	// asked counts verbs, granted those that succeeded.
	asked, granted int
	// choices are those that the current step has left.
	choices []uint32
	// strangers counts the endpoints of others, so that their addresses differ.
	strangers int
}

// choose returns the next choice, of n.
func (w *walk) choose(n int) int {
	c := w.choices[0]
	w.choices = w.choices[1:]
	return int(c % uint32(n))
}

// take takes a step and verifies what there is.
func (w *walk) take(s modelStep) {
	w.Helper()
	w.choices = s.choices[:]
	k := stepKinds[s.kind]
	said := k.take(w)
	w.trace = append(w.trace, strings.TrimSpace(fmt.Sprintf("%d. %s %s", len(w.trace)+1, k.name, said)))
	w.verify()
}

// verdict returns a verb's answer for the trace.
func (w *walk) verdict(err error) string {
	w.asked++
	if err == nil {
		w.granted++
		return ": done"
	}
	return ": " + strings.ReplaceAll(err.Error(), "\n", "; ")
}

// pods is how many pods there are, each with a namespace of the runtime's, but for
// the last, whose namespace Bulkhead makes.
const pods = 3

// newWalk returns a node that the seed chooses, and what runtimes may claim there.
func newWalk(t *testing.T, seed uint64) *walk {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 2))
	profile := hnsemu.Profiles()[random.IntN(len(hnsemu.Profiles()))]
	n := newNode(t, profile.Name)
	maybe := func() bool { return random.IntN(2) == 0 }
	if err := n.host.SetUnknowns(hnsemu.Unknowns{
		IgnoreID: maybe(), TakenIDOpens: maybe(), ReAddFails: maybe(), GenericNotFound: maybe(), UpdateReplacesAll: maybe(), AttachedOnAdd: maybe(),
		ReferencesBlockDelete: maybe(), EndpointsSurviveReboot: maybe(), NamesIgnoreCase: maybe(),
	}); err != nil {
		t.Fatal(err)
	}
	w := &walk{world: newWorld(n), admin: emuclient.New(n.host, "admin")}
	w.drivers = [2]hns.Driver{hns.Drivers()[random.IntN(len(hns.Drivers()))], hns.NAT}
	if w.drivers[0] == hns.NAT {
		w.drivers[1] = hns.L2Bridge
	}
	for pod := range pods {
		w.claimPod(pod)
	}
	w.where = fmt.Sprintf("Windows %s, net1 is %s and net2 %s", profile.Name, w.drivers[0], w.drivers[1])
	return w
}

// claimPod makes what the containers of a pod may claim: a sandbox with two
// interfaces on one network and one on the other, a worker that shares what is
// eth0. One that names its sandbox has one place in the namespace, whatever the
// network, so it claims it once.
func (w *walk) claimPod(pod int) {
	sandbox, worker := fmt.Sprint("sandbox", pod), fmt.Sprint("worker", pod)
	netns, workers := podNamespace(pod), podNamespace(pod)
	if pod == pods-1 {
		netns, workers = "none", "container:"+sandbox
	}
	for i, d := range w.drivers {
		members := fmt.Sprintf(`"driver":%q,%s`, d, w.numbered(d, i+1))
		name := fmt.Sprint("net", i+1)
		w.claim(w.named(name, members, sandbox, netns))
		if i == 0 || workers == netns {
			w.claim(w.named(name, members, worker, workers))
		}
		if i == 0 {
			second := w.named(name, members, sandbox, netns)
			second.IfName = "eth1"
			w.claim(second)
		}
	}
}

// podNamespace is the namespace that a runtime makes for a pod.
func podNamespace(pod int) string { return fmt.Sprintf("5e7ec6f4-3d7c-4b6e-8d6e-00000000010%d", pod) }
