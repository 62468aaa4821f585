// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/doctor"
	"github.com/bulkhead-cni/bulkhead/pkg/install"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// overConflists has a command run with its arguments and the directories whose conflists are
// looked at: those of its flag, or without it those that containerd's configuration names.
func overConflists(c *cobra.Command, run func(ctx context.Context, args, dirs []string) error) {
	dirs := c.Flags().StringArray("conf-dir", nil, "`directory` of conflists, as often as there are several (default: those that containerd's config.toml names)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(*dirs) > 0 {
			return run(c.Context(), args, *dirs)
		}
		d, err := install.DirsOf(containerdConfig(), defaultDirs())
		if err != nil {
			d = defaultDirs()
			fmt.Fprintf(c.ErrOrStderr(), "Warning: looking at %s, which --conf-dir changes: %v\n", d.Conf, err)
		}
		in := []string{d.Conf}
		if d.HyperV != "" {
			in = append(in, d.HyperV)
		}
		return run(c.Context(), args, in)
	}
}

// containerdConfig is the file that a containerd reads which was told nothing else.
func containerdConfig() string {
	return filepath.Join(os.Getenv("ProgramFiles"), "containerd", "config.toml")
}

// defaultDirs are those of a containerd whose configuration names none.
func defaultDirs() install.Dirs {
	conf := defaultConfDir()
	return install.Dirs{Bin: filepath.Join(filepath.Dir(conf), "bin"), Conf: conf}
}

// defaultConfDir is containerd's (containerd, internal/cri/config).
func defaultConfDir() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramFiles"), "containerd", "cni", "conf")
	}
	return "/etc/cni/net.d"
}

func (s *session) doctor() *cobra.Command {
	var fix bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with this node, by which evidence, and what cures it",
		Long: "Look at HNS, networks, adapters, conflists, addresses, endpoints, namespaces and kube-proxy's arguments, and say\n" +
			"what is wrong, by which evidence, and the command that cures it. It changes nothing unless --fix is given.\n" +
			"Exit status 1: a finding is an error. Warnings and notes are no failure.",
		Example: "  bulkhead doctor\n" +
			`  bulkhead doctor --conf-dir D:\cni\conf -o json`,
		Args: cobra.NoArgs,
	}
	overConflists(c, func(ctx context.Context, _, dirs []string) error { return s.examine(ctx, dirs, fix) })
	c.Flags().BoolVar(&fix, "fix", false, "carry out the cures that are safe: write conflists anew as UTF-8, remove what is surely left over")
	return c
}

const (
	// lookTime bounds a look at the node: an HNS that hangs does so at each call.
	lookTime = time.Minute
	// moment is longer than an ADD or a DEL takes between two of its changes.
	moment = time.Second
)

// look reads all facts of the node once.
func (s *session) look(ctx context.Context, dirs []string) node.Inventory {
	limited, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return s.Node.Inventory(limited, dirs...)
}

// diagnosis is what doctor prints.
type diagnosis struct {
	Findings []doctor.Finding `json:"findings"`
	// Fixed and Failed say what --fix did and could not do.
	Fixed  []string `json:"fixed,omitempty"`
	Failed []string `json:"failed,omitempty"`
	looked string
}

func (s *session) examine(ctx context.Context, dirs []string, fix bool) error {
	d := diagnosis{}
	if fix {
		i := s.look(ctx, dirs)
		d.Findings = doctor.Judge(i)
		s.fix(ctx, i, &d)
	}
	i, found := s.judged(ctx, dirs)
	d.Findings = found
	if d.Findings == nil {
		d.Findings = []doctor.Finding{}
	}
	d.looked = fmt.Sprintf("HNS %s, networks: %d, endpoints: %d, namespaces: %d, conflists: %d in %s", i.Version, len(i.Networks), len(i.Endpoints),
		len(i.Namespaces), len(i.Conflists), strings.Join(dirs, " and "))
	if err := s.print(d, d.text); err != nil {
		return err
	}
	bad := 0
	for _, f := range d.Findings {
		if f.Severity == doctor.Error {
			bad++
		}
	}
	switch {
	case len(d.Failed) > 0:
		return failed{errors.New("not everything could be fixed")}
	case bad > 0:
		return failed{fmt.Errorf("findings of severity error: %d", bad)}
	default:
		return nil
	}
}

func (d diagnosis) text(w io.Writer) error {
	for _, line := range d.Fixed {
		fmt.Fprintf(w, "Done: %s\n", line)
	}
	for _, line := range d.Failed {
		fmt.Fprintf(w, "Not done: %s\n", line)
	}
	for _, f := range d.Findings {
		fmt.Fprintf(w, "%s %s: %s\n    found: %s\n    cure:  %s\n", strings.ToUpper(string(f.Severity)), f.ID, f.What, f.Evidence, f.Cure)
	}
	if len(d.Findings) == 0 {
		fmt.Fprintln(w, "Nothing is wrong.")
	}
	_, err := fmt.Fprintf(w, "Looked at: %s.\n", d.looked)
	return err
}

// fix carries out the cures that are safe.
func (s *session) fix(ctx context.Context, i node.Inventory, d *diagnosis) {
	note := func(what string, err error) {
		if err != nil {
			d.Failed = append(d.Failed, what+": "+err.Error())
			return
		}
		d.Fixed = append(d.Fixed, what)
	}
	for _, f := range d.Findings {
		if f.Fix == doctor.FixEncoding {
			note("write "+f.File+" anew as UTF-8", rewrite(f.File))
		}
	}
	for _, r := range s.collect(ctx, i) {
		note(fmt.Sprintf("remove %s: %s", r.name(), r.Why), r.err)
	}
}

// rewrite writes a file of JSON anew as UTF-8 without a byte order mark.
func rewrite(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text = config.Decoded(text)
	if !json.Valid(text) {
		return errors.New("its text is not JSON")
	}
	// A runtime passes over the ending and finds the whole file under its name.
	next, err := os.CreateTemp(filepath.Dir(file), ".bulkhead-*.tmp")
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	err = errors.Join(err, next.Sync(), next.Close(), os.Chmod(next.Name(), info.Mode().Perm()))
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}
