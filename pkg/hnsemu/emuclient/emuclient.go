// SPDX-License-Identifier: Apache-2.0

// Package emuclient is an hns.Client on the emulated HNS: package hcn's, which makes
// the same native calls in the same order as on Windows, those of hcsshim included,
// and fails as it does there. So what a test sees of the one holds for the other.
package emuclient

import (
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// defaultTimeout is longer than a call takes on any machine that is not stuck.
const defaultTimeout = time.Minute

// New returns a client whose calls c carries out. The name is that of the
// process the calls seem to come from.
func New(c hnsemu.Caller, name string) hns.Client {
	return NewTimeout(c, name, defaultTimeout)
}

// NewTimeout is New for a client that gives up on a native call after perCall.
func NewTimeout(c hnsemu.Caller, name string, perCall time.Duration) hns.Client {
	return hcn.New(native{caller: c, name: name}, perCall)
}
