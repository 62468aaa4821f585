// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bulkhead-cni/bulkhead/test/cluster/node"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
)

// disturbances are what disturb does in turn.
var disturbances = [][]string{{node.Containerd}, {"hns-stop", "hns-start"}}

// disturb restarts containerd.exe and HNS of the last node in turn. The function that it
// returns ends that, and fails when it could not go on.
func disturb(ctx context.Context, c spec.Cluster) (end func() error) {
	const pause = 30 * time.Second
	ctx, cancel := context.WithCancel(ctx)
	last, client := c.Nodes[len(c.Nodes)-1].Name, supervisor.NewClient(c.Dir)
	failed := make(chan error, 1)
	go func() {
		for times := 0; ; times++ {
			select {
			case <-ctx.Done():
				fmt.Fprintf(os.Stderr, "cluster: containerd.exe or HNS of %s was restarted %d times\n", last, times)
				failed <- nil
				return
			case <-time.After(pause):
			}
			for _, verb := range disturbances[times%len(disturbances)] {
				// Half of one would be the end of the node.
				if err := client.Node(context.WithoutCancel(ctx), last, verb); err != nil {
					failed <- fmt.Errorf("%s of %s: %w", verb, last, err)
					return
				}
			}
		}
	}()
	return func() error {
		cancel()
		return <-failed
	}
}
