// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

const (
	netns1 = "5e7ec6f4-3d7c-4b6e-8d6e-000000000001"
	netns2 = "5e7ec6f4-3d7c-4b6e-8d6e-000000000002"
)

// How long a native call may take: more than a loaded machine needs, and, where
// a call is made to hang and is waited for, no more than a test can bear.
const (
	callTime = 10 * time.Second
	hangTime = 400 * time.Millisecond
)

// node is an emulated Windows node with Bulkhead on it.
type node struct {
	*testing.T
	host   *hnsemu.Host
	hns    hns.Client
	dir    string
	locked chan struct{}
}

func newNode(t *testing.T, profile string) *node {
	t.Helper()
	return newNodeIn(t, profile, t.TempDir())
}

// newNodeIn returns a node whose host-local keeps its files in dir.
func newNodeIn(t *testing.T, profile, dir string) *node {
	t.Helper()
	p, err := hnsemu.ProfileNamed(profile)
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	n := &node{T: t, host: host, dir: dir, locked: make(chan struct{}, 1)}
	n.limit(callTime)
	return n
}

// twoAdapters gives the node a second network card.
func (n *node) twoAdapters() {
	n.Helper()
	if err := n.host.SetNode(hnsemu.Node{Adapters: []hnsemu.Adapter{
		{Name: "Ethernet", Address: netip.MustParsePrefix("192.168.1.5/24"), Index: 7},
		{Name: "Ethernet 2", Address: netip.MustParsePrefix("172.16.1.5/24"), Index: 8},
	}}); err != nil {
		n.Fatal(err)
	}
}

// limit gives up on native calls after d.
func (n *node) limit(d time.Duration) {
	n.hns = emuclient.NewTimeout(n.host, "test", d)
}

// section returns the network and ipam sections for a driver, and what else its
// plan can have, so that a sweep covers it.
func (n *node) section(d hns.Driver) string { return n.numbered(d, 1) }

// numbered returns those sections for one of several networks.
func (n *node) numbered(d hns.Driver, i int) string {
	ipam := fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.%[2]d.0.0/16","rangeStart":"10.%[2]d.0.10"}]]}`, n.dir, i)
	subnet := fmt.Sprintf(`{"prefix":"10.%[1]d.0.0/16","gateway":"10.%[1]d.0.1"`, i)
	if d == hns.Overlay {
		subnet += `,"vsid":4096`
	}
	out := ipam + `,"network":{"subnets":[` + subnet + `}]}`
	if d.HasVFP() {
		out += `,"loopbackDSR":true,"outboundNAT":{"exceptions":["10.0.0.0/8"]},"routes":[{"dst":"10.96.0.0/12","needEncap":true}]`
	}
	return out
}

// attachment returns pod's eth0 on the network of a driver.
func (n *node) attachment(d hns.Driver, containerID, netns string) config.Config {
	n.Helper()
	return n.configured(fmt.Sprintf(`"driver":%q,%s`, d, n.section(d)), containerID, netns)
}

// configured returns an attachment whose configuration has these members.
func (n *node) configured(members, containerID, netns string) config.Config {
	n.Helper()
	return n.named("net1", members, containerID, netns)
}

// named returns an attachment to a network of that name.
func (n *node) named(network, members, containerID, netns string) config.Config {
	n.Helper()
	conf := []byte(`{"cniVersion":"1.0.0","name":"` + network + `","type":"bulkhead",` + members + `}`)
	if !json.Valid(conf) {
		n.Fatalf("the test's configuration is not JSON: %s", conf)
	}
	c, err := config.Parse(conf, config.Env{ContainerID: containerID, IfName: "eth0", NetNS: netns, Args: "IgnoreUnknown=1;K8S_POD_NAME=web"})
	if err != nil {
		n.Fatal(err)
	}
	return c
}

// attacher returns the verbs as cniplugin would call them.
func (n *node) attacher(a config.Config) pod.Verbs {
	return pod.Verbs{HNS: n.hns, IPAM: ipam.Open(a.IPAM.Type), Lock: n.lock, NodeAddrs: hostAddresses, SendsFrom: sendsFrom}
}

func (n *node) networks() network.Keeper {
	return network.Keeper{HNS: n.hns, Lock: n.lock}
}

// hostAddresses are the node's.
func hostAddresses() ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("127.0.0.1")}, nil
}

