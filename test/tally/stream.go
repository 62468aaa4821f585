// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// module is cut off the names of packages.
const module = "github.com/bulkhead-cni/bulkhead/"

// shown is how many lines of what a failure printed are shown.
const shown = 100

// event is a line of go test -json: see go doc cmd/test2json and
// go help buildjson.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	FailedBuild string
	Elapsed     float64
}

// stream counts the tests of a stream of events.
type stream struct {
	part string
	out  io.Writer // gets what fails, as it happens
	log  io.Writer // gets everything

	passed, failed, skipped int
	seed                    string // of the tests' order, empty when not shuffled

	packages map[string]*pkg
	builds   map[string]*strings.Builder // what the compiler said
	logged   string                      // the package that the log's last line is of
	plain    string                      // the test that runs in a stream without events
	took     []timing
}

// pkg is a package whose tests run. What a command prints that prints no events
// is of the package "".
type pkg struct {
	running map[string]*strings.Builder // what each test printed
	output  strings.Builder             // what no test printed
	failed  bool
	ended   bool
}

// timing is how long a package took, or a test when it has a name.
type timing struct {
	pkg, test string
	seconds   float64
}

func newStream(part string, out, log io.Writer) *stream {
	return &stream{part: part, out: out, log: log, packages: map[string]*pkg{}, builds: map[string]*strings.Builder{}}
}

// read counts the events of r up to its end.
func (s *stream) read(r io.Reader) error {
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
				s.count(e)
			} else {
				s.countPlain(line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

var (
	runLine  = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\S+)`)
	endLine  = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+)(?: \(([0-9.]+)s\))?`)
	seedLine = regexp.MustCompile(`^-test\.shuffle (\d+)\n$`)
)

// countPlain counts a line of go test -v.
func (s *stream) countPlain(line string) {
	if m := runLine.FindStringSubmatch(line); m != nil {
		s.plain = m[1]
		s.count(event{Action: "run", Test: s.plain})
	}
	m := endLine.FindStringSubmatch(line)
	if m == nil {
		s.count(event{Action: "output", Test: s.plain, Output: line})
		return
	}
	s.count(event{Action: "output", Test: m[2], Output: line})
	seconds, _ := strconv.ParseFloat(m[3], 64) // 0 when it does not say
	s.count(event{Action: strings.ToLower(m[1]), Test: m[2], Elapsed: seconds})
	s.plain = ""
}

func (s *stream) count(e event) {
	if e.Action == "build-output" {
		b := s.builds[e.ImportPath]
		if b == nil {
			b = new(strings.Builder)
			s.builds[e.ImportPath] = b
		}
		b.WriteString(e.Output)
		s.write(e.ImportPath, e.Output)
	}
	if strings.HasPrefix(e.Action, "build-") {
		return
	}
	p := s.packages[e.Package]
	if p == nil {
		p = &pkg{running: map[string]*strings.Builder{}}
		s.packages[e.Package] = p
	}
	switch {
	case e.Action == "output":
		s.write(e.Package, e.Output)
		if m := seedLine.FindStringSubmatch(e.Output); m != nil {
			s.seed = m[1]
		}
		to := cmp.Or(p.running[e.Test], &p.output)
		to.WriteString(e.Output)
	case e.Test != "":
		s.countTest(p, e)
	case slices.Contains([]string{"pass", "fail", "skip"}, e.Action):
		p.ended = true
		s.took = append(s.took, timing{pkg: e.Package, seconds: e.Elapsed})
		if e.Action == "fail" && (!p.failed || len(p.running) > 0) {
			s.failPackage(e.Package, p, e.FailedBuild)
		}
	}
}

func (s *stream) countTest(p *pkg, e event) {
	output := p.running[e.Test]
	switch e.Action {
	case "run":
		if output == nil {
			p.running[e.Test] = new(strings.Builder)
		}
		return
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
	case "fail":
		s.failed++
		p.failed = true
		s.show(s.short(e.Package)+" "+e.Test, cmp.Or(output, new(strings.Builder)).String())
	default: // pause, cont, bench
		return
	}
	delete(p.running, e.Test)
	if !strings.Contains(e.Test, "/") {
		s.took = append(s.took, timing{e.Package, e.Test, e.Elapsed})
	}
}

// failPackage counts a package that failed by itself, and shows what it and the
// tests that did not end printed last.
func (s *stream) failPackage(name string, p *pkg, build string) {
	s.failed++
	p.failed = true
	var text strings.Builder
	if b := s.builds[build]; b != nil {
		text.WriteString(b.String())
		b.Reset() // once is enough
	}
	for _, test := range slices.Sorted(maps.Keys(p.running)) {
		fmt.Fprintf(&text, "%s did not end\n%s", test, p.running[test])
	}
	text.WriteString(p.output.String())
	s.show("package "+s.short(name), text.String())
}

// finish counts what did not end before the stream did, and a command that
// failed, or ran no test, without saying so.
func (s *stream) finish(err error, stderr string) {
	for _, name := range slices.Sorted(maps.Keys(s.packages)) {
		p := s.packages[name]
		if !p.ended && (name != "" || len(p.running) > 0) {
			s.failPackage(name, p, "")
		}
	}
	text := stderr
	if p := s.packages[""]; p != nil {
		text = p.output.String() + stderr
	}
	switch {
	case s.failed > 0:
	case err != nil:
		s.failed++
		s.show(err.Error(), text)
	case s.passed+s.skipped == 0:
		s.failed++
		s.show("no test ran", text)
	}
}

// show prints the first lines of what a failure printed.
func (s *stream) show(what, text string) {
	fmt.Fprintf(s.out, "--- FAIL: %s\n", what)
	n := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "=== ") {
			continue
		}
		if n++; n > shown {
			fmt.Fprintln(s.out, "    ... more in the log")
			return
		}
		fmt.Fprintf(s.out, "    %s\n", strings.TrimRight(line, "\r\n"))
	}
}

// write adds to the log, whose lines are of packages that run side by side.
func (s *stream) write(name, output string) {
	if name != s.logged {
		s.logged = name
		output = "=== PACKAGE " + name + "\n" + output
	}
	_, _ = io.WriteString(s.log, output) // a full disk shall not hide the counts
}

// slowest prints the packages and the tests that took longest, and a second or
// more.
func (s *stream) slowest(out io.Writer) {
	slices.SortStableFunc(s.took, func(a, b timing) int { return cmp.Compare(b.seconds, a.seconds) })
	var packages, tests []string
	for _, t := range s.took {
		text := strings.TrimSpace(fmt.Sprintf("%s %s", s.short(t.pkg), t.test))
		text = fmt.Sprintf("    %6.1f s  %s\n", t.seconds, text)
		switch {
		case t.seconds < 1:
		case t.test == "" && len(packages) < 5:
			packages = append(packages, text)
		case t.test != "" && len(tests) < 5:
			tests = append(tests, text)
		}
	}
	fmt.Fprint(out, strings.Join(slices.Concat(packages, tests), ""))
}

// short returns the name that a package is shown by.
func (s *stream) short(name string) string {
	return cmp.Or(strings.TrimPrefix(name, module), s.part)
}
