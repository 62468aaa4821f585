// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// metrics returns a new file for the samples.
func metrics(t *testing.T, lock nodelock.Lock, samples ...Sample) Metrics {
	t.Helper()
	m := Metrics{filepath.Join(t.TempDir(), "metrics", "bulkhead.prom"), lock}
	for _, s := range samples {
		if err := m.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestExposition(t *testing.T) {
	v4 := Range{Range: "10.1.0.10-10.1.0.99", Used: 3, Free: 87}
	v6 := Range{Range: "fd00::1-fd00::ffff:ffff:ffff:ffff", Used: 3, Free: 1 << 64}
	m := metrics(t, free,
		Sample{Network: "net1", Verb: "ADD", Took: 40 * time.Millisecond, Ranges: []Range{{Range: "10.9.0.1-10.9.0.2"}}},
		Sample{Network: "net1", Verb: "ADD", Took: 50 * time.Millisecond, Ranges: []Range{v4, v6}},
		Sample{Network: "net1", Verb: "ADD", Took: 121 * time.Second, Code: 11},
		Sample{Network: "net1", Verb: "ADD", Took: 2 * time.Second, Code: 104},
		Sample{Network: "net1", Verb: "ADD", Took: 2 * time.Second, Code: 104},
		Sample{Network: "net1", Verb: "DEL", Took: 300 * time.Millisecond},
		Sample{Network: "", Verb: "a\"b\\c\nd", Took: time.Second, Code: 4},
	)
	golden, got := filepath.Join("testdata", "bulkhead.prom"), read(t, m.File)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, golden), got); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", golden, diff)
	}
	// As the text format has it, with a line end after the last.
	label := `[a-z]+="([^"\\\n]|\\["\\n])*"`
	line := regexp.MustCompile(`^(# (bulkhead \{[^\n]+|HELP [a-z_]+ [^\n]+|TYPE [a-z_]+ (counter|gauge|histogram))|[a-z_]+\{` + label + `(,` + label + `)*\} [0-9.e+-]+)\n$`)
	for l := range strings.Lines(got) {
		if !line.MatchString(l) {
			t.Errorf("no line of the text format: %q", l)
		}
	}
}

// Who finds the lock taken leaves its sample to the holder, and does not wait.
func TestBusy(t *testing.T) {
	m := metrics(t, taken)
	begin := time.Now()
	if err := m.Add(Sample{Network: "net1", Verb: "ADD"}); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 100*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	if _, err := os.Stat(m.File); err == nil {
		t.Error("the file is there without the lock")
	}
	// The other comes while this one adds up.
	once := false
	m.Lock = func(context.Context, string) (func(), error) {
		return func() {
			if !once {
				once = true
				if err := (Metrics{m.File, taken}).Add(Sample{Network: "net1", Verb: "ADD"}); err != nil {
					t.Error(err)
				}
			}
		}, nil
	}
	if err := m.Add(Sample{Network: "net1", Verb: "ADD"}); err != nil {
		t.Error(err)
	}
	if text := read(t, m.File); !strings.Contains(text, `_count{network="net1",verb="ADD"} 3`) {
		t.Errorf("want 3 verbs:\n%s", text)
	}
}

// The samples begin anew, also when the process ends in the middle of that, and what they
// counted stays.
func TestSamplesBeginAnew(t *testing.T) {
	s := Sample{Network: "net1", Verb: "ADD", Took: time.Second, Code: 11, Ranges: []Range{{"10.1.0.10-10.1.0.99", 3, 87}}}
	m := metrics(t, free, s)
	good := read(t, m.samples())
	many := manySamples/len(good) + 1
	if err := os.WriteFile(m.samples(), []byte(strings.Repeat(good, many)), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := m.Add(s); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(m.samples()); (i == 0) != errors.Is(err, os.ErrNotExist) {
			t.Errorf("after verb %d: %v", i, err)
		}
	}
	for _, want := range []string{
		fmt.Sprintf(`bulkhead_verb_duration_seconds_sum{network="net1",verb="ADD"} %d`, many+3),
		fmt.Sprintf(`bulkhead_verb_errors_total{network="net1",verb="ADD",code="11"} %d`, many+3),
		`bulkhead_addresses_used{network="net1",range="10.1.0.10-10.1.0.99"} 3`,
	} {
		if text := read(t, m.File); !strings.Contains(text, want+"\n") {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}

// What a power cut, or somebody else, left in a file is passed over.
func TestDamage(t *testing.T) {
	good := `{"net1":{"verbs":{"ADD":{"buckets":[1],"seconds":0.5}}}}` + "\n"
	for _, damage := range []string{"", "{\"net1\"\n", "\x00\x00\x00\n", "null\n", "{\"net1\":null}\n", "{\"net1\":{\"verbs\":{\"ADD\":null}}}\n", "[]\n", "\n"} {
		m := metrics(t, taken, Sample{Network: "net1", Verb: "ADD"})
		m.Lock = free
		if err := os.WriteFile(m.samples(), []byte(good+damage+good), 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := m.Add(Sample{Network: "net1", Verb: "ADD"}); err != nil {
				t.Errorf("%q: %v", damage, err)
			}
			if want, text := fmt.Sprintf("_count{network=\"net1\",verb=\"ADD\"} %d\n", 3+i), read(t, m.File); !strings.Contains(text, want) {
				t.Errorf("%q: want %s:\n%s", damage, want, text)
			}
		}
	}
	for _, broken := range []string{"", "\x00\x00", "# bulkhead null\n", "# bulkhead {\"counted\":-1}\n", "# bulkhead {\"counted\":1e9,\"stats\":{\"net1\":null}}\n", "x 1\n"} {
		m := metrics(t, free, Sample{Network: "net1", Verb: "ADD"})
		if err := os.WriteFile(m.File, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.Add(Sample{Network: "net1", Verb: "ADD"}); err != nil {
			t.Errorf("%q: %v", broken, err)
		}
		if text := read(t, m.File); !strings.Contains(text, `_count{network="net1",verb="ADD"} 2`) {
			t.Errorf("%q: want what the samples have:\n%s", broken, text)
		}
	}
}

// Samples that nobody could add up for long grow no further, and begin anew.
func TestFullSamples(t *testing.T) {
	m := metrics(t, taken, Sample{Network: "net1", Verb: "ADD"})
	good := read(t, m.samples())
	if err := os.WriteFile(m.samples(), []byte(strings.Repeat(good, maxSamples/len(good)+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Lock = free
	if err := m.Add(Sample{Network: "net1", Verb: "ADD"}); !errors.Is(err, errFull) {
		t.Errorf("full: %v", err)
	}
	if err := m.Add(Sample{Network: "net1", Verb: "ADD"}); err != nil {
		t.Errorf("after they began anew: %v", err)
	}
}
