// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
	"github.com/google/go-cmp/cmp"
)

const dualStack = `[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]]`

// addrs parses a list of addresses.
func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// reserve writes address files as they are.
func reserve(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "net1"), 0o700); err != nil {
		t.Fatal(err)
	}
	for addr, content := range files {
		if err := os.WriteFile(disk.GetEscapedPath(filepath.Join(dir, "net1"), addr), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHostLocalDelOfKnownAddresses(t *testing.T) {
	c1 := request{ContainerID: "c1", IfName: "eth0", Addresses: addrs("10.1.0.2")}
	tests := []struct {
		name, content string
		stays         bool
	}{
		{name: "its own", content: "c1\r\neth0"},
		{name: "its own, edited by hand", content: " c1 \n eth0\n"},
		{name: "the container alone", content: "c1"},
		{name: "cut off before the interface", content: "c1\r\n"},
		{name: "empty", content: ""},
		{name: "blank", content: " \r\n "},
		{name: "zeros, as NTFS leaves", content: "\x00\x00\x00\x00\x00\x00\x00\x00"},

		{name: "not UTF-8", content: "\xff\xfe\x00c\x001", stays: true},
		{name: "no id", content: "{\"id\": 1}", stays: true},
		{name: "cut off in the container", content: "c", stays: true},
		{name: "another container", content: "c2\r\neth0", stays: true},
		{name: "another container alone", content: "c2", stays: true},
		{name: "another container, zeros for the interface", content: "c2\r\n\x00\x00\x00\x00", stays: true},
		{name: "a longer id", content: "c12\r\neth0", stays: true},
		{name: "another interface", content: "c1\r\neth1", stays: true},
		{name: "another interface, or cut off", content: "c1\r\net", stays: true},
		{name: "a longer interface", content: "c1\r\neth01", stays: true},
	}
	for _, tt := range tests {
		for _, where := range []string{"10.1.0.2", "fd00::2"} {
			t.Run(tt.name+"/"+strings.SplitN(where, ".", 2)[0], func(t *testing.T) {
				dir := tempDir(t)
				// An empty file elsewhere may be a live pod's.
				reserve(t, dir, map[string]string{where: tt.content, "10.1.0.77": "", "10.1.0.78": "c2\r\neth0"})
				r := c1
				r.Addresses, r.Conf = addrs("10.1.0.1", where), hostLocalConf(t, dir, dualStack)
				if err := open("host-local").Del(context.Background(), r); err != nil {
					t.Fatal(err)
				}
				want := map[string]string{"10.1.0.77": "", "10.1.0.78": "c2\r\neth0"}
				if tt.stays {
					want[where] = tt.content
				}
				if diff := cmp.Diff(want, heldIn(t, dir)); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What the caller does not know stays when it names nobody: GC's to decide.
func TestHostLocalDelOfUnknownAddresses(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{name: "damaged", files: map[string]string{"10.1.0.2": "", "10.1.0.3": "c1\r\net", "10.1.0.4": "\x00"}, want: []string{"10.1.0.2", "10.1.0.3", "10.1.0.4"}},
		{name: "both families", files: map[string]string{"10.1.0.2": "c1\r\neth0", "fd00::2": "c1\r\neth0"}},
		{name: "the container alone", files: map[string]string{"10.1.0.2": "c1", "fd00::2": "c1\r\n"}},
		{name: "alone, and another interface", files: map[string]string{"10.1.0.2": "c1", "10.1.0.3": "c1\r\neth1"}, want: []string{"10.1.0.3"}},
		{name: "alone beside its own is another interface's", files: map[string]string{"10.1.0.2": "c1", "10.1.0.3": "c1\r\neth0"}, want: []string{"10.1.0.2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tempDir(t)
			reserve(t, dir, tt.files)
			r := request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, dualStack)}
			for range 2 {
				if err := open("host-local").Del(context.Background(), r); err != nil {
					t.Fatal(err)
				}
				got := slices.Sorted(maps.Keys(heldIn(t, dir)))
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Fatalf("files (-want +got):\n%s", diff)
				}
				if tt.want != nil && tt.want[0] == "10.1.0.2" && len(tt.files) == 2 {
					return // a second DEL takes what names the container alone
				}
			}
		})
	}
}

// Confirm and Check agree with what Add wrote and Del released.
func TestHostLocalConfirm(t *testing.T) {
	tests := []struct {
		name    string
		files   map[string]string
		known   []netip.Addr
		wantErr string // after "no file in DIR "
	}{
		{name: "both", files: map[string]string{"10.1.0.2": "c1\r\neth0", "fd00::2": "c1\r\neth0"}},
		{name: "both, known", files: map[string]string{"10.1.0.2": "c1\r\neth0", "fd00::2": "c1\r\neth0"}, known: addrs("10.1.0.2", "fd00::2")},
		{name: "known as IPv6", files: map[string]string{"10.1.0.2": "c1\r\neth0"}, known: addrs("::ffff:10.1.0.2")},
		{name: "the container alone", files: map[string]string{"10.1.0.2": "c1"}, known: addrs("10.1.0.2")},
		{name: "nothing", wantErr: "names eth0 of container c1"},
		{name: "nothing, known", known: addrs("fd00::2", "10.1.0.2"), wantErr: "reserves 10.1.0.2 for eth0 of container c1"},
		{name: "one of two", files: map[string]string{"10.1.0.2": "c1\r\neth0"}, known: addrs("10.1.0.2", "fd00::2"), wantErr: "reserves fd00::2 for eth0 of container c1"},
		{name: "another address", files: map[string]string{"10.1.0.3": "c1\r\neth0"}, known: addrs("10.1.0.2"), wantErr: "reserves 10.1.0.2 for"},
		{name: "given to another", files: map[string]string{"10.1.0.2": "c2\r\neth0"}, known: addrs("10.1.0.2"), wantErr: "reserves 10.1.0.2 for"},
		{name: "being given to another", files: map[string]string{"10.1.0.2": ""}, known: addrs("10.1.0.2"), wantErr: "reserves 10.1.0.2 for"},
		{name: "another interface's", files: map[string]string{"10.1.0.2": "c1\r\neth1"}, wantErr: "names eth0 of container c1"},
		{name: "not an address", files: map[string]string{"last_reserved_ip.0": "c1\r\neth0"}, wantErr: "names eth0 of container c1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tempDir(t)
			reserve(t, dir, tt.files)
			r := request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, dualStack), Addresses: tt.known}
			check, confirm := open("host-local").Check(context.Background(), r), open("host-local").Confirm(context.Background(), r)
			if tt.wantErr == "" {
				if err := errors.Join(check, confirm); err != nil {
					t.Error(err)
				}
				return
			}
			want := "no file in " + filepath.Join(dir, "net1") + " " + tt.wantErr
			if check == nil || errors.Is(check, ErrReleased) || !strings.HasPrefix(check.Error(), want) {
				t.Errorf("Check: %v, want %q", check, want)
			}
			if !errors.Is(confirm, ErrReleased) || !strings.HasPrefix(confirm.Error(), "address given back: "+want) {
				t.Errorf("Confirm: %v, want an ErrReleased with %q", confirm, want)
			}
		})
	}
}

