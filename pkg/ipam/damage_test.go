// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// damage is done to a directory in which c1 holds 10.1.0.2 and fd00::2. What each verb
// then says and leaves is stated: errors by a part of their text, "" is success.
// Every error names the file.
type damage struct {
	name string
	// harm makes it, in the network's directory. It skips what this system cannot
	// have.
	harm func(t *testing.T, dir string)
	// add is what another container is given, or "error: ...".
	add                    string
	del, check, gc, status string
	// afterDel and afterGC are the addresses that are still held.
	afterDel, afterGC string
}

// file, and what follows, returns a step of doing damage.
func file(name, content string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.WriteFile(disk.GetEscapedPath(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func gone(names ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, name := range names {
			if err := os.Remove(disk.GetEscapedPath(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func folder(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// circle makes a file that nobody can read, root included.
func circle(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		err := os.Symlink(name, filepath.Join(dir, name))
		if err == nil {
			_, err = os.Lstat(filepath.Join(dir, name)) // Wine 8 only says that it made it
		}
		if err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
}

// noAccess takes rights away, which does not stop everybody everywhere.
func noAccess(name string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
		probe, err := os.Open(path)
		if mode&0o400 != 0 { // what is taken away is writing
			_ = probe.Close()
			probe, err = os.OpenFile(filepath.Join(path, "probe"), os.O_CREATE|os.O_RDWR, 0o600)
		}
		if err == nil {
			_ = probe.Close()
			_ = os.Remove(filepath.Join(path, "probe"))
			t.Skip("rights do not stop this user")
		}
	}
}

func all(steps ...func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, s := range steps {
			s(t, dir)
		}
	}
}

// instead removes the whole directory, and the one above it, too, to put a file
// there.
func instead(above bool) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		lost(t, dir)
		if above {
			dir = filepath.Dir(dir)
			gone("")(t, dir)
		}
		file("", "a file")(t, dir)
	}
}

// lost is a directory that is gone.
var lost = gone("10.1.0.2", "fd00::2", "lock", "last_reserved_ip.0", "last_reserved_ip.1", "")

const (
	next   = "10.1.0.3 fd00::3"
	second = "10.1.0.4 fd00::3"
	mine   = "10.1.0.2 fd00::2"
	unsure = "no file in"
)

var damages = []damage{
	{name: "none", harm: all(), add: next, afterGC: mine},
	{name: "last reservation garbage", harm: file("last_reserved_ip.0", "\x00garbage"), add: next, afterGC: mine},
	{name: "last reservation empty", harm: file("last_reserved_ip.0", ""), add: next, afterGC: mine},
	{name: "last reservation in no range", harm: file("last_reserved_ip.0", "192.168.0.1"), add: next, afterGC: mine},
	{name: "last reservation of the other family", harm: file("last_reserved_ip.0", "fd00::9"), add: next, afterGC: mine},
	{name: "last reservation ahead", harm: file("last_reserved_ip.0", "10.1.0.9"), add: "10.1.0.10 fd00::3", afterGC: mine},
	{name: "last reservation at the end", harm: file("last_reserved_ip.0", "10.1.0.254"), add: next, afterGC: mine},
	{name: "last reservation missing", harm: gone("last_reserved_ip.0"), add: next, afterGC: mine},

	{name: "own file empty", harm: file("10.1.0.2", ""), add: next, check: unsure, afterGC: "fd00::2"},
	{name: "own file all zeros", harm: file("10.1.0.2", "\x00\x00"), add: next, check: unsure, afterGC: "fd00::2"},
	{name: "own file garbage", harm: file("10.1.0.2", "\x00\x01\xff"), add: next, check: unsure, afterDel: "10.1.0.2", afterGC: "fd00::2"},
	{name: "own file cut off", harm: file("10.1.0.2", "c1\r\n"), add: next, afterGC: mine},
	{name: "own file cut off in the interface", harm: file("10.1.0.2", "c1\r\net"), add: next, check: unsure, afterDel: "10.1.0.2", afterGC: "fd00::2"},
	{name: "own file of an old version", harm: file("10.1.0.2", "c1"), add: next, afterGC: mine},
	{name: "own file names another", harm: file("10.1.0.2", "c9\r\neth0"), add: next, check: unsure, afterDel: "10.1.0.2", afterGC: "fd00::2"},
	{name: "own file gone", harm: gone("10.1.0.2"), add: next, check: unsure, afterGC: "fd00::2"},
	{
		name: "own file a directory", harm: all(gone("10.1.0.2"), folder("10.1.0.2")), add: next,
		check: "read who holds address 10.1.0.2", afterDel: "10.1.0.2", afterGC: mine,
	},
	{
		name: "own file unreadable", harm: all(gone("10.1.0.2"), circle("10.1.0.2")), add: next,
		del: "read who holds address 10.1.0.2", check: "read who holds address 10.1.0.2", afterDel: "10.1.0.2", afterGC: mine,
	},
	{name: "own file without rights", harm: noAccess("10.1.0.2", 0), add: next, del: "read who holds address 10.1.0.2", check: "read who", afterDel: "10.1.0.2", afterGC: mine},

	{name: "another's file garbage", harm: file("10.1.0.3", "\x00"), add: second, afterDel: "10.1.0.3", afterGC: mine},
	{name: "another's file a directory", harm: folder("10.1.0.3"), add: second, afterDel: "10.1.0.3", afterGC: "10.1.0.2 10.1.0.3 fd00::2"},
	{name: "another's file unreadable", harm: circle("10.1.0.3"), add: second, afterDel: "10.1.0.3", afterGC: "10.1.0.2 10.1.0.3 fd00::2"},
	{
		name: "what is no address",
		harm: all(file("10.1.0.3.tmp", "c1\r\neth0"), file("README", "c1\r\neth0"), file("last_reserved_ip.2", "c1"), folder("old"), file("old/10.1.0.3", "c1\r\neth0")),
		add:  next, afterGC: mine,
	},

	{
		name: "lock a directory", harm: all(gone("lock"), folder("lock")),
		add: "error: open the address files", del: "open the address files", gc: "open the address files", status: "open the lock", afterDel: mine, afterGC: mine,
	},
	{
		name: "lock unreadable", harm: all(gone("lock"), circle("lock")),
		add: "error: open the address files", del: "open the address files", gc: "open the address files", status: "open the lock", afterDel: mine, afterGC: mine,
	},
	{
		name: "lock without rights", harm: noAccess("lock", 0),
		add: "error: open the address files", del: "open the address files", gc: "open the address files", status: "open the lock", afterDel: mine, afterGC: mine,
	},
	{name: "lock gone", harm: gone("lock"), add: next, afterGC: mine},
	{
		name: "directory read-only", harm: noAccess("", 0o500),
		add: "error: 10.1.0.3", del: "release address 10.1.0.2", afterDel: mine, afterGC: mine,
	},
	{name: "directory unreadable", harm: noAccess("", 0o300), add: next, del: "read the", check: "", gc: "open", status: "read the", afterDel: mine, afterGC: mine},
	{name: "directory gone", harm: lost, add: mine, check: unsure},
	{name: "directory and data directory gone", harm: all(lost, func(t *testing.T, dir string) { gone("")(t, filepath.Dir(dir)) }), add: mine, check: unsure},
	{name: "directory a file", harm: instead(false), add: "error: open the address files", check: unsure, status: "is not a directory"},
	{name: "data directory a file", harm: instead(true), add: "error: open the address files", check: unsure, status: "is not a directory"},
}

// harmed returns a request of c1 for a directory that was damaged.
func harmed(t *testing.T, d damage) (c1 request, dataDir string) {
	t.Helper()
	dir := tempDir(t)
	c1 = request{ContainerID: "c1", IfName: "eth0", Conf: hostLocalConf(t, dir, dualStack)}
	if _, err := open("host-local").Add(context.Background(), c1); err != nil {
		t.Fatal(err)
	}
	d.harm(t, filepath.Join(dir, "net1"))
	c1.Addresses = addrs("10.1.0.2", "fd00::2")
	return c1, dir
}

// left lists the addresses that are held.
func left(t *testing.T, dataDir string) string {
	t.Helper()
	dir := filepath.Join(dataDir, "net1")
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o400 == 0 {
		_ = os.Chmod(dir, 0o700)
	}
	all, err := networkDir{dataDir, "net1"}.reservations()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		out = append(out, e.addr.String())
	}
	return strings.Join(out, " ")
}

// says compares an error to a part of its text, and wants it to name a file.
func says(t *testing.T, verb string, err error, want, dataDir string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", verb, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dataDir)):
		t.Errorf("%s: %v\nwant %q and the file in %s", verb, err, want, dataDir)
	}
}

func TestDamage(t *testing.T) {
	p := open("host-local")
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			harmed(t, d) // skips what cannot be had here
			t.Run("Add", func(t *testing.T) {
				c1, dir := harmed(t, d)
				got, err := p.Add(ctx, request{ContainerID: "c2", IfName: "eth0", Conf: c1.Conf})
				var given []string
				for _, a := range got.Addresses {
					given = append(given, a.Prefix.Addr().String())
				}
				if text, fails := strings.CutPrefix(d.add, "error: "); fails {
					says(t, "Add", err, text, dir)
				} else if err != nil || strings.Join(given, " ") != d.add {
					t.Errorf("got %v, %v, want %s", given, err, d.add)
				}
			})
			t.Run("Del", func(t *testing.T) {
				c1, dir := harmed(t, d)
				for range 2 {
					says(t, "Del", p.Del(ctx, c1), d.del, dir)
				}
				if diff := cmp.Diff(d.afterDel, left(t, dir)); diff != "" {
					t.Errorf("held after Del (-want +got):\n%s", diff)
				}
			})
			t.Run("Check", func(t *testing.T) {
				c1, dir := harmed(t, d)
				says(t, "Check", p.Check(ctx, c1), d.check, dir)
				says(t, "Confirm", p.Confirm(ctx, c1), d.check, dir)
			})
			t.Run("GC", func(t *testing.T) {
				c1, dir := harmed(t, d)
				says(t, "GC", p.GC(ctx, c1.Conf, []config.Attachment{{ContainerID: "c1", IfName: "eth0"}}), d.gc, dir)
				if diff := cmp.Diff(d.afterGC, left(t, dir)); diff != "" {
					t.Errorf("held after GC (-want +got):\n%s", diff)
				}
			})
			t.Run("Status", func(t *testing.T) {
				c1, dir := harmed(t, d)
				says(t, "Status", p.Status(ctx, c1.Conf), d.status, dir)
			})
		})
	}
}

