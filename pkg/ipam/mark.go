// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A mark is a file that names the addresses which one interface may hold, so that
// ADD and DEL need not read the files of all others. It is made before the file of
// an address and removed after it.
//
// host-local's executable makes no marks. Where it reserved something since this
// package last did, the last reservation of that range set is not signed (see
// signed), and everything is read; ADD marks then what it finds. Between two range
// sets of one ADD the executable lets others at the book, so each of them counts.
const (
	markPrefix = "holder-"
	// markLine begins each line. No container's id has a space in it, so the
	// executable takes no mark for the file of an address.
	markLine = "address "
)

// digest is short: two holders share one in no book of this world.
func (h Holder) digest() string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(h.String())) // never fails
	return fmt.Sprintf("%016x", sum.Sum64())
}

func (b book) mark(h Holder) string { return filepath.Join(b.dir, markPrefix+h.digest()) }

// openMark opens the mark of h, which it makes where there is none; with os.O_EXCL as
// the flag more it fails where there is one.
func (b book) openMark(h Holder, more int) (*os.File, error) {
	return os.OpenFile(b.mark(h), os.O_WRONLY|os.O_CREATE|os.O_APPEND|more, 0o600)
}

// addTo notes in a mark that its holder may hold the address of a file.
func addTo(mark *os.File, file string) error {
	_, err := mark.WriteString(lineOf(file))
	return err
}

func lineOf(file string) string { return markLine + file + "\n" }

// errTorn is a mark that was not written to its end.
var errTorn = errors.New("not a list of addresses")

// markedFor returns what a mark names, be it there or not.
func (b book) markedFor(h Holder) ([]entry, error) {
	content, err := os.ReadFile(b.mark(h))
	if err != nil {
		return nil, err
	}
	var out []entry
	for line := range strings.Lines(string(content)) {
		file, ok := strings.CutPrefix(line, markLine)
		file, ended := strings.CutSuffix(file, "\n")
		addr, named := addressNamed(file)
		if !ok || !ended || !named {
			return nil, errTorn
		}
		out = append(out, entry{addr: addr, path: filepath.Join(b.dir, file)})
	}
	if len(out) == 0 {
		return nil, errTorn
	}
	return out, nil
}

// among reports whether a list has the file of e.
func among(list []entry, e entry) bool {
	return slices.ContainsFunc(list, func(other entry) bool { return other.path == e.path })
}

// removeMark may fail: a mark that is left behind costs a reading of everything.
func (b book) removeMark(h Holder) { _ = os.Remove(b.mark(h)) }

// keepMarks removes the marks of all but those holders.
func (b book) keepMarks(keep []Holder) error {
	files, err := os.ReadDir(b.dir)
	if err != nil && !missing(err) {
		return err
	}
	kept := map[string]bool{}
	for _, h := range keep {
		kept[h.trimmed().digest()] = true
	}
	for _, f := range files {
		if digest, ok := strings.CutPrefix(f.Name(), markPrefix); ok && !kept[digest] {
			_ = os.Remove(filepath.Join(b.dir, f.Name()))
		}
	}
	return nil
}

// signed spells an address so that everybody can read it and only this package
// writes it: host-local's executable has no dots in IPv6 and no colons in IPv4.
func signed(ip net.IP) string {
	a, _ := netip.AddrFromSlice(ip.To16())
	b := a.As16()
	var out strings.Builder
	for i := 0; i < 12; i += 2 {
		fmt.Fprintf(&out, "%x:", uint16(b[i])<<8|uint16(b[i+1]))
	}
	return out.String() + netip.AddrFrom4([4]byte(b[12:])).String()
}

// marked reports whether each reservation has a mark: this package made the last of
// every range set, and signs only where that holds.
func (b book) marked() bool {
	_, marked := b.last()
	return marked
}

