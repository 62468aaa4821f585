// SPDX-License-Identifier: Apache-2.0

package problem_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

func TestError(t *testing.T) {
	kind := errors.New("kind")
	for _, tt := range []struct {
		err  error
		want string
		is   []error
	}{
		{problem.New(kind, fs.ErrExist, "no %s in %d", "address", 5), "kind: no address in 5: file already exists", []error{kind, fs.ErrExist}},
		{problem.New(kind, nil, "text"), "kind: text", []error{kind}},
		{problem.New(kind, fs.ErrExist, ""), "kind: file already exists", []error{kind, fs.ErrExist}},
		{problem.New(nil, fs.ErrExist, "make it"), "make it: file already exists", []error{fs.ErrExist}},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		for _, is := range tt.is {
			if !errors.Is(tt.err, is) {
				t.Errorf("%v is not %v", tt.err, is)
			}
		}
		if errors.Is(tt.err, fs.ErrNotExist) {
			t.Errorf("%v is what it is not", tt.err)
		}
	}
}
