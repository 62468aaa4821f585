// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package hcnclient

import (
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Open fails with hns.ErrUnsupported.
func Open() (hns.Client, error) {
	return nil, &hns.Error{
		Op:  "open HNS",
		Err: fmt.Errorf("HNS exists on Windows only: %w", hns.ErrUnsupported),
	}
}
