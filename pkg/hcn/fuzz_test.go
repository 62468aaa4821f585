// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// stable checks what must hold for any document: one that does not decode is
// the zero value, and encoding what was decoded changes nothing any more.
func stable[T any](t *testing.T, document []byte, decode func([]byte) (T, error), encode func(T) ([]byte, error)) {
	t.Helper()
	got, err := decode(document)
	if err != nil {
		if !reflect.ValueOf(got).IsZero() {
			t.Errorf("%s: %v came with %+v", document, err, got)
		}
		return
	}
	once, err := encode(got)
	if err != nil {
		return // HNS may answer what must not be asked for: a subnet without a gateway
	}
	again, err := decode(withID(t, once, networkID))
	if err != nil {
		t.Fatalf("%s does not decode: %v", once, err)
	}
	twice, err := encode(again)
	if err != nil {
		t.Fatalf("%s: %v", once, err)
	}
	if string(withID(t, once, networkID)) != string(withID(t, twice, networkID)) {
		t.Errorf("not stable:\n%s\n%s", once, twice)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples {
		network, err := encodeNetwork(s.network)
		if err != nil {
			f.Fatal(err)
		}
		endpoint, err := encodeEndpoint(s.endpoint)
		if err != nil {
			f.Fatal(err)
		}
		for _, d := range [][]byte{network, endpoint} {
			f.Add([]byte(`{"ID":"` + networkID + `",` + string(d[1:])))
		}
	}
	f.Add([]byte(`{"ID":"` + networkID + `","Type":3,"Dns":{"Search":[]},"Resources":[{"Type":0,"Data":{"Id":"x"}}]}`))
	f.Add([]byte(networksAnswer))
	f.Fuzz(func(t *testing.T, document []byte) {
		if got, err := decodeNetworks(document); err != nil && got != nil {
			t.Errorf("%s: %v came with %+v", document, err, got)
		}
		if got, err := decodeVersion(document); err != nil && got != (hns.Version{}) {
			t.Errorf("%s: %v came with %+v", document, err, got)
		}
		stable(t, document, decodeNetwork, encodeNetwork)
		stable(t, document, decodeEndpoint, encodeEndpoint)
		if got, err := decodeNamespace(document); err != nil && !reflect.ValueOf(got).IsZero() {
			t.Errorf("%s: %v came with %+v", document, err, got)
		}
	})
}

// Whatever the settings say, the policy says it still.
func FuzzParsePolicy(f *testing.F) {
	for _, s := range samples {
		docs, err := encodePolicies(s.endpoint.Policies)
		if err != nil {
			f.Fatal(err)
		}
		for _, d := range docs {
			f.Add(d.Type, []byte(d.Settings))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, settings []byte) {
		p := ParsePolicy(kind, settings)
		once, err := encodePolicy(p)
		if json.Valid(settings) && err != nil {
			t.Fatalf("%+v was parsed and does not encode: %v", p, err)
		}
		if err != nil {
			return
		}
		if d := diff(p, ParsePolicy(once.Type, once.Settings)); d != "" {
			t.Errorf("%s %s (-parsed +parsed again):\n%s", kind, settings, d)
		}
	})
}
