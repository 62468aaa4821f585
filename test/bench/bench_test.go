// SPDX-License-Identifier: Apache-2.0

// Package bench_test runs Bulkhead beside the plugins of containernetworking/plugins
// on one emulated node under Wine, in turn, and compares what they take.
// scripts/bench.sh runs it in full; without -measure it makes one small round, so
// that it cannot rot.
package bench_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

var measure = flag.Bool("measure", false, "make all rounds, which takes minutes")

// size is how much is measured.
type size struct {
	rounds, burst, bursts int
	// endpoints are how many other ones the network has, one step after another.
	endpoints []int
}

var (
	small = size{rounds: 1, burst: 2, bursts: 1, endpoints: []int{0, 3}}
	full  = size{rounds: 11, burst: 30, bursts: 3, endpoints: []int{0, 10, 100, 1000}}
)

// hnsTime is how long HNS takes for a call that changes something, of which it
// serves one at a time.
const hnsTime = 4 * time.Millisecond

const peers = "github.com/containernetworking/plugins/plugins/"

// peerOf is the plugin of containernetworking/plugins for a driver.
var peerOf = map[hns.Driver]string{hns.L2Bridge: "win-bridge", hns.Overlay: "win-overlay"}

// rival is a plugin of a comparison, with an IPAM range of its own.
type rival struct {
	name, exe, conf string
	// dir is where its IPAM keeps its files.
	dir string
}

// bench is a node and the plugins that take turns on it.
type bench struct {
	*testing.T
	driver hns.Driver
	env    *wine.Env
	hns    hns.Client
	rivals []rival
	// empty is the program that does nothing; path is where IPAM plugins are.
	empty, path string
	taken       *measurements
	made        int
	// watching counts the processes that are started, instead of the time: to tell
	// them, Wine must write what it does.
	watching bool
}

func TestBench(t *testing.T) {
	s := small
	if *measure {
		s = full
	}
	all := newMeasurements()
	for _, driver := range []hns.Driver{hns.L2Bridge, hns.Overlay} {
		b := newBench(t, driver, all)
		b.bursts(s)
		b.watching = true
		b.turn(0)
		b.watching = false
		for _, n := range s.endpoints {
			b.crowd(n)
			for range s.rounds {
				b.turn(n)
			}
		}
	}
	all.checkCalls(t)
	fmt.Print(all.table(), all.reached(s))
}

func newBench(t *testing.T, driver hns.Driver, all *measurements) *bench {
	t.Helper()
	env := wine.Start(t, "2022")
	peer := peerOf[driver]
	// As a release is built: without the tables that only debuggers read.
	build := func(pkg string) string { return env.Build(t, pkg, "-trimpath", "-ldflags=-s -w") }
	hostLocal := build(peers + "ipam/host-local")
	b := &bench{
		T: t, driver: driver, env: env, hns: emuclient.New(env.Host, "bench"), taken: all,
		empty: build("./test/bench/empty"),
		path:  wine.WindowsPath(filepath.Dir(hostLocal)),
	}
	network := hns.Network{Name: "net1", Driver: driver, Subnets: []hns.Subnet{{
		Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1"),
	}}}
	if driver == hns.Overlay {
		network.Subnets[0].VSID = 4096
	}
	network.Adapter = "Ethernet"
	if _, err := b.hns.CreateNetwork(t.Context(), network); err != nil {
		t.Fatal(err)
	}
	b.rivals = []rival{
		b.rival("bulkhead", build("./plugins/bulkhead"), "10.1.64.10", fmt.Sprintf(`"driver": %q`, driver)),
		b.rival(peer, build(peers+"main/windows/"+peer), "10.1.128.10", `"apiVersion": 2, "endpointMacPrefix": "0E-2A"`),
	}
	for _, r := range append(b.rivals, rival{name: "empty", exe: b.empty}, rival{name: "host-local", exe: hostLocal}) {
		info, err := os.Stat(r.exe)
		if err != nil {
			t.Fatal(err)
		}
		all.bytes[r.name] = info.Size()
	}
	return b
}

func (b *bench) rival(name, exe, start, more string) rival {
	dir := b.TempDir()
	return rival{name, exe, fmt.Sprintf(`{"cniVersion": "1.1.0", "name": "net1", "type": %q, %s, "ipam": {"type": "host-local", "dataDir": %q,
		"ranges": [[{"subnet": "10.1.0.0/16", "rangeStart": %q}]]}}`, name, more, wine.WindowsPath(dir), start), dir}
}

// crowd puts endpoints of others on the network until there are n, each with an
// address that the IPAM of every rival has reserved.
func (b *bench) crowd(n int) {
	network, err := b.hns.Network(b.Context(), "net1")
	if err != nil {
		b.Fatal(err)
	}
	for ; b.made < n; b.made++ {
		if _, err := b.hns.CreateEndpoint(b.Context(), hns.Endpoint{Name: fmt.Sprintf("other%d_net1", b.made), NetworkID: network.ID}); err != nil {
			b.Fatal(err)
		}
		for _, r := range b.rivals {
			b.reserve(r, fmt.Sprintf("other%d", b.made))
		}
	}
}

