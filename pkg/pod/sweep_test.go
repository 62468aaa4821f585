// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// TestSweep: for every verb, every driver of sweepDrivers, every native call that the
// verb makes, every fault that the call can suffer and everything that a runtime can
// do next: the verb tells the truth, what it must leave alone is untouched, an
// endpoint keeps its address reserved, the next step works, and in the end nothing is
// left.
//
// What follows a verb depends on the state that it left behind and on nothing
// else. So where a verb ends in a state that it ended in before, the next steps
// are not carried out again.
func TestSweep(t *testing.T) {
	verbs := sweepVerbs()
	tallies := make([]tally, len(verbs))
	var mu sync.Mutex
	t.Run("verbs", func(t *testing.T) {
		for i, v := range verbs {
			for _, d := range sweepDrivers() {
				t.Run(v.name+" "+string(d), func(t *testing.T) {
					t.Parallel()
					s := sweep{sweepVerb: v, driver: d, seen: map[string]bool{}}
					s.run(t)
					mu.Lock()
					defer mu.Unlock()
					tallies[i].add(s.tally)
				})
			}
		}
	})
	var sum tally
	for i, v := range verbs {
		t.Logf("sweep: %-40s %s", v.name, tallies[i])
		sum.add(tallies[i])
	}
	t.Logf("sweep: %-40s %s, on %v", "in total", sum, sweepDrivers())
}

// sweepDrivers are all drivers but l2tunnel, which takes l2bridge's way through every
// verb. Under the race detector it is only the one with the most to do: there it takes
// five times as long, and one goroutine at a time works.
func sweepDrivers() []hns.Driver {
	if raceDetector() {
		return []hns.Driver{hns.Overlay}
	}
	return slices.DeleteFunc(hns.Drivers(), func(d hns.Driver) bool { return d == hns.L2Tunnel })
}

// raceDetector reports whether the tests were built with -race.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// tally counts what a sweep has covered.
type tally struct {
	// calls are native calls of the verb that were struck, cases those with every
	// fault and next step, ends the different states in which the verb ended.
	calls, cases, ends int
}

func (a *tally) add(b tally) {
	a.calls += b.calls
	a.cases += b.cases
	a.ends += b.ends
}

func (a tally) String() string {
	return fmt.Sprintf("%4d calls, %6d cases of (driver, call, fault, next step) that begin in %4d states", a.calls, a.cases, a.ends)
}

// sweep is that of one verb on one driver.
type sweep struct {
	sweepVerb
	driver hns.Driver
	// seen holds the states from which a next step was tried.
	seen map[string]bool
	// idle is a node that is as it was arranged, if there is one.
	idle *scene
	// dir is where host-local keeps its files, for one node at a time: making
	// directories would take longer than all the rest.
	dir string
	tally
}

func (s *sweep) run(t *testing.T) {
	for _, f := range sweepFaults() {
		t.Run(f.String(), func(t *testing.T) {
			// Inside, waiting for a call that hangs takes no time.
			synctest.Test(t, func(t *testing.T) {
				s.idle, s.dir = nil, t.TempDir()
				calls := 0
				for s.call(t, f, calls+1) {
					calls++
				}
				if calls < s.least {
					t.Errorf("%s made only %d native calls, want %d or more", s.name, calls, s.least)
				}
				s.calls = max(s.calls, calls)
			})
		})
	}
}

// call makes the nth native call of the verb suffer the fault, with every next
// step. It reports whether the verb made that many calls.
func (s *sweep) call(t *testing.T, f sweepFault, nth int) bool {
	t.Helper()
	var sc *scene
	var end string
	for _, next := range sweepNexts() {
		if sc == nil {
			var struck string
			if sc, struck, end = s.strike(t, f, nth); struck == "" {
				sc.report()
				return false
			}
		}
		s.cases++
		if key := end + next.name; !s.seen[key] {
			s.seen[key] = true
			s.ends++
			sc.when += ", then " + next.name
			s.follow(sc, f, next)
			sc.report()
			sc = nil
		}
	}
	if sc != nil {
		sc.report()
		s.keep(sc, f)
	}
	return true
}

// arranged returns a node on which the verb can be called.
func (s *sweep) arranged(t *testing.T) *scene {
	t.Helper()
	if sc := s.idle; sc != nil {
		s.idle = nil
		return sc
	}
	sc := newScene(newNodeIn(t, "2022", s.dir), s.driver)
	sc.forgetAddresses()
	s.arrange(sc)
	sc.remember()
	return sc
}

// keep takes a node back that no next step was taken on, if it is as it was
// arranged: making one takes longer than most verbs.
func (s *sweep) keep(sc *scene, f sweepFault) {
	if len(sc.problems) == 0 && !f.Late && sc.whole() == sc.before {
		sc.restore()
		s.idle = sc
	}
}

