// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/test/cluster/conformance"
	"github.com/bulkhead-cni/bulkhead/test/cluster/mutation"
	"github.com/bulkhead-cni/bulkhead/test/cluster/table"
)

// What is tried with each mutation: little enough for a minute when nothing is broken.
const (
	mutantSpecs     = `DNS.should.provide.DNS.for.services|Granular.Checks:.Pods.*intra-pod.*http|Granular.Checks:.Services.*(pod-Service|endpoint-Service):.(http|udp)$|NoSNAT|serve.a.basic.endpoint|NodePort.*for.Windows|from.the.same.node|proxy.through.a.service.and.a.pod`
	mutantScenarios = `^(TestTraffic|TestRulesOnPackets|TestRequests|TestSeenOutside|TestDeploymentOverNodes)$`
	mutantTime      = "4m"
	mutantPatience  = "BULKHEAD_PATIENCE=1m" // for a scenario's steps, which never end with some faults
)

func (s *session) mutants() *cobra.Command {
	var write bool
	c := &cobra.Command{
		Use: "mutants [NAME]", Short: "Break Bulkhead in ways whose names match, and see whether tests notice", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			which, err := regexp.Compile(strings.Join(args, "")) // without NAME all match
			if err != nil {
				return fmt.Errorf("NAME: %w", err)
			}
			if !slices.ContainsFunc(mutation.All, func(m mutation.Mutation) bool { return which.MatchString(m.Name) }) {
				return fmt.Errorf("NAME: no mutation's name matches %q; test/cluster/mutation/mutation.go has them", which)
			}
			return s.tryMutants(c.Context(), which, write)
		},
	}
	c.Flags().BoolVar(&write, "write", false, "write test/cluster/MUTATIONS.md from these and those tried before")
	return c
}

const mutantsText = `# Do the tests bite?

` + "`scripts/cluster.sh mutants --write`" + ` wrote this file: each fault was built into Bulkhead, or into the data plane that carries
out what it asks for, and some of Kubernetes' specs, until the first failed, and of the scenarios ran on a cluster with it.
Without a fault all of them pass. A fault that nobody notices is an error.

`

func (s *session) tryMutants(ctx context.Context, which *regexp.Regexp, write bool) error {
	if err := s.builder("").Conformance(); err != nil {
		return err
	}
	var tried int
	var unnoticed []string
	for _, m := range append([]mutation.Mutation{mutation.Control}, mutation.All...) {
		control := m.Name == mutation.Control.Name
		if !control && !which.MatchString(m.Name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "cluster: %s\n", m.Name)
		r, err := s.tryMutant(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if control && r.Noticed() {
			return fmt.Errorf("the tests fail without a fault: %v, %v", r.Specs, r.Scenarios)
		}
		if control {
			continue
		}
		if !r.Noticed() {
			unnoticed = append(unnoticed, m.Name)
		}
		tried++
		if err := errors.Join(r.Save(s.mutantsDir()), mutation.Table(os.Stdout, []mutation.Result{r})); err != nil {
			return err
		}
	}
	if write {
		if err := s.writeMutations(); err != nil {
			return err
		}
	}
	fmt.Printf("%d passed, %d failed, 0 skipped\n", tried-len(unnoticed), len(unnoticed))
	if len(unnoticed) > 0 {
		return fmt.Errorf("nobody noticed: %s", strings.Join(unnoticed, "; "))
	}
	return nil
}

// mutantsDir is where the results of mutations are kept.
func (s *session) mutantsDir() string { return filepath.Join(s.root, ".build", "cluster", "mutants") }

// writeMutations writes the table of all mutations, each of which was tried at some time.
func (s *session) writeMutations() error {
	results, err := mutation.Saved(s.mutantsDir())
	if err != nil {
		return err
	}
	b := strings.Builder{}
	b.WriteString(mutantsText)
	if err := mutation.Table(&b, results); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.root, "test/cluster/MUTATIONS.md"), []byte(b.String()), 0o644)
}

// tryMutant builds a mutation, and runs the specs and the scenarios on a cluster with it.
func (s *session) tryMutant(ctx context.Context, m mutation.Mutation) (r mutation.Result, err error) {
	r.Mutation = m
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	list, err := m.Overlay(s.root, dir)
	if err != nil {
		return r, err
	}
	exe, cluster := filepath.Join(s.builder("").Dir(), "bulkhead.exe"), "/proc/self/exe"
	build := exec.CommandContext(ctx, "go", "build", "-overlay", list)
	if m.Plane {
		cluster = filepath.Join(dir, "cluster")
		build.Dir, build.Args = filepath.Join(s.root, "test/cluster"), append(build.Args, "-o", cluster, ".")
	} else {
		exe = filepath.Join(dir, "bulkhead.exe")
		build.Dir, build.Args = s.root, append(build.Args, "-trimpath", "-o", exe, "./plugins/bulkhead")
		build.Env = append(os.Environ(), "GOOS=windows", "CGO_ENABLED=0")
	}
	if out, err := build.CombinedOutput(); err != nil {
		return r, fmt.Errorf("build it: %w: %s", err, out)
	}
	mutant := session{root: s.root, name: s.name + "-mutant"}
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, cluster, append([]string{"--root", s.root, "--name", mutant.name}, args...)...)
		cmd.Env = append(os.Environ(), mutantPatience)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out[max(0, len(out)-1000):])
		}
		return err
	}
	if err := os.RemoveAll(mutant.conformanceDir()); err != nil {
		return r, err
	}
	if err := run("up", "--plugin", exe); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, run("down")) }()
	if run("test", mutantScenarios) != nil {
		if r.Scenarios, err = mutant.failedScenarios(); err != nil {
			return r, err
		}
	}
	if failed := run("conformance", "--focus", mutantSpecs, "--timeout", mutantTime, "--fail-fast"); failed != nil {
		r.Specs, err = mutant.failedSpecs(failed)
	}
	return r, err
}

// failedScenarios returns the scenarios that failed in the last run.
func (s *session) failedScenarios() ([]string, error) {
	c, err := table.Read(scenarios, filepath.Join(s.root, ".build", "cluster", "test-logs", s.name, scenarios+".log"))
	var out []string
	for _, t := range c.Tests {
		if t.Result == "FAIL" && !strings.Contains(t.Name, "/") {
			out = append(out, t.Name)
		}
	}
	return out, err
}

// failedSpecs returns the specs that failed in the last run, which may have failed before any
// could.
func (s *session) failedSpecs(run error) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(s.conformanceDir(), "specs.json"))
	if errors.Is(err, os.ErrNotExist) && strings.Contains(run.Error(), "name server") {
		return []string{"none runs: the cluster's name server does not start"}, nil
	}
	if err != nil {
		return nil, errors.Join(err, run)
	}
	var r conformance.Run
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	var out []string
	for _, of := range r.Specs {
		if of.Failed != "" && of.Name != conformance.Whole && of.Failed != conformance.NotRun && !strings.HasPrefix(of.Failed, "interrupted") {
			out = append(out, of.Name)
		}
	}
	return out, nil
}

// conformanceDir is where the last run of Kubernetes' tests left what it said.
func (s *session) conformanceDir() string {
	return filepath.Join(s.root, ".build", "cluster", "conformance", s.name)
}
