// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// shares is what a book has of a request.
type shares struct {
	// whole names the container and the interface, alone the container only.
	whole, alone []entry
	// lost names nobody, and is of an address that is known to be the interface's,
	// by the caller or by its mark.
	lost []entry
	// blocked could not be read of such an address, unread of any other.
	blocked, unread []error
}

// sharesOf sorts out what the book has of a request.
func (b book) sharesOf(r Request) (shares, error) {
	entries, err := b.entries()
	if err != nil {
		return shares{}, err
	}
	var s shares
	want, addresses, promised := r.holder(), setOf(r.Addresses), setOf(r.Promised)
	named, _ := b.markedFor(want) // none, be it that the mark is torn
	for _, e := range entries {
		known := addresses[e.addr] || among(named, e)
		content, err := e.read()
		got := holderIn(content)
		switch {
		case err != nil && (addresses[e.addr] || promised[e.addr]):
			s.blocked = append(s.blocked, err)
		case err != nil:
			s.unread = append(s.unread, err)
		case got == want:
			s.whole = append(s.whole, e)
		case known && got.valid() != nil && (got.nobody() || want.cutOff(content)):
			s.lost = append(s.lost, e)
		case want.holds(content):
			s.alone = append(s.alone, e)
		}
	}
	return s, nil
}

func setOf(addresses []netip.Addr) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, a := range addresses {
		out[a.Unmap().WithZone("")] = true
	}
	return out
}

// release frees what the request's interface holds. Files that name the
// container alone are taken for it only where none names the interface, too, as
// host-local does. doubt is what cannot be read and may be all of it.
func (b book) release(r Request) (doubt, err error) {
	s, err := b.sharesOf(r)
	if err != nil {
		return nil, err
	}
	if len(s.whole) == 0 {
		s.whole = s.alone
	}
	if len(s.whole) == 0 && len(r.Addresses)+len(r.Promised) == 0 {
		doubt = errors.Join(s.unread...)
	}
	return doubt, b.free(r.holder(), s)
}

// free removes what is the holder's, whole or lost, and then its mark, unless more can
// be in the dark.
func (b book) free(h Holder, s shares) error {
	failures := s.blocked
	for _, e := range slices.Concat(s.whole, s.lost) {
		failures = append(failures, e.remove())
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if len(s.unread) == 0 {
		b.removeMark(h)
	}
	return nil
}

// unreserved says what a book lacks.
type unreserved string

func (u unreserved) Error() string { return string(u) }

// confirm fails, with what is unreserved, when the request's interface holds
// nothing or, where the caller knows its addresses, not all of them. It does not
// wait for the lock: what is being released is as good as released.
func (b book) confirm(r Request) error {
	if b.holdsAll(r) {
		return nil
	}
	entries, err := b.entries()
	if err != nil {
		return err
	}
	known, held := setOf(r.Addresses), false
	left := maps.Clone(known)
	var unread []error
	for _, e := range entries {
		if len(known) > 0 && !known[e.addr] {
			continue
		}
		content, err := e.read()
		if err != nil {
			unread = append(unread, err)
		}
		if r.holder().holds(content) {
			held = true
			delete(left, e.addr)
		}
	}
	switch {
	case held && len(left) == 0:
		return nil
	case len(unread) > 0:
		return errors.Join(unread...)
	case len(left) == 0:
		return unreserved(fmt.Sprintf("no file in %s names %s of container %s", b.dir, r.IfName, r.ContainerID))
	}
	gone := slices.SortedFunc(maps.Keys(left), netip.Addr.Compare)
	return unreserved(fmt.Sprintf("no file in %s reserves %s for %s of container %s", b.dir, gone[0], r.IfName, r.ContainerID))
}

// holdsAll reports whether the request's addresses are known and the interface
// holds each, in a file of the usual name. It looks at these files only.
func (b book) holdsAll(r Request) bool {
	known := setOf(r.Addresses)
	for a := range known {
		content, err := os.ReadFile(disk.GetEscapedPath(b.dir, a.String()))
		if err != nil || !r.holder().holds(string(content)) {
			return false
		}
	}
	return len(known) > 0
}
