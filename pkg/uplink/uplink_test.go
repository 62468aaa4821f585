// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
)

func TestChoose(t *testing.T) {
	good := Adapter{Name: "Ethernet", Type: 6, Up: true, DefaultRoute: true, Metric: 25}
	with := func(change func(*Adapter)) Adapter {
		a := good
		change(&a)
		return a
	}
	tests := []struct {
		name        string
		adapters    []Adapter
		want, table string
	}{
		{name: "none"},
		{name: "one", adapters: []Adapter{good}, want: "Ethernet"},
		{
			name: "the others are unfit", want: "Ethernet",
			adapters: []Adapter{
				{Name: "Loopback Pseudo-Interface 1", Type: 24, Up: true},
				with(func(a *Adapter) { a.Name, a.Type = "Wi-Fi", 71 }),
				with(func(a *Adapter) { a.Name, a.Type = "VPN", 23 }),
				with(func(a *Adapter) { a.Name, a.Type = "Teredo", 131 }),
				with(func(a *Adapter) { a.Name, a.Type = "FireWire", 144 }),
				with(func(a *Adapter) { a.Name, a.Up = "Ethernet 2", false }),
				with(func(a *Adapter) { a.Name, a.DefaultRoute = "vEthernet (nat)", false }),
				with(func(a *Adapter) { a.Name = "vEthernet (LAN)" }),
				good,
			},
			table: "Loopback Pseudo-Interface 1: the loopback; Wi-Fi: Wi-Fi, which carries no virtual switch for pods; VPN: a VPN or tunnel; " +
				"Teredo: a VPN or tunnel; FireWire: no Ethernet adapter; Ethernet 2: not connected; vEthernet (nat): no default route; " +
				`vEthernet (LAN): of a virtual switch, and there is no adapter "LAN" below it`,
		},
		{
			name: "the least metric", want: "Ethernet 2",
			adapters: []Adapter{good, with(func(a *Adapter) { a.Name, a.Metric = "Ethernet 2", 5 }), with(func(a *Adapter) { a.Name, a.Metric = "Ethernet 3", 5 })},
			table:    "Ethernet: its metric 25 is not below 5, that of Ethernet 2; Ethernet 3: its metric 5 is not below 5, that of Ethernet 2",
		},
		{
			name: "a switch is on it already", want: "Ethernet",
			adapters: []Adapter{with(func(a *Adapter) { a.DefaultRoute = false }), with(func(a *Adapter) { a.Name = "vEthernet (Ethernet)" })},
			table:    "Ethernet: no default route",
		},
		{name: "no default route", adapters: []Adapter{with(func(a *Adapter) { a.DefaultRoute = false })}, table: "Ethernet: no default route"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, rejected := Choose(tt.adapters)
			if table := Table(rejected); got != tt.want || table != tt.table {
				t.Errorf("got %q, %s\nwant %q, %s", got, table, tt.want, tt.table)
			}
		})
	}
}

func TestLost(t *testing.T) {
	route := func(destination, nextHop string, metric uint32) Route {
		return Route{netip.MustParsePrefix(destination), netip.MustParseAddr(nextHop), metric}
	}
	metadata, site, other := route("169.254.169.254/32", "0.0.0.0", 5), route("10.9.0.0/16", "192.168.1.9", 1), route("10.9.0.0/16", "192.168.1.8", 1)
	got := Lost([]Route{metadata, site, other}, []Route{route("10.9.0.0/16", "192.168.1.9", 25)})
	if want := []Route{metadata, other}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Lost([]Route{site}, []Route{site, metadata}); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	if got, want := metadata.String(), "169.254.169.254/32 via 0.0.0.0 metric 5"; got != want {
		t.Errorf("got %q", got)
	}
	if got := SwitchInterface("Ethernet"); got != "vEthernet (Ethernet)" {
		t.Errorf("got %q", got)
	}
}

// Windows tells its routes, and refuses one on an interface that it does not have.
func TestRoutes(t *testing.T) {
	routes, err := Windows{}.Routes()
	if (err == nil) != (runtime.GOOS == "windows") {
		t.Errorf("got %v", err)
	}
	for _, r := range routes {
		if !r.Destination.IsValid() || !r.NextHop.IsValid() {
			t.Errorf("route %v", r)
		}
	}
	if err := (Windows{}).AddRoute(Route{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParseAddr("192.0.2.1"), 1}, "no such interface"); err == nil {
		t.Error("a route on an interface that there is not")
	}
}

// Every node has a loopback.
func TestAdapters(t *testing.T) {
	got, err := Windows{}.Adapters()
	if runtime.GOOS != "windows" {
		if err == nil {
			t.Error("adapters without Windows")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range got {
		if a.Name == "" {
			t.Errorf("an adapter without a name: %+v", a)
		}
		if a.Type == loopback && a.Up && slices.Contains(a.Addresses, netip.MustParseAddr("127.0.0.1")) {
			return
		}
	}
	t.Errorf("no loopback with its address in %+v", got)
}
