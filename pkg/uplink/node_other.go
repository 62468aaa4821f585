// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package uplink

import (
	"errors"
	"fmt"
)

// Windows is the node that this process runs on. It fails elsewhere: only Windows
// has adapters that HNS takes.
type Windows struct{}

var errElsewhere = fmt.Errorf("this is not Windows: %w", errors.ErrUnsupported)

// DisabledComponents fails.
func DisabledComponents() (uint32, error) { return 0, errElsewhere }

// Adapters fails.
func (Windows) Adapters() ([]Adapter, error) { return nil, errElsewhere }

// Routes fails.
func (Windows) Routes() ([]Route, error) { return nil, errElsewhere }

// AddRoute fails.
func (Windows) AddRoute(Route, string) error { return errElsewhere }