// sendsFrom has no way to IPv6.
func sendsFrom(to netip.Addr) (netip.Addr, error) {
	if to.Is6() {
		return netip.Addr{}, errors.New("network is unreachable")
	}
	return netip.MustParseAddr("192.168.1.5"), nil
}

// lock is the node's one lock for every name.
func (n *node) lock(ctx context.Context, _ string) (release func(), err error) {
	select {
	case n.locked <- struct{}{}:
		return func() { <-n.locked }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *node) add(a config.Config) (pod.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.attacher(a).Add(ctx, a)
}

func (n *node) del(a config.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.attacher(a).Del(ctx, a)
}

func (n *node) mustAdd(a config.Config) pod.Result {
	n.Helper()
	r, err := n.add(a)
	if err != nil {
		n.Fatalf("ADD: %v", err)
	}
	return r
}

func (n *node) mustDel(a config.Config) {
	n.Helper()
	if err := n.del(a); err != nil {
		n.Fatalf("DEL: %v", err)
	}
}

// namespace makes a namespace as containerd does.
func (n *node) namespace(id string) {
	n.Helper()
	if _, err := n.hns.CreateNamespace(context.Background(), id); err != nil {
		n.Fatal(err)
	}
}

func (n *node) state() hnsemu.State {
	n.Helper()
	s, err := n.host.State()
	if err != nil {
		n.Fatal(err)
	}
	return s
}

// addresses returns what IPAM has given away of net1, with the containers.
func (n *node) addresses() []string {
	n.Helper()
	var out []string
	for address, h := range n.reserved("net1") {
		out = append(out, address+" "+h.ContainerID)
	}
	slices.Sort(out)
	return out
}

// reserved returns what IPAM has given away of a network, and to whom.
func (n *node) reserved(network string) map[string]config.Attachment {
	n.Helper()
	out := map[string]config.Attachment{}
	for name, content := range n.ipamFiles(network) {
		if name == "lock" || strings.HasPrefix(name, "last_reserved_ip") {
			continue
		}
		owner := append(strings.Fields(content), "")
		out[name] = config.Attachment{ContainerID: owner[0], IfName: owner[1]}
	}
	return out
}

// ipamFiles returns host-local's files about a network.
func (n *node) ipamFiles(network string) map[string]string {
	n.Helper()
	dir := filepath.Join(n.dir, network)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			n.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

// nothingLeft fails when an endpoint, a namespace resource or an address is.
func (n *node) nothingLeft(when string) {
	n.Helper()
	s := n.state()
	for _, e := range s.Endpoints {
		n.Errorf("%s: endpoint %s is left", when, e.Name)
	}
	for _, ns := range s.Namespaces {
		if len(ns.Endpoints) > 0 {
			n.Errorf("%s: namespace %s still holds %v", when, ns.ID, ns.Endpoints)
		}
	}
	if left := n.addresses(); len(left) > 0 {
		n.Errorf("%s: addresses are left: %v", when, left)
	}
}

// attached fails unless the result is what the node has: one endpoint of that
// name, in the namespace, whose address IPAM knows as the container's.
func (n *node) attached(a config.Config, r pod.Result) {
	n.Helper()
	found, err := n.hns.EndpointsNamed(context.Background(), r.Endpoint.Name)
	if err != nil || len(found) != 1 {
		n.Fatalf("%d endpoints named %s (%v), want 1", len(found), r.Endpoint.Name, err)
	}
	if found[0].ID != r.Endpoint.ID || found[0].NamespaceID != a.NetNS {
		n.Errorf("endpoint %+v is not the one of the result in %s", found[0], a.NetNS)
	}
	ns, err := n.hns.Namespace(context.Background(), a.NetNS)
	if err != nil || !slices.Contains(ns.Endpoints, r.Endpoint.ID) {
		n.Errorf("namespace %s holds %v (%v), not %s", a.NetNS, ns.Endpoints, err, r.Endpoint.ID)
	}
	want := []string{r.Endpoint.Addresses[0].Addr().String() + " " + a.ContainerID}
	if got := n.addresses(); a.IPAM.Type != "" && !slices.Contains(got, want[0]) {
		n.Errorf("IPAM holds %v, want %v", got, want)
	}
}

// struck returns the call that a fault acted on, empty for none.
func (n *node) struck() string {
	n.Helper()
	calls, err := n.host.Calls()
	if err != nil {
		n.Fatal(err)
	}
	for _, c := range calls {
		if c.Fault != "" {
			return c.Proc
		}
	}
	return ""
}
