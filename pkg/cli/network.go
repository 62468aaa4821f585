// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

func (s *session) network() *cobra.Command {
	c := &cobra.Command{
		Use:   "network",
		Short: "Make or remove the HNS network that a configuration owns",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		s.networkCommand("create", "Make the network ahead of the first pod; one that is there as configured stays as it is", s.createNetwork),
		s.networkCommand("delete", "Remove the network; one with endpoints stays, one that is gone is success", s.deleteNetwork),
	)
	return c
}

// onNetwork does something to the network of a configuration.
type onNetwork func(context.Context, network.Keeper, config.Config) error

func (s *session) networkCommand(name, short string, do onNetwork) *cobra.Command {
	var conf string
	c := &cobra.Command{
		Use:     name + " --conf FILE",
		Short:   short,
		Example: "  bulkhead network " + name + " --conf 10-bulkhead.conflist",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return s.withNetwork(c.Context(), conf, do) },
	}
	c.Flags().StringVar(&conf, "conf", "", "`file` of a conflist, or of one plugin's configuration")
	required(c, "conf")
	return c
}

// withNetwork reads a configuration, connects to HNS and does something in the
// time that an ADD has.
func (s *session) withNetwork(ctx context.Context, file string, do onNetwork) error {
	plugin, err := readPlugin(file)
	if err != nil {
		return err
	}
	c, err := config.Parse(plugin.Stdin(), config.Env{})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	networks, err := s.Node.Networks(c)
	if err != nil {
		return failure{err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeouts.Add)
	defer cancel()
	err = do(ctx, networks, c)
	if err != nil && !errors.Is(err, config.ErrInvalid) {
		return failure{err}
	}
	return err
}

func (s *session) createNetwork(ctx context.Context, k network.Keeper, c config.Config) error {
	if _, owned := plan.Network(c); !owned {
		return fmt.Errorf("%w: the configuration has no network section, so the network %q is not bulkhead's to make", config.ErrInvalid, c.Name)
	}
	n, notices, err := k.Ensure(ctx, c)
	if err != nil {
		return err
	}
	answer := struct {
		ID      string     `json:"id"`
		Name    string     `json:"name"`
		Driver  hns.Driver `json:"driver"`
		Subnets []string   `json:"subnets"`
		Notices []string   `json:"notices,omitempty"`
	}{n.ID, n.Name, n.Driver, []string{}, notices}
	for _, subnet := range n.Subnets {
		answer.Subnets = append(answer.Subnets, subnet.Prefix.String())
	}
	return s.print(answer, func(w io.Writer) error {
		for _, notice := range notices {
			fmt.Fprintf(w, "Note: %s\n", notice)
		}
		_, err := fmt.Fprintf(w, "The %s network %q is there: %s\n", n.Driver, n.Name, n.ID)
		return err
	})
}

func (s *session) deleteNetwork(ctx context.Context, k network.Keeper, c config.Config) error {
	if err := k.Remove(ctx, c); err != nil {
		return err
	}
	return s.print(struct {
		Name string `json:"name"`
	}{c.Name}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "The network %q is gone.\n", c.Name)
		return err
	})
}
