// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// TestBenchmark times 30 pods that are created at once on one node, until all are ready and
// until all are gone, with Bulkhead and with win-bridge and host-local in turn.
// scripts/cluster.sh bench runs it.
func TestBenchmark(t *testing.T) {
	if os.Getenv("BULKHEAD_BENCH") == "" {
		t.Skip("scripts/cluster.sh bench runs it")
	}
	c := open(t)
	n := c.Nodes[0]
	c.peer(n) // which plugin comes first is chosen below
	const many, rounds = 30, 5
	of := on(n.Name, pods(web("web", 80)))
	c.deploy("web", 0, of)
	for _, latency := range []string{"0", "20"} {
		c.command(n.Name, "hns-latency-"+latency)
		up, down := map[string][]time.Duration{}, map[string][]time.Duration{}
		for range rounds {
			for _, plugin := range []string{"bulkhead", "win-bridge"} {
				conf := n.Conf
				if plugin == "win-bridge" {
					conf = fmt.Sprintf(winBridge, 100+n.Number)
				}
				c.replace(n, conf)
				begun := time.Now()
				c.scale("web", many)
				up[plugin] = append(up[plugin], time.Since(begun))
				begun = time.Now()
				c.scale("web", 0)
				c.eventually("nothing is left", c.leftovers)
				down[plugin] = append(down[plugin], time.Since(begun))
			}
		}
		for _, plugin := range []string{"bulkhead", "win-bridge"} {
			t.Logf("HNS +%s ms, %d pods by %-10s: ready %s, gone %s", latency, many, plugin, spread(up[plugin]), spread(down[plugin]))
		}
	}
	c.command(n.Name, "hns-latency-0")
}

// spread returns the median, and minimum and maximum in brackets.
func spread(all []time.Duration) string {
	slices.Sort(all)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
	return fmt.Sprintf("%s (%s to %s)", round(all[len(all)/2]), round(all[0]), round(all[len(all)-1]))
}
