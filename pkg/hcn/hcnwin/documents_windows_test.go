// SPDX-License-Identifier: Apache-2.0

package hcnwin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	hcsshim "github.com/Microsoft/hcsshim/hcn"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestDocuments reads every golden document of package hcn into hcsshim's
// structs: none has a member that hcsshim does not know, whether it sends the
// document or this package does.
func TestDocuments(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skip("SKIPPED: the goldens of package hcn are not beside this program")
	}
	read := map[string]func([]byte) error{
		"network.json":                    parses[hcsshim.HostComputeNetwork],
		"endpoint.json":                   parses[hcsshim.HostComputeEndpoint],
		"namespace.json":                  parses[hcsshim.HostComputeNamespace],
		"namespace-with-id.json":          parses[hcsshim.HostComputeNamespace],
		"namespace-attach.json":           parses[hcsshim.ModifyNamespaceSettingRequest],
		"namespace-detach.json":           parses[hcsshim.ModifyNamespaceSettingRequest],
		"namespace-attach-container.json": parses[hcsshim.ModifyNamespaceSettingRequest],
		"namespace-detach-container.json": parses[hcsshim.ModifyNamespaceSettingRequest],
		"endpoint-policies.json":          parses[hcsshim.ModifyEndpointSettingRequest],
		"endpoint-no-policies.json":       parses[hcsshim.ModifyEndpointSettingRequest],
		"query-all.json":                  parses[hcsshim.HostComputeQuery],
		"query-name.json":                 parses[hcsshim.HostComputeQuery],
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
	_, err := parse[hcsshim.HostComputeEndpoint]([]byte(`{"Name":"x","Nam":"y"}`))
	var e *hns.Error
	if !errors.As(err, &e) {
		t.Errorf("got %v, want an *hns.Error", err)
	}
}
