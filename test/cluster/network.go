// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
	"github.com/bulkhead-cni/bulkhead/test/cluster/topology"
)

// become runs a Linux program of this machine in a network namespace of the cluster, in the
// place of this process.
func (s *session) become(file string, line []string) error {
	program, err := exec.LookPath(line[0])
	if err != nil {
		return err
	}
	return machine.In(s.seen(file), func() error { return unix.Exec(program, line, os.Environ()) })
}

// seen is the path of a file that is mounted where the cluster's own processes see it.
func (s *session) seen(file string) string {
	return filepath.Join("/proc", fmt.Sprint(s.pid()), "root", file)
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
	node    spec.Node
	address netip.Addr
	hcn     string // HCN namespace
}

// pod finds a pod that has an address.
func (s *session) pod(ctx context.Context, cluster spec.Cluster, namespace, name string) (pod, error) {
	var of corev1.Pod
	if err := get(ctx, cluster, &of, "-n", namespace, "pod", name); err != nil {
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
	if node.Linux {
		return pod{}, fmt.Errorf("pod %s is on the Linux node %s; kubectl exec enters it", name, node.Name)
	}
	state, err := supervisor.NewClient(cluster.Dir).HNS(ctx, node.Name)
	if err != nil {
		return pod{}, err
	}
	for _, e := range state.Interfaces() {
		for _, a := range e.Addresses {
			if a.Addr() == address && !e.Remote && e.NamespaceID != "" {
				return pod{node, address, e.NamespaceID}, nil
			}
		}
	}
	return pod{}, fmt.Errorf("pod %s has address %s, which no endpoint of %s has", name, address, node.Name)
}

// get reads objects of the API by kubectl, which tells the user what is wrong.
func get(ctx context.Context, cluster spec.Cluster, into any, args ...string) error {
	line := append([]string{"--kubeconfig", cluster.In("kubeconfig"), "get", "-o", "json"}, args...)
	cmd := exec.CommandContext(ctx, cluster.Program("kubectl"), line...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := telling(cmd); err != nil {
		return err
	}
	return json.Unmarshal(out.Bytes(), into)
}

// topology reads what the cluster's network is.
func (s *session) topology(ctx context.Context, cluster spec.Cluster) (topology.Cluster, error) {
	var pods corev1.PodList
	var services corev1.ServiceList
	if err := errors.Join(get(ctx, cluster, &pods, "-A", "pods"), get(ctx, cluster, &services, "-A", "services")); err != nil {
		return topology.Cluster{}, err
	}
	return topology.Read(ctx, cluster, pods.Items, services.Items)
}

func (s *session) show() *cobra.Command {
	return &cobra.Command{
		Use: "show [FILE]", Short: "Draw the cluster's network as a page of HTML: nodes, networks, pods, rules and what they dropped",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := s.running()
			if err != nil {
				return err
			}
			of, err := s.topology(c.Context(), cluster)
			if err != nil {
				return err
			}
			file := cluster.In("network.html")
			if len(args) > 0 {
				file = args[0]
			}
			out, err := os.Create(file)
			if err != nil {
				return err
			}
			if err := errors.Join(of.WritePage(out), out.Close()); err != nil {
				return err
			}
			fmt.Println(file)
			return nil
		},
	}
}

func (s *session) trace() *cobra.Command {
	var namespace string
	var udp bool
	c := &cobra.Command{
		Use: "trace POD ADDRESS PORT", Short: "Tell step by step where a pod's packet goes and who drops it, and try it",
		Args: cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := netip.ParseAddrPort(net.JoinHostPort(args[1], args[2]))
			if err != nil {
				return fmt.Errorf("want an IP address and a port, such as trace web 10.96.0.1 443: %w", err)
			}
			cluster, err := s.running()
			if err != nil {
				return err
			}
			from, err := s.pod(c.Context(), cluster, namespace, args[0])
			if err != nil {
				return err
			}
			before, err := s.topology(c.Context(), cluster)
			if err != nil {
				return err
			}
			network, protocol := "tcp", unix.IPPROTO_TCP
			if udp {
				network, protocol = "udp", unix.IPPROTO_UDP
			}
			steps, err := before.Trace(from.address, to, protocol)
			if err != nil {
				return err
			}
			for i, step := range steps {
				fmt.Printf("%d. %s\n", i+1, step)
			}
			tried := s.try(c.Context(), cluster.PodNetNS(from.node, from.hcn), network, to)
			after, err := s.topology(c.Context(), cluster)
			if err != nil {
				return err
			}
			fmt.Println("tried: " + tried)
			for _, drop := range after.DroppedSince(before) {
				fmt.Println("  " + drop)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "default", "namespace of the pod")
	c.Flags().BoolVar(&udp, "udp", false, "UDP in the place of TCP")
	return c
}

// answerTime is how long a trace waits for an answer.
const answerTime = 3 * time.Second

// try sends from a pod, and says what came of it. A UDP datagram of one byte need not be
// answered.
func (s *session) try(ctx context.Context, netns, network string, to netip.AddrPort) string {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	began := time.Now()
	var conn net.Conn
	err := machine.In(s.seen(netns), func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, to.String())
		return err
	})
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if network == "tcp" {
		return fmt.Sprintf("connected in %s", time.Since(began).Round(100*time.Microsecond))
	}
	_ = conn.SetDeadline(began.Add(answerTime)) // a socket has deadlines
	if _, err := conn.Write([]byte{0}); err != nil {
		return err.Error()
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return fmt.Sprintf("a datagram was sent, and no answer came: %v", err)
	}
	return fmt.Sprintf("answered in %s", time.Since(began).Round(100*time.Microsecond))
}
