// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// lines makes a stream of go test -json of its events.
func lines(events ...string) string {
	return "{" + strings.Join(events, "}\n{") + "}\n"
}

const (
	start   = `"Action":"start","Package":"p"`
	runA    = `"Action":"run","Package":"p","Test":"TestA"`
	passA   = `"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.5`
	failA   = `"Action":"fail","Package":"p","Test":"TestA","Elapsed":0`
	runB    = `"Action":"run","Package":"p","Test":"TestB"`
	passed  = `"Action":"pass","Package":"p","Elapsed":0.006`
	failed  = `"Action":"fail","Package":"p","Elapsed":0.01`
	exited1 = "exit status 1"
)

func says(test, output string) string {
	return fmt.Sprintf(`"Action":"output","Package":"p","Test":%q,"Output":%q`, test, output)
}

// streams are streams as go test -json of Go 1.26 prints them, and what they
// count to.
var streams = []struct {
	name, stream, exit string
	want               string // passed, failed, skipped
	shows              []string
}{
	{name: "all is well",
		stream: lines(start, runA, passA, `"Action":"run","Package":"p","Test":"TestA/sub"`, `"Action":"pass","Package":"p","Test":"TestA/sub"`,
			runB, says("TestB", "    b_test.go:8: not here\n"), `"Action":"skip","Package":"p","Test":"TestB"`, passed),
		want: "2 0 1"},
	{name: "a test and its subtest fail",
		stream: lines(start, runA, `"Action":"run","Package":"p","Test":"TestA/sub"`, says("TestA/sub", "    a_test.go:8: wrong\n"),
			`"Action":"fail","Package":"p","Test":"TestA/sub"`, failA, runB, `"Action":"pass","Package":"p","Test":"TestB"`, failed),
		exit: exited1, want: "1 2 0", shows: []string{"--- FAIL: p TestA/sub\n        a_test.go:8: wrong\n"}},
	{name: "a test panics",
		stream: lines(start, runA, passA, runB, says("TestB", "--- FAIL: TestB (0.00s)\n"), says("TestB", "panic: oh [recovered]\n"),
			`"Action":"fail","Package":"p","Test":"TestB","Elapsed":0`, says("", "FAIL\tp\t0.011s\n"), failed),
		exit: exited1, want: "1 1 0", shows: []string{"--- FAIL: p TestB\n", "    panic: oh"}},
	{name: "a goroutine of a test panics",
		stream: lines(start, runA, passA, runB, says("TestB", "panic: elsewhere\n"), says("", "FAIL\tp\t0.011s\n"), failed),
		exit:   exited1, want: "1 1 0", shows: []string{"--- FAIL: package p\n    TestB did not end\n    panic: elsewhere\n    FAIL\tp\t0.011s\n"}},
	{name: "a goroutine panics after another test failed",
		stream: lines(start, runA, failA, runB, says("TestB", "panic: elsewhere\n"), failed),
		exit:   exited1, want: "0 2 0", shows: []string{"--- FAIL: p TestA\n", "TestB did not end\n"}},
	{name: "time-out",
		stream: lines(start, runA, says("TestA", "panic: test timed out after 3s\n"), says("", "FAIL\tp\t3.013s\n"), failed),
		exit:   exited1, want: "0 1 0", shows: []string{"TestA did not end\n    panic: test timed out after 3s\n"}},
	{name: "time-out of tests side by side",
		stream: lines(start, runA, `"Action":"pause","Package":"p","Test":"TestA"`, runB, `"Action":"pause","Package":"p","Test":"TestB"`,
			`"Action":"cont","Package":"p","Test":"TestA"`, says("TestA", "panic: test timed out after 3s\n"), failed),
		exit: exited1, want: "0 1 0", shows: []string{"TestA did not end\n", "TestB did not end\n"}},
	{name: "os.Exit(3) in a test",
		stream: lines(start, runA, passA, runB, says("", "FAIL\tp\t0.005s\n"), failed),
		exit:   exited1, want: "1 1 0", shows: []string{"TestB did not end\n"}},
	{name: "TestMain fails",
		stream: lines(start, runA, passA, says("", "PASS\n"), says("", "FAIL\tp\t0.005s\n"), failed),
		exit:   exited1, want: "1 1 0", shows: []string{"--- FAIL: package p\n"}},
	{name: "race",
		stream: lines(start, runA, says("TestA", "WARNING: DATA RACE\n"), says("TestA", "    testing.go:1712: race detected during execution of test\n"), failA, failed),
		exit:   exited1, want: "0 1 0", shows: []string{"--- FAIL: p TestA\n    WARNING: DATA RACE\n"}},
	{name: "race after the last test",
		stream: lines(start, runA, passA, says("", "PASS\n"), says("", "WARNING: DATA RACE\n"), says("", "exit status 66\n"), failed),
		exit:   exited1, want: "1 1 0", shows: []string{"--- FAIL: package p\n", "    WARNING: DATA RACE\n"}},
	{name: "build failure",
		stream: lines(`"ImportPath":"p [p.test]","Action":"build-output","Output":"p/x_test.go:7:31: undefined: x\n"`, `"ImportPath":"p [p.test]","Action":"build-fail"`,
			start, says("", "FAIL\tp [build failed]\n"), `"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"`),
		exit: exited1, want: "0 1 0", shows: []string{"--- FAIL: package p\n    p/x_test.go:7:31: undefined: x\n"}},
	{name: "build failure of what two packages import",
		stream: lines(`"ImportPath":"d","Action":"build-output","Output":"d/d.go:2:9: undefined: x\n"`, `"ImportPath":"d","Action":"build-fail"`,
			start, `"Action":"fail","Package":"p","FailedBuild":"d"`, `"Action":"start","Package":"q"`, `"Action":"fail","Package":"q","FailedBuild":"d"`),
		exit: exited1, want: "0 2 0", shows: []string{"--- FAIL: package p\n    d/d.go:2:9: undefined: x\n", "--- FAIL: package q\n"}},
	{name: "fuzzing finds a crash",
		stream: lines(start, runA, says("TestA", "    Failing input written to testdata/fuzz/FuzzX/d503c9c96aac93cf\n"), failA, says("", "exit status 1\n"), failed),
		exit:   exited1, want: "0 1 0", shows: []string{"    Failing input written to"}},
	{name: "no test files",
		stream: lines(start, runA, passA, passed, `"Action":"start","Package":"q"`,
			`"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"`, `"Action":"skip","Package":"q","Elapsed":0`),
		want: "1 0 0"},
	{name: "nothing to fuzz", stream: lines(start, says("", "testing: warning: no fuzz tests to fuzz\n"), passed),
		want: "0 1 0", shows: []string{"--- FAIL: no test ran\n"}},
	{name: "nothing", want: "0 1 0", shows: []string{"--- FAIL: no test ran\n"}},
	{name: "cut off between tests", stream: lines(start, runA, passA),
		exit: "signal: killed", want: "1 1 0", shows: []string{"--- FAIL: package p\n"}},
	{name: "cut off without an error", stream: lines(start, runA, passA), want: "1 1 0", shows: []string{"--- FAIL: package p\n"}},
	{name: "cut off in the middle of a line", stream: lines(start, runA, passA, runB) + `{"Action":"pass","Pack`,
		exit: "signal: killed", want: "1 1 0", shows: []string{"TestB did not end\n"}},
	{name: "go fails after all packages", stream: lines(start, runA, passA, passed),
		exit: exited1, want: "1 1 0", shows: []string{"--- FAIL: exit status 1\n    what stderr said\n"}},

	{name: "a tool is missing", exit: `exec: "wine": executable file not found in $PATH`, want: "0 1 0", shows: []string{"executable file not found"}},
	{name: "a script dies", stream: "installing\n", exit: exited1, want: "0 1 0", shows: []string{"--- FAIL: exit status 1\n    installing\n    what stderr said\n"}},
	{name: "lines of -v", stream: "=== RUN   TestA\n=== RUN   TestA/sub\n--- PASS: TestA (0.10s)\n    --- PASS: TestA/sub (0.01s)\n=== RUN   TestB\n--- SKIP: TestB (0.00s)\nPASS\n",
		want: "2 0 1"},
	{name: "lines of -v, a test fails", stream: "=== RUN   TestA\n    a_test.go:8: wrong\r\n--- FAIL: TestA (0.10s)\n=== RUN   TestB\n--- PASS: TestB (0.00s)\nFAIL\n",
		exit: exited1, want: "1 1 0", shows: []string{"--- FAIL: suite TestA\n        a_test.go:8: wrong\n    --- FAIL: TestA (0.10s)\n"}},
	{name: "lines of -v, a test crashes", stream: "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\npanic: oh\n",
		exit: exited1, want: "1 1 0", shows: []string{"--- FAIL: package suite\n    TestB did not end\n    panic: oh\n"}},
	{name: "lines of -v, tests that did not begin", stream: "=== RUN   TestA\n--- PASS: TestA (0.00s)\n--- FAIL: TestB\n",
		exit: exited1, want: "1 1 0", shows: []string{"--- FAIL: suite TestB\n"}},
}

