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
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/test/cluster/conformance"
	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// conformanceFlags are those of conformance.
type conformanceFlags struct {
	upFlags
	driver, peer, focus string
	procs               int
	most                time.Duration
	write, faults, fast bool
}

func (s *session) conformance() *cobra.Command {
	var f conformanceFlags
	c := &cobra.Command{
		Use: "conformance", Short: "Run Kubernetes' own network and Windows tests", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			focus, err := regexp.Compile(f.focus)
			if err != nil {
				return fmt.Errorf("--focus: %w", err)
			}
			b := s.builder(f.kubernetes)
			if f.peer != "" {
				if err := f.with(f.peer, b.Dir()); err != nil {
					return err
				}
			}
			if f.driver != "" {
				f.conf = filepath.Join(s.root, "plugins/bulkhead/conf", f.driver+".conflist")
			}
			if err := b.Conformance(); err != nil {
				return err
			}
			return s.withCluster(c.Context(), f.upFlags, func(ctx context.Context) error { return s.conform(ctx, f, focus) })
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.driver, "driver", "", "`name` of a conflist of plugins/bulkhead/conf, instead of --conf")
	c.Flags().StringVar(&f.focus, "focus", `\[sig-network\]|\[sig-windows\]`, "`expression` that the specs' names match")
	c.Flags().IntVar(&f.procs, "procs", 6, "`number` of specs that run at once")
	c.Flags().DurationVar(&f.most, "timeout", 40*time.Minute, "`time` after which what still runs has failed")
	c.Flags().BoolVar(&f.write, "write", false, "write test/cluster/CONFORMANCE.md from this run and those of other --names before")
	c.Flags().StringVar(&f.peer, "peer", "", "`name` of another plugin to run instead of Bulkhead: win-bridge or win-overlay")
	c.Flags().BoolVar(&f.faults, "faults", false, "restart containerd.exe and HNS of the last node in turn while specs run, and try a spec that fails once more")
	c.Flags().BoolVar(&f.fast, "fail-fast", false, "end after the first failure")
	c.MarkFlagsMutuallyExclusive("driver", "conf", "peer")
	return c
}

// conform runs the specs on the cluster, prints what became of each, and fails when one did
// not do as it must.
func (s *session) conform(ctx context.Context, f conformanceFlags, focus *regexp.Regexp) error {
	c, err := spec.Load(s.dir())
	if err != nil {
		return err
	}
	_, driver := c.Nodes[0].Network()
	kind := string(driver)
	if c.Nodes[0].DualStack() {
		kind += "-dual-stack"
	}
	exceptions, err := conformance.Exceptions(kind, f.peer, len(c.LinuxNodes) > 0)
	if err != nil {
		return err
	}
	network := kind
	if strings.Contains(c.Nodes[0].Conf, `"isolation": "hyperv"`) {
		network += "-hyperv"
	}
	if driver.HasVFP() { // else nobody reaches its service
		if err := startDNS(ctx, c); err != nil {
			return err
		}
	}
	if f.peer != "" {
		network = f.peer
		if err := hand(ctx, c, f.peer); err != nil {
			return err
		}
	}
	dir := s.conformanceDir()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "cluster: running Kubernetes' tests; all they print is in %s\n", filepath.Join(dir, "log"))
	begun, disturbed := time.Now(), func() error { return nil }
	if f.faults {
		network += " with faults"
		disturbed = disturb(ctx, c)
	}
	ran := s.ginkgo(ctx, c, f, conformance.Skip(exceptions), dir)
	if err := disturbed(); err != nil {
		return err
	}
	report, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		return errors.Join(fmt.Errorf("the tests left no report: %w", err), ran)
	}
	specs, err := conformance.Read(report, focus, exceptions)
	if err != nil {
		return errors.Join(err, ran)
	}
	text, err := json.Marshal(conformance.Run{Network: network, Focus: f.focus, Specs: specs})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "specs.json"), text, 0o644); err != nil {
		return err
	}
	if err := conformance.Print(os.Stdout, specs); err != nil {
		return err
	}
	if f.write {
		if err := s.writeConformance(); err != nil {
			return err
		}
	}
	passed, failed, skipped := conformance.Count(specs)
	fmt.Printf("%d passed, %d failed, %d skipped in %s\n", passed, failed, skipped, time.Since(begun).Round(time.Second))
	switch {
	case failed > 0:
		return fmt.Errorf("%d specs did not do as they must", failed)
	case passed == 0:
		return errors.Join(errors.New("no spec ran"), ran)
	case ran != nil && !slices.ContainsFunc(specs, func(s conformance.Spec) bool { return s.Ran && s.Reason != "" }):
		return fmt.Errorf("no spec failed, but ginkgo did: %w; see %s", ran, filepath.Join(dir, "log"))
	}
	return nil
}

