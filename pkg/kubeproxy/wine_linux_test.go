// SPDX-License-Identifier: Apache-2.0

package kubeproxy_test

import (
	"testing"

	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// TestUnderWine runs this package's Windows tests.
func TestUnderWine(t *testing.T) {
	env := wine.Start(t, "2022")
	got := env.Run(t, wine.Cmd{Path: env.BuildTest(t, "./pkg/kubeproxy"), Args: []string{"-test.v"}})
	if got.Code != 0 {
		t.Fatalf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	t.Log(got.Stdout)
}
