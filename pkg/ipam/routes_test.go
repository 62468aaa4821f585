// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// routeTest is a list of routes and what becomes of it, for an address whose
// gateway, where it has one, is 10.1.0.1.
type routeTest struct {
	name, routes string
	noGateway    bool
	gateway      string
	want         []string
	wantErr      string // behind the path of the list
}

var routeTests = []routeTest{
	{name: "none", routes: `[]`, gateway: "10.1.0.1"},
	{name: "null", routes: `[null]`, gateway: "10.1.0.1"},
	{name: "default", routes: `[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]`, gateway: "10.1.0.1"},
	{name: "default by the gateway", routes: `[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}]`, gateway: "10.1.0.1"},
	{name: "default names the gateway", routes: `[{"dst":"0.0.0.0/0","gw":"10.1.0.2"}]`, noGateway: true, gateway: "10.1.0.2"},
	{name: "default of the other family", routes: `[{"dst":"::/0","gw":"fd00::1"}]`, gateway: "10.1.0.1"},
	{
		name: "default by another", routes: `[{"dst":"10.2.0.0/16"},{"dst":"0.0.0.0/0","gw":"10.1.0.2"}]`,
		wantErr: "[1].gw: the default route leads to 10.1.0.2, but the gateway is 10.1.0.1; make them the same",
	},
	{name: "others", routes: `[{"dst":"10.2.0.0/16","gw":"10.1.0.9"},{"dst":"0.0.0.0/0"},{"dst":"10.3.0.0/16"}]`, gateway: "10.1.0.1", want: []string{"10.2.0.0/16 via 10.1.0.9", "10.3.0.0/16"}},
	{name: "host bits", routes: `[{"dst":"10.2.0.1/16"}]`, wantErr: `[0].dst: "10.2.0.1/16" has host bits set; write 10.2.0.0/16`},
	{name: "two families", routes: `[{"dst":"10.2.0.0/16","gw":"fd00::1"}]`, wantErr: "[0].gw: fd00::1 is not of the family of 10.2.0.0/16"},
	{name: "mtu", routes: `[{"dst":"10.2.0.0/16"},{"dst":"10.3.0.0/16","mtu":1400}]`, wantErr: "[1].mtu: HNS has nothing like it; remove it"},
	{name: "advmss", routes: `[{"dst":"10.2.0.0/16","advmss":1400}]`, wantErr: "[0].advmss: HNS has"},
	{name: "priority", routes: `[{"dst":"0.0.0.0/0","priority":1}]`, wantErr: "[0].priority: HNS has"},
	{name: "table", routes: `[{"dst":"10.2.0.0/16","table":0}]`, wantErr: "[0].table: HNS has"},
	{name: "scope", routes: `[{"dst":"10.2.0.0/16","scope":0}]`, wantErr: "[0].scope: HNS has"},
}

func TestRoutes(t *testing.T) {
	for _, tt := range routeTests {
		gateway := `,"gateway":"10.1.0.1"`
		if tt.noGateway {
			gateway = ""
		}
		t.Run("host-local "+tt.name, func(t *testing.T) {
			section := fmt.Sprintf(`{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/24"%s}]],"routes":%s}`, tempDir(t), gateway, tt.routes)
			tt.run(t, "host-local", "ipam.routes", conf(t, section))
		})
		t.Run("static "+tt.name, func(t *testing.T) {
			section := fmt.Sprintf(`{"type":"static","addresses":[{"address":"10.1.0.5/24"%s}],"routes":%s}`, gateway, tt.routes)
			tt.run(t, "static", "ipam.routes", conf(t, section))
		})
		t.Run("delegate "+tt.name, func(t *testing.T) {
			install(t, "ADD", fmt.Sprintf(`{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/24"%s}],"routes":%s}`, gateway, tt.routes))
			tt.run(t, "azure-ipam", "routes", conf(t, `{"type":"azure-ipam"}`))
		})
	}
}

func (tt routeTest) run(t *testing.T, plugin, path string, c []byte) {
	t.Helper()
	got, err := open(plugin).Add(context.Background(), request{ContainerID: "c", IfName: "eth0", Conf: c})
	if tt.wantErr != "" {
		if err == nil || !strings.Contains(err.Error(), path+tt.wantErr) {
			t.Errorf("got %v\nwant %s", err, path+tt.wantErr)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if gw := got.Addresses[0].Gateway.String(); gw != tt.gateway {
		t.Errorf("gateway is %s, want %s", gw, tt.gateway)
	}
	var routes []string
	for _, r := range got.Routes {
		routes = append(routes, r.String())
	}
	if !slices.Equal(routes, tt.want) {
		t.Errorf("routes are %v, want %v", routes, tt.want)
	}
}

// The network's gateway is for ranges that have none; a default route is the
// admin's word.
func TestDefaultRouteGoesBeforeTheNetworksGateway(t *testing.T) {
	section := fmt.Sprintf(`{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.254"}]}`, tempDir(t))
	c := conf(t, section, `"network":{"subnets":[{"prefix":"10.1.0.0/24","gateway":"10.1.0.1"},{"prefix":"fd00::/64","gateway":"fd00::1"}]}`)
	got, err := open("host-local").Add(context.Background(), request{ContainerID: "c", IfName: "eth0", Conf: c})
	if want := "10.1.0.2/24 10.1.0.254, fd00::2/64 fd00::1"; err != nil || pairs(got.Addresses) != want {
		t.Errorf("got %s, %v\nwant %s", pairs(got.Addresses), err, want)
	}
}

// The file is read as the executable of host-local reads it.
func TestResolvConf(t *testing.T) {
	dir := tempDir(t)
	file := filepath.Join(dir, "resolv.conf")
	with := func(text string) request {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return request{ContainerID: "c", IfName: "eth0", Conf: conf(t, fmt.Sprintf(`{"type":"host-local","dataDir":%q,"resolvConf":%q,"ranges":[[{"subnet":"10.1.0.0/24"}]]}`, dir, file))}
	}
	p, ctx := open("host-local"), context.Background()
	got, err := p.Add(ctx, with("# by hand\r\nnameserver 10.96.0.10\r\n\r\nnameserver fd00::53\r\nsearch a.b c.d\r\n; x\r\ndomain d.e\r\noptions ndots:5 edns0\r\nsortlist\r\n"))
	want := hns.DNS{Domain: "d.e", Search: []string{"a.b", "c.d"}, Servers: []string{"10.96.0.10", "fd00::53"}, Options: []string{"ndots:5", "edns0"}}
	if err != nil || fmt.Sprint(got.DNS) != fmt.Sprint(want) {
		t.Errorf("got %v, %v\nwant %v", got.DNS, err, want)
	}
	bad := with("nameserver dns.example\n")
	if err := p.Validate(bad); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), file+`: nameservers[0]: "dns.example" is not an address`) {
		t.Errorf("a name for a server: %v", err)
	}
	huge := with(strings.Repeat("# no end\n", 10_000))
	if err := p.Validate(huge); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "has more than") {
		t.Errorf("a huge file: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(bad); !errors.Is(err, ErrConfig) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "ipam.resolvConf: ") {
		t.Errorf("no file: %v", err)
	}
	if err := p.Del(ctx, bad); err != nil {
		t.Errorf("DEL without the file: %v", err)
	}
}
