// SPDX-License-Identifier: Apache-2.0

package bounded

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDo(t *testing.T) {
	failure := errors.New("failed")
	// answer returns its results after some time, whatever became of the context.
	answer := func(after time.Duration) func() (int, error) {
		return func() (int, error) { time.Sleep(after); return 7, failure }
	}
	for _, tt := range []struct {
		name  string
		takes time.Duration
		got   int
		err   error
		took  time.Duration
	}{
		{"in time", time.Millisecond, 7, failure, time.Millisecond},
		{"never", time.Hour, 0, context.DeadlineExceeded, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				got, err := Do(ctx, answer(tt.takes))
				if got != tt.got || err != tt.err { //nolint:errorlint // the error is not wrapped
					t.Errorf("got %d, %v; want %d, %v", got, err, tt.got, tt.err)
				}
				if took := time.Since(begin); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				time.Sleep(time.Hour) // lets the call end
			})
		})
	}
}

func TestDoCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := Do(ctx, func() (int, error) { time.Sleep(time.Hour); return 0, nil })
		if err != context.Canceled { //nolint:errorlint // the error is not wrapped
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Hour) // lets the call end
	})
}

func TestDoStartsNothingLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Do(ctx, func() (int, error) { t.Error("started"); return 0, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDoPanics(t *testing.T) {
	defer func() {
		if r := recover(); r != "f" {
			t.Errorf("the caller does not see the panic: %v", r)
		}
	}()
	_, _ = Do(t.Context(), func() (int, error) { panic("f") })
}
