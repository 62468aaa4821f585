// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
	"github.com/google/go-cmp/cmp"
)

// marksIn returns whom there are marks for, and what they name.
func marksIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "net1"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), markPrefix) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, "net1", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		name := f.Name()
		for _, id := range []string{"c1", "c2", "c3"} {
			if markPrefix+(Holder{id, "eth0"}).digest() == name {
				name = id
			}
		}
		out[name] = strings.ReplaceAll(string(content), "_", ":")
	}
	return out
}

// in returns requests for containers that share a directory.
func in(t *testing.T, dir, ranges string, ids ...string) []Request {
	t.Helper()
	var out []Request
	for _, id := range ids {
		out = append(out, Request{ContainerID: id, IfName: "eth0", Conf: hostLocalConf(t, dir, ranges)})
	}
	return out
}

func added(t *testing.T, requests ...Request) {
	t.Helper()
	for _, r := range requests {
		if _, err := Open("host-local").Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func deleted(t *testing.T, r Request) {
	t.Helper()
	if err := Open("host-local").Del(t.Context(), r); err != nil {
		t.Error(err)
	}
}

func equal(t *testing.T, when string, want, got map[string]string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", when, d)
	}
}

// TestMarks: they come and go with the addresses.
func TestMarks(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, dualStack, "c1", "c2")
	added(t, r[0], r[1], r[0])
	equal(t, "after ADD", map[string]string{
		"c1": "address 10.1.0.4\naddress fd00::4\n", "c2": "address 10.1.0.3\naddress fd00::3\n",
	}, marksIn(t, dir))
	deleted(t, r[0])
	equal(t, "after DEL", map[string]string{"c2": "address 10.1.0.3\naddress fd00::3\n"}, marksIn(t, dir))
	r[1].Addresses = addrs("10.1.0.3", "fd00::3")
	deleted(t, r[1])
	equal(t, "after DEL of known addresses", map[string]string{}, marksIn(t, dir))
	added(t, r[0], r[1])
	if err := Open("host-local").GC(t.Context(), r[0].Conf, []Holder{{" c2", "eth0 "}}); err != nil {
		t.Fatal(err)
	}
	equal(t, "after GC", map[string]string{"c2": "address 10.1.0.6\naddress fd00::6\n"}, marksIn(t, dir))
	equal(t, "after GC", map[string]string{"10.1.0.6": "c2\r\neth0", "fd00::6": "c2\r\neth0"}, heldIn(t, dir))
}

// A file that stands in the way is not named, so it stays, damaged or not.
func TestBumpedInto(t *testing.T) {
	for _, content := range []string{"c3\r\neth0", ""} {
		dir := tempDir(t)
		r := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1", "c2")
		added(t, r[0])
		reserve(t, dir, map[string]string{"10.1.0.3": content})
		added(t, r[1])
		equal(t, "after ADD", map[string]string{"c1": "address 10.1.0.2\n", "c2": "address 10.1.0.4\n"}, marksIn(t, dir))
		deleted(t, r[1])
		equal(t, "after DEL", map[string]string{"10.1.0.2": "c1\r\neth0", "10.1.0.3": content}, heldIn(t, dir))
		equal(t, "after DEL", map[string]string{"c1": "address 10.1.0.2\n"}, marksIn(t, dir))
	}
}

// A killed ADD can leave a mark that names what another has by now.
func TestMarkNamesMoreThanIsHeld(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1", "c2")
	one, ten := r[0], r[0]
	one.IfName, ten.IfName = "net1", "net10"
	added(t, one, r[1], ten)
	mine := filepath.Base(book{}.mark(ten.holder()))
	for _, known := range []string{"10.1.0.4", ""} {
		file(mine, "address 10.1.0.2\naddress 10.1.0.3\naddress 10.1.0.4\n")(t, filepath.Join(dir, "net1"))
		if known != "" {
			ten.Addresses = addrs(known)
			if done, err := bookIn(dir, "net1").releaseMarked(ten); !done || err != nil {
				t.Errorf("all files were read (%v)", err)
			}
		}
		ten.Addresses = nil
		deleted(t, ten)
		equal(t, "after DEL", map[string]string{"10.1.0.2": "c1\r\nnet1", "10.1.0.3": "c2\r\neth0"}, heldIn(t, dir))
	}
}

