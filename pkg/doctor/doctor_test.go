// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/doctor"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// now is when the node was looked at.
var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// plugin is the plugin of the healthy node's conflist.
const plugin = `{"cniVersion": "1.1.0", "name": "podnet", "type": "bulkhead", "driver": "l2bridge",
	"network": {"adapter": "Ethernet", "gatewayEndpoint": true, "subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1"}]},
	"ipam": {"type": "host-local", "dataDir": "C:/networks", "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.29"}]]},
	"dns": {"nameservers": ["10.96.0.10"]}, "capabilities": {"dns": true, "portMappings": true}}`

// vxlan is that of a healthy node with an overlay.
const vxlan = `{"cniVersion": "1.1.0", "name": "podnet", "type": "bulkhead", "driver": "overlay",
	"network": {"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "vsid": 4096}]},
	"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.29"}]]}}`

func parsed(t *testing.T, text string, changes ...string) config.Config {
	t.Helper()
	c, err := config.Parse([]byte(strings.NewReplacer(changes...).Replace(text)), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sandbox is the id of the n-th pod's sandbox.
func sandbox(n int) string { return fmt.Sprintf("%064x", n) }

func ago(d time.Duration) time.Time { return now.Add(-d) }

func reserved(addr, id string, since time.Time) ipam.Reservation {
	return ipam.Reservation{Network: "podnet", Addr: netip.MustParseAddr(addr), Attachment: config.Attachment{ContainerID: id, IfName: "eth0"}, Since: since}
}

func endpoint(id, name, namespace, addr string) hns.Endpoint {
	out := hns.Endpoint{ID: id, Name: name, NetworkID: "n1", NamespaceID: namespace}
	if addr != "" {
		out.Addresses = []netip.Prefix{netip.MustParsePrefix(addr + "/24")}
	}
	return out
}

// healthy is a node with one pod, on which nothing is wrong.
func healthy(t *testing.T) *node.Inventory {
	t.Helper()
	return &node.Inventory{
		At:      now,
		Version: hns.Version{Major: 13, Minor: 0},
		Networks: []hns.Network{
			{
				ID: "n1", Name: "podnet", Driver: hns.L2Bridge, Adapter: "Ethernet", ManagementAddress: netip.MustParseAddr("192.168.1.5"),
				Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1")}},
			},
			{ID: "n0", Name: "Default Switch", Driver: "ics"},
		},
		Endpoints: []hns.Endpoint{
			endpoint("e0", "podnet_ep", "", "10.1.0.2"),
			endpoint("e1", sandbox(1)+"_podnet", "ns1", "10.1.0.10"),
		},
		Namespaces: []hns.Namespace{
			{ID: "ns0", Compartment: 1},
			{ID: "ns1", Compartment: 2, Endpoints: []string{"e1"}, Containers: []string{sandbox(1)}},
		},
		Conflists: []node.Conflist{{
			Path: "/conf/10-bulkhead.conflist", Encoding: config.UTF8, Types: []string{"bulkhead"}, List: true,
			Plugins: []config.Config{parsed(t, plugin)},
		}},
		Reservations: []ipam.Reservation{reserved("10.1.0.10", sandbox(1), ago(time.Hour))},
		Adapters: []uplink.Adapter{
			{Name: "Ethernet", Type: 6, Up: true, IPv6: uplink.Off}, // as below a switch
			{Name: "vEthernet (Ethernet)", Type: 6, Up: true, DefaultRoute: true, IPv6: uplink.On, Forwarding: uplink.On},
			{Name: "vEthernet (podnet_ep)", Type: 6, Up: true, IPv6: uplink.On, Forwarding: uplink.On},
			{Name: "Loopback Pseudo-Interface 1", Type: 24, Up: true, IPv6: uplink.On, Forwarding: uplink.Off},
		},
		KubeProxies: []kubeproxy.Process{{PID: 7, Network: "podnet", DSR: true}},
		// Prefer IPv4, as many nodes do.
		DisabledComponents: 0x20,
	}
}

// onOverlay makes the healthy node one with an overlay.
func onOverlay(t *testing.T, i *node.Inventory) {
	t.Helper()
	i.Networks[0].Driver, i.Networks[0].Subnets[0].VSID = hns.Overlay, 4096
	i.Networks[0].ProviderAddress = netip.MustParseAddr("192.168.1.5")
	i.Conflists[0].Plugins[0] = parsed(t, vxlan)
	i.Endpoints = i.Endpoints[1:]
	i.KubeProxies[0].SourceVIP = "10.1.0.3"
}

// conf puts another configuration into the healthy node's conflist.
func conf(t *testing.T, i *node.Inventory, text string, changes ...string) {
	t.Helper()
	i.Conflists[0].Plugins[0] = parsed(t, text, changes...)
}

func native(code uint32) error { return &hns.Error{Op: "query HNS", Code: hns.NewHRESULT(code)} }

func beside(path string, types ...string) node.Conflist {
	return node.Conflist{Path: path, Encoding: config.UTF8, Types: types, List: true}
}

func TestHealthy(t *testing.T) {
	overlay := healthy(t)
	onOverlay(t, overlay)
	dev := &node.Inventory{ // a developer's machine before its first pod
		At: now, Version: hns.Version{Major: 15},
		Conflists: []node.Conflist{{
			Path: "/conf/nat.conf", Encoding: config.UTF8, Types: []string{"bulkhead"},
			Plugins: []config.Config{parsed(t, `{"cniVersion": "1.0.0", "name": "nat", "type": "bulkhead", "driver": "nat"}`)},
		}},
		Failures: []node.Failure{{Part: node.Adapters, Err: errors.ErrUnsupported}},
	}
	asItIs := healthy(t) // of another subnet, on another adapter
	conf(t, asItIs, plugin, `"adapter": "Ethernet", "gatewayEndpoint": true, `, `"adapter": "Ethernet 9", "takeExisting": true, `, `{"prefix": "10.1.0.0/24"`, `{"prefix": "10.1.0.0/16"`)
	anyCase := healthy(t) // as sdnbridge reads its keys
	conf(t, anyCase, `{"cniVersion": "1.0.0", "name": "podnet", "type": "sdnbridge", "IPAM": {"type": "host-local", "subnet": "10.1.0.0/24"},
		"optionalFlags": {"loopbackDSR": true}, "DNS": {"Nameservers": ["10.96.0.10"]}, "Capabilities": {"dns": true, "portMappings": true}}`)
	for name, i := range map[string]*node.Inventory{"l2bridge": healthy(t), "overlay": overlay, "nat": dev, "taken as it is": asItIs, "any letter case": anyCase} {
		if found := doctor.Judge(*i); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// Nothing is wrong with the conflists that Bulkhead comes with.
func TestShippedConflists(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(conflists, "*.conflist"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := config.OurPlugins(text)
		if err != nil {
			t.Fatal(err)
		}
		i := node.Inventory{At: now, Version: hns.Version{Major: 15}}
		list := node.Conflist{Path: file, Encoding: config.UTF8, List: true}
		for _, p := range ours {
			list.Types = append(list.Types, p.Type())
			list.Plugins = append(list.Plugins, parsed(t, string(p.Stdin())))
		}
		i.Conflists = []node.Conflist{list}
		for _, f := range doctor.Judge(i) {
			if !strings.HasPrefix(f.ID, "network.") { // there is none yet
				t.Errorf("%s: %+v", file, f)
			}
		}
	}
}

// Each fault is found, by its id, and by evidence and a cure that name it; and nothing
// else is.
func TestFaults(t *testing.T) {
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			i := healthy(t)
			tt.plant(t, i)
			found := doctor.Judge(*i)
			var ids []string
			for _, f := range found {
				ids = append(ids, f.ID)
				if f.What == "" || !strings.HasSuffix(f.What, ".") || f.Evidence == "" || f.Cure == "" || strings.Contains(f.What+f.Cure+f.Evidence, "\n") {
					t.Errorf("%+v", f)
				}
			}
			at := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.ID == tt.id })
			if at < 0 || len(found) != 1+len(tt.beside) || slices.ContainsFunc(tt.beside, func(id string) bool { return !slices.Contains(ids, id) }) {
				t.Fatalf("found %v, want %s beside %v\n%+v", ids, tt.id, tt.beside, found)
			}
			f := found[at]
			if f.Severity != tt.severity || f.Fix != tt.fix {
				t.Errorf("%s with fix %q, want %s with %q", f.Severity, f.Fix, tt.severity, tt.fix)
			}
			for _, want := range tt.want {
				if text := f.What + " | " + f.Evidence + " | " + f.Cure; !strings.Contains(text, want) {
					t.Errorf("got %s, want %q", text, want)
				}
			}
		})
	}
}

