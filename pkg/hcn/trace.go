// SPDX-License-Identifier: Apache-2.0

package hcn

import "context"

// Trace is told of each native call before it begins: its verb, as the methods of Native
// have it, and what it is about: a kind of objects, or for Call the method and the path.
// It returns what is told the call's error in the end, also when the call was given up, or
// not made because the time was over. Both can be called from several goroutines at once.
type Trace func(verb, about string) (done func(error))

type traceKey struct{}

// WithTrace returns a context under which a client's native calls are told to t, as
// net/http/httptrace has it. Without a Trace it is ctx itself.
func WithTrace(ctx context.Context, t Trace) context.Context {
	if t == nil {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, t)
}

// traced tells the context's Trace, if it has one, of a native call.
func traced[T any](ctx context.Context, verb, about string, call func() (T, error)) (T, error) {
	t, ok := ctx.Value(traceKey{}).(Trace)
	if !ok {
		return call()
	}
	done := t(verb, about)
	got, err := call()
	done(err)
	return got, err
}