// TestOnlyItsOwnFilesAreRead puts in the way what nobody can read or list: whoever
// had to look at more than the interface's own files would fail.
func TestOnlyItsOwnFilesAreRead(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1", "c2")
	added(t, r[0])
	circle("10.1.0.99")(t, filepath.Join(dir, "net1"))
	added(t, r[1])
	for i, a := range []string{"10.1.0.2", "10.1.0.3"} {
		// The lock is free again, and the look at what others have is not needed.
		b := bookIn(dir, "net1")
		r[i].Addresses = addrs(a)
		if !b.holdsAll(r[i]) {
			t.Errorf("%s is not seen", a)
		}
		if done, err := b.releaseMarked(r[i]); !done || err != nil {
			t.Errorf("%s: all files were read (%v)", a, err)
		}
	}
	if err := Open("host-local").Del(t.Context(), r[0]); err != nil {
		t.Error(err)
	}
	r[0].Addresses = nil
	if err := Open("host-local").Del(t.Context(), r[0]); err == nil {
		t.Error("DEL without known addresses passes over a file that it cannot read")
	}
}

// TestWithoutGoodMarks: where a mark cannot be relied on, every file is read.
func TestWithoutGoodMarks(t *testing.T) {
	mine := filepath.Base(book{}.mark(Holder{"c1", "eth0"}))
	for name, harm := range map[string]func(t *testing.T, dir string){
		"lost":              gone(mine),
		"empty":             file(mine, ""),
		"torn":              file(mine, "addr"),
		"of others":         file(mine, "address 10.1.0.3\n"),
		"outside":           file(mine, "address ../other/10.1.0.2\n"),
		"not all":           file(mine, "address fd00::2\n"),
		"a directory":       all(gone(mine), folder(mine)),
		"rewritten by hand": file("10.1.0.2", "c1\neth0\n"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, known := range []bool{true, false} {
				dir := tempDir(t)
				r := in(t, dir, dualStack, "c1", "c2")
				added(t, r...)
				harm(t, filepath.Join(dir, "net1"))
				if known {
					r[0].Addresses = addrs("10.1.0.2", "fd00::2")
				}
				deleted(t, r[0])
				equal(t, "after DEL", map[string]string{"10.1.0.3": "c2\r\neth0", "fd00::3": "c2\r\neth0"}, heldIn(t, dir))
				if got := marksIn(t, dir); len(got) != 1 || got["c2"] == "" {
					t.Errorf("after DEL: marks %q", got)
				}
			}
		})
	}
}

// TestKilledAdd leaves what a killed ADD does, after each of its steps. The next ADD
// holds one address of each family, and DEL leaves nothing.
func TestKilledAdd(t *testing.T) {
	mine := filepath.Base(book{}.mark(Holder{"c1", "eth0"}))
	steps := []func(*testing.T, string){
		file(mine, ""), file(mine, "address 10.1.0.2"), file(mine, "address 10.1.0.2\n"),
		file("10.1.0.2", ""), file("10.1.0.2", "c1\r\n"), file("10.1.0.2", "c1\r\neth0"),
		file(mine, "address 10.1.0.2\naddress fd00::2\n"), file("fd00::2", "c1\r\neth0"),
	}
	for n := range len(steps) + 1 {
		for _, again := range []bool{true, false} {
			dir := tempDir(t)
			r := in(t, dir, dualStack, "c1")[0]
			reserve(t, dir, nil)
			all(steps[:n]...)(t, filepath.Join(dir, "net1"))
			if again {
				added(t, r)
				// What names nobody only GC may take, since nobody knows whose it is.
				held := 0
				for _, content := range heldIn(t, dir) {
					if content == r.holder().String() {
						held++
					}
				}
				if held != 2 {
					t.Errorf("killed after step %d, then ADD: %q", n, heldIn(t, dir))
				}
			}
			deleted(t, r)
			if err := Open("host-local").GC(t.Context(), r.Conf, nil); err != nil {
				t.Error(err)
			}
			if got := heldIn(t, dir); len(got) > 0 {
				t.Errorf("killed after step %d: left %q", n, got)
			}
			equal(t, "in the end", map[string]string{}, marksIn(t, dir))
		}
	}
}

