// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bulkhead-cni/bulkhead/test/cluster/conformance"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// peers are the plugins that Kubernetes' tests may run with in place of Bulkhead, each with
// the conflist of plugins/bulkhead/conf that makes its network: they make none.
var peers = map[string]string{"win-bridge": "l2bridge-host-gateway", "win-overlay": "overlay"}

// with makes the flags those of a cluster for another plugin.
func (f *conformanceFlags) with(peer, programs string) error {
	conflist, ok := peers[peer]
	if !ok {
		return fmt.Errorf("--peer %q: want win-bridge or win-overlay", peer)
	}
	f.driver = conflist
	for _, name := range []string{peer, "host-local"} {
		f.plugins = append(f.plugins, filepath.Join(programs, name+".exe"))
	}
	return nil
}

// hand hands the nodes over to another plugin: pods that come from now on are its.
func hand(ctx context.Context, c spec.Cluster, peer string) error {
	if err := scaleDNS(ctx, c, 0); err != nil { // its pods are Bulkhead's, which has made the network for them
		return err
	}
	first, err := conformance.Peer(peer)
	if err != nil {
		return err
	}
	for _, n := range c.Nodes {
		text, err := spec.Renumber(first, n.Number)
		if err != nil {
			return err
		}
		if err := c.SetConflist(n, text); err != nil {
			return err
		}
	}
	return scaleDNS(ctx, c, 2)
}
