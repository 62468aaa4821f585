// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"slices"
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
	aliases := p.node.Host.Node().Adapters[0].Aliases
	for _, e := range entries {
		if e.Proc != "HcnCreateNetwork" {
			continue
		}
		document := strings.Join(e.Args, " ")
		if named := strings.Contains(document, "NetworkAdapterName"); named != (len(aliases) > 0) {
			t.Errorf("the network names an adapter: %t; the machine has default routes on %q", named, aliases)
		}
		if len(aliases) > 0 && !slices.ContainsFunc(aliases, func(a string) bool { return strings.Contains(document, `"`+a+`"`) }) {
			t.Errorf("the network is on none of %q: %s", aliases, document)
		}
		return
	}
	t.Error("no network was made")
}
