// SPDX-License-Identifier: Apache-2.0

// Package table writes what tests said as tables for people.
package table

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Column is what the tests of one run said.
type Column struct {
	Name  string
	Tests []Test
}

// Test is how a test or a subtest ended.
type Test struct {
	Name string
	// Result is PASS, FAIL or SKIP.
	Result, Seconds string
	// Said is the last line that it logged.
	Said string
}

var (
	ended  = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)$`)
	logged = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)$`)
)

// Read reads what go test -v printed into a file.
func Read(name, file string) (Column, error) {
	in, err := os.Open(file)
	if err != nil {
		return Column{}, err
	}
	defer in.Close()
	out := Column{Name: name}
	said := ""
	const longest = 1 << 20
	lines := bufio.NewScanner(in)
	for lines.Buffer(nil, longest); lines.Scan(); {
		if m := ended.FindStringSubmatch(lines.Text()); m != nil {
			out.Tests = append(out.Tests, Test{Name: m[2], Result: m[1], Seconds: m[3], Said: said})
			said = ""
		} else if m := logged.FindStringSubmatch(lines.Text()); m != nil {
			said = m[1]
		}
	}
	return out, lines.Err()
}

// test returns the test of a name.
func (c Column) test(name string) (Test, bool) {
	i := slices.IndexFunc(c.Tests, func(t Test) bool { return t.Name == name })
	if i < 0 {
		return Test{}, false
	}
	return c.Tests[i], true
}

// exchanges is what a test logs that counts what it sent.
var exchanges = regexp.MustCompile(`^(\d+) exchanges$`)

// Notes are reasons that cells refer to by number.
type Notes []string

// Number returns the number of a reason, which is a new one when no cell had it yet.
func (n *Notes) Number(reason string) int {
	i := slices.Index(*n, reason)
	if i < 0 {
		i = len(*n)
		*n = append(*n, reason)
	}
	return i + 1
}

// String returns the reasons as a numbered list.
func (n Notes) String() string {
	var b strings.Builder
	for i, reason := range n {
		fmt.Fprintf(&b, "%d. %s\n", i+1, reason)
	}
	return b.String()
}

func (n *Notes) cell(t Test, there bool) string {
	switch {
	case !there:
		return ""
	case t.Result == "SKIP":
		return fmt.Sprintf("no [%d]", n.Number(t.Said))
	case t.Result == "FAIL":
		return "**failed**"
	}
	if m := exchanges.FindStringSubmatch(t.Said); m != nil {
		return m[1]
	}
	return "passed"
}

// Matrix writes the subtests of a test as rows, with a cell for each run: how many exchanges
// succeeded, or why there were none.
func Matrix(w io.Writer, of string, columns []Column) error {
	var rows []string
	head, line := "| |", "|---|"
	for _, c := range columns {
		head, line = head+" "+c.Name+" |", line+"---|"
		for _, t := range c.Tests {
			if row, ok := strings.CutPrefix(t.Name, of+"/"); ok && !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", head, line)
	var why Notes
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(row, "_", " "))
		for _, c := range columns {
			t, there := c.test(of + "/" + row)
			fmt.Fprintf(&b, " %s |", why.cell(t, there))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n%s", why)
	_, err := io.WriteString(w, b.String())
	return err
}

// List writes the tests of a run with what the source in a folder says of each, how many of
// its subtests, or of it alone, passed, and how long it took.
func List(w io.Writer, c Column, source string) error {
	says, err := docs(source)
	if err != nil {
		return err
	}
	var b strings.Builder
	var why Notes
	b.WriteString("| test | what | passed | seconds |\n|---|---|---|---|\n")
	for _, t := range c.Tests {
		what, ours := says[t.Name]
		if !ours {
			continue // a subtest, or another package's
		}
		var passed, all int
		for _, sub := range c.Tests {
			if strings.HasPrefix(sub.Name, t.Name+"/") && sub.Result != "SKIP" {
				all++
				if sub.Result == "PASS" {
					passed++
				}
			}
		}
		cell := fmt.Sprintf("%d of %d", passed, all)
		if all == 0 {
			cell = why.cell(t, true)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", t.Name, what, cell, t.Seconds)
	}
	fmt.Fprintf(&b, "\n%s", why)
	_, err = io.WriteString(w, b.String())
	return err
}

// docs returns the first sentence about each test in a folder.
func docs(folder string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			text := new(doc.Package).Synopsis(f.Doc.Text())
			text = strings.TrimPrefix(text, f.Name.Name+": ")
			out[f.Name.Name] = strings.ReplaceAll(text, "|", `\|`)
		}
	}
	return out, nil
}
