// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

func free(context.Context, string) (func(), error) { return func() {}, nil }

// recorded ends the record of a verb that failed with e, or nil, and returns what stands
// on stderr.
func recorded(t *testing.T, conf string, e *types.Error) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = w
	args := &skel.CmdArgs{ContainerID: "c1", IfName: "eth0", Args: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=we\nb"}
	rec := begin("ADD", args, []byte(conf), free)
	if c, err := config.Parse([]byte(conf), config.Env{}); err == nil {
		rec.reached(c)
	}
	if trace := rec.trace(); trace != nil {
		trace("Open", "Network")(nil)
	}
	rec.end(e)
	os.Stderr = stderr
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRecord(t *testing.T) {
	t.Setenv("TRACEPARENT", "00-1-2-01")
	t.Setenv("TRACESTATE", "a=b")
	t.Setenv("BAGGAGE", "user=\x1bx")
	dir, err := os.MkdirTemp("", "record-") // Wine cannot do what t.TempDir does at the end
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	log, metrics := filepath.Join(dir, "b.log"), filepath.Join(dir, "b.prom")
	conf := func(level, more string) string {
		return fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead", "log": {"level": %q, "file": %q}, "metrics": {"file": %q}%s}`, level, log, metrics, more)
	}
	ipam := fmt.Sprintf(`, "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.19"}]]}`, filepath.Join(dir, "ipam"))
	for _, tt := range []struct {
		level, more string
		err         *types.Error
		want        int
	}{
		{"off", ipam, nil, 0},
		{"info", ipam, nil, 1},
		{"debug", ipam, nil, 2},
		{"info", `, "oops": 1`, types.NewError(7, "oops: unknown key", "and more"), 1},
	} {
		_ = os.Remove(log) // the first has none
		if stderr := recorded(t, conf(tt.level, tt.more), tt.err); stderr != "" {
			t.Errorf("%s: stderr %q", tt.level, stderr)
		}
		text, _ := os.ReadFile(log) // without it there is no line
		lines := strings.SplitAfter(string(text), "\n")
		lines = lines[:len(lines)-1]
		if len(lines) != tt.want {
			t.Errorf("%s: %q, want %d lines", tt.level, lines, tt.want)
		}
		if len(lines) == 0 {
			continue
		}
		var got struct {
			Verb, Network, ContainerID, IfName, PodNamespace, Pod, Error, Details, Traceparent, Tracestate, Baggage string
			Code                                                                                                    uint
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
			t.Fatal(err)
		}
		want := got
		want.Verb, want.Network, want.ContainerID, want.IfName, want.PodNamespace, want.Pod = "ADD", "net1", "c1", "eth0", "default", "we\nb"
		want.Traceparent, want.Tracestate, want.Baggage = "00-1-2-01", "a=b", "user=\x1bx"
		want.Code, want.Error, want.Details = 0, "", ""
		if tt.err != nil {
			want.Code, want.Error, want.Details = tt.err.Code, tt.err.Msg, tt.err.Details
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", tt.level, got, want)
		}
	}
	text, err := os.ReadFile(metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`bulkhead_verb_duration_seconds_count{network="net1",verb="ADD"} 4`, `bulkhead_verb_errors_total{network="net1",verb="ADD",code="7"} 1`,
		`bulkhead_addresses_used{network="net1",range="10.1.0.10-10.1.0.19"} 0`, `bulkhead_addresses_free{network="net1",range="10.1.0.10-10.1.0.19"} 10`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}

// Where the record cannot be written, or writing hangs, the verb goes on and stderr tells.
func TestRecordCannotBeWritten(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: Windows has no file whose opening hangs")
	}
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for where, want := range map[string]string{filepath.Join(dir, "b.log", "x"): "not a directory", dir: "is a directory", pipe: "deadline exceeded"} {
		if err := os.WriteFile(filepath.Join(dir, "b.log"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		stderr := recorded(t, fmt.Sprintf(`{"name": "net1", "type": "bulkhead", "log": {"file": %q}}`, where), nil)
		if !strings.HasPrefix(stderr, "bulkhead: ADD the log or the metrics cannot be written: ") || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: stderr %q, want one line with %q", where, stderr, want)
		}
		if took := time.Since(begin); took > 5*patience {
			t.Errorf("%s: it took %s", where, took)
		}
	}
}

// Whoever calls the verbs without Main writes nothing.
func TestNoRecord(t *testing.T) {
	var r *record
	r.reached(config.Config{})
	if r.trace() != nil {
		t.Error("native calls are told somebody")
	}
}
