// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"slices"
)

// GC removes the files of addresses that nobody in keep holds. host-local itself
// has no GC.
func (hostLocal) GC(ctx context.Context, conf []byte, keep []Holder) error {
	b, err := bookOf(conf)
	if err != nil {
		return err
	}
	return b.change(ctx, func() error { return b.collect(keep) })
}

// collect goes on after a failure. What cannot be read stays: its holder may be
// in keep.
func (b book) collect(keep []Holder) error {
	entries, err := b.entries()
	if err != nil {
		return err
	}
	var failures []error
	var stay []Holder
	for _, e := range entries {
		content, err := e.read()
		switch {
		case err != nil:
		case held(content, keep):
			stay = append(stay, holderIn(content))
		default:
			err = e.remove()
		}
		failures = append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return err // and all marks stay: what could not be released needs its own
	}
	return b.keepMarks(append(stay, keep...))
}

// held reports whether the content of an address file names somebody in keep, if
// only by its beginning.
func held(content string, keep []Holder) bool {
	return slices.ContainsFunc(keep, func(h Holder) bool {
		want := h.trimmed()
		return want.holds(content) || !holderIn(content).nobody() && want.cutOff(content)
	})
}
