// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// TestEveryVerbTravels calls each method of hnsemu.Control on a Client with
// zero arguments and compares with what the emulator itself answers.
func TestEveryVerbTravels(t *testing.T) {
	here, there := newSpy(), newSpy()
	c := dial(t, serve(t, there))
	for i := range controlType.NumMethod() {
		method := controlType.Method(i)
		t.Run(method.Name, func(t *testing.T) {
			var args []reflect.Value
			for j := range method.Type.NumIn() {
				args = append(args, reflect.Zero(method.Type.In(j)))
			}
			want := reflect.ValueOf(here.Control).MethodByName(method.Name).Call(args)
			got := reflect.ValueOf(c).MethodByName(method.Name).Call(args)
			if diff := cmp.Diff(plain(t, want), plain(t, got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", method.Name, diff)
			}
		})
	}
}

// plain returns results as text, errors by what they say.
func plain(t *testing.T, results []reflect.Value) []string {
	t.Helper()
	texts := make([]string, len(results))
	for i, r := range results {
		if err, ok := r.Interface().(error); ok {
			texts[i] = err.Error()
			continue
		}
		b, err := json.Marshal(r.Interface())
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(b)
	}
	return texts
}

func TestControlArguments(t *testing.T) {
	host := hnsemu.New(hnsemu.Profiles()[0])
	c := dial(t, serve(t, host))
	if err := c.AddFault(hnsemu.Fault{Proc: "HcnOpenNetwork", Nth: 2, Kind: hnsemu.FaultCut}); err != nil {
		t.Fatal(err)
	}
	var errs []error
	for range 2 {
		_, err := host.Call(context.Background(), hnsemu.Call{Client: "9@1", Proc: "HcnOpenNetwork", Args: []string{""}})
		errs = append(errs, err)
	}
	if errs[0] != nil || !errors.Is(errs[1], hnsemu.ErrCut) {
		t.Errorf("calls after the fault was added: got %v, want the second cut", errs)
	}
	got, err := c.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"HcnOpenNetwork": 2}, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestControlRefuses(t *testing.T) {
	c := dial(t, serve(t, newSpy()))
	for _, tt := range []struct {
		name, verb string
		args       []json.RawMessage
		wantErr    string
	}{
		{"no such verb", "Format", nil, `no such verb: "Format"`},
		{"no verb", "", nil, `no such verb: ""`},
		{"a method of Host that is no verb", "ForgetClient", []json.RawMessage{[]byte(`"9"`)}, "no such verb"},
		{"too few", "SetLatency", []json.RawMessage{[]byte("1")}, "SetLatency: 1 arguments instead of 2"},
		{"too many", "Dump", []json.RawMessage{[]byte("1")}, "Dump: 1 arguments instead of 0"},
		{"wrong type", "StopContainer", []json.RawMessage{[]byte("1")}, "StopContainer: argument 1: json:"},
		{"no JSON", "StopContainer", []json.RawMessage{[]byte("x")}, "StopContainer: argument 1: invalid"},
		{"unknown key", "AddFault", []json.RawMessage{[]byte(`{"Nht":1}`)}, `AddFault: argument 1: json: unknown field "Nht"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Control(tt.verb, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("Control: got %v, want an error with %q", err, tt.wantErr)
			}
		})
	}
}
