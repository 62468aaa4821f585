// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// readPlugin returns Bulkhead's part of a conflist; a file of one plugin is that part.
func readPlugin(file string) (config.Plugin, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return config.Plugin{}, err
	}
	p, err := config.OurPlugin(text)
	if err != nil {
		return config.Plugin{}, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}
