// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// Metrics is a text file for Prometheus, of all verbs of the node.
type Metrics struct {
	File string
	Lock nodelock.Lock
}

// Sample is what one verb counts.
type Sample struct {
	// Network is empty for a configuration without a valid name.
	Network, Verb string
	Took          time.Duration
	// Code is the CNI error code, 0 for success.
	Code uint
	// Ranges are the network's addresses now; nil where nothing is known of them.
	Ranges []Range
}

// Range is how many addresses of a range are used and free.
type Range struct {
	Range string  `json:"range"`
	Used  int     `json:"used"`
	Free  float64 `json:"free"`
}

const (
	// manySamples is the size from which samples begin anew: some thousand verbs.
	manySamples = 1 << 20
	// maxSamples is where samples end that nobody could add up.
	maxSamples = 4 << 20
)

// Add counts a verb.
func (m Metrics) Add(s Sample) error {
	line, err := json.Marshal(s.stats())
	if err != nil {
		return err
	}
	_, failure := add(m.samples(), append(line, '\n'), maxSamples)
	if failure != nil && !errors.Is(failure, errFull) {
		return failure
	}
	const most = 3 // in a burst others have their turn
	for range most {
		counted, err := m.publish()
		if err != nil || counted < 0 {
			return errors.Join(failure, err)
		}
		// Who found the lock taken had appended its sample before.
		if info, err := os.Stat(m.samples()); err != nil || info.Size() <= counted {
			break
		}
	}
	return failure
}

func (m Metrics) samples() string { return m.File + ".samples" }

// sum is what the first line of the file says, a comment for Prometheus. With the rest of
// the file it takes the place of an older one in one step, so no sample counts twice.
type sum struct {
	// Counted is how many bytes of the samples are in it.
	Counted int64 `json:"counted"`
	Stats   stats `json:"stats"`
}

const comment = "# bulkhead "

// publish adds the new samples to the file, and returns how many bytes of the samples are
// in it; less than none when another process does it.
func (m Metrics) publish() (counted int64, err error) {
	release, err := try(m.Lock, "metrics "+m.File)
	if err != nil {
		return -1, nil //nolint:nilerr // the holder does it, or the next verb
	}
	defer release()
	all, err := m.read()
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(m.samples())
	if err != nil {
		return 0, err
	}
	if all.Counted > int64(len(text)) {
		all.Counted = 0 // they have begun anew
	}
	text = text[:max(all.Counted, int64(bytes.LastIndexByte(text, '\n')+1))]
	for line := range bytes.Lines(text[all.Counted:]) {
		var s stats
		if json.Unmarshal(line, &s) == nil { // a power cut leaves half of a line
			all.Stats.add(s)
		}
	}
	all.Counted = int64(len(text))
	if err := m.write(all); err != nil {
		return 0, err
	}
	if info, err := os.Stat(m.samples()); err == nil && info.Size() == all.Counted && all.Counted > manySamples {
		_ = os.Remove(m.samples()) // where somebody has them open, the next verb does it
	}
	return all.Counted, nil
}

// read returns the sum so far, which begins with nothing where the file is missing or
// broken.
func (m Metrics) read() (sum, error) {
	text, err := os.ReadFile(m.File)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return sum{}, err
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	var out sum
	first, ours := bytes.CutPrefix(first, []byte(comment))
	if !ours || json.Unmarshal(first, &out) != nil || out.Counted < 0 || out.Stats == nil {
		return sum{Stats: stats{}}, nil
	}
	clean := stats{}
	clean.add(out.Stats)
	return sum{out.Counted, clean}, nil
}

// write puts the sum, and what Prometheus reads, in the place of the file.
func (m Metrics) write(all sum) error {
	line, err := json.Marshal(all)
	if err != nil {
		return err
	}
	text := slices.Concat([]byte(comment), line, []byte("\n"), all.Stats.exposition())
	if err := os.WriteFile(m.File+".tmp", text, 0o644); err != nil { //nolint:gosec // the exporter may run as somebody else
		return err
	}
	return os.Rename(m.File+".tmp", m.File)
}

// bounds are the upper ends of the durations' buckets, in seconds: from a verb that finds
// all done to the longest that a runtime waits.
var bounds = [...]float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}

// stats are counts, by network.
type stats map[string]*counts

// counts are those of a network.
type counts struct {
	Verbs map[string]*verbCounts `json:"verbs"`
	// Ranges are those of the last verb that knew them.
	Ranges []Range `json:"ranges,omitempty"`
}

type verbCounts struct {
	// Buckets has the verbs that took up to each of bounds and longer than the one before;
	// the last has the rest.
	Buckets [len(bounds) + 1]uint64 `json:"buckets"`
	Seconds float64                 `json:"seconds"`
	// Errors has the failures by CNI error code.
	Errors map[uint]uint64 `json:"errors,omitempty"`
}

// stats returns the counts of one verb.
func (s Sample) stats() stats {
	v := &verbCounts{Seconds: s.Took.Seconds()}
	i, _ := slices.BinarySearch(bounds[:], v.Seconds)
	v.Buckets[i] = 1
	if s.Code != 0 {
		v.Errors = map[uint]uint64{s.Code: 1}
	}
	return stats{s.Network: {Verbs: map[string]*verbCounts{s.Verb: v}, Ranges: s.Ranges}}
}

// add adds later counts.
func (s stats) add(later stats) {
	for name, n := range later {
		if n == nil {
			continue
		}
		have := s[name]
		if have == nil {
			have = &counts{Verbs: map[string]*verbCounts{}}
			s[name] = have
		}
		if n.Ranges != nil {
			have.Ranges = n.Ranges
		}
		for verb, v := range n.Verbs {
			if v == nil {
				continue
			}
			if have.Verbs[verb] == nil {
				have.Verbs[verb] = &verbCounts{Errors: map[uint]uint64{}}
			}
			have.Verbs[verb].add(*v)
		}
	}
}

func (v *verbCounts) add(later verbCounts) {
	v.Seconds += later.Seconds
	for i, n := range later.Buckets {
		v.Buckets[i] += n
	}
	for code, n := range later.Errors {
		v.Errors[code] += n
	}
}