// A directory that cannot be read as a whole: a DEL that finds nothing of its own says
// so, one that does goes through, and so does an ADD.
func TestDoubt(t *testing.T) {
	p, ctx := open("host-local"), context.Background()
	c1, dir := harmed(t, damage{harm: circle("10.1.0.3")})
	stranger := request{ContainerID: "c3", IfName: "eth0", Conf: c1.Conf}
	says(t, "Del", p.Del(ctx, stranger), "an address of eth0 of container c3 may still be reserved: read who holds address 10.1.0.3", dir)
	says(t, "Check", p.Check(ctx, stranger), "read who holds address 10.1.0.3", dir)
	stranger.Addresses = addrs("10.1.0.9")
	says(t, "Del of a known address", p.Del(ctx, stranger), "", dir)
	if err := p.Confirm(ctx, stranger); !errors.Is(err, ErrReleased) {
		t.Errorf("Confirm of a known address: %v, want an ErrReleased", err)
	}
	c1.Addresses = nil
	says(t, "Del of c1", p.Del(ctx, c1), "", dir)
	if got := left(t, dir); got != "10.1.0.3" {
		t.Errorf("held: %s", got)
	}
}

// Windows does not remove a file that another program has open, say to scan it.
func TestFileInUse(t *testing.T) {
	if runtime.GOOS != "windows" {
		t.Skip("an open file can be removed here")
	}
	p, ctx := open("host-local"), context.Background()
	c1, dir := harmed(t, damage{harm: all()})
	open, err := disk.NewFileLock(filepath.Join(dir, "net1", "10.1.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	says(t, "Del", p.Del(ctx, c1), "release address 10.1.0.2", dir)
	if got := left(t, dir); got != "10.1.0.2" {
		t.Errorf("held after Del: %s", got)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	says(t, "Del", p.Del(ctx, c1), "", dir)
	if got := left(t, dir); got != "" {
		t.Errorf("held in the end: %s", got)
	}
}

// Only what changes the directory waits for its lock, and gives up in time; what was
// given up changes nothing later.
func TestLocked(t *testing.T) {
	p := open("host-local")
	c1, dir := harmed(t, damage{harm: all()})
	lock, err := disk.NewFileLock(filepath.Join(dir, "net1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	c2 := request{ContainerID: "c2", IfName: "eth0", Conf: c1.Conf}
	// These do not wait for the lock: a busy machine may take its time.
	patient, giveUp := context.WithTimeout(t.Context(), 10*time.Second)
	defer giveUp()
	for verb, err := range map[string]error{"Status": p.Status(patient, c1.Conf), "Check": p.Check(patient, c1), "Confirm": p.Confirm(patient, c1)} {
		says(t, verb, err, "", dir)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, addErr := p.Add(ctx, c2)
	c2.Addresses = addrs("10.1.0.2")
	for verb, err := range map[string]error{"Add": addErr, "Del": p.Del(ctx, c1), "GC": p.GC(ctx, c1.Conf, []config.Attachment{{ContainerID: "c1", IfName: "eth0"}})} {
		says(t, verb, err, "wait for the address files", dir)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want a DeadlineExceeded", verb, err)
		}
	}
	for verb, err := range map[string]error{"Status": p.Status(ctx, c1.Conf), "Check": p.Check(ctx, c1)} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s when time is up: %v, want a DeadlineExceeded", verb, err)
		}
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	// Time for what waits to do what it must not.
	for range 20 {
		time.Sleep(10 * time.Millisecond)
		if got := left(t, dir); got != mine {
			t.Fatalf("held in the end: %s, want %s", got, mine)
		}
	}
}

// What runs under the lock when time is up ends, and the next one waits for it.
func TestGivenUpUnderTheLock(t *testing.T) {
	d := networkDir{tempDir(t), "net1"}
	ctx, cancel := context.WithCancel(t.Context())
	in, out, order := make(chan struct{}), make(chan struct{}), make(chan string, 2)
	failed := make(chan error)
	go func() {
		failed <- d.bounded(ctx, func() error {
			return d.locked(ctx, func(*disk.Store) error {
				close(in)
				<-out
				order <- "first"
				return nil
			})
		})
	}()
	<-in
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	go func() {
		failed <- d.locked(t.Context(), func(*disk.Store) error { order <- "second"; return nil })
	}()
	runtime.Gosched()
	close(out)
	if err := <-failed; err != nil {
		t.Error(err)
	}
	if got := <-order; got != "first" {
		t.Errorf("the %s came first", got)
	}
}
