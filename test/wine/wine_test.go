// SPDX-License-Identifier: Apache-2.0

package wine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

func start(t testing.TB) (env *wine.Env, probe string) {
	t.Helper()
	env = wine.Start(t, "2022")
	return env, env.Build(t, "./test/wine/testdata/probe")
}

func TestProgramOfItsOwn(t *testing.T) {
	env, probe := start(t)
	for _, tt := range []struct {
		name string
		cmd  wine.Cmd
		want wine.Result
	}{
		{"silent", wine.Cmd{}, wine.Result{}},
		{"exit code", wine.Cmd{Args: []string{"exit", "42"}}, wine.Result{Code: 42}},
		{"arguments, environment, stdin",
			wine.Cmd{Args: []string{"echo", `a "b" c`, "größe"}, Env: []string{"PROBE=é\\x"}, Stdin: "in\r\n"},
			wine.Result{Stdout: `[["a \"b\" c","größe"],"é\\x","in\r\n"]` + "\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cmd.Path = probe
			got := env.Run(t, tt.cmd)
			got.Elapsed, got.PeakBytes = 0, 0
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPods: twenty processes at once, each with the whole life of a pod, leave
// the network behind and nothing else.
func TestPods(t *testing.T) {
	env, probe := start(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	addresses := map[string]bool{}
	for i := range 20 {
		wg.Go(func() {
			got, err := env.Exec(t.Context(), wine.Cmd{Path: probe, Args: []string{"pod", fmt.Sprint("pod", i)}})
			if err != nil || got.Code != 0 || got.Stderr != "" {
				t.Errorf("pod %d: %+v, %v", i, got, err)
			}
			mu.Lock()
			defer mu.Unlock()
			addresses[got.Stdout] = true
		})
	}
	wg.Wait()
	if len(addresses) == 0 {
		t.Error("no pod has an address")
	}
	state, err := env.Host.State()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(state.Networks); n != 1 || len(state.Endpoints) != 0 || len(state.Namespaces) != 0 {
		t.Errorf("left behind: %+v", state)
	}
	calls, err := env.Host.Calls()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		waitFor(t, "the handles of "+c.Client, func() bool { return env.Host.OpenHandles(c.Client) == 0 })
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name string
		arm  func(*hnsemu.Host) error
		want string
	}{
		{"cut", func(h *hnsemu.Host) error {
			return h.AddFault(hnsemu.Fault{Proc: "HcnEnumerateNetworks", Nth: 2, Kind: hnsemu.FaultCut})
		}, "(0x6be)"},
		{"fail", func(h *hnsemu.Host) error {
			return h.AddFault(hnsemu.Fault{Proc: "HcnEnumerateNetworks", Nth: 2, Kind: hnsemu.FaultFail, Code: 0x803b0021})
		}, `(0x803b0021) {"Success":false,`},
		{"stopped", (*hnsemu.Host).StopService, "(0x426)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, probe := start(t)
			if err := tt.arm(env.Host); err != nil {
				t.Fatal(err)
			}
			got := env.Run(t, wine.Cmd{Path: probe, Args: []string{"list", "3"}})
			if got.Code != 1 || !strings.Contains(got.Stdout, tt.want) {
				t.Errorf("got %+v, want exit code 1 and %s", got, tt.want)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	env, probe := start(t)
	for name, addr := range map[string]string{"closed port": "127.0.0.1:1", "no address": "", "not an address": "hns:x"} {
		t.Run(name, func(t *testing.T) {
			got := env.Run(t, wine.Cmd{Path: probe, Args: []string{"list", "1"}, Env: []string{"HNSEMU_ADDR=" + addr}})
			if got.Code != 1 || !strings.Contains(got.Stdout, "(0x6ba)") {
				t.Errorf("got %+v, want exit code 1 and 0x6ba", got)
			}
		})
	}
}

func TestHangIsKilled(t *testing.T) {
	t.Parallel()
	env, probe := start(t)
	if err := env.Host.AddFault(hnsemu.Fault{Nth: 2, Kind: hnsemu.FaultHang}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan wine.Result, 1)
	go func() {
		got, err := env.Exec(t.Context(), wine.Cmd{Path: probe, Args: []string{"list", "3"}, Timeout: patience})
		if err != nil {
			t.Error(err)
		}
		ended <- got
	}()
	second := func(pending bool) func() bool {
		return func() bool {
			calls, err := env.Host.Calls()
			return err == nil && len(calls) == 2 && calls[1].Pending == pending
		}
	}
	waitFor(t, "the call that hangs", second(true))
	if got := <-ended; !got.Killed || got.Code != -1 {
		t.Errorf("got %+v, want it killed", got)
	}
	waitFor(t, "the call to be given up", second(false))
}

// TestChildrenAreKilled: the child holds the parent's stdout, so that Exec
// returns soon only if both die.
func TestChildrenAreKilled(t *testing.T) {
	t.Parallel()
	env, probe := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := env.Exec(ctx, wine.Cmd{Path: probe, Args: []string{"parent"}})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Killed || got.Stdout != "asleep\n" || got.Elapsed > patience+9*time.Second {
		t.Errorf("got %+v, want it killed with its child", got)
	}
}

// TestThreads: calls of one process do not wait for each other.
func TestThreads(t *testing.T) {
	t.Parallel()
	env, probe := start(t)
	const calls = 30
	const each = time.Second
	if err := env.Host.SetLatency(each, false); err != nil {
		t.Fatal(err)
	}
	got := env.Run(t, wine.Cmd{Path: probe, Args: []string{"threads", fmt.Sprint(calls)}})
	if got.Code != 0 || got.Elapsed > calls*each/2 {
		t.Errorf("%d calls of %s took %s: %+v", calls, each, got.Elapsed, got)
	}
}

func TestLongStrings(t *testing.T) {
	env, probe := start(t)
	got := env.Run(t, wine.Cmd{Path: probe, Args: []string{"long", "1000000"}})
	if got.Code != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRunOfNothing(t *testing.T) {
	env, _ := start(t)
	if got := env.Run(t, wine.Cmd{Path: "no-such.exe"}); got.Code == 0 {
		t.Errorf("got %+v, want a failure", got)
	}
}

// patience is how long a program may take to come to where it hangs: on a busy
// machine the start of two takes seconds.
const patience = 5 * time.Second

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > wine.DefaultTimeout {
			t.Fatalf("waited %s for %s", wine.DefaultTimeout, what)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	env, probe := start(b)
	for b.Loop() {
		if got := env.Run(b, wine.Cmd{Path: probe}); got.Code != 0 {
			b.Fatalf("%+v", got)
		}
	}
}

// BenchmarkCall measures native calls from within one Windows process.
func BenchmarkCall(b *testing.B) {
	env, probe := start(b)
	var got wine.Result
	for b.Loop() {
		got = env.Run(b, wine.Cmd{Path: probe, Args: []string{"list", "1000"}})
	}
	mean, err := time.ParseDuration(strings.TrimSpace(got.Stdout))
	if err != nil {
		b.Fatalf("%+v", got)
	}
	b.ReportMetric(float64(mean.Nanoseconds()), "ns/call")
}
