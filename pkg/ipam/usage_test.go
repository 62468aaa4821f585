// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

func TestUsage(t *testing.T) {
	dir := tempDir(t)
	text := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.19"}],[{"subnet":"fd00::/64"}]]`)
	var parsed config.Config
	for _, id := range []string{"c1", "c2"} {
		c, err := config.Parse(text, config.Env{ContainerID: id, IfName: "eth0"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(config.HostLocal).Add(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
		parsed = c
	}
	// The gateway of the second range is host-local's guess, its first address.
	const all = float64(1<<64 - 1)
	want := []Use{{"10.1.0.10-10.1.0.19", 2, 8}, {"fd00::1-fd00::ffff:ffff:ffff:ffff", 2, all}}
	if got, err := Usage(parsed); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	parsed.IPAM.DataDir = tempDir(t)
	want[0].Used, want[0].Free, want[1].Used = 0, 10, 0
	if got, err := Usage(parsed); err != nil || !cmp.Equal(want, got) {
		t.Errorf("without files: %v\n%s", err, cmp.Diff(want, got))
	}
	parsed.IPAM.Type = config.Static
	if got, err := Usage(parsed); err != nil || got != nil {
		t.Errorf("static: %v, %v", got, err)
	}
}
