// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import "os"

// set sets sysctls of the present namespace.
func set(values map[string]string) error {
	for name, value := range values {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}
