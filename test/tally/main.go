// SPDX-License-Identifier: Apache-2.0

// Command tally counts how the tests of scripts/test.sh ended.
//
//	tally run DIR PART COMMAND [ARG...]
//	tally sum DIR STATUS
//
// Run runs one part of the suite. It reads from the command's standard output
// the events of go test -json or the lines of go test -v, shows what fails, and
// keeps everything in DIR/PART.log and the counts in DIR/PART.json. What fails
// without a failed test counts as one failure: a package that panics, runs into
// its time-out or does not build, a command that fails, a part without any
// test. Run itself fails only when it could not keep the counts.
//
// Sum adds up all parts that ran; its last line has the counts. STATUS is the
// exit status of the script that ran them: a script that broke off counts as
// one failure, too. Sum exits with 1 when anything failed.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// result is how a part of the suite ended.
type result struct {
	Part                    string
	Start                   time.Time
	Took                    time.Duration
	Passed, Failed, Skipped int
}

func main() {
	failed, err := tally(os.Stdout, os.Args[1:])
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

func tally(out io.Writer, args []string) (failed bool, err error) {
	switch {
	case len(args) >= 4 && args[0] == "run":
		return false, run(out, args[1], args[2], args[3:])
	case len(args) == 3 && args[0] == "sum":
		return sum(out, args[1], args[2])
	default:
		return false, errors.New("usage: tally run DIR PART COMMAND [ARG...] | tally sum DIR STATUS")
	}
}

// run runs a part and keeps its result. Until the part has ended its result is
// a failure, so that it counts as one when we are killed.
func run(out io.Writer, dir, part string, command []string) error {
	file, err := os.OpenFile(filepath.Join(dir, part+".json"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	log, err := os.OpenFile(filepath.Join(dir, part+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	r := result{Part: part, Start: time.Now(), Failed: 1}
	if err := json.NewEncoder(file).Encode(r); err != nil {
		return err
	}

	fmt.Fprintf(out, "test: %s\n", part)
	s := newStream(part, out, log)
	stderr, err := s.readCommand(command)
	s.finish(err, stderr)
	r.Took = time.Since(r.Start)
	r.Passed, r.Failed, r.Skipped = s.passed, s.failed, s.skipped

	fmt.Fprintf(out, "test: %s took %s: %d passed, %d failed, %d skipped", part, r.Took.Round(time.Second), r.Passed, r.Failed, r.Skipped)
	if s.seed != "" {
		fmt.Fprintf(out, "; order of -shuffle=%s", s.seed)
	}
	fmt.Fprintln(out)
	s.slowest(out)
	if r.Failed > 0 {
		fmt.Fprintf(out, "test: %s FAILED; everything it printed is in %s\n", part, log.Name())
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(append(data, '\n'), 0)
	return err
}

// readCommand reads the standard output of a command to its end and returns its
// standard error, which is in the log, too.
func (s *stream) readCommand(command []string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = io.MultiWriter(&stderr, s.log)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	err = s.read(stdout)
	return stderr.String(), errors.Join(err, cmd.Wait())
}

// sum prints the parts and, as the last line, all of them together.
func sum(out io.Writer, dir, status string) (failed bool, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return false, err
	}
	var parts []result
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return false, err
		}
		var r result
		if err := json.Unmarshal(data, &r); err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		parts = append(parts, r)
	}
	slices.SortFunc(parts, func(a, b result) int { return a.Start.Compare(b.Start) })
	if status != "0" {
		fmt.Fprintf(out, "test: the script broke off with status %s\n", status)
		parts = append(parts, result{Part: "script", Failed: 1})
	}

	var all result
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "passed\tfailed\tskipped\ttime\t  part\n")
	for _, r := range parts {
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t  %s\n", r.Passed, r.Failed, r.Skipped, r.Took.Round(time.Second), r.Part)
		all.Passed += r.Passed
		all.Failed += r.Failed
		all.Skipped += r.Skipped
	}
	if err := w.Flush(); err != nil {
		return false, err
	}
	// A suite in which nothing ran has not passed.
	all.Failed = cmp.Or(all.Failed, 1-min(1, all.Passed+all.Skipped))
	fmt.Fprintf(out, "tests: %d passed, %d failed, %d skipped\n", all.Passed, all.Failed, all.Skipped)
	return all.Failed > 0, nil
}
