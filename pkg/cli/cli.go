// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of bulkhead.exe: what a cluster admin runs on
// a node, or beside a conflist before it gets there. It prints text for people
// or, with -o json, for programs.
package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/failure"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// Exit statuses of Run.
const (
	// StatusFailed: what was asked could not be found out or done.
	StatusFailed = 1
	// StatusUsage: the arguments or the configuration cannot be used.
	StatusUsage = 2
)

// Env is what the commands need of the world.
type Env struct {
	Stdout, Stderr io.Writer
	// Version is the program's.
	Version string
	Node    node.Node
}

// Run carries out a command and returns the exit status: 0, StatusFailed or
// StatusUsage. No arguments ask for help.
func (e Env) Run(args []string) int {
	root := e.root()
	root.SetArgs(append([]string{}, codesLast(args)...)) // nil would be the process's
	err := root.Execute()
	if err == nil {
		return 0
	}
	fmt.Fprintln(e.Stderr, "bulkhead:", failure.Printable(err.Error()))
	var f failed
	if errors.As(err, &f) {
		return StatusFailed
	}
	return StatusUsage
}

// failed is an error that is neither the arguments' nor the configuration's.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// session is one command with the flags that all have.
type session struct {
	Env
	output string
}

func (e Env) root() *cobra.Command {
	s := &session{Env: e}
	root := &cobra.Command{
		Use:   "bulkhead",
		Short: "A CNI plugin for Windows nodes",
		Long: "Bulkhead, a CNI plugin for Windows nodes.\n\n" +
			"containerd runs it as the configuration in its conf directory says, with CNI_COMMAND set to\n" +
			"ADD, DEL, CHECK, GC, STATUS or VERSION and the network configuration on standard input.\n" +
			"Without CNI_COMMAND it has the commands below.",
		Version:           e.Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.NoArgs,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return s.checkOutput() },
	}
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	root.PersistentFlags().StringVarP(&s.output, "output", "o", "text", "`format` of the answer: text or json")
	root.AddCommand(
		s.install(), s.uninstall(), s.validate(), s.doctor(), s.list(), s.show(), s.report(), s.explainCode(), s.gc(),
		s.acl(), s.network(), s.netns(),
	)
	return root
}

func (s *session) checkOutput() error {
	if s.output != "text" && s.output != "json" {
		return fmt.Errorf("--output %q is not one of text, json", s.output)
	}
	return nil
}

// print writes an answer as JSON or has text write it.
func (s *session) print(answer any, text func(io.Writer) error) error {
	if s.output == "text" {
		var out bytes.Buffer
		err := text(&out)
		if _, writeErr := io.WriteString(s.Stdout, failure.Printable(out.String())); err == nil {
			err = writeErr
		}
		return err
	}
	encoder := json.NewEncoder(s.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}