// The worst comes first.
func TestOrder(t *testing.T) {
	i := healthy(t)
	i.Networks = i.Networks[1:]
	i.Endpoints, i.Namespaces, i.Reservations = nil, i.Namespaces[:1], append(i.Reservations, reserved("10.1.0.11", sandbox(2), ago(time.Hour)))
	i.Namespaces = append(i.Namespaces, hns.Namespace{ID: "ns9"})
	i.Conflists = append(i.Conflists, beside("/conf/05-flannel.conflist", "flannel"))
	slices.Reverse(i.Conflists)
	var got []string
	for _, f := range doctor.Judge(*i) {
		got = append(got, string(f.Severity)+" "+f.ID)
	}
	want := "[error conflist.first warning ipam.leaked note network.absent note namespace.empty]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

// What is seen of one pod in one look alone was an ADD or a DEL at work.
func TestLasting(t *testing.T) {
	find := func(plant func(i *node.Inventory)) []doctor.Finding {
		i := healthy(t)
		plant(i)
		return doctor.Judge(*i)
	}
	nothing := find(func(*node.Inventory) {})
	unreserved := find(func(i *node.Inventory) { i.Reservations = nil })
	another := find(func(i *node.Inventory) { pod2(i); i.Reservations = i.Reservations[:1] })
	off := find(func(i *node.Inventory) { i.DisabledComponents = 0xff })
	for _, tt := range []struct {
		name          string
		first, second []doctor.Finding
		want          int
	}{
		{"nothing", nothing, nothing, 0},
		{"it began", nothing, unreserved, 0},
		{"it ended", unreserved, nothing, 0},
		{"it lasts", unreserved, unreserved, 1},
		{"another pod", unreserved, another, 0},
		{"no verb does that", nothing, off, 1},
	} {
		if got := doctor.Lasting(tt.first, tt.second); len(got) != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	if len(unreserved) != 1 || len(another) != 1 || !unreserved[0].Momentary() || off[0].Momentary() {
		t.Errorf("found %v, %v, %v", unreserved, another, off)
	}
}
