// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A file without end, or a link, in the place of an address file stops nobody but whose
// address it names.
func TestFinding05HostileFiles(t *testing.T) {
	dir := tempDir(t)
	reserve(t, dir, span(2, 3))
	huge := filepath.Join(dir, "net1", "10.1.0.9")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 64<<30); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	link := filepath.Join(dir, "net1", "10.1.0.10")
	if err := os.Symlink(huge, link); err != nil {
		t.Logf("no links here: %v", err)
	}
	p, ctx := open("host-local"), context.Background()
	c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)
	start := time.Now()
	got, err := p.Add(ctx, request{ContainerID: "new", IfName: "eth0", Conf: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Del(ctx, request{ContainerID: "new", IfName: "eth0", Conf: c, Addresses: []netip.Addr{got.Addresses[0].Prefix.Addr()}}); err != nil {
		t.Errorf("DEL: %v", err)
	}
	if err := p.Del(ctx, request{ContainerID: "victim", IfName: "eth0", Conf: c, Addresses: addrs("10.1.0.9")}); err == nil || !strings.Contains(err.Error(), "is not a file that host-local wrote") {
		t.Errorf("DEL of whose address it is: %v", err)
	}
	for _, name := range []string{"last_reserved_ip.0", "lock"} {
		file := filepath.Join(dir, "net1", name)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		victim := filepath.Join(dir, "victim")
		if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if os.Symlink(victim, file) != nil || runtime.GOOS == "windows" {
			continue // Wine does not tell links from files
		}
		if _, err := p.Add(ctx, request{ContainerID: "more", IfName: "eth0", Conf: c}); err == nil || !strings.Contains(err.Error(), "is not a file that host-local wrote") {
			t.Errorf("ADD with a link for %s: %v", name, err)
		}
		if text, err := os.ReadFile(victim); err != nil || string(text) != "mine" {
			t.Errorf("the link's target says %q, %v", text, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.GC(ctx, c, nil); err != nil {
		t.Errorf("GC: %v", err)
	}
	if _, err := os.Lstat(huge); err == nil {
		t.Error("the file without end is still there after GC")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Whoever fills the directory with names stops nothing by names that are no addresses,
// and is told of by others, without filling the memory.
func TestFinding13ManyNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Wine makes files slowly")
	}
	dir := tempDir(t)
	reserve(t, dir, span(2, 3))
	p, ctx := open("host-local"), context.Background()
	c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)
	fill := func(name string) {
		for i := range maxReservations + 2000 {
			if err := os.WriteFile(filepath.Join(dir, "net1", fmt.Sprintf(name, i>>8, i&0xff)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill("junk-%d-%d")
	if _, err := p.Add(ctx, request{ContainerID: "new", IfName: "eth0", Conf: c}); err != nil {
		t.Fatal(err)
	}
	if err := p.Del(ctx, request{ContainerID: "new", IfName: "eth0", Conf: c}); err != nil {
		t.Errorf("DEL beside other names: %v", err)
	}
	fill("fd00::%x:%x")
	if err := p.Del(ctx, request{ContainerID: "new", IfName: "eth0", Conf: c}); err == nil || !strings.Contains(err.Error(), "has more than 20000") {
		t.Errorf("DEL beside many addresses: %v", err)
	}
}
