// SPDX-License-Identifier: Apache-2.0

// Command cluster makes Kubernetes clusters of emulated Windows nodes on one Linux
// machine. scripts/cluster.sh calls it.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/node"
	"github.com/bulkhead-cni/bulkhead/test/cluster/runner"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
)

func main() {
	// Before anything else: this process is a container's by then.
	if len(os.Args) == 2 && os.Args[1] == runner.TreeVerb {
		fmt.Fprintln(os.Stderr, "cannot start the container:", runner.Enter())
		os.Exit(128)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	var said told
	switch {
	case err == nil:
	case errors.As(err, &said):
		os.Exit(max(1, said.ExitCode()))
	default:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// told is the failure of a program that has told the user why.
type told struct{ *exec.ExitError }

// telling runs a program whose output is the user's.
func telling(cmd *exec.Cmd) error {
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return told{exit}
	}
	return err
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use: "cluster", Short: "Kubernetes with emulated Windows nodes on this machine",
		SilenceUsage: true, SilenceErrors: true,
		TraverseChildren: true, // kubectl parses its flags itself
	}
	c.CompletionOptions.DisableDefaultCmd = true
	var s session
	c.PersistentFlags().StringVar(&s.root, "root", ".", "top of Bulkhead's repository")
	c.PersistentFlags().StringVar(&s.name, "name", "bulkhead", "name of the cluster; several can be up")
	_ = c.PersistentFlags().MarkHidden("root") // fails for an unknown flag only
	c.PersistentPreRunE = func(*cobra.Command, []string) error { return s.check() }
	c.AddCommand(s.up(), s.down(), s.status(), s.kubectl(), s.node(), s.exec(), s.show(), s.trace(), s.logs(), s.test(), s.conformance(), s.mutants(), s.bench(), s.build(), initial(), supervise(), machineNode())
	return c
}

// initial is the first process of a process id namespace.
func initial() *cobra.Command {
	return &cobra.Command{
		Use: "init", Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			var files []*os.File
			if args[0] == "supervise" {
				files = []*os.File{os.NewFile(apiFile, "api"), os.NewFile(commandFile, "commands")}
			}
			code, err := machine.Init(args, files...)
			if err == nil {
				os.Exit(code)
			}
			return err
		},
	}
}

// Files that the supervisor gets from up: listeners of this machine's network.
const (
	apiFile     = 3
	commandFile = 4
)

func supervise() *cobra.Command {
	c := &cobra.Command{Use: "supervise", Hidden: true}
	dir := c.Flags().String("dir", "", "")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := net.FileListener(os.NewFile(apiFile, "api"))
		if err != nil {
			return err
		}
		commands, err := net.FileListener(os.NewFile(commandFile, "commands"))
		if err != nil {
			return err
		}
		return supervisor.Run(c.Context(), *dir, api, commands)
	}
	return c
}

func machineNode() *cobra.Command {
	c := &cobra.Command{Use: "machine", Hidden: true, Args: cobra.ExactArgs(1)}
	dir := c.Flags().String("dir", "", "")
	c.RunE = func(c *cobra.Command, args []string) error {
		cluster, err := spec.Load(*dir)
		if err != nil {
			return err
		}
		n, err := cluster.Node(args[0])
		if err != nil {
			return err
		}
		a := &node.Agent{Cluster: cluster, Node: n}
		return a.Run(c.Context())
	}
	return c
}