// last returns the last reservation of the first range set, nil for none, and whether
// the last of every range set is signed.
func (b book) last() (net.IP, bool) {
	first, marked := b.hinted(b.hint("0"))
	for i := 1; marked; i++ {
		path := b.hint(strconv.Itoa(i))
		if _, err := os.Stat(path); missing(err) {
			break
		}
		_, marked = b.hinted(path)
	}
	return first, marked
}

// hinted reads a last reservation, nil for none, and whether it is signed.
func (b book) hinted(path string) (net.IP, bool) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	ip := net.ParseIP(strings.TrimSpace(string(content)))
	return ip, ip != nil && string(content) == signed(ip)
}

// sign signs the last reservations, also of range sets that the configuration has no
// more. One that cannot be read becomes an address of no range, as a gap would hide
// those behind it.
func (b book) sign() error {
	for i := 0; ; i++ {
		path := b.hint(strconv.Itoa(i))
		if _, err := os.Stat(path); missing(err) {
			return nil
		}
		ip, done := b.hinted(path)
		if ip == nil {
			ip = net.IPv4zero
		}
		if done {
			continue
		}
		if err := os.WriteFile(path, []byte(signed(ip)), 0o600); err != nil {
			return err
		}
	}
}

// markAll makes the marks that entries lack, removes those of whoever holds nothing,
// and reports whether all is marked and signed then. What names nobody whom a
// runtime can mean can have no new mark; while there is such a file, all old ones
// stay, since one of them may tell whose it is.
func (b book) markAll(entries []entry) bool {
	held := map[Holder][]entry{}
	all, damaged := true, false
	for _, e := range entries {
		content, err := e.read()
		h := holderIn(content)
		switch {
		case err != nil:
			all = false
		case h.valid() != nil:
			damaged = true
		default:
			held[h] = append(held[h], e)
		}
	}
	for h, entries := range held {
		all = b.markHolder(h, entries) == nil && all
	}
	if all && !damaged {
		all = b.keepMarks(slices.Collect(maps.Keys(held))) == nil
	}
	return all && b.sign() == nil
}

// markHolder notes that h holds these entries. A kill on the way leaves its mark torn,
// never half.
func (b book) markHolder(h Holder, entries []entry) error {
	named, err := b.markedFor(h)
	if err != nil && !missing(err) && !errors.Is(err, errTorn) {
		return err
	}
	lacking := slices.DeleteFunc(entries, func(e entry) bool { return among(named, e) })
	if len(lacking) == 0 {
		return nil
	}
	var lines strings.Builder
	for _, e := range slices.Concat(named, lacking) {
		lines.WriteString(lineOf(filepath.Base(e.path)))
	}
	return os.WriteFile(b.mark(h), []byte(lines.String()), 0o600)
}

// releaseMarked frees what the mark of the request's interface names, when that is
// all that it can hold: everything is marked, the mark names the addresses that the
// caller or the runtime knows, and each file that it names is as this package wrote
// it, or gone, or another's. Otherwise it does nothing and returns false.
func (b book) releaseMarked(r Request) (bool, error) {
	left := setOf(slices.Concat(r.Addresses, r.Promised))
	if len(left) == 0 || !b.marked() {
		return false, nil
	}
	h := r.holder()
	named, err := b.markedFor(h)
	if err != nil {
		return false, nil //nolint:nilerr // whatever is wrong with the mark, the files tell
	}
	var own []entry
	for _, e := range named {
		content, err := os.ReadFile(e.path)
		switch other := holderIn(string(content)); {
		case missing(err), err == nil && other.valid() == nil && !h.holds(string(content)):
		case err == nil && string(content) == h.String():
			own = append(own, e)
			delete(left, e.addr)
		default:
			return false, nil
		}
	}
	if len(left) > 0 {
		return false, nil
	}
	var failures []error
	for _, e := range own {
		failures = append(failures, e.remove())
	}
	if err := errors.Join(failures...); err != nil {
		return true, err
	}
	b.removeMark(h)
	return true, nil
}
