// SPDX-License-Identifier: Apache-2.0

// Package verbs calls the plugin's verbs in the process of a test, on an emulated
// node, with what a runtime gives to bulkhead.exe: for tests that make hundreds of
// pods, and for comparing what the Linux build and bulkhead.exe do.
package verbs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/cniplugin"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// Node is an emulated Windows node with the plugin on it.
type Node struct {
	Host *hnsemu.Host
	// HNS reaches the node as the plugin does, to prepare and to look.
	HNS hns.Client
	// Dir is where the addresses are kept, when the configuration says so.
	Dir string
}

// New returns a node of a profile ("2019", "2022" or "2025") whose addresses are
// kept in dir.
func New(t testing.TB, profile, dir string) *Node {
	t.Helper()
	p, err := hnsemu.ProfileNamed(profile)
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	return &Node{Host: host, HNS: emuclient.New(host, "test"), Dir: dir}
}

// Call is one invocation by a runtime, for the pod default/web.
type Call struct {
	Verb, ContainerID, NetNS, Conf string
	// IfName is eth0 when it is empty, CNIArgs are Args.
	IfName, CNIArgs string
}

// Args is what containerd puts into CNI_ARGS for the pod.
const Args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web"

// Run carries out a call and returns what the plugin prints. What it refuses, it
// refuses with a *types.Error.
func (n *Node) Run(t testing.TB, c Call) (stdout string, err error) {
	t.Helper()
	funcs := cniplugin.Funcs(node.Node{
		OpenHNS: func(perCall time.Duration) (hns.Client, error) {
			return emuclient.NewTimeout(n.Host, "bulkhead", perCall), nil
		},
		Lock: nodelock.Acquire, NodeAddrs: n.addrs, SendsFrom: n.sendsFrom,
	})
	verb := map[string]func(*skel.CmdArgs) error{
		"ADD": funcs.Add, "CHECK": funcs.Check, "DEL": funcs.Del, "STATUS": funcs.Status, "GC": funcs.GC,
	}[c.Verb]
	args := &skel.CmdArgs{
		ContainerID: c.ContainerID, Netns: c.NetNS, StdinData: []byte(c.Conf),
		IfName: cmp.Or(c.IfName, "eth0"), Args: cmp.Or(c.CNIArgs, Args),
	}
	stdout = captured(t, func() { err = verb(args) })
	var e *types.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%s failed with what is no CNI error: %v", c.Verb, err)
	}
	return stdout, err
}

// addrs returns the emulated node's addresses, of which the emulator has those of IPv4.
func (n *Node) addrs() ([]netip.Addr, error) {
	out := []netip.Addr{netip.MustParseAddr("fd00:9::5")}
	for _, a := range n.Host.Node().Adapters {
		out = append(out, a.Address.Addr())
	}
	return out, nil
}

// sendsFrom returns the emulated node's first address of a family.
func (n *Node) sendsFrom(to netip.Addr) (netip.Addr, error) {
	all, err := n.addrs()
	if err == nil && to.Is4() {
		all = all[1:]
	}
	return all[0], err
}

// captured returns what f prints on stdout, where CNI's library prints results.
func captured(t testing.TB, f func()) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stdout")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	real := os.Stdout
	os.Stdout = file
	f()
	os.Stdout = real
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Namespace makes a namespace as containerd does and returns its GUID.
func (n *Node) Namespace(t testing.TB) string {
	t.Helper()
	ns, err := n.HNS.CreateNamespace(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	return ns.ID
}

// State returns everything on the node.
func (n *Node) State(t testing.TB) hnsemu.State {
	t.Helper()
	s, err := n.Host.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Left lists what a pod leaves behind and must not: endpoints but those of the
// node itself, namespace resources and addresses.
func (n *Node) Left(t testing.TB) []string {
	t.Helper()
	s := n.State(t)
	var out []string
	for _, e := range s.Endpoints {
		if !OfTheNode(e) {
			out = append(out, "endpoint "+e.Name)
		}
	}
	for _, ns := range s.Namespaces {
		for _, e := range ns.Endpoints {
			out = append(out, "endpoint "+e+" in namespace "+ns.ID)
		}
	}
	for _, a := range Addresses(t, n.Dir) {
		out = append(out, "address "+a)
	}
	slices.Sort(out)
	return out
}

// OfTheNode reports whether an endpoint is the node's own, a host gateway.
func OfTheNode(e hnsemu.EndpointState) bool { return e.System == "Host" }

// Addresses returns what host-local has given away of all networks whose files
// are in dir.
func Addresses(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		if name := filepath.Base(f); name != "lock" && !strings.HasPrefix(name, "last_reserved_ip") {
			out = append(out, name)
		}
	}
	return out
}

// With returns a configuration with one more member, as libcni adds prevResult
// and runtimeConfig.
func With(t testing.TB, conf, key string, value any) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(conf), &members); err != nil {
		t.Fatalf("%v: %s", err, conf)
	}
	members[key] = value
	out, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
