// SPDX-License-Identifier: Apache-2.0

// Package bounded stops waiting for calls that cannot be interrupted: those of
// HNS, and locks on files. What is given up goes on in the background.
package bounded

import "context"

// Do runs f and returns what it returns, or the error of ctx, unwrapped, when
// that is over first. A context that is over beforehand starts nothing. A panic
// of f is the caller's.
func Do[T any](ctx context.Context, f func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	type answer struct {
		got   T
		err   error
		panic any
	}
	// Buffered, so that an answer that comes too late does not keep its goroutine.
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			a.panic = recover()
			answers <- a
		}()
		a.got, a.err = f()
	}()
	var a answer
	select {
	case a = <-answers:
	case <-ctx.Done():
		// An answer that came with the deadline is worth more than the deadline.
		select {
		case a = <-answers:
		default:
			a.err = ctx.Err()
		}
	}
	if a.panic != nil {
		panic(a.panic)
	}
	return a.got, a.err
}