// TestUnmarked: what host-local's executable reserved for an interface is seen by the
// next ADD of it, is marked by that of another, and DEL releases it, whatever the
// interface got beside it.
func TestUnmarked(t *testing.T) {
	for _, others := range []int{0, 1} {
		dir := tempDir(t)
		r := in(t, dir, dualStack, "c1", "c2", "c3")
		added(t, r[2])
		// As the executable does.
		reserve(t, dir, map[string]string{
			"10.1.0.3": "c1\r\neth0", "fd00::3": "c1\r\neth0", "last_reserved_ip.0": "10.1.0.3", "last_reserved_ip.1": "fd00::3",
		})
		if bookIn(dir, "net1").marked() {
			t.Error("nobody noticed the executable")
		}
		want := map[string]string{"10.1.0.2": "c3\r\neth0", "fd00::2": "c3\r\neth0"}
		if others > 0 {
			added(t, r[1])
			want["10.1.0.4"], want["fd00::4"] = "c2\r\neth0", "c2\r\neth0"
			if got := marksIn(t, dir); got["c1"] != "address 10.1.0.3\naddress fd00::3\n" || !bookIn(dir, "net1").marked() {
				t.Errorf("marks are %q", got)
			}
		}
		added(t, r[0])
		if got := heldIn(t, dir); len(got) != len(want)+2 || got["10.1.0.3"] != "" {
			t.Errorf("after ADD: %q", got)
		}
		for addr, holder := range heldIn(t, dir) {
			if holder == "c1\r\neth0" {
				r[0].Addresses = append(r[0].Addresses, addrs(addr)...)
			}
		}
		deleted(t, r[0])
		equal(t, "after DEL", want, heldIn(t, dir))
	}
}

// TestUnreadable: an address that could not be read when the interface got others is
// released with them, once it can be.
func TestUnreadable(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, dualStack, "c1")[0]
	added(t, r)
	circle("hidden")(t, filepath.Join(dir, "net1"))
	path := disk.GetEscapedPath(filepath.Join(dir, "net1"), "fd00::2")
	if err := os.Rename(path, filepath.Join(dir, "kept")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(path), path); err != nil {
		t.Fatal(err)
	}
	added(t, r)
	if err := os.Rename(filepath.Join(dir, "kept"), path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "net1", "hidden")); err != nil {
		t.Fatal(err)
	}
	r.Addresses = addrs("10.1.0.3", "fd00::3")
	deleted(t, r)
	equal(t, "after DEL", map[string]string{}, heldIn(t, dir))
}

// What the executable reserved and this package could not read is not taken for
// marked.
func TestUnreadableOfTheExecutable(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1", "c2")
	book := filepath.Join(dir, "net1")
	reservesOf(t, dir, r[0], 0)
	if err := os.Rename(filepath.Join(book, "10.1.0.2"), filepath.Join(dir, "kept")); err != nil {
		t.Fatal(err)
	}
	circle("10.1.0.2")(t, book)
	added(t, r[1])
	if bookIn(dir, "net1").marked() {
		t.Error("what cannot be read counts as marked")
	}
	if err := os.Rename(filepath.Join(dir, "kept"), filepath.Join(book, "10.1.0.2")); err != nil {
		t.Fatal(err)
	}
	added(t, r[0])
	if got := ofContainer(t, dir, "c1"); got != 1 {
		t.Errorf("after ADD: %q", heldIn(t, dir))
	}
}

// What the executable reserved for an interface that is marked already is released
// with the rest.
func TestMarkedAndMore(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, dualStack, "c1")[0]
	added(t, r)
	reserve(t, dir, map[string]string{"10.1.0.9": "c1\r\neth0", "last_reserved_ip.0": "10.1.0.9"})
	r.Addresses = addrs("10.1.0.2", "fd00::2")
	deleted(t, r)
	equal(t, "after DEL", map[string]string{}, heldIn(t, dir))
}

// An ADD that is killed before it writes into an address's file leaves one that names
// nobody; its mark tells whose it is, also where the caller knows no address, and
// others' verbs leave it.
func TestFileNotWritten(t *testing.T) {
	for _, content := range []string{"", "c1\r\n", "\x00\x00"} {
		for name, between := range map[string]func(dir string, other Request){
			"nothing": func(string, Request) {},
			"the executable's ADD and DEL": func(dir string, other Request) {
				reservesOf(t, dir, other, 0)
				releases(t, dir, other)
				added(t, other)
				deleted(t, other)
			},
		} {
			dir := tempDir(t)
			r := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1", "c2", "c3")
			added(t, r[1])
			mine := filepath.Base(book{}.mark(Holder{"c1", "eth0"}))
			all(file(mine, "address 10.1.0.3\n"), file("10.1.0.3", content))(t, filepath.Join(dir, "net1"))
			between(dir, r[2])
			deleted(t, r[0])
			equal(t, fmt.Sprintf("%q, then %s, after DEL", content, name), map[string]string{"10.1.0.2": "c2\r\neth0"}, heldIn(t, dir))
		}
	}
}

