// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// reservesOf is what host-local's executable does for one range set of an ADD: it has
// the lock for no longer.
func reservesOf(t *testing.T, dir string, r Request, set int) netip.Addr {
	t.Helper()
	c, _, err := allocator.LoadIPAMConfig(r.Conf, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := disk.New("net1", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := allocator.NewIPAllocator(&c.Ranges[set], s, set).Get(r.ContainerID, r.IfName, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := netip.AddrFromSlice(got.Address.IP)
	return a.Unmap()
}

// releases is its DEL.
func releases(t *testing.T, dir string, r Request) {
	t.Helper()
	s, err := disk.New("net1", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.ReleaseByID(r.ContainerID, r.IfName); err != nil {
		t.Fatal(err)
	}
}

// ofContainer returns how many addresses a container holds.
func ofContainer(t *testing.T, dir, id string) int {
	t.Helper()
	n := 0
	for _, content := range heldIn(t, dir) {
		if strings.HasPrefix(content, id+"\r\n") {
			n++
		}
	}
	return n
}

// An ADD of ours between the range sets of one of the executable's marks the first
// address; the second must not be lost.
func TestBetweenRangeSets(t *testing.T) {
	for _, ranges := range []string{dualStack, `[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/24"}]]`} {
		for _, then := range []string{"DEL", "ADD"} {
			t.Run(then+" "+ranges, func(t *testing.T) {
				dir := tempDir(t)
				r := in(t, dir, ranges, "c1", "c2")
				first := reservesOf(t, dir, r[0], 0)
				if then == "ADD" {
					deleted(t, r[0])
				}
				added(t, r[1])
				reservesOf(t, dir, r[0], 1)
				if then == "ADD" {
					added(t, r[0])
					if got := ofContainer(t, dir, "c1"); got != 2 {
						t.Errorf("after ADD: %q", heldIn(t, dir))
					}
					return
				}
				r[0].Addresses = []netip.Addr{first}
				deleted(t, r[0])
				if got := ofContainer(t, dir, "c1"); got != 0 {
					t.Errorf("after DEL: %q", heldIn(t, dir))
				}
			})
		}
	}
}

// Range sets that the configuration has no more do not make every verb read everything.
func TestFewerRangeSets(t *testing.T) {
	dir := tempDir(t)
	two, one := in(t, dir, dualStack, "c1")[0], in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c2", "c3")
	reservesOf(t, dir, two, 0)
	reservesOf(t, dir, two, 1)
	for _, spoilt := range []string{"", "?"} {
		if spoilt != "" {
			file("last_reserved_ip.1", spoilt)(t, filepath.Join(dir, "net1"))
		}
		if bookIn(dir, "net1").marked() {
			t.Error("nobody noticed the executable")
		}
		added(t, one...)
		if !bookIn(dir, "net1").marked() {
			t.Errorf("not all is marked: %q", marksIn(t, dir))
		}
	}
	if got := marksIn(t, dir)["c1"]; got != "address 10.1.0.2\naddress fd00::2\n" {
		t.Errorf("c1's mark: %q", got)
	}
}

// A last reservation in the middle that cannot be read hides none behind it.
func TestHintInTheMiddle(t *testing.T) {
	dir := tempDir(t)
	three := in(t, dir, `[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}],[{"subnet":"10.3.0.0/24"}]]`, "c1")[0]
	others := in(t, dir, `[[{"subnet":"10.1.0.0/24"}]]`, "c2", "c3")
	first := reservesOf(t, dir, three, 0)
	reservesOf(t, dir, three, 1)
	added(t, others[0])
	file("last_reserved_ip.1", "")(t, filepath.Join(dir, "net1")) // as a kill leaves it
	added(t, others[1])
	reservesOf(t, dir, three, 2)
	if bookIn(dir, "net1").marked() {
		t.Error("nobody noticed the executable")
	}
	three.Addresses = []netip.Addr{first}
	deleted(t, three)
	if got := ofContainer(t, dir, "c1"); got != 0 {
		t.Errorf("after DEL: %q", heldIn(t, dir))
	}
}

// Marks of what the executable released do not pile up.
func TestMarksOfTheGone(t *testing.T) {
	dir := tempDir(t)
	ours := in(t, dir, dualStack, "c1")[0]
	for i := range 5 {
		theirs := in(t, dir, dualStack, fmt.Sprint("x", i))[0]
		reservesOf(t, dir, theirs, 0)
		reservesOf(t, dir, theirs, 1)
		added(t, ours)
		releases(t, dir, theirs)
		deleted(t, ours)
	}
	if got := marksIn(t, dir); len(got) > 1 {
		t.Errorf("marks of the last container and of others: %q", got)
	}
}
