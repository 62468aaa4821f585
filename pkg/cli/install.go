// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/install"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// installFlags are those of install and uninstall.
type installFlags struct {
	containerd, bin, conf string
	dryRun                bool
}

func (f *installFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.containerd, "containerd-config", containerdConfig(), "containerd's configuration `file`, which names its folders")
	c.Flags().StringVar(&f.bin, "bin-dir", "", "`folder` of CNI plugins, instead of containerd's")
	c.Flags().StringVar(&f.conf, "conf-dir", "", "`folder` of CNI configurations, instead of containerd's")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
}

// facts looks at what is there. With both folders given, containerd's file is read for the
// folder of Hyper-V isolated pods alone.
func (f *installFlags) facts(exe string, hyperV bool, data ...string) (install.Facts, error) {
	if _, err := os.Stat(f.containerd); err != nil && f.containerd != containerdConfig() {
		return install.Facts{}, fmt.Errorf("--containerd-config: %w", err)
	}
	d := defaultDirs()
	if f.bin == "" || f.conf == "" || hyperV {
		var err error
		if d, err = install.DirsOf(f.containerd, d); err != nil {
			return install.Facts{}, fmt.Errorf("%w; --bin-dir and --conf-dir tell the folders, too", err)
		}
	}
	d.Bin, d.Conf = cmp.Or(f.bin, d.Bin), cmp.Or(f.conf, d.Conf)
	return install.Read(d, exe, data...)
}

func (s *session) install() *cobra.Command {
	var f installFlags
	var conflist, hyperV, name string
	var aliases []string
	c := &cobra.Command{
		Use:   "install [--conf FILE]",
		Short: "Put Bulkhead and a configuration where containerd looks, or bring them up to date",
		Long: "Copy this executable to containerd's folder of CNI plugins, and then the configuration to its folder of\n" +
			"those, where it is to be the first. Older configurations of Bulkhead's are renamed to *.replaced, and\n" +
			"executables whose names --alias takes to *.before-bulkhead. At the end STATUS of the configuration must\n" +
			"succeed. What is there already is left as it is, so the command may run again and again.\n" +
			"Without --conf it copies the executable alone, for nodes whose configuration containerd makes of a template.",
		Example: "  bulkhead install --conf l2bridge.conflist\n" +
			"  bulkhead install --conf 10-win-bridge.conflist --alias win-bridge",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			want := install.Want{Aliases: aliases}
			var err error
			if c.Flags().Changed("conf") {
				if want.Conflist, want.Data, err = toInstall(conflist, name); err != nil {
					return err
				}
			}
			if name != "" && conflist == "" && hyperV == "" {
				return errors.New("--conf-name: there is neither --conf nor --hyperv-conf")
			}
			if hyperV != "" {
				var data []string
				if want.HyperV, data, err = toInstall(hyperV, name); err != nil {
					return err
				}
				want.Data = append(want.Data, data...)
			}
			exe, err := os.Executable()
			if err != nil {
				return failed{err}
			}
			facts, err := f.facts(exe, hyperV != "", want.Data...)
			if err != nil {
				return failed{err}
			}
			if hyperV != "" && facts.HyperV == "" {
				return fmt.Errorf("--hyperv-conf: no runtime handler of containerd isolates by Hyper-V with a cni_conf_dir of its own; "+
					"add this to %s (the README has what containerd 1.7 needs), start containerd again, and repeat:\n\n%s",
					f.containerd, fmt.Sprintf(install.Handler, facts.Conf+"-hyperv"))
			}
			steps, err := install.Plan(facts, want)
			if err != nil {
				return failed{err}
			}
			changed, err := s.carryOut(steps, f.dryRun)
			if err != nil || f.dryRun {
				return err
			}
			// Without a file of its own, what containerd loads counts.
			first := want.Conflist.Name
			if first == "" && len(facts.Conflists) > 0 && facts.Conflists[0].Ours {
				first = facts.Conflists[0].Name
			}
			return s.verify(c.Context(), facts.Dirs, first, changed)
		},
	}
	f.add(c)
	c.Flags().StringVar(&conflist, "conf", "", "`file` of the conflist for all pods (default: none is written)")
	c.Flags().StringVar(&name, "conf-name", "", "`name` of the file in containerd's folder (default: its own)")
	c.Flags().StringVar(&hyperV, "hyperv-conf", "", "`file` of the conflist for pods that Hyper-V isolates")
	c.Flags().StringSliceVar(&aliases, "alias", nil, "`name` of another plugin that Bulkhead is to take the place of; may be repeated")
	return c
}

