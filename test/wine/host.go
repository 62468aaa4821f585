// SPDX-License-Identifier: Apache-2.0

package wine

import (
	"bufio"
	"bytes"
	"os"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// NewHost returns an emulated node for programs under Wine, which see the adapters
// of this machine: the one with its default route is the node's.
func NewHost(p hnsemu.Profile) (*hnsemu.Host, error) {
	h := hnsemu.New(p)
	node := h.Node()
	node.Adapters[0].Alias = defaultInterface()
	return h, h.SetNode(node)
}

// defaultInterface returns the interface of this machine's IPv4 default route,
// empty where there is none (proc(5), /proc/net/route).
func defaultInterface() string {
	text, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[1] == "00000000" {
			return f[0]
		}
	}
	return ""
}
