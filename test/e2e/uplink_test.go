// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// A network whose configuration names no adapter is made on the one that Windows'
// own table of adapters, here Wine's, has the default route on; where it is on
// none, HNS chooses.
func TestUplink(t *testing.T) {
	t.Parallel()
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

// network.adapter may be an address of the node, which Windows' own table of adapters,
// here Wine's, has.
func TestReport12AdapterByAddress(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	on := func(adapter string) string {
		return strings.Replace(p.conf(hns.L2Bridge), `"network":{`, `"network":{"adapter":"`+adapter+`",`, 1)
	}
	c := call{verb: "ADD", id: "c1", netns: "none", conf: on("203.0.113.1")}
	if e, err := refused(p.run(c)); err != nil || e.Code != 7 || !strings.Contains(e.Msg, "network.adapter: no adapter of this node has 203.0.113.1; adapters that would do: ") {
		t.Errorf("an address that the node does not have: %+v, %v", e, err)
	}
	p.nothingLeft("after the refusal")
	for _, name := range p.node.Host.Node().Adapters[0].Aliases {
		iface, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := iface.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			ip, _, err := net.ParseCIDR(a.String())
			if err != nil || ip.To4() == nil {
				continue
			}
			c.conf = on(ip.String())
			for range 2 { // the second finds the network as it is
				if _, err := added(p.run(c)); err != nil {
					t.Errorf("%s of %s: %v", ip, name, err)
				}
			}
			return
		}
	}
}