// The sequence that Confirm is for, and the plugins without reservations.
func TestConfirmAfterDel(t *testing.T) {
	dir := tempDir(t)
	p, ctx := open("host-local"), context.Background()
	r := request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, dualStack)}
	if _, err := p.Add(ctx, r); err != nil {
		t.Fatal(err)
	}
	if err := p.Confirm(ctx, r); err != nil {
		t.Error(err)
	}
	if err := p.Del(ctx, r); err != nil {
		t.Fatal(err)
	}
	if err := p.Confirm(ctx, r); !errors.Is(err, ErrReleased) {
		t.Errorf("got %v, want an ErrReleased", err)
	}
	for _, name := range []string{"", "static", "missing-ipam"} {
		if err := open(name).Confirm(ctx, r); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// host-local's own store and ours read each other's files.
func TestHostLocalSharesItsFiles(t *testing.T) {
	dir := tempDir(t)
	p, ctx := open("host-local"), context.Background()
	ours := request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, dualStack)}
	theirs := request{ContainerID: "c2", IfName: "eth0", Conf: ours.Conf, Addresses: addrs("10.1.0.3", "fd00::3")}
	if _, err := p.Add(ctx, ours); err != nil {
		t.Fatal(err)
	}
	store, err := disk.New("net1", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if !store.FindByID("c1", "eth0") {
		t.Error("host-local does not find what Add reserved")
	}
	for i, want := range []string{"10.1.0.2", "fd00::2"} {
		last, err := store.LastReservedIP(string(rune('0' + i)))
		if err != nil || last.String() != want {
			t.Errorf("host-local goes on from %v (%v), want %s", last, err, want)
		}
		if reserved, err := store.Reserve("c2", "eth0", net.ParseIP(want), "0"); reserved || err != nil {
			t.Errorf("host-local gives %s again (%v)", want, err)
		}
	}
	for _, a := range theirs.Addresses {
		if reserved, err := store.Reserve("c2", "eth0", a.AsSlice(), "0"); !reserved || err != nil {
			t.Fatalf("host-local does not reserve %s: %v", a, err)
		}
	}
	if err := p.Confirm(ctx, theirs); err != nil {
		t.Error(err)
	}
	if err := p.Del(ctx, theirs); err != nil {
		t.Error(err)
	}
	if err := store.ReleaseByID("c1", "eth0"); err != nil {
		t.Fatal(err)
	}
	if got := heldIn(t, dir); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}
