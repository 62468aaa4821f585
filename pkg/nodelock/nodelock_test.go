// SPDX-License-Identifier: Apache-2.0

package nodelock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// The test binary is also the other process: it holds a lock until it reads the
// end of stdin, or counts in a file.
const (
	holdVar  = "NODELOCK_TEST_HOLD"
	countVar = "NODELOCK_TEST_COUNT"
)

// counts is how often each process counts.
const counts = 25

func TestMain(m *testing.M) {
	if name := os.Getenv(holdVar); name != "" {
		os.Exit(exitCode(holdUntilEOF(name)))
	}
	if file := os.Getenv(countVar); file != "" {
		os.Exit(exitCode(count(file)))
	}
	// Not among the files of the developer's own node.
	dir, err := os.MkdirTemp("", "nodelock")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		os.Exit(exitCode(err))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func holdUntilEOF(name string) error {
	release, err := nodelock.Acquire(context.Background(), name)
	if err != nil {
		return err
	}
	defer release()
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// count adds to the number in the file, which is wrong in the end unless it is
// read and written by one process at a time.
func count(file string) error {
	for range counts {
		release, err := nodelock.Acquire(context.Background(), file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(text))
		if err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		if err := os.WriteFile(file, []byte(strconv.Itoa(n+1)), 0o600); err != nil {
			return err
		}
		release()
	}
	return nil
}

// again runs the test binary with a variable.
func again(t *testing.T, name, value string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), name+"="+value)
	return cmd
}

// process is another process that holds a lock or waits for it.
type process struct {
	*exec.Cmd
	stdin io.Closer
	said  *bufio.Reader
}

// other starts a process that acquires the lock.
func other(t *testing.T, name string) process {
	t.Helper()
	cmd := again(t, holdVar, name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	return process{cmd, stdin, bufio.NewReader(stdout)}
}

// holds waits until the process has the lock.
func (p process) holds(t *testing.T) {
	t.Helper()
	if line, err := p.said.ReadString('\n'); strings.TrimSpace(line) != "held" {
		t.Fatalf("the holder said %q, %v", line, err)
	}
}

// own is a name that no other run of the tests has.
func own(t *testing.T, name string) string {
	return fmt.Sprintf("%s%s %d", name, t.Name(), os.Getpid())
}

// acquire takes a lock that is free or soon will be.
func acquire(t *testing.T, name string) (release func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	release, err := nodelock.Acquire(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return release
}

// held fails unless somebody has the lock.
func held(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	release, err := nodelock.Acquire(ctx, name)
	if err == nil {
		release()
		t.Fatalf("%.40q: nobody holds it", name)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestGoroutines(t *testing.T) {
	const goroutines = 8
	name := own(t, "")
	// Not atomic: the lock alone keeps the race detector content.
	inside, total := 0, 0
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range counts {
				release, err := nodelock.Acquire(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				if inside++; inside != 1 {
					t.Errorf("%d goroutines have the lock", inside)
				}
				time.Sleep(100 * time.Microsecond)
				inside--
				total++
				release()
			}
		})
	}
	wg.Wait()
	if want := goroutines * counts; total != want {
		t.Errorf("got %d times, want %d", total, want)
	}
}

func TestProcesses(t *testing.T) {
	const processes = 4
	f, err := os.CreateTemp("", "nodelock")
	if err != nil {
		t.Fatal(err)
	}
	file := f.Name()
	// Not in t.TempDir: Wine cannot remove a folder with what is in it.
	t.Cleanup(func() { os.Remove(file) })
	if _, err := f.WriteString("0"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range processes {
		cmd := again(t, countVar, file)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(file)
	if want := strconv.Itoa(processes * counts); err != nil || string(got) != want {
		t.Errorf("counted to %s, want %s; %v", got, want, err)
	}
}

func TestHolderReleases(t *testing.T) {
	name := own(t, "")
	first := other(t, name)
	first.holds(t)
	held(t, name)
	first.stdin.Close()
	release := acquire(t, name)
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
	second := other(t, name)
	time.Sleep(50 * time.Millisecond)
	release()
	second.holds(t)
	held(t, name)
}

// A holder that is killed, as libcni kills a plugin whose time is up, frees the
// lock for who waits already and for who comes later.
func TestHolderIsKilled(t *testing.T) {
	name := own(t, "")
	holder := other(t, name)
	holder.holds(t)
	held(t, name)
	waiting := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		release, err := nodelock.Acquire(ctx, name)
		if err == nil {
			release()
		}
		waiting <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := holder.Wait(); err == nil {
		t.Error("the holder ended by itself")
	}
	if err := <-waiting; err != nil {
		t.Errorf("who waited: %v", err)
	}
	acquire(t, name)
}

func TestContextEnds(t *testing.T) {
	t.Run("goroutine", func(t *testing.T) {
		name := own(t, "")
		release := acquire(t, name)
		givesUp(t, name)
		release()
		acquire(t, name)
	})
	t.Run("process", func(t *testing.T) {
		name := own(t, "")
		holder := other(t, name)
		holder.holds(t)
		givesUp(t, name)
		holder.stdin.Close()
		acquire(t, name)
	})
	t.Run("free lock", func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		name := own(t, "")
		if _, err := nodelock.Acquire(ended, name); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		acquire(t, name)
	})
}

// givesUp fails unless waiting for a lock that is held ends with the context.
func givesUp(t *testing.T, name string) {
	t.Helper()
	const patience = 100 * time.Millisecond
	deadline, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cancelled, cancelNow := context.WithCancel(t.Context())
	defer cancelNow()
	for want, ctx := range map[error]context.Context{context.DeadlineExceeded: deadline, context.Canceled: cancelled} {
		time.AfterFunc(patience, cancelNow)
		start := time.Now()
		_, err := nodelock.Acquire(ctx, name)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), strconv.Quote(name)) {
			t.Errorf("got %v, want %v and the name", err, want)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("gave up after %s, want %s", took, patience)
		}
	}
	held(t, name)
}

// Who releases twice does not free the lock of the next.
func TestReleaseTwice(t *testing.T) {
	name := own(t, "")
	first := acquire(t, name)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(first)
	}
	wg.Wait()
	second := acquire(t, name)
	first()
	held(t, name)
	second()
	acquire(t, name)
}

// Every name is a lock of its own: none fails, none is another's.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 1000)
	names := []string{
		"", " ", ".", "..", "net1", "net-1", "net_1", "net.1", "net 1", `a\b`, `\`, "a/b", "/", "a:b", "con", "nul", "größe", "网络",
		"a\x00b", "a\nb", `*?"<>|`, "#", long, long + "x", long[:200] + "é", "-#" + long, `Global\a`,
	}
	for _, name := range names {
		acquire(t, own(t, name))
	}
	for _, name := range names {
		held(t, own(t, name))
	}
	plain, hashed := strings.Repeat("y", 64), strings.Repeat("y", 65)
	acquire(t, plain)
	acquire(t, hashed)
	held(t, plain)
	held(t, hashed)
}

func TestLetterCase(t *testing.T) {
	for _, pair := range [][2]string{
		{"PodNet", "podnet"}, {"NETZ-ÖST", "netz-öst"}, {"ΣΑΣ", "σας"}, {"Kelvin", "\u212aelvin"},
		{strings.Repeat("LONG", 100), strings.Repeat("long", 100)},
	} {
		release := acquire(t, pair[0])
		held(t, pair[1])
		release()
	}
}
