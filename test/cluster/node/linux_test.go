// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net/netip"
	"testing"
)

// TestLinuxConflist: a Linux node's pods get an address of each of its ranges, and all their
// ways lead through the node.
func TestLinuxConflist(t *testing.T) {
	const want = `{
  "cniVersion": "1.1.0",
  "name": "pods",
  "plugins": [
    {
      "ipam": {
        "dataDir": "/run/cni/networks",
        "ranges": [
          [
            {
              "subnet": "10.10.2.0/24"
            }
          ],
          [
            {
              "subnet": "fd00:10:10:2::/64"
            }
          ]
        ],
        "routes": [
          {
            "dst": "0.0.0.0/0"
          },
          {
            "dst": "::/0"
          }
        ],
        "type": "host-local"
      },
      "mtu": 1450,
      "type": "ptp"
    }
  ]
}`
	got, err := linuxConflist([]netip.Prefix{netip.MustParsePrefix("10.10.2.0/24"), netip.MustParsePrefix("fd00:10:10:2::/64")}, 1450)
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}
