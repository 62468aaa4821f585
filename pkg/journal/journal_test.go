// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// The test binary is also one of many processes that write at once.
const writerVar = "JOURNAL_TEST_DIR"

const (
	processes = 20
	verbs     = 50
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVar); dir != "" {
		if err := write(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// write is what a process does for many verbs. Every verb has a name of its own.
func write(dir string) error {
	l, m := Log{filepath.Join(dir, "logs", "b.log"), nodelock.Acquire}, Metrics{filepath.Join(dir, "metrics", "b.prom"), nodelock.Acquire}
	for i := range verbs {
		e := entry(fmt.Sprintf("%d-%d", os.Getpid(), i))
		e.Details = strings.Repeat("x", i*100)
		if err := errors.Join(l.Write(e), m.Add(Sample{Network: "net1", Verb: "ADD", Took: time.Second, Code: uint(i % 2)})); err != nil {
			return err
		}
	}
	return nil
}

func entry(id string) Entry {
	return Entry{Verb: "ADD", Network: "net1", ContainerID: id, IfName: "eth0", Start: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Took: 12 * time.Millisecond}
}

// Many processes write at once: no line is torn, none is lost, and every verb is counted.
func TestManyProcesses(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // for nodelock's files
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range processes {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), writerVar+"="+dir)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, line := range logged(t, filepath.Join(dir, "logs", "b.log")) {
		seen[line["containerID"].(string)] = true
	}
	if want := processes * verbs; len(seen) != want {
		t.Errorf("%d verbs are logged, want %d", len(seen), want)
	}
	text := read(t, filepath.Join(dir, "metrics", "b.prom"))
	for _, want := range []string{
		fmt.Sprintf(`bulkhead_verb_duration_seconds_count{network="net1",verb="ADD"} %d`, processes*verbs),
		fmt.Sprintf(`bulkhead_verb_duration_seconds_sum{network="net1",verb="ADD"} %d`, processes*verbs),
		fmt.Sprintf(`bulkhead_verb_errors_total{network="net1",verb="ADD",code="1"} %d`, processes*verbs/2),
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}

// logged returns the lines of a log.
func logged(t *testing.T, path string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(read(t, path)) {
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%v: %q", err, line)
		}
		out = append(out, members)
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// free is a lock that nobody else has, taken one that somebody does.
func free(context.Context, string) (func(), error) { return func() {}, nil }

func taken(ctx context.Context, _ string) (func(), error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestLines(t *testing.T) {
	e := entry("c1")
	e.PodNamespace, e.Pod = "default", "web"
	e.Traceparent, e.Tracestate, e.Baggage = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b", "user=x"
	e.Code, e.Error, e.Details = 104, "cannot attach", "0x803b001e"
	e.Calls = &Calls{calls: []call{
		{"Open", "Network", e.Start, time.Millisecond, nil},
		{"Call", "GET /networks/", e.Start, 2 * time.Millisecond, errors.New("no\nanswer")},
	}}
	who := `"verb":"ADD","network":"net1","containerID":"c1","ifname":"eth0","podNamespace":"default","pod":"web"`
	want := `{"time":"2026-01-02T03:04:05.000006Z","level":"DEBUG","msg":"native call",` + who + `,"call":"Open","about":"Network","seconds":0.001}
{"time":"2026-01-02T03:04:05.000006Z","level":"DEBUG","msg":"native call",` + who + `,"call":"Call","about":"GET /networks/","seconds":0.002,"error":"no\nanswer"}
{"time":"2026-01-02T03:04:05.000006Z","level":"ERROR","msg":"verb",` + who + `,"seconds":0.012,"code":104,"error":"cannot attach","details":"0x803b001e",` +
		`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","baggage":"user=x"}
`
	if got := string(e.lines()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = `{"time":"2026-01-02T03:04:05.000006Z","level":"INFO","msg":"verb","verb":"STATUS","network":"net1","seconds":0.012,"code":0}` + "\n"
	if got := string((Entry{Verb: "STATUS", Network: "net1", Start: e.Start, Took: e.Took}).lines()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Whatever a pod, or who traces it, puts into a value stays in it, and does nothing to the
// terminal that shows it.
func TestValuesOfOthers(t *testing.T) {
	for name, value := range map[string]string{
		"newline":   "web\n{\"level\":\"INFO\",\"msg\":\"verb\"}\r\n",
		"quotes":    `web","code":0,"x":"`,
		"terminal":  "\x1b[2J\x07\x00\x7f\u0085\u009b1m",
		"direction": "user\u202etxt.exe\u2066\u2028",
		"invisible": "a\u200bb\U000e0041",
		"letters":   "Größe, 日本語, 🙂",
	} {
		e := entry("c1")
		e.Pod, e.Baggage, e.Error = value, value, value
		text := string(e.lines())
		if strings.Count(text, "\n") != 1 {
			t.Errorf("%s: more than one line: %q", name, text)
		}
		for _, r := range strings.TrimSuffix(text, "\n") {
			if !strconv.IsPrint(r) {
				t.Errorf("%s: %U is in %q", name, r, text)
			}
		}
		var got struct{ Pod, Baggage, Error string }
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Pod != value || got.Baggage != value || got.Error != value {
			t.Errorf("%s: %v: got %q, want %q thrice", name, err, got, value)
		}
	}
	e := entry("c1")
	e.Pod = "a\xff\xc3"
	e.Baggage = strings.Repeat("é", longest)
	var got struct{ Pod, Baggage string }
	if err := json.Unmarshal(e.lines(), &got); err != nil || got.Pod != "a\ufffd\ufffd" || got.Baggage != strings.Repeat("é", longest/2)+"..." {
		t.Errorf("%v: got %q", err, got)
	}
}

func TestCallsAreBounded(t *testing.T) {
	var c Calls
	var wg sync.WaitGroup
	for range mostCalls + 7 {
		wg.Go(func() { c.Trace("Open", "Endpoint")(nil) })
	}
	wg.Wait()
	e := entry("c1")
	e.Calls = &c
	text := e.lines()
	if n := bytes.Count(text, []byte("\n")); n != mostCalls+1 || !bytes.Contains(text, []byte(`"omittedCalls":7}`)) {
		t.Errorf("%d lines, the last %s", n, text[bytes.LastIndexByte(text[:len(text)-1], '\n')+1:])
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.log")
	fill := func(size int64) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
	}
	sizes := func() string {
		var out []string
		for _, p := range []string{path, path + ".1"} {
			info, err := os.Stat(p)
			switch {
			case err != nil:
				out = append(out, "none")
			case info.Size() >= MaxLog:
				out = append(out, "full")
			default:
				out = append(out, "small")
			}
		}
		return strings.Join(out, " ")
	}
	for _, step := range []struct {
		what string
		size int64
		lock nodelock.Lock
		want string
	}{
		{"a line", 0, free, "small none"},
		{"somebody else renames it", MaxLog, taken, "full none"},
		{"the bound", MaxLog, free, "none full"},
		{"a new file", -1, free, "small full"},
		{"the bound again", MaxLog, free, "none full"},
	} {
		if step.size >= 0 {
			fill(step.size)
		}
		if err := (Log{path, step.lock}).Write(entry("c1")); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
		if got := sizes(); got != step.want {
			t.Errorf("%s: the files are %s, want %s", step.what, got, step.want)
		}
	}
	fill(2*MaxLog + 1)
	if err := (Log{path, taken}).Write(entry("c1")); !errors.Is(err, errFull) {
		t.Errorf("beyond twice the bound: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 2*MaxLog+1 {
		t.Errorf("it grew: %v, %v", info, err)
	}
	if err := (Log{path, free}).Write(entry("c1")); !errors.Is(err, errFull) || sizes() != "none full" {
		t.Errorf("it stays: %v, %s", err, sizes())
	}
}

func TestDefaultLog(t *testing.T) {
	t.Setenv("ProgramData", "/data")
	if got, want := DefaultLog(), "/data/bulkhead/logs/bulkhead.log"; filepath.ToSlash(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{filepath.Join(file, "b"), dir, filepath.Join(link, "b")} {
		if err := (Log{where, free}).Write(entry("c1")); err == nil {
			t.Errorf("log in %s: no error", where)
		}
	}
	folder := filepath.Join(dir, "b.prom")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{filepath.Join(file, "b.prom"), filepath.Join(link, "b.prom"), folder} {
		if err := (Metrics{where, free}).Add(Sample{Verb: "ADD"}); err == nil {
			t.Errorf("metrics in %s: no error", where)
		}
	}
}
