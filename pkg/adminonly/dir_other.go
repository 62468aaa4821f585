// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package adminonly

import "os"

func mkdir(path string) error { return os.Mkdir(path, 0o755) } //nolint:gosec // as host-local's own

// check refuses a link.
func check(path string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&os.ModeSymlink != 0 {
		err = link(path)
	}
	return err
}
