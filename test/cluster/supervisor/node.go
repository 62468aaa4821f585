// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	agent "github.com/bulkhead-cni/bulkhead/test/cluster/node"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// node is a machine of the cluster. Its HNS lives here, since it outlasts the machine's
// reboots. A Linux node has none.
type node struct {
	*Supervisor
	spec  spec.Node
	hns   *hnsemu.Host
	plane *dataplane.Plane
	// routed are the addresses of its pods that the others have a way to.
	routed map[netip.Addr]bool

	// leased wakes up who keeps the node's ways to the others' overlays.
	leased chan struct{}

	mu  sync.Mutex
	cmd *exec.Cmd     // the machine's first process, nil while it is off
	off chan struct{} // closed when it is off
}

// newNode makes a machine that is off: its network and, on Windows, its HNS.
func (s *Supervisor) newNode(n spec.Node) (*node, error) {
	path := s.cluster.NetNS(n)
	if err := s.connect(n); err != nil {
		return nil, err
	}
	made := &node{Supervisor: s, spec: n, routed: map[netip.Addr]bool{}, leased: make(chan struct{}, 1)}
	if n.Linux {
		return made, nil
	}
	profile, err := hnsemu.ProfileNamed(n.Profile)
	if err != nil {
		return nil, err
	}
	made.hns = hnsemu.New(profile)
	// Under Wine programs see the Linux interface.
	err = made.hns.SetNode(hnsemu.Node{Adapters: []hnsemu.Adapter{{Name: "Ethernet", Aliases: []string{"eth0"}, Address: n.Addresses()[0], Index: 7}}})
	if err != nil {
		return nil, err
	}
	var l net.Listener
	err = machine.In(path, func() error {
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", spec.HNSPort))
		return err
	})
	if err != nil {
		return nil, err
	}
	if made.plane, err = dataplane.Open(s.cluster.PodNetNS(n, ""), path, dataplane.Unknowns{}); err != nil {
		return nil, err
	}
	made.hns.Watch(made.carryOut)
	go made.meet() // until this process ends
	go func() { _ = wire.Serve(context.Background(), l, made.hns) }()
	return made, nil
}

// connect makes a machine's network namespace, and connects it with the others.
func (s *Supervisor) connect(n spec.Node) error {
	path := s.cluster.NetNS(n)
	if err := machine.NewNet(path); err != nil {
		return err
	}
	if err := machine.Cable(n.Name, bridge, path); err != nil {
		return err
	}
	return machine.In(path, func() error {
		for name, value := range map[string]string{"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"} {
			if err := machine.Set(name, value); err != nil {
				return err
			}
		}
		return machine.Address("eth0", n.Addresses(), spec.Outer.Addr(), spec.Outer6.Addr())
	})
}

// carryOut makes the node's data plane what HNS was told, and the ways to its pods.
func (n *node) carryOut(s hnsemu.State) {
	if err := n.plane.Apply(s); err != nil {
		log.Printf("%s: %v", n.spec.Name, err)
	}
	want := n.plane.Addresses()
	for a := range n.routed {
		if !want[a] {
			n.tell(a, false)
		}
	}
	for a := range want {
		if !n.routed[a] {
			n.tell(a, true)
		}
	}
	n.routed = want
	n.lease(s)
}

func (n *node) tell(a netip.Addr, there bool) {
	if err := n.route(n.spec, a, there); err != nil {
		log.Printf("%s: %v", n.spec.Name, err)
	}
}

// boot turns the machine on.
func (n *node) boot() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		return fmt.Errorf("%s is on", n.spec.Name)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(n.cluster.Log(n.spec.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(self, "init", "machine", "--dir", n.cluster.Dir, n.spec.Name)
	cmd.Stdout, cmd.Stderr = out, out
	machine.Isolate(cmd, false)
	if err := machine.In(n.cluster.NetNS(n.spec), cmd.Start); err != nil {
		return err
	}
	off := make(chan struct{})
	n.cmd, n.off = cmd, off
	go func() {
		ended := cmd.Wait()
		n.mu.Lock()
		n.cmd = nil
		n.mu.Unlock()
		log.Printf("%s is off (%v)", n.spec.Name, ended)
		close(off)
	}()
	return nil
}

// halt turns the machine off, as if its power failed.
func (n *node) halt() {
	n.mu.Lock()
	cmd, off := n.cmd, n.off
	n.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may have ended
	<-off
}

// do carries out a command for a node.
func (n *node) do(ctx context.Context, verb string) error {
	switch verb {
	case "reboot":
		if err := n.shut(); err != nil {
			return err
		}
		return n.boot()
	case "off":
		return n.shut()
	case "on":
		return n.boot()
	case agent.Containerd, agent.Kubelet:
		return n.ask(ctx, verb)
	}
	latency, isLatency := strings.CutPrefix(verb, "hns-latency-")
	if verb != "hns-stop" && verb != "hns-start" && !isLatency {
		return fmt.Errorf("no verb %q; there are reboot, off, on, hns-stop, hns-start, hns-latency-MS, %s, %s", verb, agent.Kubelet, agent.Containerd)
	}
	host, err := n.host()
	switch {
	case err != nil:
		return err
	case verb == "hns-stop":
		return host.StopService()
	case verb == "hns-start":
		return host.StartService()
	}
	ms, err := strconv.Atoi(latency)
	if err != nil {
		return fmt.Errorf("%s: want milliseconds, such as hns-latency-20", verb)
	}
	return host.SetLatency(time.Duration(ms)*time.Millisecond, ms > 0)
}

// shut turns the machine off, with what HNS forgets then.
func (n *node) shut() error {
	n.halt()
	if n.hns == nil {
		return nil
	}
	return n.hns.Reboot()
}

// host returns the node's HNS.
func (n *node) host() (*hnsemu.Host, error) {
	if n.hns == nil {
		return nil, fmt.Errorf("%s is a Linux node, which has no HNS", n.spec.Name)
	}
	return n.hns, nil
}

// ask asks the machine's agent.
func (n *node) ask(ctx context.Context, verb string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, address string) (c net.Conn, err error) {
		err = machine.In(n.cluster.NetNS(n.spec), func() error {
			c, err = net.Dial(network, address)
			return err
		})
		return c, err
	}}}
	return post(ctx, client, fmt.Sprintf("http://127.0.0.1:%d/%s", spec.AgentPort, verb))
}

func (n *node) on() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd != nil
}
