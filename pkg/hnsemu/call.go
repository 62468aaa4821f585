// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"errors"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Caller carries out native calls: a *Host in this process, or one in another
// process behind a connection.
type Caller interface {
	// Call returns what the native function would. It fails with ErrCut when
	// the connection to HNS broke, and with the context's error when the
	// caller gave up first; in both cases HNS may have carried the call out.
	Call(ctx context.Context, c Call) (Reply, error)
}

// ErrCut is a connection to HNS that broke during a call. Windows clients see
// it as hns.CodeCallFailed.
var ErrCut = errors.New("connection to HNS cut off")

// Call is one call of a native function.
type Call struct {
	// Client names the calling process; handles belong to it.
	Client string
	// Proc is the exported function: "HcnOpenNetwork", "HNSCall".
	Proc string
	// Args holds the in-parameters in the order of the C prototype: GUIDs and
	// strings as text, handles in decimal.
	Args []string
}

// Reply is what a native function gives back.
type Reply struct {
	// Code is the HRESULT, 0 for success.
	Code hns.HRESULT
	// Handle is the out handle of Create and Open.
	Handle uint64
	// Out is the out string of Enumerate, Query and HNSCall.
	Out string
	// Record is the JSON error record, empty for none.
	Record string
}