// strike carries out the verb with the fault. It returns the node, the native
// call that was struck, empty for none, and the state in which the verb ended.
func (s *sweep) strike(t *testing.T, f sweepFault, nth int) (sc *scene, struck, end string) {
	t.Helper()
	sc = s.arranged(t)
	f.Nth = nth
	if err := sc.host.AddFault(f.Fault); err != nil {
		t.Fatal(err)
	}
	// Each verb is a process of its own.
	sc.limit(callTime)
	if f.patient {
		sc.limit(time.Hour)
	}
	err := s.verb(sc)
	sc.limit(callTime)
	struck = sc.struck()
	sc.when = fmt.Sprintf("%s at call %d (%s): %v", f, nth, struck, err)
	sc.verify()
	if !f.afterNext {
		sc.catchUp()
		sc.verify()
	}
	whole := sc.whole()
	if s.changesNothing && whole != sc.before {
		sc.blame("the node was\n%s\nand is\n%s", sc.before, whole)
	}
	end = fmt.Sprint(err == nil, numberedIDs(whole), sc.standings())
	if f.afterNext {
		end += fmt.Sprint("late ", nth)
	}
	return sc, struck, end
}

var guids = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// numberedIDs names ids by the order in which they appear: those that Bulkhead
// chooses are random, and no two states would be the same.
func numberedIDs(state string) string {
	seen := map[string]string{}
	return guids.ReplaceAllStringFunc(state, func(id string) string {
		id = strings.ToLower(id)
		if seen[id] == "" {
			seen[id] = fmt.Sprint("id", len(seen)+1)
		}
		return seen[id]
	})
}

// follow carries out the next step and what belongs behind it.
func (s *sweep) follow(sc *scene, f sweepFault, next sweepNext) {
	next.run(s, sc)
	sc.verify()
	for _, c := range sc.claims {
		if c.standing == present {
			_ = sc.check(c)
		}
	}
	if f.afterNext {
		// DEL cannot have known of what comes now, but GC sees it.
		sc.catchUp()
		sc.verify()
		_ = sc.gc(sc.sandbox)
		sc.verify()
	}
	sc.end()
}

// TestLateEndpoint: HNS makes the endpoint after ADD has given up on it. Before
// DEL it finds its address reserved, and DEL takes both. After DEL nobody could
// know of it: it stands in nobody's way, and GC collects it.
func TestLateEndpoint(t *testing.T) {
	for _, d := range hns.Drivers() {
		for name, late := range map[string]func(sc *scene){
			"before DEL": func(sc *scene) {
				sc.comesLate()
				if len(sc.stray) > 0 {
					sc.blame("the late endpoint has an address that is not reserved")
				}
				_ = sc.del(sc.sandbox)
			},
			"after DEL, then GC": func(sc *scene) {
				_ = sc.del(sc.sandbox)
				sc.comesLate()
				_ = sc.gc(sc.sandbox)
			},
			"after DEL, then the same pod": func(sc *scene) {
				_ = sc.del(sc.sandbox)
				sc.comesLate()
				sc.have(sc.sandbox)
				if held := sc.addresses(); len(held) != 1 {
					sc.blame("the pod's endpoint has an address that is not reserved: %v", held)
				}
				_ = sc.del(sc.sandbox)
			},
			"after DEL, then another pod": func(sc *scene) {
				_ = sc.del(sc.sandbox)
				sc.comesLate()
				sc.forgetAddresses() // so that the other pod gets the same
				sc.have(sc.other)
				if got := sc.names(); len(got) != 1 || got[0] != "other_net1" {
					sc.blame("the other pod's endpoint is not the only one: %v", got)
				}
				_ = sc.del(sc.other)
				_ = sc.del(sc.sandbox)
			},
		} {
			t.Run(string(d)+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sc := newScene(newNode(t, "2022"), d)
					sc.when = name
					if err := sc.host.AddFault(hnsemu.Fault{Proc: "HcnCreateEndpoint", Nth: 1, Kind: hnsemu.FaultHang, Late: true}); err != nil {
						t.Fatal(err)
					}
					if err := sc.add(sc.sandbox); !errors.Is(err, hns.ErrBusy) {
						t.Errorf("got %v, want ErrBusy", err)
					}
					late(sc)
					sc.verify()
					sc.report()
					sc.nothingLeft("in the end")
				})
			})
		}
	}
}

// comesLate lets HNS make the endpoint that nobody waits for.
func (sc *scene) comesLate() {
	sc.Helper()
	sc.verify()
	if got := sc.names(); len(got) > 0 {
		sc.blame("endpoints before it came: %v", got)
	}
	sc.catchUp()
	sc.verify()
	if got := sc.names(); len(got) != 1 {
		sc.blame("endpoints after it came: %v, want one", got)
	}
}

// report fails the test for every problem.
func (sc *scene) report() {
	sc.Helper()
	for _, p := range sc.problems {
		sc.Errorf("%s: %s", sc.when, p)
	}
}
