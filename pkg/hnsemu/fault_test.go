// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func (c client) addFault(f Fault) {
	c.Helper()
	if err := c.AddFault(f); err != nil {
		c.Fatal(err)
	}
}

// names lists the names of the networks.
func (c client) names() string {
	c.Helper()
	state, err := c.State()
	if err != nil {
		c.Fatal(err)
	}
	var names []string
	for _, n := range state.Networks {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

func TestFaults(t *testing.T) {
	const create = "HcnCreateNetwork"
	for _, tc := range []struct {
		name   string
		faults []Fault
		// answers is what five creations of a to e, by clients A and B in turn,
		// are answered: "ok", "cut" or a code.
		answers, networks string
	}{
		{"none", nil, "ok ok ok ok ok", "a b c d e"},
		{"fail", []Fault{{Proc: create, Nth: 2, Kind: FaultFail, Code: 0x80004005}}, "ok 0x80004005 ok ok ok", "a c d e"},
		{"fail after", []Fault{{Proc: create, Nth: 2, Kind: FaultFail, Code: 0x80004005, After: true}}, "ok 0x80004005 ok ok ok", "a b c d e"},
		{"cut", []Fault{{Nth: 1, Kind: FaultCut}}, "cut ok ok ok ok", "b c d e"},
		{"cut after", []Fault{{Nth: 1, Kind: FaultCut, After: true}}, "cut ok ok ok ok", "a b c d e"},
		{"another function", []Fault{{Proc: "HcnDeleteNetwork", Nth: 1, Kind: FaultCut}}, "ok ok ok ok ok", "a b c d e"},
		{"one client", []Fault{{Client: "B", Nth: 2, Kind: FaultCut}}, "ok ok ok cut ok", "a b c e"},
		{"every", []Fault{{Proc: create, Nth: 3, Kind: FaultCut, Every: true}}, "ok ok cut cut cut", "a b"},
		{"two", []Fault{{Nth: 1, Kind: FaultCut}, {Nth: 3, Kind: FaultFail, Code: 0x80070426}}, "cut ok 0x80070426 ok ok", "b d e"},
		{"the first of two", []Fault{{Nth: 2, Kind: FaultCut}, {Nth: 2, Kind: FaultFail, Code: 0x80070426}}, "ok cut ok ok ok", "a c d e"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "2025")
			for _, f := range tc.faults {
				c.addFault(f)
			}
			var answers []string
			for i, name := range strings.Fields("a b c d e") {
				reply, err := c.Call(context.Background(), Call{
					Client: []string{"A", "B"}[i%2], Proc: create, Args: []string{"", `{"Name":"` + name + `"}`},
				})
				answers = append(answers, answerOf(reply, err))
			}
			if got := strings.Join(answers, " "); got != tc.answers {
				t.Errorf("answers %s, want %s", got, tc.answers)
			}
			if got := c.names(); got != tc.networks {
				t.Errorf("networks %s, want %s", got, tc.networks)
			}
		})
	}
}

func answerOf(reply Reply, err error) string {
	switch {
	case errors.Is(err, ErrCut):
		return "cut"
	case err != nil:
		return err.Error()
	case reply.Code != 0:
		return strings.Fields(reply.Code.String())[0]
	}
	return "ok"
}

