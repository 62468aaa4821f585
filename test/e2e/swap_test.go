// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// bulkhead.exe in the place of win-bridge.exe and win-overlay.exe of
// containernetworking/plugins takes over the pods that they attached, by the same file: it
// checks, collects and deletes them, gives no pod an address of theirs, and goes back as
// well.
func TestSwapped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		driver hns.Driver
		conf   string
	}{
		{"win-bridge", hns.L2Bridge, `"ipMasqNetwork": "10.0.0.0/8", "loopbackDSR": true`},
		{"win-overlay", hns.Overlay, `"ipMasq": true, "loopbackDSR": true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSwap(t, tt.name, tt.driver, tt.conf)
			old := []call{s.call("c1"), s.call("c2"), s.call("c3")}
			var results []string
			for _, c := range old {
				results = append(results, s.peer(s.before, "ADD", c))
			}
			s.exe = s.after
			for i, c := range old {
				c.conf = verbs.With(t, c.conf, "prevResult", decoded(t, results[i]))
				s.works("CHECK", c)
			}
			fresh := s.call("c4")
			s.works("ADD", fresh)
			if held := s.addresses(); len(held) != len(old)+1 {
				t.Errorf("IPAM holds %v", held)
			}
			s.works("DEL", old[0])
			s.works("DEL", old[0])
			gc := s.call("")
			gc.conf = verbs.With(t, strings.Replace(gc.conf, "1.0.0", "1.1.0", 1), "cni.dev/valid-attachments", []any{
				map[string]string{"containerID": "c3", "ifname": "eth0"}, map[string]string{"containerID": "c4", "ifname": "eth0"},
			})
			s.works("GC", gc)
			left := s.left()
			for _, id := range []string{"c3", "c4"} {
				if !slices.Contains(left, "endpoint "+id+"_net1") {
					t.Errorf("%s is gone: %v", id, left)
				}
			}
			if strings.Contains(strings.Join(left, " "), "c2_net1") {
				t.Errorf("GC left c2: %v", left)
			}
			s.works("DEL", old[2])
			s.peer(s.before, "DEL", fresh) // back again
			s.nothingLeft("after every DEL")
		})
	}
}

// swap is a node on which a plugin's exe is replaced.
type swap struct {
	*plugin
	name, conf string
	// before and after are the plugin's exe and bulkhead.exe under its name; path is where
	// host-local.exe is.
	before, after, path string
}

func newSwap(t *testing.T, name string, d hns.Driver, members string) swap {
	t.Helper()
	s := swap{plugin: newPlugin(t, "2022"), name: name}
	s.before = s.node.Build(t, peers+"main/windows/"+name)
	s.path = "CNI_PATH=" + wine.WindowsPath(filepath.Dir(s.node.Build(t, peers+"ipam/host-local")))
	text, err := os.ReadFile(s.exe)
	if err != nil {
		t.Fatal(err)
	}
	s.after = filepath.Join(t.TempDir(), name+".exe")
	if err := os.WriteFile(s.after, text, 0o700); err != nil {
		t.Fatal(err)
	}
	subnet := hns.Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1")}
	if d == hns.Overlay {
		subnet.VSID = 4096
	}
	if _, err := s.hns.CreateNetwork(context.Background(), hns.Network{Name: "net1", Driver: d, Adapter: "Ethernet", Subnets: []hns.Subnet{subnet}}); err != nil {
		t.Fatal(err)
	}
	s.conf = fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "net1", "type": %q, "apiVersion": 2, "dns": {"nameservers": ["10.96.0.10"]}, %s,
		"ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10"}]]}}`, name, members, wine.WindowsPath(s.dir))
	return s
}

// call is one about a container, in a namespace of its own.
func (s swap) call(id string) call {
	s.Helper()
	return call{id: id, netns: s.namespace(), conf: s.conf, more: []string{s.path}}
}
