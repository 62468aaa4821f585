// SPDX-License-Identifier: Apache-2.0

// Package aclsync programs the rules of one owner on endpoints that are in use. HNS
// replaces all policies of an endpoint at once, so it reads them, changes the owner's
// rules and writes everything back, under a lock of that endpoint: two of its callers,
// in one process or in two, never erase each other's rules.
package aclsync

import (
	"context"
	"errors"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// ErrDiffers is the kind of error when an endpoint has other rules than HNS accepted.
var ErrDiffers = errors.New("rules differ")

// HNS is what this package needs of hns.Client.
type HNS interface {
	Endpoint(ctx context.Context, id string) (hns.Endpoint, error)
	SetPolicies(ctx context.Context, id string, policies []hns.Policy) error
}

// Syncer programs rules on the endpoints of one node.
type Syncer struct {
	HNS  HNS
	Lock nodelock.Lock
}

// Sync makes rules the only ones of their owner on an endpoint; none takes the
// owner's away. Every other policy stays as it was read. Rules that are there already
// cost no change. It fails with hns.ErrNotFound when the endpoint does not exist, and with
// ErrDiffers when HNS does not show the rules afterwards.
func (s Syncer) Sync(ctx context.Context, endpointID string, owner acl.Owner, rules []hns.ACL) error {
	release, err := s.Lock(ctx, "endpoint-"+endpointID)
	if err != nil {
		return problem.New(nil, err, "wait for another process that programs endpoint %s", endpointID)
	}
	defer release()
	e, err := s.HNS.Endpoint(ctx, endpointID)
	if err != nil {
		return err
	}
	want := plan.ReplaceRules(owner, e.Policies, rules)
	if len(plan.DiffPolicies(owner, want, e.Policies)) == 0 {
		return nil
	}
	if err := s.HNS.SetPolicies(ctx, e.ID, want); err != nil {
		return err
	}
	got, err := s.HNS.Endpoint(ctx, e.ID)
	if err != nil {
		return err
	}
	if ds := plan.DiffPolicies(owner, plan.ReplaceRules(owner, nil, rules), got.Policies); len(ds) > 0 {
		return problem.New(ErrDiffers, nil, "endpoint %s after HNS took the rules: %s", e.Label(), plan.Differences(ds))
	}
	return nil
}
