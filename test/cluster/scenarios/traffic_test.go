// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// place is a network to send from: a pod's or a node's.
type place struct {
	name, node string
	netns      string
	// addresses are what others see of it, IPv4 first.
	addresses []string
	isNode    bool
}

func (c *cluster) nodePlace(n spec.Node) place {
	c.Helper()
	out := place{name: n.Name, node: n.Name, netns: filepath.Join(c.machine(n), "ns/net"), isNode: true}
	for _, a := range n.Addresses() {
		out.addresses = append(out.addresses, a.Addr().String())
	}
	return out
}

func (c *cluster) podPlace(p corev1.Pod) place {
	c.Helper()
	n, err := c.Node(p.Spec.NodeName)
	if err != nil {
		c.Fatal(err)
	}
	id := c.endpoint(n.Name, p.Status.PodIP).NamespaceID
	return place{name: p.Name, node: n.Name, netns: filepath.Join(c.machine(n), "root", c.PodNetNS(n, id)), addresses: addressesOf(p)}
}

// addressesOf returns those of a pod, IPv4 first.
func addressesOf(p corev1.Pod) []string {
	var out []string
	for _, a := range p.Status.PodIPs {
		out = append(out, a.IP)
	}
	return out
}

// answerTime is how long a packet may take on a busy machine.
const answerTime = 10 * time.Second

func (from place) dial(ctx context.Context, network, to string) (conn net.Conn, err error) {
	err = machine.In(from.netns, func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, to)
		return err
	})
	return conn, err
}