func TestInvalidFaults(t *testing.T) {
	c := newClient(t, "2025")
	for _, f := range []Fault{
		{Nth: 0, Kind: FaultCut},
		{Nth: 1, Kind: "explode"},
		{Nth: 1, Kind: FaultFail},
		{Nth: 1, Kind: FaultFail, Code: 1},
		{Nth: 1, Kind: FaultCut, Late: true},
		{Nth: 1, Kind: FaultFail, Code: 0x80070426, Late: true},
		{Nth: 1, Kind: FaultHang, After: true, Late: true},
	} {
		if err := c.AddFault(f); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

func TestFaultRecord(t *testing.T) {
	c := newClient(t, "2025")
	c.addFault(Fault{Nth: 1, Kind: FaultFail, Code: 0x80070426})
	want := Reply{Code: 0x80070426, Record: `{"Success":false,"Error":"The service has not been started. ","ErrorCode":2147943462}`}
	if diff := cmp.Diff(want, c.call("HcnEnumerateNetworks", "")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	calls, _ := c.Calls()
	if got := calls[0].Fault; got != "fail before" {
		t.Errorf("fault in the log: %q", got)
	}
}

// TestHang: what ends a hanging call, and what the caller gets then.
func TestHang(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after bool
		end   func(c client, cancel context.CancelFunc)
		want  string
		made  string
	}{
		{"cleared", false, func(c client, _ context.CancelFunc) { _ = c.ClearFaults() }, "ok", "n"},
		{"cleared after", true, func(c client, _ context.CancelFunc) { _ = c.ClearFaults() }, "ok", "n"},
		{"given up", false, func(_ client, cancel context.CancelFunc) { cancel() }, "context canceled", ""},
		{"given up after", true, func(_ client, cancel context.CancelFunc) { cancel() }, "context canceled", "n"},
		{"client gone", false, func(c client, _ context.CancelFunc) { c.ForgetClient("test") }, "cut", ""},
		{"client gone after", true, func(c client, _ context.CancelFunc) { c.ForgetClient("test") }, "cut", "n"},
		{"service stopped", false, func(c client, _ context.CancelFunc) { _ = c.StopService() }, "cut", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "2025")
				c.addFault(Fault{Nth: 1, Kind: FaultHang, After: tc.after})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				answer := make(chan string)
				go func() {
					answer <- answerOf(c.Call(ctx, Call{Client: "test", Proc: "HcnCreateNetwork", Args: []string{"", `{"Name":"n"}`}}))
				}()
				synctest.Wait()
				calls, _ := c.Calls()
				if !calls[0].Pending || calls[0].Fault == "" {
					t.Errorf("the call does not hang: %+v", calls[0])
				}
				c.ForgetClient("another")
				c.must("HcnEnumerateNetworks", "")
				tc.end(c, cancel)
				if got := <-answer; got != tc.want {
					t.Errorf("answer %q, want %q", got, tc.want)
				}
				if got := c.names(); got != tc.made {
					t.Errorf("networks %q, want %q", got, tc.made)
				}
				if calls, _ = c.Calls(); calls[0].Pending {
					t.Error("the call is still noted as under way")
				}
			})
		})
	}
}

// TestLateFault: HNS carries a call out after its caller went away, when the
// faults are cleared and not before.
func TestLateFault(t *testing.T) {
	const made = "made"
	for _, tc := range []struct {
		name string
		end  func(c client, cancel context.CancelFunc)
		// answer is what the caller gets, then the networks before and after the
		// faults are cleared.
		answer, before, after string
	}{
		{"given up", func(_ client, cancel context.CancelFunc) { cancel() }, "context canceled", "", made},
		{"client gone", func(c client, _ context.CancelFunc) { c.ForgetClient("test") }, "cut", "", made},
		{"given up, then gone", func(c client, cancel context.CancelFunc) {
			cancel()
			synctest.Wait()
			c.ForgetClient("test")
		}, "context canceled", "", made},
		{"given up as the faults are cleared", func(c client, cancel context.CancelFunc) {
			cancel()
			_ = c.ClearFaults()
		}, "context canceled", made, made},
		{"waited for", func(c client, _ context.CancelFunc) { _ = c.ClearFaults() }, "ok", made, made},
		{"service ended", func(c client, cancel context.CancelFunc) {
			cancel()
			synctest.Wait()
			_ = c.RestartService()
		}, "context canceled", "", ""},
		{"cut by the end of the service", func(c client, _ context.CancelFunc) { _ = c.RestartService() }, "cut", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "2025")
				c.addFault(Fault{Nth: 1, Kind: FaultHang, Late: true})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				answer := make(chan string, 1)
				go func() {
					answer <- answerOf(c.Call(ctx, Call{Client: "test", Proc: "HcnCreateNetwork", Args: []string{"", `{"Name":"made"}`}}))
				}()
				synctest.Wait()
				tc.end(c, cancel)
				synctest.Wait()
				got := []string{<-answer, c.names(), ""}
				for range 2 {
					if err := c.ClearFaults(); err != nil {
						t.Fatal(err)
					}
				}
				got[2] = c.names()
				if diff := cmp.Diff([]string{tc.answer, tc.before, tc.after}, got); diff != "" {
					t.Errorf("answer, networks before and after (-want +got):\n%s", diff)
				}
				if calls, _ := c.Calls(); calls[0].Fault != "hang before, late" {
					t.Errorf("noted as %q", calls[0].Fault)
				}
			})
		})
	}
}

