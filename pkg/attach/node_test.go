// SPDX-License-Identifier: Apache-2.0

package attach_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/attach"
	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
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
	host *hnsemu.Host
	hns  hns.Client
	dir  string
}

func newNode(t *testing.T, profile string) *node {
	t.Helper()
	p, err := hnsemu.ProfileNamed(profile)
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	n := &node{T: t, host: host, dir: t.TempDir()}
	n.limit(callTime)
	return n
}

// limit gives up on native calls after d.
func (n *node) limit(d time.Duration) {
	n.hns = bounded.Client(emuclient.New(n.host, "test"), d)
}

// section returns the network and ipam sections for a driver, and what else its
// plan can have, so that a sweep covers it.
func (n *node) section(d hns.Driver) string {
	ipam := fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.10"}]]}`, n.dir)
	subnet := `{"prefix":"10.1.0.0/16","gateway":"10.1.0.1"`
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
func (n *node) attachment(d hns.Driver, containerID, netns string) attach.Attachment {
	n.Helper()
	return n.configured(fmt.Sprintf(`"driver":%q,%s`, d, n.section(d)), containerID, netns)
}

// configured returns an attachment whose configuration has these members.
func (n *node) configured(members, containerID, netns string) attach.Attachment {
	n.Helper()
	conf := []byte(`{"cniVersion":"1.0.0","name":"net1","type":"bulkhead",` + members + `}`)
	if !json.Valid(conf) {
		n.Fatalf("the test's configuration is not JSON: %s", conf)
	}
	c, err := config.Parse(conf, "IgnoreUnknown=1;K8S_POD_NAME=web")
	if err != nil {
		n.Fatal(err)
	}
	return attach.Attachment{Config: c, ContainerID: containerID, IfName: "eth0", NetNS: netns, Args: "IgnoreUnknown=1;K8S_POD_NAME=web"}
}

// attacher returns the verbs as cniplugin would call them.
func (n *node) attacher(a attach.Attachment) attach.Attacher {
	return attach.Attacher{HNS: n.hns, IPAM: ipam.Open(a.Config.IPAM.Type)}
}

func (n *node) add(a attach.Attachment) (attach.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.attacher(a).Add(ctx, a)
}

func (n *node) del(a attach.Attachment) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.attacher(a).Del(ctx, a)
}

func (n *node) mustAdd(a attach.Attachment) attach.Result {
	n.Helper()
	r, err := n.add(a)
	if err != nil {
		n.Fatalf("ADD: %v", err)
	}
	return r
}

func (n *node) mustDel(a attach.Attachment) {
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

// addresses returns what IPAM has given away, with its owners.
func (n *node) addresses() []string {
	n.Helper()
	entries, err := os.ReadDir(filepath.Join(n.dir, "net1"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() == "lock" || strings.HasPrefix(e.Name(), "last_reserved_ip") {
			continue
		}
		owner, err := os.ReadFile(filepath.Join(n.dir, "net1", e.Name()))
		if err != nil {
			n.Fatal(err)
		}
		out = append(out, e.Name()+" "+strings.Fields(string(owner))[0])
	}
	return out
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
func (n *node) attached(a attach.Attachment, r attach.Result) {
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
	if got := n.addresses(); a.Config.IPAM.Type != "" && !slices.Contains(got, want[0]) {
		n.Errorf("IPAM holds %v, want %v", got, want)
	}
}
