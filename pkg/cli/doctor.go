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
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// confDirs is the flag of the directories whose conflists are looked at.
func confDirs(c *cobra.Command) *[]string {
	return c.Flags().StringArray("conf-dir", []string{defaultConfDir()}, "`directory` of conflists, as often as runtime handlers have one of their own")
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
			`  bulkhead doctor --conf-dir "C:\Program Files\containerd\cni\conf" --conf-dir "C:\Program Files\containerd\cni\conf-hyperv" -o json`,
		Args: cobra.NoArgs,
	}
	dirs := confDirs(c)
	c.Flags().BoolVar(&fix, "fix", false, "carry out the cures that are safe: write conflists anew as UTF-8, remove what is surely left over")
	c.RunE = func(c *cobra.Command, _ []string) error { return s.examine(c.Context(), *dirs, fix) }
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
