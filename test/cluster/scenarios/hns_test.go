// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// policy returns the settings of an endpoint's policies of a type.
func policy(e hnsemu.EndpointState, of string) []string {
	var out []string
	for _, p := range e.Policies {
		if p.Type == of {
			out = append(out, string(p.Settings))
		}
	}
	return out
}

// A pod of the Hyper-V runtime class has the rules of that isolation: VFP's alone.
func TestRuntimeClass(t *testing.T) {
	c := open(t)
	class := "hyperv-" + c.ns
	r := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Handler: "runhcs-wcow-hypervisor"}
	if _, err := c.api.NodeV1().RuntimeClasses().Create(c.ctx(), r, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.api.NodeV1().RuntimeClasses().Delete(context.Background(), class, metav1.DeleteOptions{})
	})
	of := pods(web("web", 80))
	of.RuntimeClassName = &class
	hyperV, process := c.run("hyperv", of, nil), c.run("process", pods(web("web", 80)), nil)
	for p, want := range map[*corev1.Pod]map[hns.RuleType]bool{&hyperV: {hns.Switch: true}, &process: {hns.Switch: true, hns.Host: true}} {
		got := map[hns.RuleType]bool{}
		for _, a := range c.endpoint(p.Spec.NodeName, p.Status.PodIP).ACLs {
			got[a.RuleType] = true
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: rules of %v, want %v", p.Name, got, want)
		}
	}
}

// What a pod asks for arrives in HNS: a port of the node, bandwidth, name servers.
func TestRequests(t *testing.T) {
	c := open(t)
	of := pods(web("web", 80))
	of.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
	of.DNSPolicy = corev1.DNSNone
	ndots := "3"
	of.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}, Searches: []string{"example.org"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &ndots}}}
	p := c.run("web", of, map[string]string{"kubernetes.io/egress-bandwidth": "8M"})
	e := c.endpoint(p.Spec.NodeName, p.Status.PodIP)
	if got := policy(e, "PortMapping"); len(got) != 1 || !strings.Contains(got[0], `"ExternalPort":8080`) || !strings.Contains(got[0], `"InternalPort":80`) {
		t.Errorf("port: %q", got)
	}
	if got := policy(e, "QOS"); len(got) != 1 || !strings.Contains(got[0], `"MaximumOutgoingBandwidthInBytes":1000000`) {
		t.Errorf("bandwidth: %q", got)
	}
	if got := e.DNS; !slices.Equal(got.Servers, []string{"192.0.2.53"}) || !slices.Equal(got.Search, []string{"example.org"}) {
		t.Errorf("DNS: %+v", got)
	}
	if out, err := c.exec("web", "cat", "/etc/resolv.conf"); err != nil || !strings.Contains(out, "nameserver 192.0.2.53") {
		t.Errorf("resolv.conf: %q, %v", out, err)
	}
}

// A conflist that changes under running pods is the next ones' alone, and a pod's
// annotation tightens its rules when the new one lets it.
func TestConflistChanges(t *testing.T) {
	c := open(t)
	n := c.Nodes[0]
	before := c.run("before", on(n.Name, pods(web("web", 80))), nil)
	c.edit(n, func(conf string) string {
		return strings.Replace(conf, `"capabilities": {`, `"acl": {"podAnnotations": true}, "capabilities": {"io.kubernetes.cri.pod-annotations": true,`, 1)
	})
	after := c.run("after", on(n.Name, pods(web("web", 80))), map[string]string{
		"bulkhead.dev/acl": `{"rules": [{"direction": "in", "action": "deny", "protocol": "tcp", "ports": "22"}]}`,
	})
	denies := func(p corev1.Pod) bool {
		return slices.ContainsFunc(policy(c.endpoint(n.Name, p.Status.PodIP), "ACL"), func(s string) bool {
			return strings.Contains(s, `"Action":"Block"`) && strings.Contains(s, `"LocalPorts":"22"`)
		})
	}
	if denies(before) || !denies(after) {
		t.Errorf("rules: before the change %t, after it %t", denies(before), denies(after))
	}
	c.delete("before")
	c.eventually("the older pod left nothing", c.leftovers)
}

