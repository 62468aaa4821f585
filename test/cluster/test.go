// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/test/cluster/table"
)

func (s *session) test() *cobra.Command {
	var f upFlags
	var drivers, write bool
	c := &cobra.Command{
		Use: "test [NAME]", Short: "Run the scenarios, or those whose name matches", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if write && (len(args) > 0 || f.conf != "" || f.isolation != "" || s.pid() != 0) {
				return errors.New("--write is for all scenarios on a cluster of its own: no NAME, --conf or --isolation, and no cluster that is up")
			}
			if write {
				f.linuxNodes = max(1, f.linuxNodes) // a scenario wants one
			}
			log, err := s.testLog()
			if err != nil {
				return err
			}
			status := "0"
			if err := s.runTests(c.Context(), f, log, args, drivers || write, write); err != nil {
				fmt.Fprintln(os.Stderr, "cluster:", err)
				status = "1"
			}
			if err := telling(s.command(context.WithoutCancel(c.Context()), s.tally(), "sum", log, status)); err != nil || !write {
				return err
			}
			return s.write(log)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&drivers, "drivers", false, "send packets on clusters with the other drivers' networks, too, one after another")
	c.Flags().BoolVar(&write, "write", false, "do so, and write test/cluster/SCENARIOS.md")
	return c
}

// Parts of the tests beside those of networks: those on the cluster that is up, or that the
// flags describe, and those of test/packets.
const (
	scenarios = "cluster"
	packets   = "packets"
)

// networks are those on which TestTraffic sends packets, beside the cluster's own.
var networks = []struct {
	name, conf, isolation, profile string
	dsr                            bool
}{
	{"l2bridge, Hyper-V", "l2bridge", "hyperv", "2019,2025", false},
	{"l2bridge, dual-stack", "l2bridge-dual-stack", "", "2022,2025", false},
	{"l2bridge, dual-stack, DSR", "l2bridge-dual-stack", "", "2022,2025", true},
	{"l2tunnel", "l2tunnel", "", "2019,2025", false},
	{"overlay", "overlay", "", "2019,2025", false},
	{"overlay, DSR", "overlay", "", "2019,2025", true},
	{"overlay, Hyper-V", "overlay", "hyperv", "2022,2025", false},
	{"nat", "nat", "", "2019,2025", false},
	{"transparent", "transparent", "", "2019,2025", false},
}

// runTests runs the scenarios, or those of a name, and keeps their counts.
func (s *session) runTests(ctx context.Context, f upFlags, log string, names []string, drivers, wire bool) error {
	which := []string{"./...", "github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"}
	if len(names) > 0 {
		which = []string{"-run", names[0], "./scenarios"}
	}
	if drivers {
		if err := s.eachDriver(ctx, f, log); err != nil {
			return err
		}
	}
	err := s.withCluster(ctx, f, func(ctx context.Context) error { return s.part(ctx, log, scenarios, clusterTests, which...) })
	if err != nil || !wire {
		return err
	}
	return s.part(ctx, log, packets, ".", "./test/packets")
}

// eachDriver has TestTraffic run on a cluster of each network.
func (s *session) eachDriver(ctx context.Context, f upFlags, log string) error {
	if s.pid() != 0 {
		return fmt.Errorf("the cluster %s is up, and this starts several; take it down first, or give another --name", s.name)
	}
	for _, n := range networks {
		of := f
		of.nodes, of.linuxNodes, of.profile, of.isolation, of.dsr = 2, 0, n.profile, n.isolation, n.dsr
		of.conf = filepath.Join(s.root, "plugins/bulkhead/conf", n.conf+".conflist")
		err := s.withCluster(ctx, of, func(ctx context.Context) error {
			return s.part(ctx, log, n.name, clusterTests, "-run", "^TestTraffic$", "./scenarios")
		})
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

func (s *session) bench() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use: "bench", Short: "Time 30 pods on one node, with Bulkhead and with win-bridge in turn", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withCluster(c.Context(), f, func(ctx context.Context) error {
				line := s.goTest(clusterTests, "-v", "-run", "^TestBenchmark$", "./scenarios")
				cmd := s.command(ctx, line[0], line[1:]...)
				cmd.Env = append(cmd.Env, "BULKHEAD_BENCH=1")
				return telling(cmd)
			})
		},
	}
	f.add(c)
	return c
}

// withCluster does something with the cluster if it is up, and else with one that it starts
// and ends.
func (s *session) withCluster(ctx context.Context, f upFlags, do func(context.Context) error) (err error) {
	if s.pid() == 0 {
		if err := s.start(ctx, f); err != nil {
			return err
		}
		defer func() {
			if ended := s.end(context.WithoutCancel(ctx), err != nil); ended != nil {
				fmt.Fprintln(os.Stderr, "cluster:", ended)
				err = errors.Join(err, ended)
			}
		}()
	}
	return do(ctx)
}

// testLog empties the folder of what tests print, and returns it.
func (s *session) testLog() (string, error) {
	log := filepath.Join(s.root, ".build", "cluster", "test-logs", s.name)
	if err := os.RemoveAll(log); err != nil {
		return "", err
	}
	return log, os.MkdirAll(log, 0o755)
}

func (s *session) tally() string { return filepath.Join(s.root, ".build", "tally") }

// clusterTests is the module that has the tests of clusters.
const clusterTests = "test/cluster"

// part runs tests of a module and keeps their counts.
func (s *session) part(ctx context.Context, log, name, module string, which ...string) error {
	return telling(s.command(ctx, s.tally(), slices.Concat([]string{"run", log, name}, s.goTest(module, "-json"), which)...))
}

// scenariosText is how SCENARIOS.md begins.
const scenariosText = `# What is tried with packets

` + "`scripts/cluster.sh test --write`" + ` wrote this file: it ran everything below. A number says how many exchanges between
two places succeeded, and not one failed: connections and datagrams. To pods there are also ones larger than a packet, and
the pod says which address it saw. On each cluster every node and a pod of every node sends to a pod of every node.

## By network

`

// write writes the tables of what the tests said.
func (s *session) write(log string) error {
	own, err := table.Read("l2bridge", filepath.Join(log, scenarios+".log"))
	if err != nil {
		return err
	}
	columns := []table.Column{own}
	for _, n := range networks {
		c, err := table.Read(n.name, filepath.Join(log, n.name+".log"))
		if err != nil {
			return err
		}
		columns = append(columns, c)
	}
	wire, err := table.Read(packets, filepath.Join(log, packets+".log"))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(scenariosText)
	if err := table.Matrix(&b, "TestTraffic", columns); err != nil {
		return err
	}
	b.WriteString("\n## On the cluster\n\nWhat happens to a cluster with an l2bridge network ([the tests](scenarios)):\n\n")
	if err := table.List(&b, own, filepath.Join(s.root, "test/cluster/scenarios")); err != nil {
		return err
	}
	b.WriteString("\n## On a node\n\nWithout a cluster, by what HNS is told ([the tests](../packets)):\n\n")
	if err := table.List(&b, wire, filepath.Join(s.root, "test/packets")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.root, "test/cluster/SCENARIOS.md"), b.Bytes(), 0o644)
}

// goTest returns the command line of tests of a module.
func (s *session) goTest(module string, args ...string) []string {
	return append([]string{"go", "-C", filepath.Join(s.root, module), "test", "-count=1", "-timeout=50m"}, args...)
}

// command is a program that runs tests, which find the cluster by a variable.
func (s *session) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "BULKHEAD_CLUSTER="+s.dir())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}
