// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// key is what was measured: a verb of a program on a network, beside so many
// endpoints.
type key struct {
	program   string
	driver    hns.Driver
	verb      string
	endpoints int
}

// measurements are what programs took.
type measurements struct {
	times map[key][]time.Duration
	calls map[key]int
	// processes are those of a verb, the plugin's own included.
	processes map[key]int
	// peak is the greatest memory of any run, bytes the size of the file.
	peak, bytes map[string]int64
}

func newMeasurements() *measurements {
	return &measurements{times: map[key][]time.Duration{}, calls: map[key]int{}, processes: map[key]int{}, peak: map[string]int64{}, bytes: map[string]int64{}}
}

// add takes down a run. Of calls the most counts.
func (m *measurements) add(k key, took time.Duration, calls int, peak int64) {
	m.times[k] = append(m.times[k], took)
	m.calls[k] = max(m.calls[k], calls)
	m.peak[k.program] = max(m.peak[k.program], peak)
}

// wantCalls are the native calls that Bulkhead's verbs make, closes included. They
// do not depend on a clock or on how many endpoints there are.
var wantCalls = map[string]int{"ADD": 20, "ADD again": 14, "CHECK": 15, "STATUS": 2, "VERSION": 0, "DEL": 9}

// checkCalls fails when a verb makes other calls, or starts other processes, than it
// should. On an overlay HNS tells the node's address with the network, and ADD does not ask
// for it.
func (m *measurements) checkCalls(t *testing.T) {
	t.Helper()
	for k, got := range m.calls {
		want, known := wantCalls[k.verb]
		if k.driver == hns.Overlay && k.verb == "ADD" {
			want--
		}
		if k.program == "bulkhead" && known && got != want {
			t.Errorf("%s on %s beside %d endpoints: %d native calls, want %d", k.verb, k.driver, k.endpoints, got, want)
		}
	}
	for k, got := range m.processes {
		want := 1
		if k.program != "bulkhead" && k.verb != "VERSION" && k.verb != "ADD again" {
			want = 2 // and host-local
		}
		if got != want {
			t.Errorf("%s of %s: %d processes, want %d", k.verb, k.program, got, want)
		}
	}
}

// median is 0 for what was not measured.
func (m *measurements) median(k key) time.Duration {
	sorted := slices.Sorted(slices.Values(m.times[k]))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// table returns a line for each thing measured, in Markdown: medians, of times and of
// the ratios, in each round, to the rival of the same driver, which runs right after,
// and to the empty program.
func (m *measurements) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "| program | driver | verb | other endpoints | runs | median | to its peer | to empty | native calls | processes |\n|---|---|---|---|---|---|---|---|---|---|\n")
	keys := slices.SortedFunc(maps.Keys(m.times), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.driver, b.driver), cmp.Compare(a.program, b.program), cmp.Compare(a.verb, b.verb), cmp.Compare(a.endpoints, b.endpoints))
	})
	for _, k := range keys {
		fmt.Fprintf(&out, "| %s | %s | %s | %d | %d | %.1f ms | %s | %s | %d | %s |\n", k.program, k.driver, k.verb, k.endpoints, len(m.times[k]),
			milliseconds(m.median(k)), m.beside(k), text(m.toEmpty(k)), m.calls[k], m.started(k))
	}
	fmt.Fprintf(&out, "\n| program | file | peak memory |\n|---|---|---|\n")
	for _, program := range slices.Sorted(maps.Keys(m.bytes)) {
		fmt.Fprintf(&out, "| %s | %.1f MB | %s |\n", program, float64(m.bytes[program])/1e6, megabytes(m.peak[program]))
	}
	return out.String()
}

// beside compares Bulkhead with the peer for the same driver.
func (m *measurements) beside(k key) string {
	if k.program != "bulkhead" {
		return ""
	}
	return text(m.toPeer(k))
}

func (m *measurements) toPeer(k key) float64 {
	return m.ratio(k, key{peerOf[k.driver], k.driver, k.verb, k.endpoints})
}

func (m *measurements) toEmpty(k key) float64 {
	return m.ratio(k, key{"empty", k.driver, "start", k.endpoints})
}

