// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// A network whose configuration names no adapter is made on the one that Windows'
// own table of adapters, here Wine's, has the default route on; where it is on
// none, HNS chooses.
func TestUplink(t *testing.T) {
	p := newPlugin(t, "2022")
	if _, err := added(p.run(call{verb: "ADD", id: "c1", netns: "none", conf: p.conf(hns.L2Bridge)})); err != nil {
		t.Fatal(err)
	}
	entries, err := p.node.Host.Calls()
	if err != nil {
		t.Fatal(err)
	}
	alias := p.node.Host.Node().Adapters[0].Alias
	for _, e := range entries {
		if e.Proc != "HcnCreateNetwork" {
			continue
		}
		named := strings.Contains(strings.Join(e.Args, " "), "NetworkAdapterName")
		if want := alias != ""; named != want {
			t.Errorf("the network names an adapter: %t; the machine has a default route: %t", named, want)
		}
		if !strings.Contains(strings.Join(e.Args, " "), alias) {
			t.Errorf("the network is not on %q: %q", alias, e.Args)
		}
		return
	}
	t.Error("no network was made")
}
