// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package uplink

import (
	"errors"
	"fmt"
)

// List fails: only Windows has adapters that HNS takes.
func List() ([]Adapter, error) {
	return nil, fmt.Errorf("list the node's adapters: %w", errors.ErrUnsupported)
}