// A torn mark of somebody who lives is made anew, and what names nobody needs none, so
// the next verbs read no more than their own files.
func TestMarksHeal(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, dualStack, "c1", "c2")
	added(t, r[0])
	mine := filepath.Base(book{}.mark(Holder{"c1", "eth0"}))
	for _, torn := range []string{"\x00\x00", "address 10.1.0.2\n"} {
		all(file(mine, torn), file("10.1.0.77", ""), file("last_reserved_ip.0", "10.1.0.2"))(t, filepath.Join(dir, "net1"))
		added(t, r[1])
		if got := marksIn(t, dir)["c1"]; got != "address 10.1.0.2\naddress fd00::2\n" || !bookIn(dir, "net1").marked() {
			t.Errorf("c1's mark was %q and is %q", torn, got)
		}
	}
}

// An unreadable file of a promised address is an error, one of another is none.
func TestUnreadablePromise(t *testing.T) {
	for _, promised := range []string{"10.1.0.2", "10.1.0.9"} {
		dir := tempDir(t)
		r := in(t, dir, dualStack, "c1")[0]
		reserve(t, dir, map[string]string{"lock": ""})
		circle(promised)(t, filepath.Join(dir, "net1"))
		r.Promised = addrs("10.1.0.2")
		if err := Open("host-local").Del(t.Context(), r); (err != nil) != (promised == "10.1.0.2") {
			t.Errorf("%s cannot be read: %v", promised, err)
		}
	}
}

// The interfaces net1 and net10 of a container are two, though what is written for the
// one begins what is written for the other.
func TestNameThatBeginsAnother(t *testing.T) {
	dir := tempDir(t)
	one := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1")[0]
	ten := one
	one.IfName, ten.IfName = "net1", "net10"
	added(t, one, ten)
	ten.Addresses = addrs("10.1.0.2", "10.1.0.3") // the first is out of date
	deleted(t, ten)
	equal(t, "after DEL of net10", map[string]string{"10.1.0.2": "c1\r\nnet1"}, heldIn(t, dir))

	// GC cannot tell the one's file from a damaged one of the other.
	if err := Open("host-local").GC(t.Context(), one.Conf, []Holder{{"c1", "net10"}}); err != nil {
		t.Fatal(err)
	}
	added(t, one)
	equal(t, "after GC and ADD of net1", map[string]string{"10.1.0.4": "c1\r\nnet1"}, heldIn(t, dir))
}

// ADD leaves alone what names the container alone: it can be another interface's.
func TestAddLeavesTheContainerAlone(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1")[0]
	reserve(t, dir, map[string]string{"10.1.0.2": "c1"})
	r.IfName = "eth1"
	added(t, r)
	equal(t, "after ADD", map[string]string{"10.1.0.2": "c1", "10.1.0.3": "c1\r\neth1"}, heldIn(t, dir))
}

// TestNotAsWritten: a file that the mark names and that somebody rewrote, or that is
// damaged, is still the interface's, also where the caller does not know the address.
func TestNotAsWritten(t *testing.T) {
	for _, content := range []string{"c1\neth0\n", "c1\r\n\x00\x00", ""} {
		dir := tempDir(t)
		r := in(t, dir, dualStack, "c1")[0]
		added(t, r)
		file("fd00::2", content)(t, filepath.Join(dir, "net1"))
		r.Addresses = addrs("10.1.0.2")
		deleted(t, r)
		equal(t, fmt.Sprintf("after DEL, with %q", content), map[string]string{}, heldIn(t, dir))
	}
}

func TestSigned(t *testing.T) {
	for _, a := range []string{"10.1.0.2", "fd00::2", "2001:1db8:1111:2222:3333:4444:5555:6666", "::"} {
		ip := net.ParseIP(a)
		got := signed(ip)
		if !net.ParseIP(got).Equal(ip) || got == ip.String() {
			t.Errorf("signed(%s) = %s", a, got)
		}
	}
}

// TestGCKeepsMarksOfWhatStays: an address that GC could not read keeps its mark, so
// that the next ADD of the interface finds it.
func TestGCKeepsMarksOfWhatStays(t *testing.T) {
	dir := tempDir(t)
	r := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c1")[0]
	added(t, r)
	book := filepath.Join(dir, "net1")
	if err := os.Rename(filepath.Join(book, "10.1.0.2"), filepath.Join(dir, "kept")); err != nil {
		t.Fatal(err)
	}
	circle("10.1.0.2")(t, book)
	if err := Open("host-local").GC(t.Context(), r.Conf, nil); err == nil {
		t.Error("GC passes over a file that it cannot read")
	}
	if err := os.Rename(filepath.Join(dir, "kept"), filepath.Join(book, "10.1.0.2")); err != nil {
		t.Fatal(err)
	}
	added(t, r)
	equal(t, "after ADD", map[string]string{"10.1.0.3": "c1\r\neth0"}, heldIn(t, dir))
}
