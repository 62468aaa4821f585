// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestNativeCalls pins the calls of each method. What it opens it closes.
func TestNativeCalls(t *testing.T) {
	eachMethod(t, func(t *testing.T, m method) {
		f := newFake()
		// The fake's objects have no names.
		if err := m.call(t.Context(), f.client()); err != nil && !errors.Is(err, hns.ErrNotFound) {
			t.Error(err)
		}
		var got []string
		for _, call := range f.made() {
			got = append(got, strings.Join(strings.Fields(call)[:2], " "))
		}
		if got := strings.Join(got, ", "); got != m.want {
			t.Errorf("native calls\ngot  %s\nwant %s", got, m.want)
		}
		f.check(t)
	})
}

// TestEveryCallFails lets each native call of each method fail. The method fails as
// that call did, except where it was a close, and what it opened is closed.
func TestEveryCallFails(t *testing.T) {
	eachMethod(t, func(t *testing.T, m method) {
		for i, native := range m.native() {
			f := newFake()
			f.intercept = func(n int, _ string) error {
				if n == i+1 {
					return &hns.Error{Code: hns.CodeCallFailed, Err: errors.New("no answer")}
				}
				return nil
			}
			err := m.call(t.Context(), f.client())
			var e *hns.Error
			switch {
			case strings.HasPrefix(native, "close"):
				if errors.Is(err, hns.ErrUnavailable) {
					t.Errorf("call %d (%s) failed and so did the method: %v", i+1, native, err)
				}
			case !errors.As(err, &e) || e.Code != hns.CodeCallFailed || e.Op == "" || e.Err == nil || e.Err.Error() != "no answer":
				t.Errorf("call %d (%s) failed: got %v", i+1, native, err)
			}
			f.check(t)
		}
	})
}

// TestEveryCallHangs lets each native call of each method hang. The method gives up
// in time, makes no other call, and fails, except where the call was a close.
func TestEveryCallHangs(t *testing.T) {
	eachMethod(t, func(t *testing.T, m method) {
		for i, native := range m.native() {
			t.Run(fmt.Sprint(i+1, " ", native), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testHang(t, m, i+1) })
			})
		}
	})
}

// testHang lets the nth native call hang.
func testHang(t *testing.T, m method, nth int) {
	native := m.native()[nth-1]
	isClose := strings.HasPrefix(native, "close")
	for _, tt := range []struct {
		name    string
		perCall time.Duration
		end     func() (context.Context, context.CancelFunc)
		took    time.Duration
		want    error
	}{
		{"past the time of a call", time.Second, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Minute)
		}, time.Second, context.DeadlineExceeded},
		{"past the caller's time", time.Minute, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Second)
		}, time.Second, context.DeadlineExceeded},
		{"cancelled by the caller", time.Minute, func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, time.Second, context.Canceled},
	} {
		f, begin := newFake(), time.Now()
		f.intercept = func(n int, _ string) error {
			if n == nth {
				time.Sleep(time.Hour) // HNS does not look at the context
			}
			return nil
		}
		ctx, cancel := tt.end()
		err := m.call(ctx, New(f, tt.perCall))
		cancel()
		if took := time.Since(begin); took != tt.took {
			t.Errorf("%s: took %v", tt.name, took)
		}
		var e *hns.Error
		switch {
		case isClose:
			if errors.Is(err, tt.want) {
				t.Errorf("%s: a close that hangs fails the method: %v", tt.name, err)
			}
		case !errors.As(err, &e) || e.Op == "" || !errors.Is(err, tt.want) || errors.Is(err, hns.ErrBusy) != (tt.want == context.DeadlineExceeded): //nolint:errorlint // it is one of two
			t.Errorf("%s: got %v", tt.name, err)
		case len(f.made()) != nth:
			t.Errorf("%s: %q were called after it", tt.name, f.made()[nth:])
		}
		f.mu.Lock()
		if len(f.misuse) > 0 {
			t.Errorf("%s: %q", tt.name, f.misuse)
		}
		f.mu.Unlock()
	}
	time.Sleep(2 * time.Hour) // lets the calls that hang end
}

// The time is that of each call, not of the method.
func TestSlowCalls(t *testing.T) {
	eachMethod(t, func(t *testing.T, m method) {
		synctest.Test(t, func(t *testing.T) {
			f, begin := newFake(), time.Now()
			f.intercept = func(int, string) error { time.Sleep(900 * time.Millisecond); return nil }
			if err := m.call(t.Context(), New(f, time.Second)); errors.Is(err, hns.ErrBusy) {
				t.Error(err)
			}
			if took, want := time.Since(begin), time.Duration(len(m.native()))*900*time.Millisecond; took != want {
				t.Errorf("took %v, want %v", took, want)
			}
			f.check(t)
		})
	})
}

// A context that is over asks HNS nothing.
func TestNoTimeLeft(t *testing.T) {
	eachMethod(t, func(t *testing.T, m method) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f := newFake()
		var e *hns.Error
		if err := m.call(ctx, f.client()); !errors.As(err, &e) || e.Op == "" || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if len(f.made()) > 0 {
			t.Errorf("%q were called", f.made())
		}
	})
}

// A panic of a native call is the caller's.
func TestPanic(t *testing.T) {
	eachMethod(t, func(t *testing.T, m method) {
		defer func() {
			if r := recover(); r != "native" {
				t.Errorf("the caller does not see the panic: %v", r)
			}
		}()
		f := newFake()
		f.intercept = func(int, string) error { panic("native") }
		_ = m.call(t.Context(), f.client())
	})
}

func TestCallError(t *testing.T) {
	for _, tt := range []struct {
		code   hns.HRESULT
		record string
		want   string
	}{
		{0, "", "<nil>"},
		{1, "", "<nil>"}, // S_FALSE
		{hns.CodeNotFound, "", ": 0x80070490 ERROR_NOT_FOUND (Element not found): f failed"},
		{hns.CodeNotFound, "{}", ": 0x80070490 ERROR_NOT_FOUND (Element not found): f failed {}"},
		{0, "{}", ": 0x8007001f ERROR_GEN_FAILURE (A device attached to the system is not functioning): f failed {}"},
	} {
		if got := fmt.Sprint(CallError("f", tt.code, tt.record)); got != tt.want {
			t.Errorf("CallError(%#x, %q)\ngot  %s\nwant %s", uint32(tt.code), tt.record, got, tt.want)
		}
	}
}
