// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// asked is HNS whose version is known, or being asked for.
type asked struct {
	hns.Client
	answer func() (hns.Features, error)
}

// Features waits for the answer.
func (c asked) Features(context.Context) (hns.Features, error) { return c.answer() }

// ask asks HNS for its version at once where every plan on the network needs it, so
// that IPAM looks for addresses meanwhile: it has its own DLL and its own connection,
// and takes as long as they do. wait returns when HNS has answered.
func (at Attacher) ask(ctx context.Context, c config.Config, d hns.Driver) (_ Attacher, wait func()) {
	if !plan.NeedsFeatures(c, d, nil) {
		return at, func() {}
	}
	var (
		features hns.Features
		err      error
		panicked any
		client   = at.HNS
		done     = make(chan struct{})
	)
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		features, err = client.Features(ctx)
	}()
	wait = func() {
		if <-done; panicked != nil {
			panic(panicked)
		}
	}
	at.HNS = asked{client, func() (hns.Features, error) {
		wait()
		return features, err
	}}
	return at, wait
}
