// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// store is the book as host-local's allocator wants it, for one allocation under
// the lock. It writes what disk.Store writes and a mark, and differs where that
// fails: the last reservation is a hint, so a damaged one neither fails an ADD nor
// is logged.
type store struct {
	book
	// taken are the addresses that are reserved. They are listed when somebody is in
	// the way, and for an IPv6 address, which a file can be named for in many ways.
	// An IPv4 address has the one spelling that host-local uses.
	taken map[netip.Addr]bool
	// marked is true when every reservation has a mark.
	marked bool
	// mark is the holder's own, open for writing.
	mark *os.File
	// last is the last reservation of the first range set, where it was read.
	last net.IP
}

var _ backend.Store = &store{}

// taken returns the addresses that entries reserve, each once.
func taken(entries []entry) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, e := range entries {
		out[e.addr] = true
	}
	return out
}

// look lists the addresses that are reserved, once.
func (s *store) look() error {
	if s.taken != nil {
		return nil
	}
	entries, err := s.entries()
	if err != nil {
		return err
	}
	s.taken = taken(entries)
	return nil
}

// exhausted is the pool's, as far as the address files can be listed.
func (s *store) exhausted(p pool) error {
	if err := s.look(); err != nil {
		return err
	}
	return p.exhausted(s.taken)
}

// Lock does nothing: the whole allocation has the lock.
func (*store) Lock() error { return nil }

// Unlock does nothing, as Lock.
func (*store) Unlock() error { return nil }

// Close does nothing: who opened the book closes it.
func (*store) Close() error { return nil }

// ReleaseByID does nothing: the allocator only reserves.
func (*store) ReleaseByID(string, string) error { return nil }

// GetByID returns nothing: what the interface held is released already.
func (*store) GetByID(string, string) []net.IP { return nil }

// LastReservedIP returns where the search goes on. Without a hint it starts at
// the first address.
func (s *store) LastReservedIP(rangeID string) (net.IP, error) {
	if rangeID == "0" && s.last != nil {
		return s.last, nil
	}
	ip, _ := s.hinted(s.hint(rangeID))
	return ip, nil
}

// Reserve makes the file of an address. It returns false when somebody has the
// address already.
func (s *store) Reserve(id, ifName string, ip net.IP, rangeID string) (bool, error) {
	addr, _ := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	if addr.Is6() {
		if err := s.look(); err != nil {
			return false, err
		}
	}
	if s.taken[addr] {
		return false, nil
	}
	path := disk.GetEscapedPath(s.dir, ip.String())
	if _, err := os.Lstat(path); !missing(err) {
		return false, s.bumped(addr)
	}
	if err := addTo(s.mark, filepath.Base(path)); err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_EXCL|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, s.bumped(addr)
	}
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(Request{ContainerID: id, IfName: ifName}.holder().String())
	if err := errors.Join(err, f.Close()); err != nil {
		return false, errors.Join(err, os.Remove(path))
	}
	return true, s.setHint(rangeID, ip)
}

// bumped notes an address that somebody has, and lists all others before the next try.
// No mark names it: that would make its file the holder's, should it be damaged.
func (s *store) bumped(addr netip.Addr) error {
	if err := s.look(); err != nil {
		return err
	}
	s.taken[addr] = true
	return nil
}

// setHint may fail where the hint then does not say more than is true.
func (s *store) setHint(rangeID string, ip net.IP) error {
	text := ip.String()
	if s.marked {
		text = signed(ip)
	}
	err := os.WriteFile(s.hint(rangeID), []byte(text), 0o600)
	if !s.marked && s.book.marked() {
		return fmt.Errorf("note the last reservation: %w", err)
	}
	return nil
}

// hint returns the file of the last reservation of a range set.
func (b book) hint(rangeID string) string {
	return disk.GetEscapedPath(b.dir, "last_reserved_ip."+rangeID)
}

// cleared returns the book for an allocation for h, which holds nothing in it, with
// the mark of h to be closed. What lacks a mark gets one.
func (b book) cleared(h Holder) (*store, error) {
	if last, marked := b.last(); marked {
		if mark, err := b.openMark(h, os.O_EXCL); err == nil {
			return &store{book: b, marked: true, mark: mark, last: last}, nil
		}
	}
	own, err := b.sharesOf(Request{ContainerID: h.ContainerID, IfName: h.IfName})
	if err == nil {
		err = b.free(h, own)
	}
	if err != nil {
		return nil, err
	}
	entries, err := b.entries()
	if err != nil {
		return nil, err
	}
	all := b.markAll(entries)
	mark, err := b.openMark(h, 0)
	if err != nil {
		return nil, err
	}
	return &store{book: b, taken: taken(entries), marked: all, mark: mark}, nil
}
