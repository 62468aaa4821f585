// SPDX-License-Identifier: Apache-2.0

package hcnhandle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/bulkhead-cni/bulkhead/pkg/hcndoc"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

const (
	one = "00000000-0000-0000-0000-0000000000a1"
	two = "00000000-0000-0000-0000-0000000000a2"
)

// fake is a Native whose handles count up. It notes what it is asked.
type fake struct {
	mu     sync.Mutex
	last   Handle
	asked  []string
	fails  map[string]error    // by what is asked
	hangs  map[string]chan int // by what is asked
	answer string
}

func (f *fake) ask(format string, args ...any) error {
	f.mu.Lock()
	what := fmt.Sprintf(format, args...)
	f.asked = append(f.asked, what)
	err, hang := f.fails[what], f.hangs[what]
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (f *fake) issue(format string, args ...any) (Handle, error) {
	if err := f.ask(format, args...); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	return f.last, nil
}

func (f *fake) Enumerate(_ context.Context, kind hcndoc.Kind, _ []byte) ([]byte, error) {
	return []byte(`["` + one + `","` + two + `"]`), f.ask("enumerate %s", kind)
}

func (f *fake) Open(_ context.Context, kind hcndoc.Kind, id string) (Handle, error) {
	return f.issue("open %s %s", kind, id[34:])
}

func (f *fake) CreateEndpoint(_ context.Context, network Handle, id string, document []byte) (Handle, error) {
	return f.issue("create %s on %d %s", id[34:], network, document)
}

func (f *fake) Modify(_ context.Context, kind hcndoc.Kind, object Handle, document []byte) error {
	return f.ask("modify %s %d %s", kind, object, document)
}

func (f *fake) Query(_ context.Context, kind hcndoc.Kind, object Handle, _ []byte) ([]byte, error) {
	return []byte(f.answer), f.ask("query %s %d", kind, object)
}

func (f *fake) Delete(_ context.Context, kind hcndoc.Kind, id string) error {
	return f.ask("delete %s %s", kind, id[34:])
}

func (f *fake) Close(_ context.Context, kind hcndoc.Kind, object Handle) error {
	return f.ask("close %s %d", kind, object)
}

// want compares what was asked since the last time.
func (f *fake) want(t *testing.T, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := strings.Join(f.asked, ", "); got != strings.Join(want, ", ") {
		t.Errorf("asked\n%s\nwant\n%s", got, strings.Join(want, ", "))
	}
	f.asked = nil
}

func code(c hns.HRESULT) error { return &hns.Error{Code: c} }

// modify changes a namespace and checks how that ends.
func modify(t *testing.T, h *Handles, id string, want error) {
	t.Helper()
	if err := h.Modify(t.Context(), hcndoc.Namespaces, id, []byte("x")); !errors.Is(err, want) {
		t.Errorf("modify %s: got %v, want %v", id, err, want)
	}
}

func TestOneOfAKindIsOpen(t *testing.T) {
	f := &fake{}
	h := New(f)
	modify(t, h, one, nil)
	modify(t, h, strings.ToUpper(one), nil)
	f.want(t, "open Namespace a1", "modify Namespace 1 x", "modify Namespace 1 x")
	modify(t, h, two, nil)
	f.want(t, "close Namespace 1", "open Namespace a2", "modify Namespace 2 x")
	if _, err := h.List(t.Context(), hcndoc.Namespaces, nil); err != nil {
		t.Error(err)
	}
	f.want(t, "enumerate Namespace", "close Namespace 2", "open Namespace a1", "query Namespace 3",
		"close Namespace 3", "open Namespace a2", "query Namespace 4")
	if err := h.Delete(t.Context(), hcndoc.Namespaces, two); err != nil {
		t.Error(err)
	}
	f.want(t, "close Namespace 4", "delete Namespace a2")
}

// What failed is closed. Only where the handle is to blame is a second one tried, and
// only for one that had been open for a while.
func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"refused", code(hns.CodeEndpointInANetns), []string{"modify Namespace 1 x", "close Namespace 1"}},
		{"HNS went away", code(hns.CodeCallFailed), []string{"modify Namespace 1 x", "close Namespace 1"}},
		{"torn down", code(hns.CodeTornDown), []string{"modify Namespace 1 x", "close Namespace 1", "open Namespace a1", "modify Namespace 2 x"}},
		{"not of this HNS", code(hns.CodeInvalidHandle), []string{"modify Namespace 1 x", "close Namespace 1", "open Namespace a1", "modify Namespace 2 x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{}
			h := New(f)
			modify(t, h, one, nil)
			f.want(t, "open Namespace a1", "modify Namespace 1 x")
			f.fails = map[string]error{"modify Namespace 1 x": tt.err, "modify Namespace 2 x": tt.err}
			modify(t, h, one, tt.err)
			if len(tt.want) > 2 {
				tt.want = append(tt.want, "close Namespace 2")
			}
			f.want(t, tt.want...)
			f.fails = nil
			modify(t, h, one, nil)
			if err := h.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got := f.asked[len(f.asked)-1]; got != fmt.Sprintf("close Namespace %d", f.last) {
				t.Errorf("the last call is %q, want the close of what was opened last", got)
			}
		})
	}
}

func TestCreateEndpoint(t *testing.T) {
	f := &fake{}
	h := New(f)
	if err := h.CreateEndpoint(t.Context(), one, two, []byte("x")); err != nil {
		t.Error(err)
	}
	f.want(t, "open Network a1", "create a2 on 1 x")
	if _, err := h.Get(t.Context(), hcndoc.Endpoints, two); err != nil {
		t.Error(err)
	}
	f.want(t, "query Endpoint 2")
	f.fails = map[string]error{"create a2 on 1 y": code(hns.CodeCallFailed)}
	if err := h.CreateEndpoint(t.Context(), one, two, []byte("y")); !errors.Is(err, hns.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.want(t, "create a2 on 1 y", "close Network 1")
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	f.want(t, "close Endpoint 2")
}

// A call that hangs and was given up keeps nobody from the object, and what it opened
// is not left open beside the other.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan int)
		f := &fake{hangs: map[string]chan int{"modify Namespace 1 hangs": release}}
		h := New(f)
		modify(t, h, one, nil)
		go func() {
			if err := h.Modify(t.Context(), hcndoc.Namespaces, one, []byte("hangs")); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		modify(t, h, one, nil)
		close(release)
		synctest.Wait()
		f.want(t, "open Namespace a1", "modify Namespace 1 x", "modify Namespace 1 hangs", "open Namespace a1", "modify Namespace 2 x", "close Namespace 2")
	})
}

func TestCloseTellsWhatFailed(t *testing.T) {
	f := &fake{fails: map[string]error{"close Namespace 1": code(hns.CodeCallFailed)}}
	h := New(f)
	modify(t, h, one, nil)
	if err := h.Close(t.Context()); !errors.Is(err, hns.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Errorf("closed a second time: %v", err)
	}
}

func TestFailure(t *testing.T) {
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
		if got := fmt.Sprint(Failure("f", tt.code, tt.record)); got != tt.want {
			t.Errorf("Failure(%#x, %q)\ngot  %s\nwant %s", uint32(tt.code), tt.record, got, tt.want)
		}
	}
}
