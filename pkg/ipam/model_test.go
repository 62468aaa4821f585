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

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// walk is a directory that verbs of this package and host-local's executable change
// in turn, in an order that follows from a seed.
type walk struct {
	*testing.T
	random *rand.Rand
	dir    string
	conf   []byte
	steps  []string
}

// Whatever came before, an ADD ends with the addresses that it gave for its
// interface, and a DEL with none: nothing that can be read leaks.
func TestModel(t *testing.T) {
	seeds := uint64(60)
	if runtime.GOOS == "windows" {
		seeds = 6 // files are slow under Wine
	}
	for seed := range seeds {
		w := &walk{T: t, random: rand.New(rand.NewPCG(seed, 1)), dir: tempDir(t)}
		w.conf = hostLocalConf(t, w.dir, []string{
			dualStack, `[[{"subnet":"10.1.0.0/28"}]]`, `[[{"subnet":"10.1.0.0/24"},{"subnet":"10.2.0.0/24"}],[{"subnet":"fd00::/64"}]]`,
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
	h := config.Attachment{ContainerID: fmt.Sprint("c", w.random.IntN(3)), IfName: []string{"net1", "net10"}[w.random.IntN(2)]}
	r := request{ContainerID: h.ContainerID, IfName: h.IfName, Conf: w.conf}
	p := open("host-local")
	held := w.held(h)
	switch w.random.IntN(7) {
	case 0, 1:
		w.note("ADD %v", h)
		got, err := p.Add(w.Context(), r)
		if err != nil && len(held) == 0 {
			w.Error(err)
		}
		if now := w.held(h); err == nil && len(now) != len(held)+len(got.Addresses) {
			w.Errorf("after ADD %v holds %v, and was given %v", h, now, got.Addresses)
		}
		if err != nil {
			w.del(r) // as the caller does
		}
	case 2:
		w.note("DEL %v", h)
		w.del(r)
	case 3:
		// All addresses of an endpoint, or one family of them.
		if len(held) > 0 {
			r.Addresses = held[:1+w.random.IntN(len(held))]
		}
		w.note("DEL %v, which is known to have %v", h, r.Addresses)
		w.del(r)
	case 4:
		w.note("ADD %v, killed before it wrote to the file of %s", h, w.free())
		w.write(w.free(), "")
	case 5:
		if len(held) == 0 {
			sets := bytes.Count(w.conf, []byte("]")) - 1 // one closes the list of sets
			w.note("the executable adds %s for %v", reservesOf(w.T, w.dir, r, w.random.IntN(sets)), h)
			return
		}
		w.note("the executable deletes %v of %v", held, h)
		releases(w.T, w.dir, r)
	case 6:
		w.note("GC but for %v", h)
		if err := p.GC(w.Context(), w.conf, []config.Attachment{h}); err != nil {
			w.Error(err)
		}
		if now := w.held(h); !slices.Equal(now, held) {
			w.Errorf("GC took %v and left %v", held, now)
		}
		for addr, content := range heldIn(w.T, w.dir) {
			if content != contentOf(h) {
				w.Errorf("after GC %s is held by %q", addr, content)
			}
		}
	}
}

func (w *walk) note(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

// held returns the addresses whose files name the holder, in order.
func (w *walk) held(h config.Attachment) []netip.Addr {
	var out []netip.Addr
	for addr, content := range heldIn(w.T, w.dir) {
		if content == contentOf(h) {
			out = append(out, netip.MustParseAddr(addr))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

func (w *walk) del(r request) {
	if err := open("host-local").Del(w.Context(), r); err != nil {
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

// contentOf is what host-local writes for a holder.
func contentOf(h config.Attachment) string { return h.ContainerID + disk.LineBreak + h.IfName }

// reservesOf is what host-local's executable does for one range set of an ADD.
func reservesOf(t *testing.T, dir string, r request, set int) netip.Addr {
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
func releases(t *testing.T, dir string, r request) {
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
