// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// results holds the answers by the row's name.
type results map[string]map[cell]answer

func profiles() []string {
	var out []string
	for _, p := range hnsemu.Profiles() {
		out = append(out, p.Name)
	}
	return out
}

// text is the golden file: every cell, those of several releases in one line
// when they came out alike.
func (r results) text() string {
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%s\n", row.name)
		for _, d := range hns.Drivers() {
			for _, f := range families {
				r.writeCells(&b, row.name, d, f)
			}
		}
	}
	return b.String()
}

// writeCells leaves out why, where any pod is refused for the same.
func (r results) writeCells(b *strings.Builder, row string, d hns.Driver, f family) {
	var order []string
	on := map[string][]string{}
	for _, p := range profiles() {
		c := cell{d, f, p}
		said := r[row][c].String()
		if any := r[rows[0].name][c]; row != rows[0].name && !any.works && any == r[row][c] {
			said = "refused as any pod"
		}
		if on[said] == nil {
			order = append(order, said)
		}
		on[said] = append(on[said], p)
	}
	for _, said := range order {
		fmt.Fprintf(b, "  %-11s %s %-14s %s\n", d, f, strings.Join(on[said], " "), said)
	}
}

// table is what SUPPORT.md shows: a row for each capability, a column for each
// driver, and the reasons below.
func (r results) table() string {
	var b strings.Builder
	b.WriteString("|")
	for _, d := range hns.Drivers() {
		fmt.Fprintf(&b, " | %s", d)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(hns.Drivers())) + "|\n")
	var notes []string
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row.name)
		for _, d := range hns.Drivers() {
			fmt.Fprintf(&b, " %s |", r.summary(row.name, d, &notes))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	return b.String()
}

// summary says in a word or two for which families and releases a driver does
// something: "yes" for all that the driver has pods for, "2022+", "IPv4",
// "IPv4; IPv6 2022+", "no [3]".
func (r results) summary(row string, d hns.Driver, notes *[]string) string {
	since, pods := map[family]string{}, map[family]string{}
	for _, f := range families {
		since[f], pods[f] = r.since(row, d, f), r.since(rows[0].name, d, f)
	}
	var words []string
	switch {
	case row != rows[0].name && maps.Equal(since, pods):
		words = append(words, "yes")
	case since[ipv4] == since[ipv6] && since[ipv6] == since[dual]:
		words = append(words, phrase("", since[ipv4]))
	case since[ipv6] == since[dual]:
		words = append(words, phrase("IPv4", since[ipv4]), phrase("IPv6", since[ipv6]))
	default:
		for _, f := range families {
			words = append(words, phrase(string(f), since[f]))
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	if len(words) == 0 {
		words = append(words, "no")
	}
	return strings.Join(words, "; ") + r.reasons(row, d, since, notes)
}

// never is since's word for what works on no release.
const never = "never"

// phrase is empty for what never works.
func phrase(what, since string) string {
	switch {
	case since == never:
		return ""
	case what == "" && since == "":
		return "yes"
	default:
		return strings.TrimSpace(what + " " + since)
	}
}

// since returns the releases on which something works: "" for all, "2022+" from
// one on, or never.
func (r results) since(row string, d hns.Driver, f family) string {
	var works []string
	for _, p := range profiles() {
		if r[row][cell{d, f, p}].works {
			works = append(works, p)
		}
	}
	all := profiles()
	switch {
	case len(works) == 0:
		return never
	case len(works) == len(all):
		return ""
	case slices.Equal(works, all[len(all)-len(works):]):
		return works[0] + "+"
	default:
		return strings.Join(works, " ")
	}
}

// reasons points to the notes that say why something never works. What a pod
// without any wish is refused for is said in its row only.
func (r results) reasons(row string, d hns.Driver, since map[family]string, notes *[]string) string {
	newest := profiles()[len(profiles())-1]
	var out []string
	for _, f := range families {
		c := cell{d, f, newest}
		why := r[row][c]
		if since[f] != never || row != rows[0].name && why == r[rows[0].name][c] || f == dual && since[ipv6] == never {
			continue
		}
		note := sentence(why, d)
		if !slices.Contains(*notes, note) {
			*notes = append(*notes, note)
		}
		out = append(out, fmt.Sprint(slices.Index(*notes, note)+1))
	}
	if out = slices.Compact(out); len(out) == 0 {
		return ""
	}
	return " [" + strings.Join(out, ", ") + "]"
}

// index is where in a list something stands.
var index = regexp.MustCompile(`\[\d+\]`)

// sentence leaves the advice out, which stands after the last colon, and what
// differs between drivers with the same reason.
func sentence(why answer, d hns.Driver) string {
	msg := why.msg
	if i := strings.LastIndex(msg, ": "); i > 0 {
		msg = msg[:i]
	}
	msg = strings.TrimSuffix(strings.ReplaceAll(msg, string(d)+" networks", "these networks"), ", not "+string(d))
	return "`" + index.ReplaceAllString(msg, "[]") + "`"
}
