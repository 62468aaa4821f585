// SPDX-License-Identifier: Apache-2.0

package hcnclient

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/Microsoft/hcsshim/hcn"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestDocuments reads every golden document of package hcndoc into hcsshim's
// structs: none has a member that hcsshim does not know, whether it carries the
// document or package hcnhandle does.
func TestDocuments(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "hcndoc", "testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skip("SKIPPED: the goldens of package hcndoc are not beside this program")
	}
	read := map[string]func([]byte) error{
		"network.json":                    parses[hcn.HostComputeNetwork],
		"endpoint.json":                   parses[hcn.HostComputeEndpoint],
		"namespace.json":                  parses[hcn.HostComputeNamespace],
		"namespace-with-id.json":          parses[hcn.HostComputeNamespace],
		"namespace-attach.json":           parses[hcn.ModifyNamespaceSettingRequest],
		"namespace-detach.json":           parses[hcn.ModifyNamespaceSettingRequest],
		"namespace-attach-container.json": parses[hcn.ModifyNamespaceSettingRequest],
		"namespace-detach-container.json": parses[hcn.ModifyNamespaceSettingRequest],
		"endpoint-policies.json":          parses[hcn.ModifyEndpointSettingRequest],
		"endpoint-no-policies.json":       parses[hcn.ModifyEndpointSettingRequest],
		"query-all.json":                  parses[hcn.HostComputeQuery],
		"query-name.json":                 parses[hcn.HostComputeQuery],
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range txtar.Parse(b).Files {
			parse, ok := read[f.Name]
			if !ok {
				t.Errorf("%s: nobody knows what %s is", path, f.Name)
			} else if err := parse(f.Data); err != nil {
				t.Errorf("%s: %s: %v", path, f.Name, err)
			}
		}
	}
}

func parses[T any](document []byte) error {
	_, err := parse[T](document)
	return err
}

func TestUnknownMemberIsNotSent(t *testing.T) {
	_, err := parse[hcn.HostComputeEndpoint]([]byte(`{"Name":"x","Nam":"y"}`))
	var e *hns.Error
	if !errors.As(err, &e) {
		t.Errorf("got %v, want an *hns.Error", err)
	}
}
