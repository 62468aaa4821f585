// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// readPlugins returns Bulkhead's parts of a conflist; a file of one plugin is that part.
func readPlugins(file string) ([]config.Plugin, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	ours, err := config.OurPlugins(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return ours, nil
}
