// SPDX-License-Identifier: Apache-2.0

// Package supervisor runs a cluster: the network between its machines, the control plane,
// the emulated HNS of each node, and the nodes. It runs as a process in namespaces of its
// own, with which everything of the cluster ends, and serves the commands.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/service"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// Supervisor runs a cluster.
type Supervisor struct {
	cluster spec.Cluster
	// forwarded is the port of this machine that leads to the API server.
	forwarded string
	programs  []*service.Service

	mu     sync.Mutex
	nodes  map[string]*node
	routes map[netip.Addr]string // pods' addresses, and the nodes that they are on
	leases map[string]lease      // what each node has of the overlay
	// overlaid are the VSIDs of the overlays that the control plane was ever on.
	overlaid map[uint32]bool
	state    string // what it is doing
	failed   error
}

// bridge is the interface of the network between the nodes.
const bridge = "outer"

// startTime is what all may take to start on a busy machine.
const startTime = 15 * time.Minute

// Run runs the cluster in a folder until ctx ends. It listens for commands, and hands
// connections to api over to the API server. Both are of this machine's own network; the
// process itself must be in an empty one.
func Run(ctx context.Context, dir string, api, commands net.Listener) error {
	c, err := spec.Load(dir)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(api.Addr().String())
	if err != nil {
		return err
	}
	s := &Supervisor{cluster: c, forwarded: port, nodes: map[string]*node{}, routes: map[netip.Addr]string{}, leases: map[string]lease{}, overlaid: map[uint32]bool{}, state: "starting"}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{Handler: s.handler(cancel), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(commands) }()
	go forward(api, fmt.Sprintf("127.0.0.1:%d", spec.APIPort))
	if err := s.start(ctx); err != nil {
		s.set("", err)
		log.Print(err)
		<-ctx.Done() // up asks for the reason, and then ends this
		return err
	}
	s.set("running", nil)
	<-ctx.Done()
	s.stop()
	return nil
}

func (s *Supervisor) set(state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.failed = state, err
	if state != "" {
		log.Print(state)
	}
}

// start starts everything.
func (s *Supervisor) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	// The files of network namespaces are mounted where they end with this process.
	if err := unix.Mount("tmpfs", s.cluster.In("netns"), "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", s.cluster.In("netns"), err)
	}
	if err := unix.Mount("", s.cluster.In("netns"), "", unix.MS_SHARED, ""); err != nil {
		return err // the machines are to see pods' namespaces that come later
	}
	if err := machine.Up("lo"); err != nil {
		return err
	}
	if err := machine.Bridge(bridge, spec.Outer, spec.Outer6); err != nil {
		return err
	}
	for _, n := range s.cluster.All() {
		made, err := s.newNode(n)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		s.mu.Lock()
		s.nodes[n.Name] = made
		s.mu.Unlock()
	}
	for _, n := range s.cluster.LinuxNodes {
		if err := s.lead(n); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	s.set("starting the control plane", nil)
	if err := s.startControlPlane(ctx); err != nil {
		return err
	}
	s.set("starting the nodes", nil)
	for _, n := range s.cluster.All() {
		made, err := s.node(n.Name)
		if err != nil {
			return err
		}
		if err := made.boot(); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	return nil
}

// stop ends the nodes, which are clients, and then the control plane.
func (s *Supervisor) stop() {
	s.mu.Lock()
	nodes := slices.Collect(maps.Values(s.nodes))
	s.mu.Unlock()
	for _, n := range nodes {
		n.halt()
	}
	for i := len(s.programs) - 1; i >= 0; i-- {
		s.programs[i].Stop(2 * time.Second)
	}
}

// route makes or removes the way to an address of a pod, for all but its own node.
func (s *Supervisor) route(n spec.Node, a netip.Addr, there bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, known := s.routes[a]
	switch {
	case there:
		s.routes[a] = n.Name
	case known && owner == n.Name:
		delete(s.routes, a)
	default:
		return nil // another node's pod has it by now
	}
	return s.elsewhere(n, func(by string) error {
		if there {
			return machine.Route(netip.PrefixFrom(a, a.BitLen()), by, n.AddressLike(a))
		}
		return machine.Unroute(netip.PrefixFrom(a, a.BitLen()))
	})
}

// lead makes the ways to the pods of a Linux node, for all but itself. An overlay makes its own.
func (s *Supervisor) lead(n spec.Node) error {
	if s.cluster.Overlay() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.elsewhere(n, func(by string) error {
		var failures []error
		for _, p := range n.Subnets {
			failures = append(failures, machine.Route(p, by, n.AddressLike(p.Addr())))
		}
		return errors.Join(failures...)
	})
}

// elsewhere does something in the namespaces of the control plane and of all nodes but one,
// and names the interface that is on the network between them. The caller has the lock.
func (s *Supervisor) elsewhere(but spec.Node, do func(by string) error) error {
	failures := []error{do(bridge)}
	for name, other := range s.nodes {
		if name != but.Name {
			failures = append(failures, machine.In(s.cluster.NetNS(other.spec), func() error { return do("eth0") }))
		}
	}
	return errors.Join(failures...)
}

// forward hands the connections of a listener over to an address in the present network
// namespace.
func forward(l net.Listener, to string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			other, err := net.Dial("tcp", to)
			if err != nil {
				return // the API server does not run: the client sees a closed connection
			}
			defer other.Close()
			ended := make(chan struct{}, 2)
			for from, to := range map[net.Conn]net.Conn{c: other, other: c} {
				go func() {
					_, _ = io.Copy(to, from) // whatever ends it
					if half, ok := to.(interface{ CloseWrite() error }); ok {
						_ = half.CloseWrite()
					}
					ended <- struct{}{}
				}()
			}
			<-ended
			<-ended
		}()
	}
}

// socket returns the address of the socket for commands in a cluster's folder, whose name
// may be longer than an address can be.
func socket(folder *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d/control.sock", folder.Fd())
}

// Listen opens the socket for commands in a cluster's folder.
func Listen(dir string) (net.Listener, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return net.Listen("unix", socket(folder))
}