// kube-proxy.exe makes of a Service what the pods' endpoints are: local and remote ones, and
// load balancers for its address and its port of the node.
func TestServices(t *testing.T) {
	c := open(t)
	all := c.deploy("web", int32(2*len(c.Nodes)), pods(web("web", 80)))
	s := c.serve("web", webPort)
	c.served(s, all)
	// An address that comes free on one node and is reused there serves on the others, too.
	gone := all[0]
	c.delete(gone.Name)
	c.served(s, c.allReady("web", len(all)))
	if err := c.api.CoreV1().Services(c.ns).Delete(c.ctx(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.eventually("no load balancer is left", func() error {
		for _, n := range c.Nodes {
			for _, b := range c.balancers(n.Name) {
				if slices.Contains(b.FrontendVIPs, s.Spec.ClusterIP) {
					return fmt.Errorf("%s has %+v", n.Name, b)
				}
			}
		}
		return nil
	})
}

// shared gives the pods of all nodes one address, of a subnet that all nodes have.
const shared = `{"cniVersion": "1.1.0", "name": "podl2bridge", "plugins": [{"type": "bulkhead", "driver": "l2bridge",
	"network": {"adapter": "Ethernet", "subnets": [{"prefix": "10.10.0.0/16", "gateway": "10.10.0.1"}]},
	"ipam": {"type": "host-local", "dataDir": "C:/ProgramData/bulkhead/networks",
		"ranges": [[{"subnet": "10.10.0.0/16", "rangeStart": "10.10.77.10", "rangeEnd": "10.10.77.10"}]]}}]}`

// A pod gets the address that a pod of another node had a moment ago, whatever kube-proxy.exe
// still knows of that one, and the Service follows it.
func TestAddressMoves(t *testing.T) {
	c := open(t)
	if len(c.Nodes) < 2 || !c.usesHostLocal() {
		t.Skip("the cluster has one node, or its addresses are not host-local's")
	}
	for _, n := range c.Nodes {
		if out, err := c.bulkhead(n, "network", "delete", "--name", "podl2bridge"); err != nil {
			t.Logf("the network of %s, which may have none yet: %v: %s", n.Name, err, out)
		}
	}
	for _, n := range c.Nodes {
		c.conflist(n, shared)
		c.removeNetwork(n, "podl2bridge")
		// The first pod of a node makes the network there, which kube-proxy.exe waits for.
		c.run("first", on(n.Name, pods(web("web", 80))), nil)
		c.gone("first")
	}
	s := c.serve("web", webPort)
	for move := range 6 {
		n := c.Nodes[move%2]
		p := c.run("web", on(n.Name, pods(web("web", 80))), nil)
		if p.Status.PodIP != "10.10.77.10" {
			t.Fatalf("move %d: the pod has %s", move, p.Status.PodIP)
		}
		c.served(s, []corev1.Pod{p})
		for _, other := range c.Nodes {
			if got, want := c.claims(other, p.Status.PodIP), map[bool]string{true: "local", false: "remote"}[other.Name == n.Name]; got != want {
				t.Errorf("move %d: the address is of a %q endpoint on %s, want a %s one", move, got, other.Name, want)
			}
		}
		c.gone("web")
	}
}

// claims tells which endpoints of a node have an address: "local", "remote", or more.
func (c *cluster) claims(n spec.Node, address string) string {
	c.Helper()
	state, err := c.hns.HNS(c.ctx(), n.Name)
	if err != nil {
		c.Fatal(err)
	}
	var out []string
	for _, e := range state.Endpoints {
		for _, a := range e.Addresses {
			if a.Addr().String() == address {
				out = append(out, map[bool]string{true: "remote", false: "local"}[e.Remote])
			}
		}
	}
	return strings.Join(out, " and ")
}

// webPort is the port of a Service for pods that answer on port 80.
var webPort = corev1.ServicePort{Name: "web", Port: 8000, TargetPort: intstr.FromInt32(80)}

// serve makes a Service for the pods of an app, whose first port is webPort, with ports of
// the nodes, too.
func (c *cluster) serve(app string, ports ...corev1.ServicePort) *corev1.Service {
	c.Helper()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: app}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": app}, Ports: ports,
	}}
	if c.Nodes[0].DualStack() {
		both := corev1.IPFamilyPolicyRequireDualStack
		s.Spec.IPFamilyPolicy = &both
	}
	s, err := c.api.CoreV1().Services(c.ns).Create(c.ctx(), s, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return s
}

func (c *cluster) balancers(node string) []hnsemu.LoadBalancerState {
	c.Helper()
	state, err := c.hns.HNS(context.Background(), node)
	if err != nil {
		c.Fatal(err)
	}
	return state.LoadBalancers
}

// number is that of a protocol.
var number = map[corev1.Protocol]int{"": 6, corev1.ProtocolTCP: 6, corev1.ProtocolUDP: 17}

// served waits until every node has the service's load balancers, with an endpoint for each
// pod.
func (c *cluster) served(s *corev1.Service, pods []corev1.Pod) {
	c.Helper()
	for _, n := range c.Nodes {
		c.eventually("the service is there on "+n.Name, func() error {
			state, err := c.hns.HNS(context.Background(), n.Name)
			if err != nil {
				return err
			}
			addresses := map[string][]string{}
			for _, e := range state.Endpoints {
				for _, a := range e.Addresses {
					addresses[e.ID] = append(addresses[e.ID], a.Addr().String())
				}
			}
			there := map[string]bool{} // ports of the service's addresses and of the nodes'
			for _, b := range state.LoadBalancers {
				for i, vip := range s.Spec.ClusterIPs {
					complete := len(b.Endpoints) == len(pods)
					for _, p := range pods {
						complete = complete && slices.ContainsFunc(b.Endpoints, func(id string) bool { return slices.Contains(addresses[id], p.Status.PodIPs[i].IP) })
					}
					for _, port := range b.Ports {
						for _, want := range s.Spec.Ports {
							at := complete && port.InternalPort == uint16(want.TargetPort.IntVal) && int(port.Protocol) == number[want.Protocol]
							byVIP := slices.Contains(b.FrontendVIPs, vip) && int32(port.ExternalPort) == want.Port
							name := vip + " " + want.Name
							there[name] = there[name] || at && byVIP
							ofNode := len(b.FrontendVIPs) == 0 && int32(port.ExternalPort) == want.NodePort && (b.Flags&schema.FlagIPv6 != 0) == strings.Contains(vip, ":")
							there["node's "+name] = there["node's "+name] || at && ofNode
						}
					}
				}
			}
			missing := slices.DeleteFunc(slices.Sorted(maps.Keys(there)), func(name string) bool { return there[name] })
			if len(missing) == 0 && len(there) > 0 {
				return nil
			}
			text, err := json.Marshal(state.LoadBalancers)
			return errors.Join(err, fmt.Errorf("ports %q are missing: %s", missing, text))
		})
	}
}
