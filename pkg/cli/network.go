// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/failure"
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
	c.AddCommand(s.networkCreate(), s.networkDelete())
	return c
}

func (s *session) networkCreate() *cobra.Command {
	var conf string
	c := &cobra.Command{
		Use:     "create --conf FILE",
		Short:   "Make the network ahead of the first pod; one that is there as configured stays as it is",
		Example: "  bulkhead network create --conf 10-bulkhead.conflist",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			owner, err := ownerOf(conf)
			if err != nil {
				return err
			}
			return s.withNetworks(c.Context(), owner.Timeouts, func(ctx context.Context, k network.Keeper) error {
				return s.createNetwork(ctx, k, owner)
			})
		},
	}
	c.Flags().StringVar(&conf, "conf", "", "`file` of a conflist, or of one plugin's configuration")
	required(c, "conf")
	return c
}

func (s *session) networkDelete() *cobra.Command {
	var conf, name string
	c := &cobra.Command{
		Use:   "delete --conf FILE | --name NAME",
		Short: "Remove the network, whatever it is like; one with endpoints stays, one that is gone is success",
		Example: "  bulkhead network delete --conf 10-bulkhead.conflist\n" +
			"  bulkhead network delete --name podl2bridge",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			timeouts := config.DefaultTimeouts()
			if conf != "" {
				owner, err := ownerOf(conf)
				if err != nil {
					return err
				}
				name, timeouts = owner.Name, owner.Timeouts
			}
			return s.withNetworks(c.Context(), timeouts, func(ctx context.Context, k network.Keeper) error {
				return s.deleteNetwork(ctx, k, name)
			})
		},
	}
	c.Flags().StringVar(&conf, "conf", "", "`file` of a conflist, or of one plugin's configuration, that owns the network")
	c.Flags().StringVar(&name, "name", "", "`name` of the HNS network")
	c.MarkFlagsOneRequired("conf", "name")
	c.MarkFlagsMutuallyExclusive("conf", "name")
	return c
}

// ownerOf reads the configuration that owns a network.
func ownerOf(file string) (config.Config, error) {
	plugins, err := readPlugins(file)
	if err != nil {
		return config.Config{}, err
	}
	c, err := config.Parse(plugins[0].Stdin(), config.Env{})
	if err != nil {
		return config.Config{}, fmt.Errorf("%s: %w", file, err)
	}
	if _, owned := plan.Network(c); !owned {
		return config.Config{}, fmt.Errorf("%s: it has no network section, so the network %q is not bulkhead's", file, c.Name)
	}
	return c, nil
}

// withNetworks connects to HNS and does something in the time that an ADD has. A failure
// is told as ADD tells it.
func (s *session) withNetworks(ctx context.Context, t config.Timeouts, do func(context.Context, network.Keeper) error) error {
	networks, err := s.Node.Networks(t.Call)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, t.Add)
		defer cancel()
		err = do(limited, networks)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, config.ErrInvalid):
		return err
	default:
		return failed{fmt.Errorf("%s\n  %w", failure.Of(err), err)}
	}
}

func (s *session) createNetwork(ctx context.Context, k network.Keeper, c config.Config) error {
	n, notices, err := k.Ensure(ctx, c)
	if err != nil {
		return err
	}
	answer := described(n)
	answer.Notices = notices
	return s.print(answer, func(w io.Writer) error {
		for _, notice := range notices {
			fmt.Fprintf(w, "Note: %s\n", notice)
		}
		_, err := fmt.Fprintf(w, "The %s network %q is there: %s\n", n.Driver, n.Name, n.ID)
		return err
	})
}

func (s *session) deleteNetwork(ctx context.Context, k network.Keeper, name string) error {
	was, err := k.Remove(ctx, name)
	if err != nil {
		return err
	}
	answer := described(was)
	answer.Name = name
	return s.print(answer, func(w io.Writer) error {
		if was.ID == "" {
			_, err := fmt.Fprintf(w, "There is no network %q.\n", name)
			return err
		}
		_, err := fmt.Fprintf(w, "The network %q is gone. It was %s.\n", name, answer)
		return err
	})
}

// networkAnswer is what the commands say of a network.
type networkAnswer struct {
	ID      string     `json:"id,omitempty"`
	Name    string     `json:"name"`
	Driver  hns.Driver `json:"driver,omitempty"`
	Subnets []string   `json:"subnets"`
	Adapter string     `json:"adapter,omitempty"`
	Notices []string   `json:"notices,omitempty"`
}

func described(n hns.Network) networkAnswer {
	out := networkAnswer{ID: n.ID, Name: n.Name, Driver: n.Driver, Subnets: []string{}, Adapter: n.Adapter}
	for _, s := range n.Subnets {
		out.Subnets = append(out.Subnets, s.Prefix.String())
	}
	return out
}

// String returns "l2bridge, 10.10.0.0/24 on Ethernet (<id>)".
func (a networkAnswer) String() string {
	out := string(a.Driver)
	if len(a.Subnets) > 0 {
		out += ", " + strings.Join(a.Subnets, ", ")
	}
	if a.Adapter != "" {
		out += " on " + a.Adapter
	}
	return out + " (" + a.ID + ")"
}
