// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package kubeproxy

import (
	"errors"
	"fmt"
)

// Running fails: only on Windows does kube-proxy have to do with HNS.
func Running() ([]Process, error) {
	return nil, fmt.Errorf("this is not Windows: %w", errors.ErrUnsupported)
}
