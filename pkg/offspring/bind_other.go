// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package offspring

// Bind does nothing: elsewhere Bulkhead runs for the sake of tests.
func Bind() error { return nil }