const conformanceText = `# Kubernetes' own tests

` + "`scripts/cluster.sh conformance --write`" + ` wrote this file: Kubernetes' test program ran against clusters of emulated Windows
nodes, one for each column, with kubelet.exe, containerd.exe, kube-proxy.exe and bulkhead.exe, or another plugin where the
column has its name, and with real packets between containers that are Linux processes. With faults, containerd.exe and HNS
of one node are restarted in turn meanwhile, and a spec that fails is tried twice. No pass proves anything of Windows' kernel
or of what is in images. What is not run, or fails, has its reason in [exceptions.txt](conformance/exceptions.txt).

`

// writeConformance writes the tables of all runs that are kept, one a network.
func (s *session) writeConformance() error {
	files, err := filepath.Glob(filepath.Join(s.root, ".build/cluster/conformance/*/specs.json"))
	if err != nil {
		return err
	}
	var runs []conformance.Run
	seen := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var r conformance.Run
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if other, ok := seen[r.Network]; ok {
			return fmt.Errorf("%s and %s are both of %s; remove one", other, file, r.Network)
		}
		seen[r.Network] = file
		runs = append(runs, r)
	}
	var b strings.Builder
	b.WriteString(conformanceText)
	if err := conformance.Table(&b, runs); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.root, "test/cluster/CONFORMANCE.md"), []byte(b.String()), 0o644)
}

// ginkgo runs the specs from the network between the nodes. What they say is in the folder.
func (s *session) ginkgo(ctx context.Context, c spec.Cluster, f conformanceFlags, skip, dir string) error {
	const afterwards = 2 * time.Minute // in which ginkgo ends what still runs
	ctx, cancel := context.WithTimeout(ctx, f.most+afterwards)
	defer cancel()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	attempts := 1
	if f.faults {
		attempts = 2 // nobody can exec while containerd.exe is away; what stays broken fails again
	}
	cmd := exec.CommandContext(ctx, c.Program("ginkgo"), "run", fmt.Sprintf("--flake-attempts=%d", attempts), fmt.Sprintf("--procs=%d", f.procs), "--no-color", "--silence-skips", fmt.Sprintf("--fail-fast=%t", f.fast),
		"--timeout="+f.most.String(), "--json-report=report.json", "--output-dir="+dir, "--focus="+f.focus, "--skip="+skip, c.Program("e2e.test"), "--",
		"--provider=skeleton", "--kubeconfig="+c.In("control", "kubeconfig"), fmt.Sprintf("--host=https://%s:%d", spec.Outer.Addr(), spec.APIPort),
		"--kubectl-path="+c.Program("kubectl"), "--node-os-distro=windows", fmt.Sprintf("--num-nodes=%d", len(c.Nodes)),
		"--dump-logs-on-failure=false", "--report-dir="+dir)
	cmd.Dir = os.TempDir() // no module whose ginkgo it compares its own with
	cmd.Env = append(os.Environ(), "PATH="+c.Programs+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = afterwards
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one interrupt is enough: a second has it clean up nothing
	return machine.In(fmt.Sprintf("/proc/%d/ns/net", s.pid()), cmd.Run)
}
