// SPDX-License-Identifier: Apache-2.0

package wine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Loopback, tunnels and what has no default route are no adapters of the node.
func TestDefaultInterfaces(t *testing.T) {
	root := t.TempDir()
	zero := "00000000000000000000000000000000"
	for name, text := range map[string]string{
		"proc/net/route":          "Iface\tDestination\tGateway\neth1\t000200C0\t00000000\neth0\t00000000\t010200C0\ntun0\t00000000\t010200C0\n",
		"proc/net/ipv6_route":     zero + " 00 " + zero + " 00 " + zero + " 0 0 0 0 eth2\n" + zero + " 00 " + zero + " 00 " + zero + " 0 0 0 0 lo\n",
		"sys/class/net/eth0/type": "1\n", "sys/class/net/eth1/type": "1\n", "sys/class/net/eth2/type": "1\n",
		"sys/class/net/tun0/type": "65534\n", "sys/class/net/lo/type": "772\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := defaultInterfaces(root)
	if want := []string{"eth0", "eth2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := defaultInterfaces(t.TempDir()); err != nil || len(got) > 0 {
		t.Errorf("a machine without routes: %v, %v", got, err)
	}
}
