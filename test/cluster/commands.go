// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
)

// pid returns the id of the cluster's first process, 0 when it does not run.
func (s *session) pid() int {
	text, err := os.ReadFile(filepath.Join(s.dir(), "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return 0
	}
	// The id may be somebody else's by now.
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), "supervise\x00--dir\x00"+s.dir()+"\x00") {
		return 0
	}
	return pid
}

// running returns the cluster, which must be up.
func (s *session) running() (spec.Cluster, error) {
	if s.pid() == 0 {
		return spec.Cluster{}, fmt.Errorf("the cluster %s is not up", s.name)
	}
	return spec.Load(s.dir())
}

func (s *session) down() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "down", Short: "End a cluster and remove what it left", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.end(c.Context(), keep) },
	}
	c.Flags().BoolVar(&keep, "keep-logs", false, "keep the folder with the logs")
	return c
}

// patience is what the cluster's programs get to end by themselves.
const patience = 20 * time.Second

func (s *session) end(ctx context.Context, keepLogs bool) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if pid := s.pid(); pid != 0 {
		if supervisor.NewClient(s.dir()).End(ctx) == nil {
			for deadline := time.Now().Add(patience); s.pid() != 0 && time.Now().Before(deadline); {
				time.Sleep(50 * time.Millisecond)
			}
		}
		if s.pid() != 0 {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		for s.pid() != 0 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if keepLogs {
		return nil
	}
	return os.RemoveAll(s.dir())
}

func (s *session) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Tell what a cluster is doing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, err := s.running()
			if err != nil {
				return err
			}
			st, err := supervisor.NewClient(cluster.Dir).Status(c.Context())
			if err != nil {
				return err
			}
			fmt.Printf("cluster %s, Kubernetes %s: %s\nkubeconfig %s\nlogs %s\n\n", cluster.Name, cluster.Version, st.State, cluster.In("kubeconfig"), cluster.In("logs"))
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NODE\tADDRESS\tWINDOWS\tMACHINE\tHNS\tNETWORKS\tENDPOINTS\tPODS' ADDRESSES")
			for _, n := range st.Nodes {
				if n.Profile == "" {
					fmt.Fprintf(w, "%s\t%s\t-\t%s\n", n.Name, n.Address, word(n.On, "on", "off"))
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", n.Name, n.Address, n.Profile, word(n.On, "on", "off"), word(n.HNS, "runs", "stopped"), n.Networks, n.Endpoints, n.Pods)
			}
			return w.Flush()
		},
	}
}

func word(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func (s *session) kubectl() *cobra.Command {
	return &cobra.Command{
		Use: "kubectl ...", Short: "Run kubectl with the cluster's kubeconfig", DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := s.running()
			if err != nil {
				return err
			}
			// In the place of this process: its input, output, signals and exit status.
			env := append(os.Environ(), "KUBECONFIG="+cluster.In("kubeconfig"))
			return unix.Exec(cluster.Program("kubectl"), append([]string{"kubectl"}, args...), env)
		},
	}
}

func (s *session) node() *cobra.Command {
	return &cobra.Command{
		Use:   "node NODE reboot|off|on|hns-stop|hns-start|hns-latency-MS|kubelet-restart|containerd-restart|-- COMMAND ...",
		Short: "Do something to a node, or run a Linux command of this machine in its network",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 && c.ArgsLenAtDash() < 0 || len(args) > 1 && c.ArgsLenAtDash() == 1 {
				return nil
			}
			return errors.New("want the name of a node and what to do, or -- and a command: node win1 -- ip route")
		},
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := s.running()
			if err != nil {
				return err
			}
			n, err := cluster.Node(args[0])
			if err != nil {
				return err
			}
			if c.ArgsLenAtDash() == 1 {
				return s.become(cluster.NetNS(n), args[1:])
			}
			return supervisor.NewClient(cluster.Dir).Node(c.Context(), n.Name, args[1])
		},
	}
}

func (s *session) logs() *cobra.Command {
	return &cobra.Command{
		Use: "logs [NAME]", Short: "List a cluster's logs, or print one", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := filepath.Glob(filepath.Join(s.dir(), "logs", "*.log"))
			if err != nil {
				return err
			}
			if len(files) == 0 {
				return fmt.Errorf("the cluster %s has no logs", s.name)
			}
			var known []string
			for _, f := range files {
				name := strings.TrimSuffix(filepath.Base(f), ".log")
				known = append(known, name)
				if len(args) == 1 && name == args[0] {
					in, err := os.Open(f)
					if err != nil {
						return err
					}
					defer in.Close()
					_, err = io.Copy(os.Stdout, in)
					return err
				}
			}
			if len(args) == 1 {
				return fmt.Errorf("no log %q; there are %s", args[0], strings.Join(known, ", "))
			}
			fmt.Println(strings.Join(known, "\n"))
			return nil
		},
	}
}
