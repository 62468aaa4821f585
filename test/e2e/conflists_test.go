// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// Every conflist of the repository works as it is, through libcni, but for the
// folder of the addresses, on the oldest Windows that the table beside it names.
func TestConflists(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(conflists, "*.conflist"))
	if err != nil || len(files) < 2*len(hns.Drivers()) {
		t.Fatalf("%d conflists (%v), want at least one for each driver and isolation", len(files), err)
	}
	oldest := oldestWindows(t)
	for _, f := range files {
		name := filepath.Base(f)
		t.Run(strings.TrimSuffix(name, ".conflist"), func(t *testing.T) {
			t.Parallel()
			if oldest[name] == "" {
				t.Fatalf("%s/README.md does not say which Windows %s is for", conflists, name)
			}
			runConflist(t, f, oldest[name])
		})
	}
}

// oldestWindows reads the table of the conflists.
func oldestWindows(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(conflists, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(line, "|")
		if len(columns) != 5 {
			continue
		}
		windows, _, _ := strings.Cut(columns[3], ",")
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(columns[1], -1) {
			out[link[1]] = strings.TrimSpace(windows)
		}
	}
	return out
}

// daemons plays what makes the network of a conflist that has no network section.
var daemons = map[string]func(*testing.T, *verbs.Node){
	"flannel-l2bridge.conflist": func(t *testing.T, n *verbs.Node) {
		flanneld(t, n, hns.Network{Name: "cbr0", Driver: hns.L2Bridge, Adapter: "Ethernet", Subnets: flannelSubnet(0)})
		gateway(t, n, "cbr0", "10.244.1.2")
	},
	"flannel-overlay.conflist": func(t *testing.T, n *verbs.Node) {
		flanneld(t, n, hns.Network{Name: "flannel.4096", Driver: hns.Overlay, Adapter: "Ethernet", NonPersistent: true, Subnets: flannelSubnet(4096)})
	},
}

func flannelSubnet(vsid uint32) []hns.Subnet {
	return []hns.Subnet{{Prefix: netip.MustParsePrefix("10.244.1.0/24"), Gateway: netip.MustParseAddr("10.244.1.1"), VSID: vsid}}
}

func flanneld(t *testing.T, n *verbs.Node, want hns.Network) {
	t.Helper()
	if _, err := n.HNS.CreateNetwork(context.Background(), want); err != nil {
		t.Fatal(err)
	}
}

// gateway makes the endpoint of the node that host-gw leads the pods' traffic
// through, as flanneld does (flannel pkg/backend/hostgw/hostgw_windows.go).
func gateway(t *testing.T, n *verbs.Node, name, address string) {
	t.Helper()
	ctx := context.Background()
	network, err := n.HNS.Network(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	id, err := n.HNS.CreateEndpoint(ctx, hns.Endpoint{
		Name: name + "_ep", NetworkID: network.ID, Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(address), 24)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := n.Host.Call(ctx, hnsemu.Call{Client: "flanneld", Proc: "HNSCall", Args: []string{
		"POST", "/endpoints/" + id + "/attach", `{"SystemType":"Host","CompartmentId":1}`,
	}})
	if err != nil || r.Code.Failed() {
		t.Fatalf("host attach: %+v, %v", r, err)
	}
}

// listed is a conflist in use by test/runtime.
type listed struct {
	*plugin
	list *types.NetConfList
	// exe is test/runtime, args what it is told every time.
	exe  string
	args []string
}

func newListed(t *testing.T, file, profile string) listed {
	t.Helper()
	p := newPlugin(t, profile)
	scratch := t.TempDir()
	conf := filepath.Join(scratch, "conf.conflist")
	return listed{
		plugin: p, list: p.conflist(file, conf), exe: p.node.Build(t, "./test/runtime"),
		args: []string{
			"--conf", wine.WindowsPath(conf), "--plugins", wine.WindowsPath(filepath.Dir(p.exe)),
			"--cache", wine.WindowsPath(filepath.Join(scratch, "cache")),
		},
	}
}

// runtime has the runtime do something that must work.
func (l listed) runtime(verb string, more ...string) string {
	l.Helper()
	r := l.node.Run(l.T, wine.Cmd{Path: l.exe, Args: append(append([]string{verb}, l.args...), more...)})
	if r.Code != 0 {
		l.Fatalf("%s %v: %s%s", verb, more, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// listedPod is one of the two pods of a conflist.
type listedPod struct {
	id, netns string
	port      uint16
}

func (p listedPod) args() []string {
	return []string{"--id", p.id, "--pod", "web", "--host-port", fmt.Sprint(p.port), "--netns", p.netns}
}

func runConflist(t *testing.T, file, profile string) {
	l := newListed(t, file, profile)
	if daemon := daemons[filepath.Base(file)]; daemon != nil {
		daemon(t, l.inProcess())
	}
	isolation := hns.Process
	if strings.HasSuffix(file, "-hyperv.conflist") {
		isolation = hns.HyperV
	}
	l.runtime("status")
	pods := []listedPod{{id: "c1", port: 30001}, {id: "c2", port: 30002}}
	for i := range pods {
		l.start(&pods[i], isolation)
	}
	l.twoPods(isolation)
	for _, p := range pods {
		l.runtime("check", p.args()...)
		if !l.list.Plugins[0].Capabilities["portMappings"] {
			p.port = 0
		}
		l.wishesGranted(l.endpoint(p.id+"_"+l.list.Name), p.port, l.list.Plugins[0].DNS.Domain)
	}
	held := 2 * len(l.endpoint("c1_"+l.list.Name).Addresses)
	if got := l.addresses(); l.list.Plugins[0].IPAM.Type == "host-local" && len(got) != held {
		t.Errorf("IPAM holds %v for two pods, want %d", got, held)
	}
	for _, p := range pods {
		if err := l.node.Host.StopContainer(p.id); err != nil {
			t.Fatal(err)
		}
		l.runtime("stop", p.args()...)
	}
	l.nothingLeft("after both DELs")
}

// start makes a pod and starts its container.
func (l listed) start(p *listedPod, i hns.Isolation) {
	l.Helper()
	var answer struct{ NetNS string }
	out := l.runtime("run", p.args()...)
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		l.Fatalf("%v: %s", err, out)
	}
	p.netns = answer.NetNS
	if err := l.node.Host.StartContainer(hnsemu.Container{ID: p.id, NamespaceID: p.netns, Isolation: i}); err != nil {
		l.Fatal(err)
	}
}