// get asks an agnhost for a path over HTTP.
func (from place) get(to, path string) (string, error) {
	client := &http.Client{Timeout: answerTime, Transport: &http.Transport{DialContext: from.dial, DisableKeepAlives: true}}
	answer, err := client.Get("http://" + to + path)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// seenBy returns the address that an agnhost sees.
func (from place) seenBy(to string) string {
	text, err := from.get(to, "/clientip")
	if err != nil {
		return err.Error()
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return err.Error()
	}
	return at.Addr().String()
}

// hostname asks an agnhost for its pod's name over UDP.
func (from place) hostname(to string) (string, error) { return from.talk(to, "hostname") }

// talk sends a datagram and returns the answer.
func (from place) talk(to, words string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	conn, err := from.dial(ctx, "udp", to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(words)); err != nil {
		return "", err
	}
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	return strings.TrimSpace(string(buf[:n])), err
}

// talker is a container that answers over TCP on port 80 and UDP on port 81.
func talker() corev1.Container {
	out := web("web", 80)
	out.Args[2] = "--udp-port=81"
	return out
}

// traffic are the pods of TestTraffic.
type traffic struct {
	*cluster
	// servers are one for each node, with ports of their nodes; names are theirs.
	servers []corev1.Pod
	names   []string
	// places are the nodes, and a client on each.
	places  []place
	service *corev1.Service
	driver  hns.Driver
	// exchanges counts what was tried.
	exchanges *int
}

// Packets go where Kubernetes wants them to, in each family that the pods have, by TCP and
// UDP: between pods of a node and of two, with their own addresses; between nodes and pods;
// to services, their backends on all nodes, and to the API server by its service; to node
// ports and host ports. What a driver does not have is skipped with the reason.
func TestTraffic(t *testing.T) {
	c := open(t)
	_, driver := c.Nodes[0].Network()
	w := traffic{cluster: c, driver: driver}
	for _, n := range c.Nodes {
		of := on(n.Name, pods(talker()))
		if driver != hns.Transparent { // it has no port mappings
			of.Containers[0].Ports = []corev1.ContainerPort{
				{ContainerPort: 80, HostPort: 8090, Protocol: corev1.ProtocolTCP}, {ContainerPort: 81, HostPort: 8091, Protocol: corev1.ProtocolUDP},
			}
		}
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "server-" + n.Name, Labels: map[string]string{"app": "server"}}, Spec: of}
		if _, err := c.api.CoreV1().Pods(c.ns).Create(c.ctx(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.start("client-"+n.Name, on(n.Name, pods(talker())), nil)
	}
	for _, n := range c.Nodes {
		p := c.ready("server-" + n.Name)
		w.servers, w.names = append(w.servers, p), append(w.names, p.Name)
		w.places = append(w.places, c.nodePlace(n), c.podPlace(c.ready("client-"+n.Name)))
	}
	if driver.HasVFP() {
		w.service = c.serve("server", webPort, corev1.ServicePort{Name: "talk", Port: 8001, TargetPort: intstr.FromInt32(81), Protocol: corev1.ProtocolUDP})
		c.served(w.service, w.servers)
	}
	const proxied = "kube-proxy.exe serves networks with VFP only"
	for _, s := range []struct {
		name    string
		missing string // why the driver does not have it
		run     func(traffic)
	}{
		{"pod to pod on a node", "", func(w traffic) { w.toPods(false, true) }},
		{"pod to pod on another node", w.unless(driver != hns.NAT, "pods of a nat network are reached by ports of their nodes"), func(w traffic) { w.toPods(false, false) }},
		{"node to its pod", "", func(w traffic) { w.toPods(true, true) }},
		{"node to a pod of another node", w.unless(driver != hns.NAT, "pods of a nat network are reached by ports of their nodes"), func(w traffic) { w.toPods(true, false) }},
		{"pod to node", "", traffic.toNodes},
		{"host port", w.unless(driver != hns.Transparent, "a transparent network maps no ports"), traffic.hostPorts},
		{"service", w.unless(driver.HasVFP(), proxied), traffic.services},
		{"node port", w.unless(driver.HasVFP(), proxied), traffic.nodePorts},
		{"hairpin", w.unless(driver.HasVFP(), proxied), traffic.hairpin},
		{"API server", "", traffic.apiServer},
	} {
		t.Run(s.name, func(t *testing.T) {
			if s.missing != "" {
				t.Skip(s.missing)
			}
			in := *c
			in.T = t
			of := w
			of.cluster, of.exchanges = &in, new(int)
			s.run(of)
			switch {
			case *of.exchanges == 0 && len(c.Nodes) == 1:
				t.Skip("the cluster has one node")
			case *of.exchanges == 0:
				t.Error("nothing was sent")
			}
			t.Logf("%d exchanges", *of.exchanges)
		})
	}
}

// unless returns the reason when something is not so.
func (w traffic) unless(is bool, reason string) string {
	if is {
		return ""
	}
	return reason
}

// toPods has the nodes, or the clients, ask the servers on their own nodes, or those on others.
func (w traffic) toPods(fromNodes, sameNode bool) {
	for _, from := range w.places {
		for _, p := range w.servers {
			if from.isNode == fromNodes && (from.node == p.Spec.NodeName) == sameNode {
				w.reaches(from, p)
			}
		}
	}
}

// More than a packet holds, of a datagram the most that agnhost takes.
const (
	largeStream   = 60_000
	largeDatagram = 2000
)

// reaches checks that a pod answers a place at each of its addresses, by TCP and UDP, also
// with more than a packet holds, and sees the place's own address.
func (w traffic) reaches(from place, p corev1.Pod) {
	w.Helper()
	text := strings.Repeat("x", largeStream)
	for i, to := range addressesOf(p) {
		if got, want := from.seenBy(net.JoinHostPort(to, "80")), w.seenAs(from, i); got != want {
			w.Errorf("%s sees %s of %s, want %s", p.Name, got, from.name, want)
		}
		w.answered(from, to, 80, 81, []string{p.Name})
		*w.exchanges += 3
		if got, err := from.get(net.JoinHostPort(to, "80"), "/echo?msg="+text); err != nil || got != text {
			w.Errorf("%s sends %d bytes to %s by TCP: %d come back, %v", from.name, len(text), to, len(got), err)
		}
		if got, err := from.talk(net.JoinHostPort(to, "81"), "echo "+text[:largeDatagram]); err != nil || got != text[:largeDatagram] {
			w.Errorf("%s sends %d bytes to %s by UDP: %d come back, %v", from.name, largeDatagram, to, len(got), err)
		}
	}
}

// answered asks an address until all of the pods have answered, by TCP and UDP.
func (w traffic) answered(from place, host string, tcp, udp int32, want []string) {
	w.Helper()
	for network, ask := range map[string]func() (string, error){
		"tcp": func() (string, error) { return from.get(net.JoinHostPort(host, fmt.Sprint(tcp)), "/hostname") },
		"udp": func() (string, error) { return from.hostname(net.JoinHostPort(host, fmt.Sprint(udp))) },
	} {
		*w.exchanges++
		got := map[string]bool{}
		for range 100 {
			name, err := ask()
			if err != nil {
				w.Errorf("from %s, %s to %s: %v", from.name, network, host, err)
				break
			}
			if got[name] = true; len(got) == len(want) {
				break
			}
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			w.Errorf("from %s, %s to %s: answered by %v, want %v", from.name, network, host, names, want)
		}
	}
}

// seenAs is the address of a family that pods see of a place. The node of a nat network is on
// it with the network's gateway.
func (w traffic) seenAs(from place, i int) string {
	w.Helper()
	if !from.isNode || w.driver != hns.NAT {
		return from.addresses[i]
	}
	n, err := w.Node(from.node)
	if err != nil {
		w.Fatal(err)
	}
	state, err := w.hns.HNS(w.ctx(), n.Name)
	if err != nil {
		w.Fatal(err)
	}
	name, _ := n.Network()
	for _, of := range state.Networks {
		if of.Name == name {
			return of.Subnets[i].Gateway.String()
		}
	}
	w.Fatalf("%s has no network %s", n.Name, name)
	return ""
}

// toNodes has each client reach the agent of every node, by TCP.
func (w traffic) toNodes() {
	for _, from := range w.places {
		if from.isNode {
			continue
		}
		for _, n := range w.Nodes {
			for _, to := range n.Addresses()[:len(from.addresses)] {
				w.connects(from, netip.AddrPortFrom(to.Addr(), kubeletPort).String())
			}
		}
	}
}

// kubeletPort is kubelet's.
const kubeletPort = 10250

// connects checks that a place reaches an address by TCP.
func (w traffic) connects(from place, to string) {
	w.Helper()
	*w.exchanges++
	ctx, cancel := context.WithTimeout(w.ctx(), answerTime)
	defer cancel()
	conn, err := from.dial(ctx, "tcp", to)
	if err != nil {
		w.Errorf("from %s to %s: %v", from.name, to, err)
		return
	}
	conn.Close()
}

func (w traffic) hostPorts() {
	for _, from := range w.places {
		for i, p := range w.servers {
			for _, to := range w.Nodes[i].Addresses()[:len(p.Status.PodIPs)] {
				w.answered(from, to.Addr().String(), 8090, 8091, []string{p.Name})
			}
		}
	}
}

// services has all ask the service until each backend has answered. With direct server return
// backends see the pod that asks, and without it the node in its place.
func (w traffic) services() {
	for _, from := range w.places {
		for i, to := range w.service.Spec.ClusterIPs {
			w.answered(from, to, webPort.Port, 8001, w.names)
			if from.isNode {
				continue
			}
			*w.exchanges++
			if got := from.seenBy(net.JoinHostPort(to, fmt.Sprint(webPort.Port))); (got == from.addresses[i]) != w.DSR {
				w.Errorf("a backend of %s sees %s of %s, %s, and --dsr is %t", to, got, from.name, from.addresses[i], w.DSR)
			}
		}
	}
}

func (w traffic) nodePorts() {
	for _, from := range w.places {
		for i, p := range w.servers {
			for _, to := range w.Nodes[i].Addresses()[:len(p.Status.PodIPs)] {
				w.answered(from, to.Addr().String(), w.service.Spec.Ports[0].NodePort, w.service.Spec.Ports[1].NodePort, w.names)
			}
		}
	}
}

// hairpin has a server ask its own service until all have answered, itself, too.
func (w traffic) hairpin() {
	for _, p := range w.servers {
		for _, to := range w.service.Spec.ClusterIPs {
			w.answered(w.podPlace(p), to, webPort.Port, 8001, w.names)
		}
	}
}

// apiServer has all reach it at its own address, and by its service where there is a proxy.
func (w traffic) apiServer() {
	for _, from := range w.places {
		w.connects(from, spec.Outer.Addr().String()+":6443")
		if w.driver.HasVFP() {
			w.connects(from, "10.96.0.1:443")
		}
	}
}

// What leaves the cluster has the node's address, and the pod's own where a conflist's
// exceptions say so.
func TestSeenOutside(t *testing.T) {
	c := open(t)
	n := c.Nodes[0]
	clients := make(chan string)
	var listener net.Listener
	err := machine.In(filepath.Join("/proc", c.supervisor(), "ns/net"), func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(spec.Outer.Addr().String(), "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			clients <- conn.RemoteAddr().(*net.TCPAddr).IP.String()
			conn.Close()
		}
	}()
	for _, name := range []string{"translated", "excepted"} {
		want := n.Address().String()
		if name == "excepted" {
			c.edit(n, func(conf string) string {
				return strings.Replace(conf, `"exceptions": [`, `"exceptions": ["`+spec.Outer.Masked().String()+`", `, 1)
			})
		}
		p := c.run(name, on(n.Name, pods(web("web", 80))), nil)
		ctx, cancel := context.WithTimeout(c.ctx(), answerTime)
		conn, err := c.podPlace(p).dial(ctx, "tcp", listener.Addr().String())
		if cancel(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
		if name == "excepted" {
			want = p.Status.PodIP
		}
		if got := <-clients; got != want {
			t.Errorf("%s: seen as %s, want %s", name, got, want)
		}
	}
}

// supervisor returns the id of a process in the network between the nodes.
func (c *cluster) supervisor() string {
	c.Helper()
	found := spec.Processes(func(line string) bool { return strings.HasSuffix(line, "\x00supervise\x00--dir\x00"+c.Dir+"\x00") })
	if len(found) == 0 {
		c.Fatal("the cluster does not run")
	}
	return filepath.Base(found[0])
}

// pause is between two looks of a probe, each of which is a line in a container's log.
const pause = 100 * time.Millisecond

// probe starts two pods, on the first and the last of some nodes, and sends from one to the
// other until end is called. End fails the test if anything was lost.
func (c *cluster) probe(nodes ...spec.Node) (end func()) {
	c.Helper()
	first, last := nodes[0], nodes[len(nodes)-1]
	c.start("probed", on(last.Name, pods(talker())), nil)
	from := c.podPlace(c.run("prober", on(first.Name, pods(talker())), nil))
	to := c.ready("probed").Status.PodIP
	ctx, stop := context.WithCancel(c.ctx()) // it ends with the test, too
	ended := make(chan struct{})
	var sent, lost int
	var failed error
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			for _, ask := range []func() (string, error){
				func() (string, error) { return from.hostname(to + ":81") },
				func() (string, error) { return from.get(to+":80", "/hostname") },
			} {
				sent++
				if name, err := ask(); err != nil || name != "probed" {
					lost++
					failed = fmt.Errorf("%q, %w", name, err)
				}
			}
		}
	}()
	return func() {
		c.Helper()
		stop()
		<-ended
		if lost > 0 || sent < 10 {
			c.Errorf("of %d packets and connections between pods that nobody touched %d were lost: %v", sent, lost, failed)
		}
		c.Logf("%d packets and connections between pods that nobody touched", sent)
	}
}
