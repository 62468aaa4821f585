// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/failure"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func (s *session) netns() *cobra.Command {
	c := &cobra.Command{
		Use:   "netns",
		Short: "Make or remove an HCN namespace, for what runs containers without a runtime that does",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(s.netnsCreate(), s.netnsDelete())
	return c
}

// namespaceAnswer is what the commands say of a namespace.
type namespaceAnswer struct {
	ID string `json:"id"`
	// Removed is false where there was none.
	Removed bool `json:"removed,omitempty"`
}

func (s *session) netnsCreate() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:     "create",
		Short:   "Make a namespace and print its GUID, which CNI_NETNS takes",
		Example: "  bulkhead netns create\n  bulkhead netns create --id 5b8e3b0c-6d0f-4a4e-9d1e-0c1f2a3b4c5d",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if id != "" {
				parsed, err := hns.ParseGUID(id)
				if err != nil {
					return fmt.Errorf("--id: %w", err)
				}
				id = parsed
			}
			return s.withHNS(c.Context(), func(ctx context.Context, client hns.Client) error {
				ns, err := client.CreateNamespace(ctx, id)
				if err != nil {
					return err
				}
				return s.print(namespaceAnswer{ID: ns.ID}, func(w io.Writer) error {
					_, err := fmt.Fprintln(w, ns.ID)
					return err
				})
			})
		},
	}
	c.Flags().StringVar(&id, "id", "", "`GUID` of the namespace (default: HNS chooses)")
	return c
}

func (s *session) netnsDelete() *cobra.Command {
	c := &cobra.Command{
		Use:     "delete GUID",
		Short:   "Remove a namespace; one with endpoints or containers stays, one that is gone is success",
		Example: "  bulkhead netns delete 5b8e3b0c-6d0f-4a4e-9d1e-0c1f2a3b4c5d",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := hns.ParseGUID(args[0])
			if err != nil {
				return err
			}
			return s.withHNS(c.Context(), func(ctx context.Context, client hns.Client) error {
				return s.deleteNamespace(ctx, client, id)
			})
		},
	}
	c.ValidArgsFunction = cobra.NoFileCompletions
	return c
}

func (s *session) deleteNamespace(ctx context.Context, client hns.Client, id string) error {
	ns, err := client.Namespace(ctx, id)
	there := err == nil
	if err := hns.IgnoreNotFound(err); err != nil {
		return err
	}
	if len(ns.Endpoints)+len(ns.Containers) > 0 {
		return fmt.Errorf("namespace %s has %d endpoints (%s) and %d containers (%s): remove its pod first", id,
			len(ns.Endpoints), joined(ns.Endpoints), len(ns.Containers), joined(ns.Containers))
	}
	if there {
		if err := hns.IgnoreNotFound(client.DeleteNamespace(ctx, id)); err != nil {
			return err
		}
	}
	return s.print(namespaceAnswer{id, there}, func(w io.Writer) error {
		text := "There is no namespace %s.\n"
		if there {
			text = "The namespace %s is gone.\n"
		}
		_, err := fmt.Fprintf(w, text, id)
		return err
	})
}

// withHNS connects to HNS and does something in the time that an ADD has.
func (s *session) withHNS(ctx context.Context, do func(context.Context, hns.Client) error) error {
	t := config.DefaultTimeouts()
	client, err := s.Node.OpenHNS(t.Call)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, t.Add)
		defer cancel()
		err = do(limited, client)
	}
	var native *hns.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &native):
		return failed{fmt.Errorf("%s\n  %w", failure.Of(err), err)}
	default:
		return failed{err}
	}
}
