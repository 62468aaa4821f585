// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// exposition is a text as Prometheus reads it (prometheus.io, "Exposition formats",
// text-based format).
type exposition struct{ bytes.Buffer }

// exposition returns the counts for Prometheus.
func (s stats) exposition() []byte {
	type series struct {
		labels []string
		*verbCounts
	}
	var verbs []series
	for _, network := range slices.Sorted(maps.Keys(s)) {
		for _, verb := range slices.Sorted(maps.Keys(s[network].Verbs)) {
			verbs = append(verbs, series{[]string{"network", network, "verb", verb}, s[network].Verbs[verb]})
		}
	}
	var out exposition
	out.family("bulkhead_verb_duration_seconds", "histogram", "How long CNI verbs took, failures included.")
	for _, v := range verbs {
		sum := uint64(0)
		for i, n := range v.Buckets {
			sum += n
			upTo := "+Inf"
			if i < len(bounds) {
				upTo = number(bounds[i])
			}
			out.sample("bulkhead_verb_duration_seconds_bucket", float64(sum), append(v.labels, "le", upTo)...)
		}
		out.sample("bulkhead_verb_duration_seconds_sum", v.Seconds, v.labels...)
		out.sample("bulkhead_verb_duration_seconds_count", float64(sum), v.labels...)
	}
	out.family("bulkhead_verb_errors_total", "counter", "CNI verbs that failed, by CNI error code.")
	for _, v := range verbs {
		for _, code := range slices.Sorted(maps.Keys(v.Errors)) {
			out.sample("bulkhead_verb_errors_total", float64(v.Errors[code]), append(v.labels, "code", strconv.FormatUint(uint64(code), 10))...)
		}
	}
	s.addresses(&out, "bulkhead_addresses_used", "Addresses that host-local has given away, as of the last ADD, DEL or GC.", func(r Range) float64 { return float64(r.Used) })
	s.addresses(&out, "bulkhead_addresses_free", "Addresses that host-local can give away, as of the last ADD, DEL or GC.", func(r Range) float64 { return r.Free })
	return out.Bytes()
}

// addresses writes one number of each range.
func (s stats) addresses(out *exposition, name, help string, of func(Range) float64) {
	out.family(name, "gauge", help)
	for _, network := range slices.Sorted(maps.Keys(s)) {
		for _, r := range s[network].Ranges {
			out.sample(name, of(r), "network", network, "range", r.Range)
		}
	}
}

// family begins the samples of a name.
func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes a number; labels are pairs of a name and a value.
func (e *exposition) sample(name string, value float64, labels ...string) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var pairs []string
	for i := 0; i < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+`="`+escape.Replace(labels[i+1])+`"`)
	}
	fmt.Fprintf(e, "%s{%s} %s\n", name, strings.Join(pairs, ","), number(value))
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