func TestStreams(t *testing.T) {
	for _, tt := range streams {
		t.Run(tt.name, func(t *testing.T) {
			var out, log strings.Builder
			s := newStream("suite", &out, &log)
			if err := s.read(strings.NewReader(tt.stream)); err != nil {
				t.Fatal(err)
			}
			var err error
			if tt.exit != "" {
				err = errors.New(tt.exit)
			}
			s.finish(err, "what stderr said\n")
			if got := fmt.Sprint(s.passed, s.failed, s.skipped); got != tt.want {
				t.Errorf("passed, failed, skipped: got %s, want %s", got, tt.want)
			}
			for _, text := range tt.shows {
				if !strings.Contains(out.String(), text) {
					t.Errorf("it does not show %q but\n%s", text, &out)
				}
			}
			if s.failed == 0 && out.Len() > 0 {
				t.Errorf("nothing failed, and it shows\n%s", &out)
			}
		})
	}
}

func TestSeedAndSlowest(t *testing.T) {
	var log, slow strings.Builder
	s := newStream("suite", io.Discard, &log)
	stream := lines(start, says("", "-test.shuffle 1795893001\n"), runA, `"Action":"pass","Package":"p","Test":"TestA","Elapsed":12.5`,
		runB, `"Action":"pass","Package":"p","Test":"TestB","Elapsed":0.9`, `"Action":"pass","Package":"p","Elapsed":13.4`)
	if err := s.read(strings.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	s.slowest(&slow)
	if want := "      13.4 s  p\n      12.5 s  p TestA\n"; slow.String() != want {
		t.Errorf("slowest: got\n%swant\n%s", &slow, want)
	}
	if s.seed != "1795893001" {
		t.Errorf("got seed %q", s.seed)
	}
	if want := "=== PACKAGE p\n-test.shuffle 1795893001\n"; log.String() != want {
		t.Errorf("log: got %q, want %q", &log, want)
	}
}
