// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// logLine is what a line of the log can have.
type logLine struct {
	Level, Msg, Verb, Network, ContainerID, IfName, PodNamespace, Pod, Call, About, Error, Traceparent, Baggage string

	Code    int
	Seconds float64
}

func readLog(t *testing.T, path string) []logLine {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []logLine
	for line := range strings.Lines(string(text)) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Seconds < 0 {
			t.Fatalf("%v: %q", err, line)
		}
		out = append(out, l)
	}
	return out
}

func wantMetrics(t *testing.T, path string, want ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(string(text), w+"\n") {
			t.Errorf("%s lacks %s:\n%s", path, w, text)
		}
	}
}

// A pod's life in the log, with every native call, and in the metrics.
func TestJournal(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	dir := t.TempDir()
	log, metrics := filepath.Join(dir, "logs", "bulkhead.log"), filepath.Join(dir, "metrics", "bulkhead.prom")
	more := []string{fmt.Sprintf(`"log":{"level":"debug","file":%q}`, wine.WindowsPath(log)), fmt.Sprintf(`"metrics":{"file":%q}`, wine.WindowsPath(metrics))}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.L2Bridge, more...), more: []string{"TRACEPARENT=" + parent, "BAGGAGE=a=\x1b[2J"}}
	if err := p.node.Host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	if _, err := added(p.run(c)); err != nil {
		t.Fatal(err)
	}
	counts, err := p.node.Host.Counts()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, n := range counts {
		calls += n
	}
	lines := readLog(t, log)
	got := lines[len(lines)-1]
	want := logLine{
		Level: "INFO", Msg: "verb", Verb: "ADD", Network: "net1", ContainerID: "c1", IfName: "eth0", PodNamespace: "default", Pod: "web",
		Traceparent: parent, Baggage: "a=\x1b[2J", Seconds: got.Seconds,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(lines) < 10 || calls < 10 {
		t.Errorf("%d lines for %d native calls", len(lines), calls)
	}
	for _, l := range lines[:len(lines)-1] {
		if l.Level != "DEBUG" || l.Msg != "native call" || l.Call == "" || l.About == "" || l.ContainerID != "c1" || l.Seconds > got.Seconds {
			t.Errorf("native call: %+v", l)
		}
	}
	wantMetrics(t, metrics, `bulkhead_addresses_used{network="net1",range="10.1.0.10-10.1.255.254"} 1`)
	if text, err := os.ReadFile(log); err != nil || strings.ContainsRune(string(text), 0x1b) {
		t.Errorf("an escape sequence is in the log: %v", err)
	}

	c.verb = "DEL"
	if err := deleted(p.run(c)); err != nil {
		t.Error(err)
	}
	c.verb, c.conf = "ADD", p.conf(hns.L2Bridge, append(more, `"oops":1`)...)
	if e, err := refused(p.run(c)); err != nil || e.Code != 7 {
		t.Errorf("%+v, %v", e, err)
	}
	c.conf = p.conf(hns.L2Bridge, more...)
	c.more = append(c.more, "CNI_IFNAME=") // skel refuses that by itself
	if e, err := refused(p.run(c)); err != nil || e.Code != 4 {
		t.Errorf("%+v, %v", e, err)
	}
	var after []string
	for _, l := range readLog(t, log)[len(lines):] {
		if l.Msg == "verb" {
			after = append(after, fmt.Sprintf("%s %s %d", l.Level, l.Verb, l.Code))
		}
	}
	if got, want := strings.Join(after, ", "), "INFO DEL 0, ERROR ADD 7, ERROR ADD 4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wantMetrics(t, metrics,
		`bulkhead_verb_duration_seconds_count{network="net1",verb="ADD"} 3`, `bulkhead_verb_duration_seconds_count{network="net1",verb="DEL"} 1`,
		`bulkhead_verb_errors_total{network="net1",verb="ADD",code="4"} 1`, `bulkhead_verb_errors_total{network="net1",verb="ADD",code="7"} 1`,
		`bulkhead_addresses_used{network="net1",range="10.1.0.10-10.1.255.254"} 0`,
	)
	p.nothingLeft("after DEL")
}

// Pods that start at once all start, and the next verb adds up what they counted. Whether
// every line is there only Linux and Windows tell (pkg/journal's TestManyProcesses): to
// append, Wine asks for the size of a file and then writes there (dlls/ntdll/unix/file.c,
// NtWriteFile).
func TestJournalOfManyAtOnce(t *testing.T) {
	const pods = 8
	p := newPlugin(t, "2022")
	dir := t.TempDir()
	log, metrics := filepath.Join(dir, "bulkhead.log"), filepath.Join(dir, "bulkhead.prom")
	conf := p.conf(hns.L2Bridge, fmt.Sprintf(`"log":{"file":%q},"metrics":{"file":%q}`, wine.WindowsPath(log), wine.WindowsPath(metrics)))
	var wg sync.WaitGroup
	for i := range pods {
		c := call{verb: "ADD", id: fmt.Sprintf("c%d", i), netns: p.namespace(), conf: conf}
		wg.Go(func() {
			// On a machine that is short of CPU a verb may give its log up, and says so.
			r, err := p.invoke(c)
			if err != nil || r.Code != 0 || r.Stderr != "" && !strings.Contains(r.Stderr, "cannot be written: context deadline exceeded") {
				t.Errorf("%v: %+v", err, r)
			}
		})
	}
	wg.Wait()
	if r := p.run(call{verb: "STATUS", conf: strings.Replace(conf, `"1.0.0"`, `"1.1.0"`, 1)}); r.Code != 0 {
		t.Errorf("%+v", r)
	}
	text, err := os.ReadFile(metrics)
	if err != nil {
		t.Fatal(err)
	}
	counted, ok := strings.CutPrefix(string(text[max(0, bytes.Index(text, []byte("_count{"))):]), `_count{network="net1",verb="ADD"} `)
	counted, _, _ = strings.Cut(counted, "\n")
	if n, err := strconv.Atoi(counted); !ok || err != nil || n < 1 || n > pods {
		t.Errorf("%q ADDs are counted, %v, want up to %d:\n%s", counted, err, pods, text)
	}
	if info, err := os.Stat(log); err != nil || info.Size() == 0 {
		t.Errorf("the log: %v, %v", info, err)
	}
}

// The verb goes on where its log cannot be written, and a line on stderr tells.
func TestJournalCannotBeWritten(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	folder := t.TempDir()
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.L2Bridge, fmt.Sprintf(`"log":{"file":%q}`, wine.WindowsPath(folder)))}
	for _, c.verb = range []string{"ADD", "DEL"} {
		r := p.run(c)
		if r.Code != 0 || !strings.HasPrefix(r.Stderr, "bulkhead: "+c.verb+" the log or the metrics cannot be written: ") || strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%s: %+v", c.verb, r)
		}
	}
	p.nothingLeft("after DEL")
}
