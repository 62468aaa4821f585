// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// machine tells of one adapter, or fails.
type machine struct{ err error }

func (m machine) Adapters() ([]uplink.Adapter, error) {
	return []uplink.Adapter{{Name: "Ethernet", Up: true}}, m.err
}
func (machine) Routes() ([]uplink.Route, error)     { return nil, nil }
func (machine) AddRoute(uplink.Route, string) error { return nil }

func onEmulator(t *testing.T) (*hnsemu.Host, node.Node) {
	t.Helper()
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	return host, node.Node{
		OpenHNS: func(perCall time.Duration) (hns.Client, error) {
			return emuclient.NewTimeout(host, "test", perCall), nil
		},
		Lock:      nodelock.Acquire,
		NodeAddrs: func() ([]netip.Addr, error) { return nil, nil },
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInventory(t *testing.T) {
	_, n := onEmulator(t)
	n.Uplink = machine{}
	data, conf := t.TempDir(), t.TempDir()
	plugin := fmt.Sprintf(`{"type": "bulkhead", "driver": "l2bridge", "network": {"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1"}]},
		"ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/24"}]]}}`, data)
	list := `{"cniVersion": "1.0.0", "name": "net1", "plugins": [{"type": "other"}, ` + plugin + `]}`
	write(t, conf, "10-a.conflist", list)
	write(t, conf, "20-same-network.conflist", list)
	write(t, conf, "30-broken.conflist", `{`)
	write(t, conf, "35-wide.conflist", "\xff\xfe{\x00}\x00")
	write(t, conf, "36-marked.conf", "\xef\xbb\xbf"+`{"cniVersion": "1.0.0", "name": "net3", "type": "Other.exe"}`)
	if err := os.Mkdir(filepath.Join(conf, "37-folder.conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, conf, "40-wrong.conf", `{"cniVersion": "1.0.0", "name": "net2", "type": "bulkhead", "driver": "x"}`)
	write(t, conf, "50-foreign.conflist", `{"cniVersion": "1.0.0", "name": "net3", "plugins": [{"type": "other"}]}`)
	write(t, conf, "readme.txt", "not a conflist")

	ours, err := config.OurPlugins([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"c1", "c2"} {
		c, err := config.Parse(ours[0].Stdin(), config.Env{ContainerID: id, IfName: "eth0", NetNS: "none"})
		if err != nil {
			t.Fatal(err)
		}
		verbs, err := n.Verbs(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verbs.Add(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(data, "net1"), "10.1.0.99", "") // as a crash leaves it

	n.KubeProxies = func() ([]kubeproxy.Process, error) { return []kubeproxy.Process{{PID: 7}}, nil }
	n.DisabledComponents = func() (uint32, error) { return 0x20, nil }
	before := time.Now()
	got := n.Inventory(t.Context(), conf)
	if got.At.Before(before) || len(got.KubeProxies) != 1 || got.DisabledComponents != 0x20 {
		t.Errorf("at %v, kube-proxy %+v, IPv6 %#x", got.At, got.KubeProxies, got.DisabledComponents)
	}
	if len(got.Failures) > 0 {
		t.Errorf("failures: %v", got.Failures)
	}
	if got.Version.Major == 0 || len(got.Networks) != 1 || got.Networks[0].Name != "net1" || !got.Networks[0].ManagementAddress.IsValid() {
		t.Errorf("HNS %v, networks %+v", got.Version, got.Networks)
	}
	if len(got.Endpoints) != 2 || len(got.Namespaces) != 2 || len(got.Adapters) != 1 {
		t.Errorf("%d endpoints, %d namespaces, %d adapters", len(got.Endpoints), len(got.Namespaces), len(got.Adapters))
	}
	for _, e := range got.Endpoints {
		rules := 0
		for _, p := range e.Policies {
			if r, ok := p.(hns.ACL); ok && acl.OwnerOf(r) == acl.Pod {
				rules++
			}
		}
		if rules == 0 {
			t.Errorf("endpoint %s has no rules", e.Name)
		}
	}
	var holders []string
	for _, r := range got.Reservations {
		if age := got.At.Sub(r.Since); age < -time.Minute || age > time.Minute {
			t.Errorf("%s since %v", r.Addr, r.Since)
		}
		holders = append(holders, fmt.Sprintf("%s %s %s/%s", r.Network, r.Addr, r.Attachment.ContainerID, r.Attachment.IfName))
	}
	if want := "[net1 10.1.0.2 c1/eth0 net1 10.1.0.3 c2/eth0 net1 10.1.0.99 /]"; fmt.Sprint(holders) != want {
		t.Errorf("reservations %v, want %s", holders, want)
	}
	checkConflists(t, got.Conflists)
}

func checkConflists(t *testing.T, got []node.Conflist) {
	t.Helper()
	want := []struct {
		file    string
		plugins int
		kind    error
		types   string
		list    bool
		as      config.Encoding
	}{
		{"10-a.conflist", 1, nil, "[other bulkhead]", true, config.UTF8}, {"20-same-network.conflist", 1, nil, "[other bulkhead]", true, config.UTF8},
		{"30-broken.conflist", 0, config.ErrSyntax, "[]", false, config.UTF8}, {"35-wide.conflist", 0, nil, "[]", false, config.UTF16},
		{"36-marked.conf", 0, nil, "[other]", false, config.UTF8BOM}, {"40-wrong.conf", 1, config.ErrInvalid, "[bulkhead]", false, config.UTF8},
		{"50-foreign.conflist", 0, nil, "[other]", true, config.UTF8},
	}
	if len(got) != len(want) {
		t.Fatalf("conflists %+v", got)
	}
	for i, w := range want {
		if filepath.Base(got[i].Path) != w.file || len(got[i].Plugins) != w.plugins || !errors.Is(got[i].Err, w.kind) {
			t.Errorf("got %s with %d plugins, %v; want %+v", got[i].Path, len(got[i].Plugins), got[i].Err, w)
		}
		if fmt.Sprint(got[i].Types) != w.types || got[i].List != w.list || got[i].Encoding != w.as {
			t.Errorf("got %+v, want %+v", got[i], w)
		}
	}
}

// What cannot be read is told, and the rest is there.
func TestInventoryOfABrokenNode(t *testing.T) {
	host, n := onEmulator(t)
	n.Uplink = machine{errors.New("no table")}
	n.KubeProxies = func() ([]kubeproxy.Process, error) { return nil, errors.New("no processes") }
	n.DisabledComponents = func() (uint32, error) { return 0, errors.New("no registry") }
	if err := host.StopService(); err != nil {
		t.Fatal(err)
	}
	got := n.Inventory(t.Context(), filepath.Join(t.TempDir(), "missing"))
	for part, want := range map[node.Part]error{node.HNS: hns.ErrUnavailable, node.Endpoints: hns.ErrUnavailable, node.Conflists: os.ErrNotExist} {
		if err := got.Err(part); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", part, err, want)
		}
	}
	if got.Err(node.Adapters) == nil || got.Err(node.KubeProxies) == nil || got.Err(node.Registry) == nil || got.Err(node.Reservations) != nil {
		t.Errorf("failures %v", got.Failures)
	}
}
