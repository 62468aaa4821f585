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

	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// place is a network to send from: a pod's or a node's.
type place struct {
	name  string
	netns string
	// address is what others see of it.
	address string
}

func (c *cluster) nodePlace(n spec.Node) place {
	c.Helper()
	return place{n.Name, filepath.Join(c.machine(n), "ns/net"), n.Address().String()}
}

func (c *cluster) podPlace(p corev1.Pod) place {
	c.Helper()
	n, err := c.Node(p.Spec.NodeName)
	if err != nil {
		c.Fatal(err)
	}
	id := c.endpoint(n.Name, p.Status.PodIP).NamespaceID
	return place{p.Name, filepath.Join(c.machine(n), "root", c.PodNetNS(n, id)), p.Status.PodIP}
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
func (from place) hostname(to string) (string, error) {
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
	if _, err := conn.Write([]byte("hostname")); err != nil {
		return "", err
	}
	buf := make([]byte, 1<<10)
	n, err := conn.Read(buf)
	return strings.TrimSpace(string(buf[:n])), err
}

// everyBackend asks an address until all of the pods have answered, over TCP and UDP.
func (c *cluster) everyBackend(from place, host string, tcp, udp int32, want []string) {
	c.Helper()
	for network, ask := range map[string]func() (string, error){
		"tcp": func() (string, error) { return from.get(fmt.Sprintf("%s:%d", host, tcp), "/hostname") },
		"udp": func() (string, error) { return from.hostname(fmt.Sprintf("%s:%d", host, udp)) },
	} {
		got := map[string]bool{}
		for range 100 {
			name, err := ask()
			if err != nil {
				c.Errorf("from %s, %s to %s: %v", from.name, network, host, err)
				break
			}
			if got[name] = true; len(got) == len(want) {
				break
			}
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			c.Errorf("from %s, %s to %s: answered by %v, want %v", from.name, network, host, names, want)
		}
	}
}

// talker is a container that answers over TCP on port 80 and UDP on port 81.
func talker() corev1.Container {
	out := web("web", 80)
	out.Args[2] = "--udp-port=81"
	return out
}

// Packets go where Kubernetes wants them to: between pods of a node and of two, with their
// own addresses; between nodes and pods; to services, their backends on all nodes, and to the
// API server by its service; to node ports and host ports; and out.
func TestTraffic(t *testing.T) {
	c := open(t)
	var servers []corev1.Pod
	var places []place
	for _, n := range c.Nodes {
		of := on(n.Name, pods(talker()))
		of.Containers[0].Ports = []corev1.ContainerPort{
			{ContainerPort: 80, HostPort: 8090, Protocol: corev1.ProtocolTCP}, {ContainerPort: 81, HostPort: 8091, Protocol: corev1.ProtocolUDP},
		}
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "server-" + n.Name, Labels: map[string]string{"app": "server"}}, Spec: of}
		if _, err := c.api.CoreV1().Pods(c.ns).Create(c.ctx(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.start("client-"+n.Name, on(n.Name, pods(talker())), nil)
	}
	var names []string
	for _, n := range c.Nodes {
		p := c.ready("server-" + n.Name)
		servers, names = append(servers, p), append(names, p.Name)
		places = append(places, c.nodePlace(n), c.podPlace(c.ready("client-"+n.Name)))
	}
	service := c.serve("server", webPort, corev1.ServicePort{Name: "talk", Port: 8001, TargetPort: intstr.FromInt32(81), Protocol: corev1.ProtocolUDP})
	c.served(service, servers)
	for _, from := range places {
		for i, p := range servers {
			if got := from.seenBy(p.Status.PodIP + ":80"); got != from.address {
				t.Errorf("%s sees %s, want %s: %s", p.Name, got, from.name, from.address)
			}
			node := c.Nodes[i].Address().String()
			c.everyBackend(from, p.Status.PodIP, 80, 81, []string{p.Name})
			c.everyBackend(from, node, 8090, 8091, []string{p.Name})
			c.everyBackend(from, node, service.Spec.Ports[0].NodePort, service.Spec.Ports[1].NodePort, names)
		}
		c.everyBackend(from, service.Spec.ClusterIP, webPort.Port, 8001, names)
		for _, to := range []string{"10.96.0.1:443", spec.Outer.Addr().String() + ":6443"} {
			ctx, cancel := context.WithTimeout(c.ctx(), answerTime)
			conn, err := from.dial(ctx, "tcp", to)
			if cancel(); err != nil {
				t.Errorf("from %s to the API server at %s: %v", from.name, to, err)
				continue
			}
			conn.Close()
		}
	}
	c.everyBackend(c.podPlace(servers[0]), service.Spec.ClusterIP, webPort.Port, 8001, names) // itself, too
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
	found := processes(func(line string) bool { return strings.HasSuffix(line, "\x00supervise\x00--dir\x00"+c.Dir+"\x00") })
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
