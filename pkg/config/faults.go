// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Faults returns what is wrong with a configuration: the error of Parse first, then those
// of its other parts. A part that cannot be read without one that is wrong is left out, and
// so is all but the first of what is wrong in one part.
func Faults(stdin []byte, env Env) []*Error {
	_, err := Parse(stdin, env)
	var f faults
	f.add(err)
	doc, err := parseDocument(stdin)
	if err != nil || checkRepeated("", bytes.TrimPrefix(stdin, byteOrderMark)) != nil || len(f.list) == 0 {
		return f.list
	}
	c := doc.defaults(stdin, env)
	if c.Name, c.Type, err = doc.identity(); err != nil {
		return f.list
	}
	doc, wrong := c.native(doc)
	for _, err := range wrong {
		f.add(err)
	}
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		f.add(c.origins.inFile(document{key: doc[key]}.checkKeys(c.Type)))
	}
	c.args, _ = parseArgs(env.Args)
	c.Pod = c.args.pod
	failed := map[string]bool{}
	for _, s := range steps() {
		if slices.ContainsFunc(strings.Fields(s.needs), func(part string) bool { return failed[part] }) {
			failed[s.part] = true
			continue
		}
		if err := s.read(doc, &c); err != nil {
			failed[s.part] = true
			f.add(c.origins.inFile(err))
		}
	}
	if c.Driver != "" && !failed["driver"] {
		_, err := c.WithDriver(c.Driver)
		f.add(err)
	}
	return f.list
}

// faults are errors, none of them twice, nor a second one of the same place.
type faults struct{ list []*Error }

func (f *faults) add(err error) {
	var e *Error
	if !errors.As(err, &e) || slices.ContainsFunc(f.list, func(o *Error) bool { return o.Path == e.Path }) {
		return
	}
	f.list = append(f.list, e)
}