// reserve gives an address away as the rival's IPAM does for a pod.
func (b *bench) reserve(r rival, container string) {
	c, err := config.Parse(fmt.Appendf(nil, `{"name": "net1", "type": "bulkhead", "ipam": {"type": "host-local", "dataDir": %q,
		"ranges": [[{"subnet": "10.1.0.0/16", "rangeStart": "10.1.192.1"}]]}}`, r.dir), config.Env{ContainerID: container, IfName: "eth0"})
	if err == nil {
		_, err = ipam.Open("host-local").Add(b.Context(), c, nil)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// turn lets each plugin serve a pod's life once.
func (b *bench) turn(n int) {
	for _, r := range b.rivals {
		id := "c" + hns.NewGUID()
		ns, err := b.hns.CreateNamespace(b.Context(), hns.NewGUID())
		if err != nil {
			b.Fatal(err)
		}
		result := b.run(r, "ADD", id, ns.ID, r.conf, key{r.name, b.driver, "ADD", n})
		// libcni keeps the result for the verbs that follow.
		after := strings.TrimSuffix(r.conf, "}") + `, "prevResult": ` + result + "}"
		if n == 0 {
			b.run(r, "ADD", id, ns.ID, r.conf, key{r.name, b.driver, "ADD again", n})
			if r.name == "bulkhead" {
				b.run(r, "CHECK", id, ns.ID, after, key{r.name, b.driver, "CHECK", n})
			}
			b.run(r, "STATUS", "", "", r.conf, key{r.name, b.driver, "STATUS", n})
			b.run(r, "VERSION", "", "", `{"cniVersion": "1.1.0"}`, key{r.name, b.driver, "VERSION", n})
		}
		b.run(r, "DEL", id, ns.ID, after, key{r.name, b.driver, "DEL", n})
		if err := b.hns.DeleteNamespace(b.Context(), ns.ID); err != nil {
			b.Fatal(err)
		}
	}
	if !b.watching {
		got := b.env.Run(b, wine.Cmd{Path: b.empty})
		b.taken.add(key{"empty", b.driver, "start", n}, got.Elapsed, 0, got.PeakBytes)
	}
}

// run invokes a plugin, which must succeed, and takes down what it took.
func (b *bench) run(r rival, verb, id, netns, conf string, k key) string {
	b.Helper()
	if err := b.env.Host.ResetLog(); err != nil {
		b.Fatal(err)
	}
	cmd := b.cmd(r, verb, id, netns, conf)
	if b.watching {
		cmd.Env = append(cmd.Env, "WINEDEBUG=+process")
	}
	got, err := b.env.Exec(b.Context(), cmd)
	if err != nil || got.Code != 0 {
		b.Fatalf("%v: %v %+v", k, err, got)
	}
	if b.watching {
		b.taken.processes[k] = 1 + strings.Count(got.Stderr, "CreateProcessInternalW started process")
	} else {
		b.taken.add(k, got.Elapsed, b.calls(), got.PeakBytes)
	}
	return got.Stdout
}

func (b *bench) cmd(r rival, verb, id, netns, conf string) wine.Cmd {
	return wine.Cmd{Path: r.exe, Stdin: conf, Env: []string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + netns, "CNI_IFNAME=eth0", "CNI_PATH=" + b.path,
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web",
	}}
}

// calls is how many native calls HNS got since its log was emptied.
func (b *bench) calls() int {
	counts, err := b.env.Host.Counts()
	if err != nil {
		b.Fatal(err)
	}
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// bursts measures many ADDs at once, on an HNS that takes its time.
func (b *bench) bursts(s size) {
	if err := b.env.Host.SetLatency(hnsTime, true); err != nil {
		b.Fatal(err)
	}
	for range s.bursts {
		for _, r := range b.rivals {
			b.burst(r, s.burst)
		}
	}
	if err := b.env.Host.SetLatency(0, false); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) burst(r rival, pods int) {
	ids, namespaces := make([]string, pods), make([]string, pods)
	for i := range pods {
		ns, err := b.hns.CreateNamespace(b.Context(), hns.NewGUID())
		if err != nil {
			b.Fatal(err)
		}
		ids[i], namespaces[i] = "c"+hns.NewGUID(), ns.ID
	}
	if err := b.env.Host.ResetLog(); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() {
			got, err := b.env.Exec(b.Context(), b.cmd(r, "ADD", ids[i], namespaces[i], r.conf))
			if err != nil || got.Code != 0 {
				b.Errorf("%s in a burst: %v %+v", r.name, err, got)
			}
		})
	}
	wg.Wait()
	b.taken.add(key{r.name, b.driver, fmt.Sprintf("burst of %d", pods), 0}, time.Since(start), b.calls(), 0)
	for i := range pods {
		if got := b.env.Run(b, b.cmd(r, "DEL", ids[i], namespaces[i], r.conf)); got.Code != 0 {
			b.Fatalf("%s after a burst: %+v", r.name, got)
		}
	}
}
