// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares documents with the txtar file of that name.
func golden(t *testing.T, name string, files ...txtar.File) {
	t.Helper()
	path := filepath.Join("testdata", name+".txtar")
	for i, f := range files {
		var b bytes.Buffer
		if err := json.Indent(&b, f.Data, "", "  "); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		b.WriteByte('\n')
		files[i].Data = b.Bytes()
	}
	got := txtar.Format(&txtar.Archive{Files: files})
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", path, diff)
	}
}

func file(t *testing.T, name string) func([]byte, error) txtar.File {
	return func(document []byte, err error) txtar.File {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return txtar.File{Name: name, Data: document}
	}
}

func TestCreateDocuments(t *testing.T) {
	for _, driver := range hns.Drivers() {
		t.Run(string(driver), func(t *testing.T) {
			s := samples[driver]
			golden(t, string(driver),
				file(t, "network.json")(encodeNetwork(s.network)),
				file(t, "endpoint.json")(encodeEndpoint(s.endpoint)),
			)
		})
	}
}

func TestRequestDocuments(t *testing.T) {
	golden(t, "requests",
		file(t, "namespace.json")(encodeNamespace("")),
		file(t, "namespace-with-id.json")(encodeNamespace(namespaceID)),
		file(t, "namespace-attach.json")(encodeAttach(endpointID)),
		file(t, "namespace-detach.json")(encodeDetach(endpointID)),
		file(t, "namespace-attach-container.json")(encodeAttachContainer("4c7a9d0f")),
		file(t, "namespace-detach-container.json")(encodeDetachContainer("4c7a9d0f")),
		file(t, "endpoint-policies.json")(encodePolicyRequest("Update", samples[hns.NAT].endpoint.Policies)),
		file(t, "endpoint-no-policies.json")(encodePolicyRequest("Update", nil)),
		file(t, "query-all.json")(encodeQuery(nil)),
		file(t, "query-name.json")(encodeQuery(filter{"Name": `pod "1"`})),
	)
}