// toInstall reads a conflist that is to be installed, and returns the folders of addresses
// that it names. It must have a plugin of Bulkhead's, and all of them must be right.
func toInstall(path, name string) (install.Conflist, []string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return install.Conflist{}, nil, err
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some versions of containerd cannot read it
	name = cmp.Or(name, filepath.Base(path))
	if filepath.Ext(name) != ".conflist" {
		return install.Conflist{}, nil, fmt.Errorf("%s: want a list of plugins, in a file whose name ends in .conflist", path)
	}
	plugins, err := config.OurPlugins(text)
	if err != nil {
		return install.Conflist{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	var data []string
	for _, p := range plugins {
		c, err := config.Parse(p.Stdin(), config.Env{})
		if err != nil {
			return install.Conflist{}, nil, fmt.Errorf("%s: %w", path, err)
		}
		if c.IPAM.DataDir != "" && !slices.Contains(data, c.IPAM.DataDir) {
			data = append(data, c.IPAM.DataDir)
		}
	}
	return install.Conflist{Name: name, Text: text}, data, nil
}

// carryOut does what steps say, or with dryRun only tells what it would do. It returns what
// they say.
func (s *session) carryOut(steps []install.Step, dryRun bool) (changed []string, err error) {
	for _, step := range steps {
		if !dryRun {
			if err := step.Do(); err != nil {
				return changed, failed{fmt.Errorf("%s: %w", step, err)}
			}
		}
		changed = append(changed, step.String())
		if s.output == "text" {
			fmt.Fprintln(s.Stdout, step)
		}
	}
	if dryRun && s.output != "text" {
		return changed, s.print(installed{Steps: changed}, nil)
	}
	return changed, nil
}

// installed is the answer of install and uninstall.
type installed struct {
	// Steps are what was done, or would be.
	Steps []string
	// Status is why pods cannot be attached yet, or why that is not known; empty when they can.
	Status string `json:",omitempty"`
	// Living are the pods that are still there.
	Living []string `json:",omitempty"`
}

// verify runs STATUS of the configuration of that name, if there is one.
func (s *session) verify(ctx context.Context, d install.Dirs, name string, changed []string) error {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := installed{Steps: changed}
	var refused error
	asked := false
	if name != "" {
		asked, refused = install.Verify(ctx, d, name)
	}
	switch {
	case name == "":
		answer.Status = "not asked: Bulkhead has no configuration in " + d.Conf
	case refused != nil:
		answer.Status = refused.Error()
	case !asked:
		answer.Status = "not asked: below CNI 1.1.0 the plugins of " + name + " do not answer it"
	}
	err := s.print(answer, func(w io.Writer) error {
		if len(changed) == 0 {
			fmt.Fprintln(w, "Everything was there.")
		}
		if refused != nil {
			return nil
		}
		_, err := fmt.Fprintf(w, "STATUS: %s.\n", cmp.Or(answer.Status, "ready for pods"))
		return err
	})
	if refused != nil {
		return failed{fmt.Errorf("it is installed, but STATUS says that no pod can be attached: %w", refused)}
	}
	return err
}

func (s *session) uninstall() *cobra.Command {
	var f installFlags
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take Bulkhead and its configurations from where containerd looks",
		Long: "Remove Bulkhead's configurations from containerd's folders and then its executables, under whatever name,\n" +
			"and put back the executables whose names they took. A configuration that has other plugins beside it is\n" +
			"renamed to *.replaced, so the node has none until you write another. Pods that live keep their network\n" +
			"until they end, but nobody frees their addresses and endpoints then: drain the node first. Networks and\n" +
			"addresses stay.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			facts, err := f.facts("", false)
			if err != nil {
				return failed{err}
			}
			living, unknown := s.living(c.Context())
			changed, err := s.carryOut(install.PlanRemoval(facts), f.dryRun)
			if err != nil || f.dryRun {
				return err
			}
			return s.print(installed{Steps: changed, Living: living}, func(w io.Writer) error {
				switch {
				case unknown != nil:
					fmt.Fprintf(w, "Warning: whether pods of Bulkhead's still live is not known: %v\n", unknown)
				case len(living) > 0:
					fmt.Fprintf(w, "Warning: sandboxes of pods have interfaces of Bulkhead's; install it again to have them removed: %s\n", strings.Join(living, ", "))
				}
				if len(changed) == 0 {
					fmt.Fprintln(w, "Nothing of Bulkhead's was there.")
				}
				return nil
			})
		},
	}
	f.add(c)
	return c
}

// living returns the sandboxes that have an interface of Bulkhead's.
func (s *session) living(ctx context.Context) ([]string, error) {
	facts := s.Node.Inventory(ctx)
	var out []string
	for _, r := range rowsOf(facts, nil) {
		out = append(out, r.ContainerID)
	}
	slices.Sort(out)
	return slices.Compact(out), facts.Err(node.Endpoints)
}
