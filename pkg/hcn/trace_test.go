// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// A Trace is told of every native call of every method, in order, with its error.
func TestTrace(t *testing.T) {
	eachMethod(t, func(t *testing.T, m method) {
		f, native := newFake(), m.native()
		last := &hns.Error{Code: hns.CodeCallFailed}
		f.intercept = func(n int, _ string) error {
			if n == len(native) {
				return last
			}
			return nil
		}
		var got []string
		var failed error
		ctx := WithTrace(t.Context(), func(verb, about string) func(error) {
			kind, _, _ := strings.Cut(about, " ")
			got = append(got, strings.ToLower(verb)+" "+kind)
			return func(err error) { failed = err }
		})
		_ = m.call(ctx, f.client()) // fails, or had only to close
		if got := strings.Join(got, ", "); got != m.want {
			t.Errorf("got  %s\nwant %s", got, m.want)
		}
		if !errors.Is(failed, last) {
			t.Errorf("the last call ended with %v", failed)
		}
	})
}

func TestTraceOfNobody(t *testing.T) {
	if ctx := context.Background(); WithTrace(ctx, nil) != ctx {
		t.Error("the context is another")
	}
}