// TestLateFaultKeepsHandles: a late call is carried out through a handle of the
// process that is gone, and nothing is left of that process then.
func TestLateFaultKeepsHandles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "2025")
		n := c.open("Network", c.network("L2Bridge", "n"))
		c.addFault(Fault{Proc: "HcnCreateEndpoint", Nth: 1, Kind: FaultHang, Late: true})
		ctx, cancel := context.WithCancel(context.Background())
		cut := make(chan error, 1)
		go func() {
			_, err := c.Call(ctx, Call{Client: c.name, Proc: "HcnCreateEndpoint", Args: []string{n, "", v2(`"Name":"pod"`)}})
			cut <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-cut; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		c.ForgetClient(c.name)
		if got := c.OpenHandles(c.name); got != 0 {
			t.Errorf("%d handles outlive their process", got)
		}
		if got := c.call("HcnCloseNetwork", n).Code; got != hns.CodeInvalidHandle {
			t.Errorf("the handle of a process that is gone: %s", got)
		}
		if err := c.ClearFaults(); err != nil {
			t.Fatal(err)
		}
		if got := len(c.enumerate("Endpoints", "")); got != 1 {
			t.Errorf("%d endpoints, want the late one", got)
		}
		if got := c.OpenHandles(noClient); got != 0 {
			t.Errorf("%d handles outlive the late call", got)
		}
	})
}

func TestCallerGoneBefore(t *testing.T) {
	c := newClient(t, "2025")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Call(ctx, Call{Proc: "HcnCreateNetwork", Args: []string{"", `{"Name":"n"}`}})
	if !errors.Is(err, context.Canceled) || c.names() != "" {
		t.Errorf("%v, networks %q", err, c.names())
	}
	calls, _ := c.Calls()
	if calls[0].Err != "context canceled" {
		t.Errorf("noted as %+v", calls[0])
	}
}

// TestLatency: reads overlap, changes do when they may.
func TestLatency(t *testing.T) {
	for _, tc := range []struct {
		name      string
		serialise bool
		proc      string
		args      []string
		want      time.Duration
	}{
		{"reads", false, "HcnEnumerateNetworks", []string{""}, 10 * time.Millisecond},
		{"reads beside changes", true, "HcnEnumerateNetworks", []string{""}, 10 * time.Millisecond},
		{"changes", false, "HcnCreateNamespace", []string{"", "{}"}, 10 * time.Millisecond},
		{"changes one at a time", true, "HcnCreateNamespace", []string{"", "{}"}, 80 * time.Millisecond},
		{"v1 changes one at a time", true, "HNSCall", []string{"POST", "/namespaces", "{}"}, 80 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "2025")
				if err := c.SetLatency(10*time.Millisecond, tc.serialise); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				done := make(chan time.Duration)
				for range 8 {
					go func() {
						c.call(tc.proc, tc.args...)
						done <- time.Since(start)
					}()
				}
				var took []time.Duration
				for range 8 {
					took = append(took, <-done)
				}
				if got := slices.Max(took); got != tc.want {
					t.Errorf("took %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// TestLateCompletion: HNS carries a call out although its caller gave up.
func TestLateCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "2025")
		if err := c.SetLatency(time.Minute, true); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := c.Call(ctx, Call{Client: "test", Proc: "HcnCreateNetwork", Args: []string{"", `{"Name":"n"}`}})
		if !errors.Is(err, context.DeadlineExceeded) || c.names() != "" {
			t.Errorf("%v, networks %q", err, c.names())
		}
		time.Sleep(time.Hour)
		if got := c.names(); got != "n" {
			t.Errorf("networks in the end: %q", got)
		}
		if got := c.OpenHandles("test"); got != 0 {
			t.Errorf("%d handles that nobody received", got)
		}
	})
}

// TestCutByStop: a call that is under way when the service ends is cut off, and
// is not carried out by the service that starts after it.
func TestCutByStop(t *testing.T) {
	for name, event := range map[string]func(*Host) error{
		"stop": (*Host).StopService, "restart": (*Host).RestartService, "reboot": (*Host).Reboot,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "2025")
				if err := c.SetLatency(time.Minute, false); err != nil {
					t.Fatal(err)
				}
				answer := make(chan string)
				go func() {
					answer <- answerOf(c.Call(t.Context(), Call{Client: "test", Proc: "HcnCreateNetwork", Args: []string{"", `{"Name":"n"}`}}))
				}()
				time.Sleep(time.Second)
				if err := event(c.Host); err != nil {
					t.Fatal(err)
				}
				if got := <-answer; got != "cut" || c.names() != "" {
					t.Errorf("answer %q, networks %q", got, c.names())
				}
			})
		})
	}
}
