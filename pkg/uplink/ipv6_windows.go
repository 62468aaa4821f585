// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows/registry"
)

// DisabledComponents returns the value by which the registry turns parts of IPv6 off
// (Microsoft, "Guidance for configuring IPv6 in Windows for advanced users"), 0 where it
// has none.
func DisabledComponents() (uint32, error) {
	const path, name = `SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters`, "DisabledComponents"
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open the registry's %s: %w", path, err)
	}
	defer key.Close()
	value, _, err := key.GetIntegerValue(name)
	if errors.Is(err, registry.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the registry's %s: %w", name, err)
	}
	return uint32(value), nil
}
