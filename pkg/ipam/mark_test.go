// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
	"github.com/google/go-cmp/cmp"
)

// marksOf returns the addresses that have a mark, with the digests.
func marksOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "net1"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for file, marks := range marksIn(files) {
		for _, m := range marks {
			digest, _, _ := marked(m.Name())
			out[strings.ReplaceAll(file, "_", ":")] += digest
		}
	}
	return out
}

// TestMarks: they come and go with the addresses, and with them alone.
func TestMarks(t *testing.T) {
	dir := tempDir(t)
	p, ctx := Open("host-local"), t.Context()
	c1 := Request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, dualStack)}
	c2 := Request{ContainerID: "c2", IfName: "eth0", Conf: c1.Conf}
	for _, r := range []Request{c1, c2, c1} {
		if _, err := p.Add(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	d1, d2 := c1.holder().digest(), c2.holder().digest()
	want := map[string]string{"10.1.0.3": d2, "fd00::3": d2, "10.1.0.4": d1, "fd00::4": d1}
	if d := cmp.Diff(want, marksOf(t, dir)); d != "" {
		t.Errorf("after ADD (-want +got):\n%s", d)
	}
	if err := p.Del(ctx, c1); err != nil {
		t.Fatal(err)
	}
	want = map[string]string{"10.1.0.3": d2, "fd00::3": d2}
	if d := cmp.Diff(want, marksOf(t, dir)); d != "" {
		t.Errorf("after DEL (-want +got):\n%s", d)
	}
	// As host-local's executable leaves them.
	if err := os.Remove(filepath.Join(dir, "net1", "10.1.0.3")); err != nil {
		t.Fatal(err)
	}
	if err := p.GC(ctx, c1.Conf, []Holder{c2.holder()}); err != nil {
		t.Fatal(err)
	}
	want = map[string]string{"fd00::3": d2}
	if d := cmp.Diff(want, marksOf(t, dir)); d != "" {
		t.Errorf("after GC (-want +got):\n%s", d)
	}
	if err := os.Remove(disk.GetEscapedPath(filepath.Join(dir, "net1"), "fd00::3")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Add(ctx, c1); err != nil {
		t.Fatal(err)
	}
	want = map[string]string{"10.1.0.5": d1, "fd00::5": d1}
	if d := cmp.Diff(want, marksOf(t, dir)); d != "" {
		t.Errorf("after another ADD (-want +got):\n%s", d)
	}
}

// TestOnlyItsOwnFilesAreRead makes the files of all others unreadable, each of which
// an ADD or a DEL that read it would tell or leave out.
func TestOnlyItsOwnFilesAreRead(t *testing.T) {
	dir := tempDir(t)
	p, ctx := Open("host-local"), t.Context()
	c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)
	for _, id := range []string{"c1", "c2", "c3"} {
		if _, err := p.Add(ctx, Request{ContainerID: id, IfName: "eth0", Conf: c}); err != nil {
			t.Fatal(err)
		}
	}
	b := bookIn(dir, "net1")
	entries, err := b.entries()
	if err != nil || len(entries) != 3 {
		t.Fatal(entries, err)
	}
	for i := range entries {
		if i != 1 {
			entries[i].path = filepath.Join(dir, "net1") // reading a directory fails
		}
	}
	freed, doubt, err := release(Request{ContainerID: "c2", IfName: "eth0"}, entries)
	if doubt != nil || err != nil || len(freed) != 1 || freed[0].addr.String() != "10.1.0.3" {
		t.Errorf("freed %v, in doubt %v, %v", freed, doubt, err)
	}
}

// TestMarksThatAreNotBelieved: the file of the address tells.
func TestMarksThatAreNotBelieved(t *testing.T) {
	c1, c2 := Holder{"c1", "eth0"}, Holder{"c2", "eth0"}
	for _, tt := range []struct {
		name string
		harm func(t *testing.T, dir string)
	}{
		{"none", func(t *testing.T, dir string) { gone(c1.mark("10.1.0.2"))(t, dir) }},
		{"two", func(t *testing.T, dir string) { file(c2.mark("10.1.0.2"), "")(t, dir) }},
		{"older than the file", func(t *testing.T, dir string) {
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(filepath.Join(dir, c1.mark("10.1.0.2")), old, old); err != nil {
				t.Fatal(err)
			}
		}},
		{"of no form", func(t *testing.T, dir string) {
			gone(c1.mark("10.1.0.2"))(t, dir)
			file(markPrefix+"10.1.0.2", "")(t, dir)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tempDir(t)
			c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`)
			p, ctx := Open("host-local"), t.Context()
			if _, err := p.Add(ctx, Request{ContainerID: "c1", IfName: "eth0", Conf: c}); err != nil {
				t.Fatal(err)
			}
			// The executable gave the address to another.
			file("10.1.0.2", c2.String())(t, filepath.Join(dir, "net1"))
			tt.harm(t, filepath.Join(dir, "net1"))
			if err := p.Del(ctx, Request{ContainerID: "c1", IfName: "eth0", Conf: c}); err != nil {
				t.Fatal(err)
			}
			if got := heldIn(t, dir); got["10.1.0.2"] != c2.String() {
				t.Errorf("after DEL of c1: %q", got)
			}
			if err := p.Del(ctx, Request{ContainerID: "c2", IfName: "eth0", Conf: c}); err != nil {
				t.Fatal(err)
			}
			if got := heldIn(t, dir); len(got) > 0 {
				t.Errorf("after DEL of c2: %q", got)
			}
		})
	}
}
