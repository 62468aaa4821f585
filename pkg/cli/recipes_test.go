// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// guide is the document about ACLs.
const guide = "../../plugins/bulkhead/ACL.md"

// recipe is a section of the guide's recipes.
type recipe struct {
	name, conflist, annotation string
	// packets are the rows of its table: direction, protocol, port, other side, whether
	// it passes, and by what.
	packets [][]string
}

var (
	jsonBlock  = regexp.MustCompile("(?s)\n```json\n(.*?)\n```\n")
	annotation = regexp.MustCompile(`(?m)^ +bulkhead\.dev/acl: '(.*)'$`)
)

// rows returns the cells of a text's tables, without their heads.
func rows(text string) [][]string {
	var out [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|---"):
			out = out[:len(out)-1] // what stands above is the head
		case strings.HasPrefix(line, "|"):
			var cells []string
			for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.Trim(strings.TrimSpace(c), "`"))
			}
			out = append(out, cells)
		}
	}
	return out
}

// recipes reads the guide. The overview is the table that says where each works.
func recipes(t *testing.T) (all []recipe, overview [][]string) {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## Recipes\n")
	part, _, _ = strings.Cut(part, "\n## ")
	head, sections, _ := strings.Cut(part, "\n### ")
	for _, section := range strings.Split(sections, "\n### ") {
		name, body, _ := strings.Cut(section, "\n")
		r := recipe{name: name, packets: rows(body)}
		if m := jsonBlock.FindStringSubmatch(body); m != nil {
			r.conflist = m[1]
		}
		if m := annotation.FindStringSubmatch(body); m != nil {
			r.annotation = m[1]
		}
		all = append(all, r)
	}
	if len(all) < 5 {
		t.Fatalf("%s has only %d recipes", guide, len(all))
	}
	return all, rows(head)
}

// Each recipe of the guide is a conflist that validate takes, and what becomes of the
// packets of its table is what explain says.
func TestRecipes(t *testing.T) {
	all, _ := recipes(t)
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			conf := file(t, r.conflist)
			if status, stdout, stderr := run(t, nil, "validate", conf); status != 0 || stderr != "" {
				t.Fatalf("validate: status %d\n%s%s", status, stdout, stderr)
			}
			if len(r.packets) == 0 {
				if _, stdout, _ := run(t, nil, "acl", "show", "--conf", conf, "-o", "json"); strings.TrimSpace(stdout) != "[]" {
					t.Errorf("it has rules and no table of packets:\n%s", stdout)
				}
			}
			for _, p := range r.packets {
				r.explain(t, conf, p)
			}
		})
	}
}

// explain asks about the packet of a row.
func (r recipe) explain(t *testing.T, conf string, row []string) {
	t.Helper()
	if len(row) != 6 {
		t.Fatalf("%d cells: %q", len(row), row)
	}
	args := []string{"acl", "explain", "--conf", conf, "--node", "192.168.1.5", "-o", "json", "--direction", row[0], "--protocol", row[1], "--remote", row[3]}
	if row[2] != "" {
		args = append(args, "--port", row[2])
	}
	if r.annotation != "" {
		args = append(args, "--annotation", r.annotation)
	}
	status, stdout, stderr := run(t, nil, args...)
	var got struct {
		Allowed bool
		Why     string
	}
	if err := json.Unmarshal([]byte(stdout), &got); status != 0 || err != nil {
		t.Fatalf("%q: status %d, %v\n%s", row, status, err, stderr)
	}
	by := strings.Contains(got.Why, ": "+row[5]+" says so") || strings.Contains(got.Why, ": "+row[5]+" is about it")
	if passes := map[bool]string{true: "yes", false: "no"}[got.Allowed]; passes != row[4] || !by {
		t.Errorf("%q: %s, %s", row, passes, got.Why)
	}
}

// The overview says of each recipe whether a network takes it.
func TestRecipesByDriver(t *testing.T) {
	all, overview := recipes(t)
	if len(overview) != len(all) {
		t.Fatalf("the overview has %d rows for %d recipes", len(overview), len(all))
	}
	for at, r := range all {
		conf, row := file(t, r.conflist), overview[at]
		if name, _, _ := strings.Cut(strings.TrimPrefix(row[0], "["), "]"); name != r.name || len(row) != 5 {
			t.Fatalf("row %q for recipe %q", row, r.name)
		}
		for _, d := range hns.Drivers() {
			for n, i := range []hns.Isolation{hns.Process, hns.HyperV} {
				cell := 1 + n + 2*slices.Index([]bool{false, true}, d.HasVFP())
				args := []string{"acl", "show", "--conf", conf, "--node", "192.168.1.5", "--driver", string(d), "--isolation", string(i)}
				if r.annotation != "" {
					args = append(args, "--annotation", r.annotation)
				}
				got := "yes"
				if status, _, _ := run(t, nil, args...); status != 0 {
					got = "refused"
				}
				if got != row[cell] {
					t.Errorf("%s on %s %s: %s, and the overview says %s", r.name, d, i, got, row[cell])
				}
			}
		}
	}
}
