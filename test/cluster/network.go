// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
)

// become runs a Linux program of this machine in a network namespace of the cluster, in the
// place of this process.
func (s *session) become(file string, line []string) error {
	program, err := exec.LookPath(line[0])
	if err != nil {
		return err
	}
	// The files are mounted where the cluster's processes see them.
	return machine.In(filepath.Join("/proc", fmt.Sprint(s.pid()), "root", file), func() error {
		return unix.Exec(program, line, os.Environ())
	})
}

func (s *session) exec() *cobra.Command {
	var namespace string
	c := &cobra.Command{
		Use: "exec POD -- COMMAND ...", Short: "Run a Linux command of this machine in a pod's network",
		Args: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() != 1 || len(args) < 2 {
				return errors.New("want the name of a pod, -- and a command: exec web -- ip address")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := s.running()
			if err != nil {
				return err
			}
			p, err := s.pod(c.Context(), cluster, namespace, args[0])
			if err != nil {
				return err
			}
			return s.become(cluster.PodNetNS(p.node, p.hcn), args[1:])
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "default", "namespace of the pod")
	return c
}

// pod is a pod and where it is.
type pod struct {
	name, namespace string
	node            spec.Node
	address         netip.Addr
	hcn             string // HCN namespace
}

// pod finds a pod that has an address.
func (s *session) pod(ctx context.Context, cluster spec.Cluster, namespace, name string) (pod, error) {
	cmd := exec.CommandContext(ctx, cluster.Program("kubectl"), "--kubeconfig", cluster.In("kubeconfig"), "-n", namespace, "get", "pod", name, "-o", "json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return pod{}, fmt.Errorf("pod %s: %w", name, err)
	}
	var of corev1.Pod
	if err := json.Unmarshal(out, &of); err != nil {
		return pod{}, err
	}
	address, err := netip.ParseAddr(of.Status.PodIP)
	if err != nil {
		return pod{}, fmt.Errorf("pod %s has no address yet: it is %s", name, of.Status.Phase)
	}
	node, err := cluster.Node(of.Spec.NodeName)
	if err != nil {
		return pod{}, err
	}
	state, err := supervisor.NewClient(cluster.Dir).HNS(ctx, node.Name)
	if err != nil {
		return pod{}, err
	}
	for _, e := range state.Endpoints {
		for _, a := range e.Addresses {
			if a.Addr() == address && !e.Remote && e.NamespaceID != "" {
				return pod{name: name, namespace: namespace, node: node, address: address, hcn: e.NamespaceID}, nil
			}
		}
	}
	return pod{}, fmt.Errorf("pod %s has address %s, which no endpoint of %s has", name, address, node.Name)
}
