// SPDX-License-Identifier: Apache-2.0

package wine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// NewHost returns an emulated node for programs under Wine, which see the adapters
// of this machine: those with a default route are the node's one.
func NewHost(p hnsemu.Profile) (*hnsemu.Host, error) {
	names, err := defaultInterfaces("/")
	if err != nil {
		return nil, err
	}
	h := hnsemu.New(p)
	node := h.Node()
	node.Adapters[0].Aliases = names
	return h, h.SetNode(node)
}

// defaultInterfaces returns the Ethernet interfaces that a machine whose files are
// in root has default routes on, of either family (proc(5); the type in sysfs is
// ARPHRD_ETHER of linux/if_arp.h).
func defaultInterfaces(root string) ([]string, error) {
	var names []string
	for file, is := range map[string]func([]string) string{"proc/net/route": default4, "proc/net/ipv6_route": default6} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // without this family
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			name := is(strings.Fields(line))
			kind, err := os.ReadFile(filepath.Join(root, "sys/class/net", name, "type"))
			if name != "" && err == nil && strings.TrimSpace(string(kind)) == "1" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// default4 returns the interface of a line of /proc/net/route, empty unless it is
// of a default route.
func default4(fields []string) string {
	if len(fields) > 1 && fields[1] == "00000000" {
		return fields[0]
	}
	return ""
}

// default6 is default4 for /proc/net/ipv6_route.
func default6(fields []string) string {
	if len(fields) > 9 && fields[0] == strings.Repeat("0", 32) && fields[1] == "00" {
		return fields[9]
	}
	return ""
}
