// SPDX-License-Identifier: Apache-2.0

// Package conformance knows which of Kubernetes' own tests a cluster of emulated Windows
// nodes is to pass, and compares what they say with it.
package conformance

import (
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DNS is the manifest of a cluster's name server.
//
//go:embed dns.yaml
var DNS string

//go:embed peers/*.conflist
var peers embed.FS

// Peer returns the conflist of another plugin, win-bridge or win-overlay, for the first node.
func Peer(name string) (string, error) {
	text, err := peers.ReadFile("peers/" + name + ".conflist")
	return string(text), err
}

//go:embed exceptions.txt
var exceptions string

// Exception is why some specs are not run, or fail.
type Exception struct {
	Specs *regexp.Regexp
	// Fails says that they are run, and must fail.
	Fails bool
	// On are the networks, or the plugins in Bulkhead's place, for which it holds, empty for all.
	On []string
	// WithoutLinux says that it holds for clusters without a Linux node alone.
	WithoutLinux bool
	Reason       string
}

// Exceptions are those for a network by a plugin, which is empty for Bulkhead, in a cluster
// with or without a Linux node, in the order in which they count.
func Exceptions(network, plugin string, linux bool) ([]Exception, error) {
	all, err := parse(exceptions)
	return slices.DeleteFunc(all, func(e Exception) bool {
		elsewhere := len(e.On) > 0 && !slices.Contains(e.On, network) && !slices.Contains(e.On, plugin)
		return elsewhere || e.WithoutLinux && linux
	}), err
}

// parse reads lines of "skip REGEXP" or "fail REGEXP", perhaps with "on NETWORK, NETWORK: " or
// "without a Linux node: " before it, each followed by indented ones with the reason.
func parse(text string) ([]Exception, error) {
	var out []Exception
	for i, line := range strings.Split(text, "\n") {
		reason := strings.TrimSpace(line)
		switch {
		case reason == "" || strings.HasPrefix(line, "#"):
			continue
		case line != strings.TrimLeft(line, " ") && len(out) > 0:
			last := &out[len(out)-1]
			last.Reason = strings.TrimSpace(last.Reason + " " + reason)
			continue
		}
		var e Exception
		if on, rest, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(on, "on ") {
			e.On, line = strings.Split(strings.TrimPrefix(on, "on "), ", "), rest
		}
		if rest, ok := strings.CutPrefix(line, "without a Linux node: "); ok {
			e.WithoutLinux, line = true, rest
		}
		verb, specs, _ := strings.Cut(line, " ")
		of, err := regexp.Compile(specs)
		if err != nil || verb != "skip" && verb != "fail" || specs == "" {
			return nil, fmt.Errorf("exceptions.txt, line %d: want skip or fail and a regular expression: %w", i+1, err)
		}
		e.Specs, e.Fails = of, verb == "fail"
		out = append(out, e)
	}
	for _, e := range out {
		if e.Reason == "" {
			return nil, fmt.Errorf("exceptions.txt: %s has no reason", e.Specs)
		}
	}
	return out, nil
}

// Skip is the regular expression of what is not to be run.
func Skip(all []Exception) string {
	var out []string
	for _, e := range all {
		if !e.Fails {
			out = append(out, "(?:"+e.Specs.String()+")")
		}
	}
	return strings.Join(out, "|")
}

// Spec is how a spec ended.
type Spec struct {
	Name string
	Took time.Duration
	// Failed is empty for one that did as it must. Reason is why it was not run, or failed
	// as it must.
	Failed, Reason string
	Ran            bool
	// Again says that it failed before and was tried again.
	Again bool
}

// NotRun is how a spec failed that was to run.
const NotRun = "it was not run"

// Whole is the name under which a run fails as such, as one that was broken off.
const Whole = "the run as a whole"

// Read compares the report of a run of ginkgo, in its JSON, with the exceptions, for the
// specs in focus.
func Read(report []byte, focus *regexp.Regexp, all []Exception) ([]Spec, error) {
	var suites []struct {
		SuiteDescription           string
		SpecialSuiteFailureReasons []string
		SpecReports                []struct {
			ContainerHierarchyTexts           []string
			LeafNodeType, LeafNodeText, State string
			RunTime                           time.Duration
			NumAttempts                       int
			Failure                           struct{ Message string }
		}
	}
	if err := json.Unmarshal(report, &suites); err != nil {
		return nil, fmt.Errorf("the report of the tests: %w", err)
	}
	var out []Spec
	for _, suite := range suites {
		for _, reason := range suite.SpecialSuiteFailureReasons {
			out = append(out, Spec{Name: Whole, Failed: reason, Ran: true})
		}
		for _, r := range suite.SpecReports {
			s := Spec{Name: strings.Join(append(r.ContainerHierarchyTexts, r.LeafNodeText), " "), Took: r.RunTime}
			idle := r.State == "skipped" || r.State == "pending"
			if r.LeafNodeType != "It" {
				if r.State != "passed" && !idle { // what comes before or after all specs
					s.Name, s.Failed, s.Ran = r.LeafNodeType, r.State+": "+r.Failure.Message, true
					out = append(out, s)
				}
				continue
			}
			matched := suite.SuiteDescription + " " + s.Name // as ginkgo does it
			if !focus.MatchString(matched) {
				continue
			}
			var e Exception
			if i := slices.IndexFunc(all, func(e Exception) bool { return e.Specs.MatchString(matched) }); i >= 0 {
				e = all[i]
			}
			s.Ran, s.Again = !idle, r.NumAttempts > 1
			switch broken := r.State == "failed" || r.State == "panicked" || r.State == "timedout"; {
			case r.State == "passed" && e.Fails:
				s.Failed = "it passed, and exceptions.txt says that it fails: " + e.Reason
			case r.State == "passed":
			case broken && e.Fails, idle && !e.Fails && e.Reason != "":
				s.Reason = e.Reason
			case idle && r.Failure.Message != "":
				s.Reason = "it says: " + r.Failure.Message // it skipped itself
			case idle:
				s.Failed = NotRun
			default:
				s.Failed = r.State + ": " + r.Failure.Message
			}
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Count returns how many specs did as they must, did not, and were not run.
func Count(all []Spec) (passed, failed, skipped int) {
	for _, s := range all {
		switch {
		case s.Failed != "":
			failed++
		case s.Ran:
			passed++
		default:
			skipped++
		}
	}
	return passed, failed, skipped
}
