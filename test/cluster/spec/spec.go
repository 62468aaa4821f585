// SPDX-License-Identifier: Apache-2.0

// Package spec says what a cluster is: its nodes, their addresses, programs and folders.
// Every process of a cluster reads it from the cluster's folder.
package spec

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Cluster is a cluster.
type Cluster struct {
	Name string
	// Dir is the cluster's folder, Programs that of its programs, Root the file tree of
	// its containers.
	Dir, Programs, Root string
	// Wine has the variables of Wine's programs, without the prefix.
	Wine []string
	// Version is Kubernetes'.
	Version string
	// Token is the administrator's.
	Token string
	// Nodes are the Windows nodes, LinuxNodes the others, whose numbers go on.
	Nodes, LinuxNodes []Node
	// LogLevel is that of kubelet.exe and kube-proxy.exe.
	LogLevel int
	// DSR has kube-proxy.exe ask for direct server return.
	DSR bool
}

// Node is a machine: an emulated one of Windows, or one of Linux.
type Node struct {
	Name string
	// Number counts from 1.
	Number int
	// Linux is true for a Linux node. It has Subnets, the ranges of its pods, and none of the
	// fields below.
	Linux   bool
	Subnets []netip.Prefix

	Profile string // 2019, 2022, 2025
	// Conf is the node's conflist, HyperVConf that of the Hyper-V runtime class.
	Conf, HyperVConf string
	// Plugins are the CNI plugins, by their names in bin_dir.
	Plugins map[string]string
}

// Addresses on the network between the nodes, which is in a namespace of the cluster's.
var (
	// Outer is the control plane's, with the network's length.
	Outer  = netip.MustParsePrefix("192.168.100.1/24")
	Outer6 = netip.MustParsePrefix("fd00:100::1/64")
)

// Services are the ranges of services, Services4 that of IPv4, DNS the cluster's name server
// in it, PodCIDR the range of pods that Kubernetes gives its nodes parts of.
const (
	Services4 = "10.96.0.0/16"
	Services  = Services4 + ",fd00:10:96::/112"
	DNS       = "10.96.0.10"
	PodCIDR   = "10.244.0.0/16"
)

// Ports in namespaces of the cluster's, where nobody else listens.
const (
	APIPort    = 6443
	HNSPort    = 9300
	RunnerPort = 9301
	CRIPort    = 9302
	AgentPort  = 9303
)

// Addresses returns the node's on the outer network.
func (n Node) Addresses() []netip.Prefix {
	const first = 10
	a, b := Outer.Addr().As4(), Outer6.Addr().As16()
	a[3], b[15] = byte(first+n.Number), byte(first+n.Number)
	return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4(a), Outer.Bits()), netip.PrefixFrom(netip.AddrFrom16(b), Outer6.Bits())}
}

// Address returns the node's IPv4 address.
func (n Node) Address() netip.Addr { return n.Addresses()[0].Addr() }

// AddressLike returns the node's address of the family of another.
func (n Node) AddressLike(a netip.Addr) netip.Addr {
	if a.Is6() {
		return n.Addresses()[1].Addr()
	}
	return n.Address()
}

// In returns a path in the cluster's folder.
func (c Cluster) In(elem ...string) string { return filepath.Join(append([]string{c.Dir}, elem...)...) }

// Program returns the path of a program.
func (c Cluster) Program(name string) string { return filepath.Join(c.Programs, name) }

// NetNS returns the file of a node's network namespace.
func (c Cluster) NetNS(n Node) string { return c.In("netns", n.Name) }

// PodNetNS returns the file of the network namespace of an HCN namespace of a node.
func (c Cluster) PodNetNS(n Node, id string) string { return c.In("netns", n.Name+"-pods", id) }

// Log returns the file of a program's log.
func (c Cluster) Log(name string) string { return c.In("logs", name+".log") }

// Drive returns the folder that is a node's drive C.
func (c Cluster) Drive(n Node) string { return c.In(n.Name, "prefix", "drive_c") }

// All returns all nodes, those of Linux last.
func (c Cluster) All() []Node { return slices.Concat(c.Nodes, c.LinuxNodes) }

// Node returns the node of a name, or of a number.
func (c Cluster) Node(name string) (Node, error) {
	var known []string
	for _, n := range c.All() {
		if n.Name == name || fmt.Sprint(n.Number) == name {
			return n, nil
		}
		known = append(known, n.Name)
	}
	return Node{}, fmt.Errorf("the cluster %s has no node %q; it has %s", c.Name, name, strings.Join(known, ", "))
}

// Save writes the cluster into its folder.
func (c Cluster) Save() error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.In("cluster.json"), text, 0o600)
}

// Load reads the cluster of a folder.
func Load(dir string) (Cluster, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
	if err != nil {
		return Cluster{}, err
	}
	var c Cluster
	return c, json.Unmarshal(text, &c)
}

// Folders of a node's drive C for CNI plugins and for conflists, which are containerd's own
// defaults, and the name of the conflist there.
const (
	BinDir   = "Program Files/containerd/cni/bin"
	ConfDir  = "Program Files/containerd/cni/conf"
	ConfName = "10-cluster.conflist"
)

// LinuxFolders are those that a Linux node has of its own. It does not see what this machine
// has in them.
var LinuxFolders = []string{"/run", "/var/lib", "/var/log"}

// Network returns the name and the driver of the network that the node's conflist makes,
// empty when it says neither.
func (n Node) Network() (name string, driver hns.Driver) {
	var list struct {
		Name    string
		Plugins []struct{ Driver hns.Driver }
	}
	if json.Unmarshal([]byte(n.Conf), &list) != nil || len(list.Plugins) == 0 {
		return "", "" // containerd tells
	}
	return list.Name, list.Plugins[0].Driver
}

// Overlay reports whether the network of the first node's conflist is an overlay.
func (c Cluster) Overlay() bool {
	if len(c.Nodes) == 0 {
		return false
	}
	_, driver := c.Nodes[0].Network()
	return driver == hns.Overlay
}

// DualStack reports whether the node's pods get IPv6.
func (n Node) DualStack() bool {
	return strings.Contains(n.Conf, "::/64") || slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// SourceVIP returns the address that kube-proxy has for itself on the node's overlay: one
// that no conflist's range hands out.
func (n Node) SourceVIP() string { return fmt.Sprintf("10.244.%d.254", n.Number) }
