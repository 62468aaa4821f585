// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// walk is a book that verbs of this package, killed ones among them, and host-local's
// executable change in turn.
type walk struct {
	*testing.T
	random *rand.Rand
	dir    string
	conf   []byte
	steps  []string
	// next is the range set that the executable goes on with for a holder.
	next map[Holder]int
}

// Whatever came before, an ADD ends with one address of each family for its interface,
// and a DEL with none: nothing that is readable leaks.
func TestModel(t *testing.T) {
	seeds := uint64(60)
	if runtime.GOOS == "windows" {
		seeds = 6 // files are slow under Wine
	}
	for seed := range seeds {
		w := &walk{T: t, random: rand.New(rand.NewPCG(seed, 1)), dir: tempDir(t), next: map[Holder]int{}}
		w.conf = hostLocalConf(t, w.dir, []string{
			dualStack, `[[{"subnet":"10.1.0.0/28"}]]`, `[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}],[{"subnet":"10.2.0.0/24"}]]`,
		}[seed%3])
		reserve(t, w.dir, nil)
		for range 60 {
			w.step()
			if t.Failed() {
				t.Fatalf("seed %d: %s", seed, strings.Join(w.steps, ", "))
			}
		}
	}
}

func (w *walk) step() {
	h := Holder{fmt.Sprint("c", w.random.IntN(3)), []string{"net1", "net10"}[w.random.IntN(2)]}
	r := Request{ContainerID: h.ContainerID, IfName: h.IfName, Conf: w.conf}
	p := Open("host-local")
	kind := w.random.IntN(8)
	if kind != 6 && kind != 7 {
		delete(w.next, h) // the runtime has given the executable up
	}
	switch kind {
	case 0, 1:
		w.note("ADD %v", h)
		got, err := p.Add(w.Context(), r)
		if err != nil {
			w.Error(err)
		}
		if held := w.held(h); len(held) != len(got.Addresses) {
			w.Errorf("after ADD %v holds %v, and was given %v", h, held, got.Addresses)
		}
	case 2:
		w.note("DEL %v", h)
		w.del(r)
	case 3:
		r.Addresses = w.held(h)
		w.note("DEL %v, which is known to have %v", h, r.Addresses)
		w.del(r)
	case 4:
		// One family of an endpoint, of an ADD that went well or of an earlier one.
		if held := w.held(h); len(held) > 0 {
			r.Addresses = held[:1]
			w.note("DEL %v, which is known to have %v", h, r.Addresses)
			w.del(r)
		}
	case 5:
		w.killed(h)
	case 6:
		w.executable(h)
	case 7:
		keep := []Holder{h}
		w.note("GC but for %v", h)
		if err := p.GC(w.Context(), w.conf, keep); err != nil {
			w.Error(err)
		}
		for addr, content := range heldIn(w.T, w.dir) {
			if !h.cutOff(content) { // net1 is taken for a damaged net10
				w.Errorf("after GC %s is held by %q", addr, content)
			}
		}
	}
}

func (w *walk) note(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

// held returns the addresses whose files name the holder, in order.
func (w *walk) held(h Holder) []netip.Addr {
	var out []netip.Addr
	for addr, content := range heldIn(w.T, w.dir) {
		if content == h.String() {
			out = append(out, netip.MustParseAddr(addr))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

func (w *walk) del(r Request) {
	if err := Open("host-local").Del(w.Context(), r); err != nil {
		w.Error(err)
	}
	if held := w.held(r.holder()); len(held) > 0 {
		w.Errorf("after DEL %v holds %v", r.holder(), held)
	}
}

// free returns an address that nobody has.
func (w *walk) free() string {
	for {
		addr := fmt.Sprintf("10.1.0.%d", 2+w.random.IntN(12))
		if _, taken := heldIn(w.T, w.dir)[addr]; !taken {
			return addr
		}
	}
}

func (w *walk) write(file, content string) {
	if err := os.WriteFile(disk.GetEscapedPath(filepath.Join(w.dir, "net1"), file), []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
}

// killed is an ADD of this package that gets no further than to the address's file.
func (w *walk) killed(h Holder) {
	b, addr, steps := bookIn(w.dir, "net1"), w.free(), 1+w.random.IntN(3)
	w.note("ADD %v, killed after step %d for %s", h, steps, addr)
	s, err := b.cleared(h)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = s.mark.Close() }()
	if steps > 1 {
		if err := addTo(s.mark, addr); err != nil {
			w.Fatal(err)
		}
	}
	if steps > 2 {
		w.write(addr, h.String())
	}
}

// executable is what host-local's executable does for one range set of an ADD, or for
// a DEL of what the interface has.
func (w *walk) executable(h Holder) {
	r := Request{ContainerID: h.ContainerID, IfName: h.IfName, Conf: w.conf}
	held, set := w.held(h), w.next[h]
	switch {
	case len(held) == 0 || set > 0:
		w.note("the executable adds %s for %v", reservesOf(w.T, w.dir, r, set), h)
		if w.next[h]++; w.next[h] == bytes.Count(w.conf, []byte("subnet")) {
			delete(w.next, h)
		}
	default:
		w.note("the executable deletes %v of %v", held, h)
		releases(w.T, w.dir, r)
	}
}
