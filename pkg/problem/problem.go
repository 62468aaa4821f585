// SPDX-License-Identifier: Apache-2.0

// Package problem is the error of Bulkhead's own decisions: what kind it is, one
// sentence on what is wrong and how to cure it, and the cause below. The edges make
// their messages from these parts instead of cutting them out of a text.
package problem

import "fmt"

// Error is a problem. Ask it with errors.Is for its kind or anything below its cause.
type Error struct {
	// Kind is a sentinel such as pod.ErrIPAM; nil for a problem that only adds what
	// was attempted to its cause.
	Kind error
	// Text is what was attempted, on what, why it fails and the cure, as far as the
	// package knows; empty where the cause says it all.
	Text string
	// Cause is the error below, nil when there is none.
	Cause error
}

// New returns a problem of a kind, with a cause or without.
func New(kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// Error returns the kind, the text and the cause, with colons between.
func (e *Error) Error() string {
	out := ""
	add := func(part string) {
		if out != "" && part != "" {
			out += ": "
		}
		out += part
	}
	if e.Kind != nil {
		add(e.Kind.Error())
	}
	add(e.Text)
	if e.Cause != nil {
		add(e.Cause.Error())
	}
	return out
}

// Unwrap returns the kind and the cause, as far as there are.
func (e *Error) Unwrap() []error {
	var out []error
	for _, err := range []error{e.Kind, e.Cause} {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}
