// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// Inventory is what one look at a node tells. What could not be read is in Failures,
// and its part is empty.
type Inventory struct {
	// At is when the node was looked at.
	At time.Time
	// Version is HNS's.
	Version hns.Version
	// Networks holds the networks in full, with the node's addresses on them.
	Networks []hns.Network
	// Endpoints holds the endpoints of all networks, remote ones included, with
	// their policies and ACLs.
	Endpoints []hns.Endpoint
	// Namespaces holds the namespaces with their endpoints and containers.
	Namespaces []hns.Namespace
	// Conflists are the files of the conf directories, in the order in which a
	// runtime loads them.
	Conflists []Conflist
	// Reservations are host-local's, for the networks of the conflists.
	Reservations []ipam.Reservation
	Adapters     []uplink.Adapter
	// KubeProxies are the node's kube-proxy processes, usually one.
	KubeProxies []kubeproxy.Process
	// DisabledComponents are the parts of IPv6 that the registry turns off.
	DisabledComponents uint32
	Failures           []Failure
}

// Part is what of an Inventory could not be read.
type Part string

// Parts of an Inventory.
const (
	// HNS is its version and its namespaces.
	HNS Part = "HNS"
	// Endpoints is the networks and their endpoints.
	Endpoints    Part = "endpoints"
	Conflists    Part = "conflists"
	Reservations Part = "reservations"
	Adapters     Part = "adapters"
	KubeProxies  Part = "kube-proxy processes"
	Registry     Part = "settings in the registry"
)

// Failure says why a part of an Inventory is not whole.
type Failure struct {
	Part Part
	Err  error
}

// Err returns the failures of a part, nil when it is whole.
func (i Inventory) Err(p Part) error {
	var out []error
	for _, f := range i.Failures {
		if f.Part == p {
			out = append(out, f.Err)
		}
	}
	return errors.Join(out...)
}

// Conflist is a file that a runtime may load.
type Conflist struct {
	Path string
	// Encoding is how the file's text is written.
	Encoding config.Encoding
	// Types are the types of the file's plugins, in their order.
	Types []string
	// List is true for a list of plugins, false for the one plugin of an old file.
	List bool
	// Plugins are Bulkhead's among the file's plugins.
	Plugins []config.Config
	// Err is why the file, or one of Bulkhead's plugins in it, cannot be used.
	Err error
}

// inventoryCall is how long Inventory waits for one native call.
const inventoryCall = 30 * time.Second

// Inventory reads all facts of the node once. It goes on after a failure.
func (n Node) Inventory(ctx context.Context, confDirs ...string) Inventory {
	out := Inventory{At: time.Now()}
	note := func(p Part, err error) {
		if err != nil {
			out.Failures = append(out.Failures, Failure{p, err})
		}
	}
	client, err := n.OpenHNS(inventoryCall)
	if err != nil {
		note(HNS, err)
		note(Endpoints, err)
	} else {
		features, err := client.Features(ctx)
		note(HNS, err)
		out.Version = features.Version
		note(Endpoints, out.readEndpoints(ctx, client))
		// Last, so that a namespace which an endpoint names and which is not among them
		// is gone.
		out.Namespaces, err = client.ListNamespaces(ctx)
		note(HNS, err)
	}
	for _, dir := range confDirs {
		conflists, err := readConflists(dir)
		note(Conflists, err)
		out.Conflists = append(out.Conflists, conflists...)
	}
	var seen []string
	for _, list := range out.Conflists {
		for _, c := range list.Plugins {
			key := strings.ToLower(ipam.Directory(c))
			if c.IPAM.Type != config.HostLocal || slices.Contains(seen, key) {
				continue
			}
			seen = append(seen, key)
			reservations, err := ipam.Reservations(c)
			note(Reservations, err)
			out.Reservations = append(out.Reservations, reservations...)
		}
	}
	if n.Uplink != nil {
		out.Adapters, err = n.Uplink.Adapters()
		note(Adapters, err)
	}
	if n.KubeProxies != nil {
		out.KubeProxies, err = n.KubeProxies()
		note(KubeProxies, err)
	}
	if n.DisabledComponents != nil {
		out.DisabledComponents, err = n.DisabledComponents()
		note(Registry, err)
	}
	return out
}

// readEndpoints reads the networks and their endpoints. What goes away meanwhile is
// left out.
func (i *Inventory) readEndpoints(ctx context.Context, client hns.Client) error {
	listed, err := client.ListNetworks(ctx)
	failures := []error{err}
	for _, l := range listed {
		full, err := client.Network(ctx, l.Name)
		if errors.Is(err, hns.ErrNotFound) {
			continue
		}
		if err != nil {
			failures, full = append(failures, err), l
		}
		full.ManagementAddress = l.ManagementAddress
		i.Networks = append(i.Networks, full)
		endpoints, err := client.EndpointsOf(ctx, l.ID)
		failures = append(failures, err)
		i.Endpoints = append(i.Endpoints, endpoints...)
	}
	return errors.Join(failures...)
}

// readConflists reads the files of a directory as libcni finds them (cni libcni/conf.go).
func readConflists(dir string) ([]Conflist, error) {
	files, err := os.ReadDir(dir) // sorted by name, as runtimes load them
	if err != nil {
		return nil, err
	}
	var out []Conflist
	for _, f := range files {
		if f.IsDir() || !config.IsFileName(f.Name()) {
			continue
		}
		list := Conflist{Path: filepath.Join(dir, f.Name())}
		text, err := os.ReadFile(list.Path)
		if err == nil {
			list.Encoding = config.EncodingOf(text)
			err = list.parse(config.Decoded(text)) // what it means, though a runtime cannot read it
		}
		list.Err = err
		out = append(out, list)
	}
	return out, nil
}

// parse reads the plugins of a file, and of Bulkhead's what a runtime would hand over.
func (l *Conflist) parse(text []byte) error {
	plugins, err := config.Plugins(text)
	if err != nil {
		return err
	}
	l.List = true
	var failures []error
	for _, p := range plugins {
		l.Types = append(l.Types, p.Type())
		l.List = !p.Alone()
	}
	for _, p := range config.Ours(plugins) {
		c, err := config.Parse(p.Stdin(), config.Env{})
		if err != nil {
			failures = append(failures, err)
			if c, err = config.ParseLenient(p.Stdin(), config.Env{}); err != nil {
				continue
			}
		}
		l.Plugins = append(l.Plugins, c)
	}
	return errors.Join(failures...)
}