// ratio compares two things round by round, since a machine's speed changes; it is no
// number when they were not measured in the same rounds.
func (m *measurements) ratio(a, b key) float64 {
	all, others := m.times[a], m.times[b]
	if len(all) != len(others) || len(all) == 0 {
		return math.NaN()
	}
	var ratios []float64
	for i := range all {
		ratios = append(ratios, float64(all[i])/float64(others[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func text(ratio float64) string {
	if math.IsNaN(ratio) {
		return ""
	}
	return fmt.Sprintf("%.2f", ratio)
}

// started is how many processes a verb takes, where that was counted.
func (m *measurements) started(k key) string {
	k.endpoints = 0
	if n, ok := m.processes[k]; ok {
		return fmt.Sprint(n)
	}
	return ""
}

// megabytes is empty for a program that was not run by itself.
func megabytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// goal is what Bulkhead should reach, with what it reached on a driver's network.
type goal struct {
	what string
	want float64
	got  func(hns.Driver) float64
}

func (m *measurements) goals(s size) []goal {
	burst := fmt.Sprintf("burst of %d", s.burst)
	most, many := s.endpoints[len(s.endpoints)-1], s.endpoints[max(len(s.endpoints)-2, 0)]
	of := func(d hns.Driver, verb string, n int) key { return key{"bulkhead", d, verb, n} }
	peer := func(verb string, n int) func(hns.Driver) float64 {
		return func(d hns.Driver) float64 { return m.toPeer(of(d, verb, n)) }
	}
	empty := func(verb string) func(hns.Driver) float64 {
		return func(d hns.Driver) float64 { return m.toEmpty(of(d, verb, 0)) }
	}
	grown := func(d hns.Driver) float64 { return m.toEmpty(of(d, "ADD", most)) / m.toEmpty(of(d, "ADD", 0)) }
	calls := func(verb string) func(hns.Driver) float64 {
		return func(d hns.Driver) float64 { return float64(m.calls[of(d, verb, 0)]) }
	}
	share := func(bytes map[string]int64, others ...string) func(hns.Driver) float64 {
		return func(d hns.Driver) float64 {
			sum := bytes[peerOf[d]]
			for _, o := range others {
				sum += bytes[o]
			}
			return float64(bytes["bulkhead"]) / float64(sum)
		}
	}
	return []goal{
		{"ADD to its peer", 0.6, peer("ADD", 0)},
		{fmt.Sprintf("ADD to its peer beside %d endpoints", many), 0.5, peer("ADD", many)},
		{"DEL to its peer", 0.65, peer("DEL", 0)},
		{fmt.Sprintf("DEL to its peer beside %d endpoints", many), 0.65, peer("DEL", many)},
		{"ADD to an empty program", 1.6, empty("ADD")},
		{"DEL to an empty program", 1.6, empty("DEL")},
		{burst + " to its peer's", 0.55, peer(burst, 0)},
		{"native calls of ADD", 14, calls("ADD")},
		{"native calls of DEL", 9, calls("DEL")},
		{"native calls of STATUS", 2, calls("STATUS")},
		{fmt.Sprintf("ADD beside %d endpoints to beside none", most), 1, grown},
		{"peak memory to its peer's", 1, share(m.peak)},
		{"file to its peer's", 1, share(m.bytes)},
		{"file to its peer's and host-local's", 1, share(m.bytes, "host-local")},
	}
}

// reached returns a table of the goals, in Markdown.
func (m *measurements) reached(s size) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n| goal | at most | %s | %s |\n|---|---|---|---|\n", hns.L2Bridge, hns.Overlay)
	for _, g := range m.goals(s) {
		fmt.Fprintf(&out, "| %s | %g | %.4g | %.4g |\n", g.what, g.want, rounded(g.got(hns.L2Bridge)), rounded(g.got(hns.Overlay)))
	}
	return out.String()
}

func rounded(f float64) float64 { return math.Round(f*100) / 100 }

func TestTable(t *testing.T) {
	m := newMeasurements()
	for i, took := range []time.Duration{30, 10, 20} {
		m.add(key{"bulkhead", hns.L2Bridge, "ADD", 0}, took*time.Millisecond, 20+i, int64(i))
		m.add(key{"win-bridge", hns.L2Bridge, "ADD", 0}, 2*took*time.Millisecond+time.Duration(i), 15, 7e6)
		m.add(key{"empty", hns.L2Bridge, "start", 0}, 10*time.Millisecond, 0, 0)
	}
	m.processes[key{"bulkhead", hns.L2Bridge, "ADD", 0}] = 1
	m.bytes["win-bridge"] = 5_000_000
	got := m.table()
	for _, want := range []string{
		"| bulkhead | l2bridge | ADD | 0 | 3 | 20.0 ms | 0.50 | 2.00 | 22 | 1 |",
		"| win-bridge | l2bridge | ADD | 0 | 3 | 40.0 ms |  | 4.00 | 15 |  |",
		"| win-bridge | 5.0 MB | 7.0 MB |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
	if got, want := m.reached(small), "| ADD to its peer | 0.6 | 0.5 | NaN |\n"; !strings.Contains(got, want) {
		t.Errorf("%s\nlacks %s", got, want)
	}
}
