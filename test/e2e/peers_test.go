// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

const peerFiles = "testdata/peers"

// peerNetworks plays who makes the network of a plugin that makes none.
var peerNetworks = map[string]func(*testing.T, *verbs.Node){
	"cbr0": func(t *testing.T, n *verbs.Node) {
		flanneld(t, n, hns.Network{Name: "cbr0", Driver: hns.L2Bridge, Adapter: "Ethernet", Subnets: flannelSubnet(0)})
		gateway(t, n, "cbr0", "10.244.1.2")
	},
	"vxlan0": func(t *testing.T, n *verbs.Node) {
		flanneld(t, n, hns.Network{Name: "vxlan0", Driver: hns.Overlay, Adapter: "Ethernet", Subnets: flannelSubnet(4096)})
	},
	"dualnet": func(t *testing.T, n *verbs.Node) {
		flanneld(t, n, hns.Network{Name: "dualnet", Driver: hns.L2Bridge, Adapter: "Ethernet", Subnets: []hns.Subnet{
			{Prefix: netip.MustParsePrefix("10.20.0.0/24"), Gateway: netip.MustParseAddr("10.20.0.1")},
			{Prefix: netip.MustParsePrefix("fd00:20::/64"), Gateway: netip.MustParseAddr("fd00:20::1")},
		}})
	},
}

// peersOnWindows are the files that bulkhead.exe runs, too: one of each program. TestSwapped
// has the others.
var peersOnWindows = []string{"nat", "win-overlay-v1", "sdnbridge-dual-stack"}

// The files of other plugins send HNS the same documents as their translations, from the
// Linux build as from bulkhead.exe.
func TestPeersDocuments(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(peerFiles, "*.conf"))
	if err != nil || len(files) < 11 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".conf")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		suggested, _, err := config.Suggest(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if strings.Contains(string(text), "azure-vnet-ipam") {
			continue // whose executable is not at hand
		}
		t.Run(name, func(t *testing.T) {
			here := func(text []byte) []byte {
				n := verbs.New(t, "2022", t.TempDir())
				name, conf := peerConf(t, text, n.Dir)
				prepare(t, name, n)
				netns := n.Namespace(t)
				return sent(t, n.Host, func(verb string) {
					if _, err := n.Run(t, verbs.Call{Verb: verb, ContainerID: "c1", NetNS: netns, Conf: conf}); err != nil {
						t.Fatalf("%s: %v", verb, err)
					}
				})
			}
			t.Run("linux", func(t *testing.T) { sameDocuments(t, "peers/"+name, here(text)) })
			t.Run("suggested", func(t *testing.T) { sameDocuments(t, "peers/"+name, here(suggested)) })
			if slices.Contains(peersOnWindows, name) {
				t.Run("windows", func(t *testing.T) { sameDocuments(t, "peers/"+name, sentByPeersFile(t, text)) })
			}
		})
	}
}

func prepare(t *testing.T, name string, n *verbs.Node) {
	t.Helper()
	if daemon := peerNetworks[name]; daemon != nil {
		daemon(t, n)
	}
}

func sentByPeersFile(t *testing.T, text []byte) []byte {
	t.Helper()
	p := newPlugin(t, "2022")
	name, conf := peerConf(t, text, wine.WindowsPath(p.dir))
	prepare(t, name, p.inProcess())
	netns := p.namespace()
	return sent(t, p.node.Host, func(verb string) {
		if r := p.run(call{verb: verb, id: "c1", netns: netns, conf: conf}); r.Code != 0 {
			t.Fatalf("%s: %+v", verb, r)
		}
	})
}

// peerConf is what a runtime, or flannel, makes of a file for a pod that has every wish that
// the file declares. sdnbridge and sdnoverlay do not hand on where host-local keeps its
// files, so the pods of flannel have the address by static.
func peerConf(t *testing.T, text []byte, dataDir string) (name, conf string) {
	t.Helper()
	plugins, err := config.Plugins([]byte(strings.ReplaceAll(string(text), `"DIR"`, quoted(t, dataDir))))
	if err != nil {
		t.Fatal(err)
	}
	p := plugins[0]
	if p.Delegate() {
		p = p.With("ipMasq", true).With("ipMasqNetwork", "10.244.0.0/16").With("ipam", map[string]any{
			"type": "static", "addresses": []any{map[string]string{"address": "10.244.1.9/24", "gateway": "10.244.1.1"}},
		})
	}
	var members map[string]any
	if err := json.Unmarshal(p.Stdin(), &members); err != nil {
		t.Fatal(err)
	}
	if ipam, ok := members["ipam"].(map[string]any); ok && ipam["type"] == "host-local" {
		ipam["dataDir"] = dataDir
	}
	members["runtimeConfig"] = map[string]any{
		"portMappings": []any{map[string]any{"hostPort": 30001, "containerPort": 80, "protocol": "tcp"}},
		"dns":          map[string]any{"servers": []string{"10.96.0.53"}, "searches": []string{"default.svc.cluster.local"}},
	}
	out, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	name, _ = members["name"].(string)
	return name, string(out)
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
