// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// TestLinuxNodes: Linux nodes come after the Windows nodes, with ranges of pods of their own,
// and are refused on networks that no other machine routes to.
func TestLinuxNodes(t *testing.T) {
	for file, want := range map[string]string{
		"l2bridge": "10.10.2.0/24", "l2bridge-dual-stack": "10.10.2.0/24 fd00:10:10:2::/64", "l2tunnel": "10.30.2.0/24",
		"overlay": "10.244.3.0/24",
		"nat":     `the driver of --conf is "nat"`, "transparent": `the driver of --conf is "transparent"`,
	} {
		text, err := os.ReadFile(filepath.Join("../../plugins/bulkhead/conf", file+".conflist"))
		if err != nil {
			t.Fatal(err)
		}
		first := spec.Node{Name: "win1", Number: 1, Conf: string(text)}
		nodes, err := linuxNodes(string(text), first, upFlags{nodes: 2, linuxNodes: 1})
		var got string
		if err != nil {
			got = err.Error()
		} else {
			var all []string
			for _, p := range nodes[0].Subnets {
				all = append(all, p.String())
			}
			got = strings.Join(all, " ")
			if n := nodes[0]; len(nodes) != 1 || n.Name != "linux1" || n.Number != 3 || !n.Linux {
				t.Errorf("%s: %+v", file, nodes)
			}
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
		if nodes, err := linuxNodes(string(text), first, upFlags{nodes: 2}); len(nodes) != 0 || err != nil {
			t.Errorf("%s without Linux nodes: %v, %v", file, nodes, err)
		}
	}
}
