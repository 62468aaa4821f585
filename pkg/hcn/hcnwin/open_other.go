// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package hcnwin

import (
	"fmt"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Open fails with hns.ErrUnsupported.
func Open(time.Duration) (hns.Client, error) {
	return nil, &hns.Error{
		Op:  "open HNS",
		Err: fmt.Errorf("HNS exists on Windows only: %w", hns.ErrUnsupported),
	}
}
